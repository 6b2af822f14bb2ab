"""What `ratchet migrate` does as whom, and what it does not do unasked."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from ops import dlq_options, endpoints
from ops.cli import app
from producers.relay import rebase
from runtime import migrations
from runtime.settings import KafkaSettings, PostgresSettings, Settings

pytestmark = pytest.mark.unit

APP, OWNER = "postgresql://cashier:x@h/d", "postgresql://owner:x@h/d"


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def noting(name: str, answer: Any) -> Any:
        async def note(*arguments: Any, **how: Any) -> Any:
            calls.append((name, *arguments, *how.values()))
            return answer

        return note

    settings = Settings(
        kafka=KafkaSettings(bootstrap="k:1"), postgres=PostgresSettings(dsn=SecretStr(APP), owner_dsn=SecretStr(OWNER))
    )
    monkeypatch.setattr(endpoints, "load", lambda: settings)
    monkeypatch.setattr(migrations, "migrate_up", noting("up", ["one"]))
    monkeypatch.setattr(migrations, "migrate_down", noting("down", ["one"]))
    monkeypatch.setattr(migrations, "migration_status", noting("status", []))
    monkeypatch.setattr(rebase, "rebase_if_restored", noting("rebase if restored", None))
    monkeypatch.setattr(rebase, "rebase", noting("rebase", {}))
    return calls


def run(*words: str) -> int:
    return CliRunner().invoke(app, ["migrate", *words]).exit_code


def test_the_owner_migrates_the_application_gets_its_grants_and_a_restored_database_is_rebased(done: list[Any]) -> None:
    assert run("up") == 0
    assert done == [("up", OWNER, "cashier"), ("rebase if restored", OWNER)]


@pytest.mark.parametrize(("words", "steps"), [((), 1), (("--steps", "3"), 3)])
def test_as_many_migrations_are_undone_as_were_asked_for(done: list[Any], words: tuple[str, ...], steps: int) -> None:
    assert run("down", *words) == 0
    assert done == [("down", OWNER, "cashier", steps)]
    assert run("down", "--steps", "0") == 2


def test_the_history_is_read_as_whoever_made_it(done: list[Any]) -> None:
    assert run("status") == 0
    assert done == [("status", OWNER)]


def test_nothing_is_rebased_unless_somebody_agreed(done: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("rebase") == 2, "nobody can be asked here"
    assert run("rebase", "--json") == 2
    monkeypatch.setattr(dlq_options, "need_consent", lambda **_: None)
    monkeypatch.setattr(dlq_options, "agreed", lambda *_: False)
    assert run("rebase") == 1
    assert done == []
    monkeypatch.setattr(dlq_options, "agreed", lambda *_: True)
    assert run("rebase") == 0
    assert run("rebase", "--yes") == 0
    assert done == [("rebase", OWNER)] * 2
