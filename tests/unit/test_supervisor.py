"""The supervisor's decisions, and what it reads from a role's log."""

from __future__ import annotations

import asyncio
import stat
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from ops.supervisor import (
    KeptRole,
    ProcessWatch,
    RoleDecision,
    Supervisor,
    decision,
    last_line,
    open_log,
    pause_before,
    reason_in,
)
from runtime.settings import RoleSettings, Settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

ROLE = RoleSettings(stalled_after_seconds=20, start_seconds_max=30)


@pytest.mark.parametrize(
    ("watch", "now", "expected"),
    [
        (ProcessWatch(0, None, "no probe yet"), 30, RoleDecision.LEAVE),
        (ProcessWatch(0, None, "no probe yet"), 31, RoleDecision.REPLACE),
        (ProcessWatch(0, None, None), 31, RoleDecision.REPLACE),
        (ProcessWatch(0, 100, None), 500, RoleDecision.LEAVE),
        (ProcessWatch(0, 100, "no answer"), 120, RoleDecision.LEAVE),
        (ProcessWatch(0, 100, "no answer"), 121, RoleDecision.REPLACE),
    ],
)
def test_verdict(watch: ProcessWatch, now: float, expected: RoleDecision) -> None:
    assert decision(watch, now, ROLE) is expected


def test_pauses_grow_and_are_bounded() -> None:
    pauses = [pause_before(ends, ROLE) for ends in (0, 1, 2, 10, 10_000)]
    assert pauses == [0.2, 0.4, 0.8, 5.0, 5.0]


def test_a_log_is_bounded_and_its_last_line_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log" / "relay.log"
    assert last_line(path) == ""
    with open_log(path, 10) as log:
        log.write(b"first\nsecond, and longer than ten bytes\n")
    assert last_line(path) == "second, and longer than ten bytes"
    with open_log(path, 10):
        assert path.read_bytes() == b""
    assert path.with_suffix(".old.log").read_bytes().startswith(b"first")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"part": "lifecycle", "error": "X: it is taken", "event": "role_failed"}', "X: it is taken"),
        ("ratchet: RATCHET_X is unknown", "RATCHET_X is unknown"),
        ('{"event": "no error in it"}', '{"event": "no error in it"}'),
        ("Killed", "Killed"),
        (
            '{"event":"role_failed","exception":"Traceback (most recent call last):\\n File x\\nKeyError: \'a\'\\n"}',
            "KeyError: 'a'",
        ),
        ('{"event":"role_failed","exception":""}', "no reason was logged"),
    ],
)
def test_why_a_role_ended_is_a_sentence(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "relay.log"
    path.write_text(f"before\n{line}\n")
    assert reason_in(path) == reason


def test_a_log_is_its_user_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "log" / "relay.log"
    open_log(path, 10).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_no_role_gets_what_owns_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, str]] = []

    async def started(*_: Any, env: dict[str, str], **__: Any) -> Any:
        given.append(env)
        return SimpleNamespace(pid=1, returncode=0)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", started)
    for name in ("RATCHET_POSTGRES__OWNER_DSN", "RATCHET_POSTGRES__SUPERUSER_DSN", "ratchet_postgres__superuser_dsn"):
        monkeypatch.setenv(name, "postgresql://owner:secret@b/ratchet")
    kept = Supervisor(Settings(home=tmp_path), {"RATCHET_X": "common"}, print, own=lambda role: {"RATCHET_Y": role})
    kept._lifeline = (0, 1)
    await kept._spawn(KeptRole("relay"))
    assert "secret" not in str(given)
    assert (given[0]["RATCHET_X"], given[0]["RATCHET_Y"]) == ("common", "relay")
