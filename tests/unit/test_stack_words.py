"""What `ratchet stack` prints and with which status it ends, beside a stack of doubles."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from ops import endpoints, stack_commands
from ops.cli import app
from runtime import stack
from runtime.settings import Settings
from runtime.stack import Endpoints

pytestmark = pytest.mark.unit

SUPERUSER = "postgresql://superuser:very-secret@127.0.0.1:1/postgres"
FOUND = Endpoints("127.0.0.1:1", "postgresql://app@b", "postgresql://owner@b", SUPERUSER, "redis://d")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    settings = Settings(home=tmp_path)
    monkeypatch.setattr(stack_commands.endpoints, "load", lambda: settings)
    monkeypatch.setattr(endpoints, "running_stack", lambda _: SimpleNamespace(endpoints=FOUND))

    def invoked(*words: str) -> Any:
        return CliRunner().invoke(app, ["stack", *words])

    return invoked


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_the_superuser_s_dsn_is_reported_to_who_asks_for_it_alone(run: Any, form: list[str]) -> None:
    plain, asked = run("env", *form), run("env", "--superuser", *form)
    assert (plain.exit_code, asked.exit_code) == (0, 0)
    assert "superuser" not in plain.stdout.lower()
    assert SUPERUSER in asked.stdout


@pytest.mark.parametrize(
    ("states", "status"),
    [
        (["running", "running", "running"], 0),
        (["running", "running", "absent"], 0),
        (["running", "running", "starting"], 1),
        (["down", "running", "running"], 1),
    ],
)
def test_a_broker_that_does_not_run_is_the_exit_status(
    run: Any, monkeypatch: pytest.MonkeyPatch, states: list[str], status: int
) -> None:
    names = ("kafka", "postgres", "redis")
    document = {name: {"state": one, "pid": None, "address": None} for name, one in zip(names, states, strict=True)}

    async def read_status(*_: Any) -> Any:
        return document

    monkeypatch.setattr(stack, "read_status", read_status)
    for form in ([], ["--json"]):
        assert run("status", *form).exit_code == status
    assert json.loads(run("status", "--json").stdout) == document


@pytest.mark.parametrize("stopped", [True, False])
def test_down_says_whether_there_was_anything(run: Any, monkeypatch: pytest.MonkeyPatch, *, stopped: bool) -> None:
    async def request_stop(_: Any) -> bool:
        return stopped

    monkeypatch.setattr(stack, "request_stop", request_stop)
    ended = run("down", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)) == (0, {"stopped": stopped})


def test_a_second_stack_in_one_home_is_refused(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    running = SimpleNamespace(owner=SimpleNamespace(pid=77), endpoints=FOUND)
    monkeypatch.setattr(endpoints, "running_stack", lambda _: running)
    ended = run("up")
    assert (ended.exit_code, "pid 77" in ended.stderr) == (2, True)
