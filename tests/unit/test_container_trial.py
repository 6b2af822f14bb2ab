"""`make containers`: without an engine it is skipped with its reason; its page says what was seen and on what."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
from containers import branch, engine, page, run

pytestmark = pytest.mark.unit

SEEN = run.Seen(
    at="2026-11-27 19:00", engine="podman 4.3.1 with runc", compose="2.40.3", stand_ins=True, image_seconds=61.4,
    image_mebibytes=335.2, up_seconds=44.0, down_up_seconds=52.0, back={"consumer 1": 3.25, "kafka": 9.0},
    verdict={"refused": {"none": 7, "503": 2}, "intents": 40, "captures": 39, "payments": 1_200, "ledger_rows": 2_500,
             "letters": 0},
    webhooks=1_234, audit="the chain holds",
)  # fmt: skip


def test_without_an_engine_it_is_skipped_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert run.main() == 0
    assert "skipped: no container engine answers: start Docker, or install podman" in capsys.readouterr().err


def test_only_who_plays_the_compose_file_needs_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Building it takes minutes, which the tests' brokers do not wait for."""
    monkeypatch.setattr(engine, "answers", lambda *words, **_: "28.2" if words[:2] == ("docker", "info") else None)
    monkeypatch.setattr(engine.shutil, "which", lambda _: None)
    with engine.engine() as found:
        assert found.version == "Docker 28.2"
        with pytest.raises(engine.AbsentError, match="nothing speaks Compose"):
            _ = found.compose


def test_the_trial_without_compose_is_skipped_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "answers", lambda *words, **_: "28.2" if words[:2] == ("docker", "info") else None)
    monkeypatch.setattr(engine.shutil, "which", lambda _: None)
    assert run.main() == 0
    assert "skipped: an engine answers, but nothing speaks Compose" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["-k", "audit"], ["tests/integration/test_audit.py"], ["-m", "slow"]])
def test_the_branch_runs_what_is_named_or_all_that_is_not_slow(words: list[str]) -> None:
    command = branch.command_of(words)
    assert command[3:9] == ["-n", "0", "-m", "not slow", "-o", "timeout=600"]
    assert [word for word in command[9:] if word not in words] == ([] if "test_audit" in str(words) else [branch.TESTS])


def test_what_does_not_answer_in_time_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*_: Any, **__: Any) -> None:
        raise subprocess.TimeoutExpired("docker", 1)

    monkeypatch.setattr(engine.subprocess, "run", hang)
    assert engine.answers("sh", "info") is None


def test_a_command_that_runs_out_of_time_takes_its_children_with_it() -> None:
    """What the command's child holds open closes with it: the read ends only when nobody is left to write."""
    read, write = os.pipe()
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            engine.run(["sh", "-c", f"sleep 60 >/proc/{os.getpid()}/fd/{write} & wait"], os.environ, 0.1)
    finally:
        os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b""


def test_a_command_says_how_it_ended() -> None:
    assert engine.run(["sh", "-c", "echo one; exit 3"], os.environ, statuses=(3,)) == "one\n"
    with pytest.raises(RuntimeError, match="ended with 3: two"):
        engine.run(["sh", "-c", "echo two >&2; exit 3"], os.environ)


def test_the_page_says_what_was_seen_on_what() -> None:
    text = page.page_of(SEEN)
    for part in (
        "podman 4.3.1 with runc", "Compose 2.40.3", "stand-ins of deploy/stand-ins", "| 1,234 |", "| 40 and 39 |",
        "7 x none, 2 x 503".replace("7 x none", "7 x no answer"), "| consumer 1 | 3.2 |", "| none |", "the chain holds",
    ):  # fmt: skip
        assert part in text
    assert "Base images: the official ones." in page.page_of(run.Seen(engine="Docker 28"))


def test_the_page_names_what_went_wrong() -> None:
    assert "| relay was not healthy |" in page.page_of(run.Seen(problems=["relay was not healthy"]))
    assert not run.Seen(problems=["x"]).good
