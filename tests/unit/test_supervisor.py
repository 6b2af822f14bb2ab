"""The supervisor: its decisions, and what it does to processes that die, hang or do not stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from waiting import until

from ops.supervisor import Supervisor, Verdict, Watch, last_line, open_log, pause_before, reason_in, verdict
from runtime.ends import PurposefulEnds
from runtime.settings import RoleSettings, Settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

ROLE = RoleSettings(stalled_after_seconds=20, start_seconds_max=30)

GOOD_ROLE = """
import asyncio
from runtime.lifecycle import leave, run_role
from runtime.settings import load
async def serve(settings, stop, probe):
    probe.state = "running"
    await stop.wait()
leave(run_role("relay", load(), serve))
"""
DEAF_ROLE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"


@pytest.mark.parametrize(
    ("watch", "now", "expected"),
    [
        (Watch(0, None, "no probe yet"), 30, Verdict.LEAVE),
        (Watch(0, None, "no probe yet"), 31, Verdict.REPLACE),
        (Watch(0, None, None), 31, Verdict.REPLACE),
        (Watch(0, 100, None), 500, Verdict.LEAVE),
        (Watch(0, 100, "no answer"), 120, Verdict.LEAVE),
        (Watch(0, 100, "no answer"), 121, Verdict.REPLACE),
    ],
)
def test_verdict(watch: Watch, now: float, expected: Verdict) -> None:
    assert verdict(watch, now, ROLE) is expected


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


def settings(home: Path, **role: Any) -> Settings:
    quick = {"probe_interval_seconds": 0.1, "probe_timeout_seconds": 0.5, "restart_backoff_initial_seconds": 0.1}
    return Settings(home=home, role=RoleSettings(**quick | {"stalled_after_seconds": 1} | role))


def supervisor(code: str, configured: Settings, told: list[str]) -> Supervisor:
    environment = {"RATCHET_HOME": str(configured.home)}
    return Supervisor(configured, environment, told.append, command=lambda _: (sys.executable, "-c", code))


def pid_of(kept: Supervisor) -> int:
    process = kept.roles["relay"].process
    return process.pid if process else 0


async def test_a_killed_role_comes_back_and_all_stop_cleanly(tmp_path: Path) -> None:
    reported: list[str] = []
    kept = supervisor(GOOD_ROLE, settings(tmp_path), reported)
    kept.start(["relay"])
    try:
        await until(lambda: kept.roles["relay"].watch.healthy_at)
        first = pid_of(kept)
        os.kill(first, signal.SIGKILL)
        await until(lambda: pid_of(kept) not in (0, first) and kept.roles["relay"].watch.healthy_at)
        assert "ended with status -9" in reported[0]
        last = pid_of(kept)
    finally:
        await kept.stop()
    assert not psutil.pid_exists(last)
    assert not (tmp_path / "run" / "relay.json").exists(), "a clean stop removes the run file"


async def test_a_stopped_process_is_replaced(tmp_path: Path) -> None:
    reported: list[str] = []
    kept = supervisor(GOOD_ROLE, settings(tmp_path), reported)
    kept.start(["relay"])
    try:
        await until(lambda: kept.roles["relay"].watch.healthy_at)
        first = pid_of(kept)
        os.kill(first, signal.SIGSTOP)
        await until(lambda: pid_of(kept) not in (0, first) and kept.roles["relay"].watch.healthy_at)
        assert "is stuck" in reported[0]
        assert not psutil.pid_exists(first)
    finally:
        await kept.stop()


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


async def test_a_wrong_setting_is_the_exit_status_of_a_role(tmp_path: Path) -> None:
    wrong = GOOD_ROLE.replace("    probe.state", "    raise SettingsError('X is wrong')\n    probe.state")
    kept = supervisor("from schemas.errors import SettingsError\n" + wrong, settings(tmp_path), [])
    kept.start(["relay"])
    try:
        await until(lambda: kept.roles["relay"].status is not None)
        assert kept.roles["relay"].status == 2
        assert reason_in(kept.log_path("relay")) == "X is wrong"
    finally:
        await kept.stop()


async def test_a_role_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.supervisor.KILL_GRACE_SECONDS", 0.1)
    reported: list[str] = []
    kept = supervisor(DEAF_ROLE, settings(tmp_path, drain_seconds_max=0.3), reported)
    kept.start(["relay"])
    await until(lambda: pid_of(kept))
    pid = pid_of(kept)
    await asyncio.sleep(0.5)  # until it is deaf: nothing outside shows it
    await kept.stop()
    assert not psutil.pid_exists(pid)
    assert any("did not stop in time" in line for line in reported)


async def test_a_role_that_never_says_where_it_is_gets_replaced(tmp_path: Path) -> None:
    reported: list[str] = []
    kept = supervisor("import time; time.sleep(300)", settings(tmp_path, start_seconds_max=0.5), reported)
    kept.start(["relay"])
    try:
        await until(lambda: kept.roles["relay"].process)
        token = kept.roles["relay"].token
        await until(lambda: kept.roles["relay"].starts >= 2)
        assert "has not reported where its probe is" in reported[0]
        assert token in PurposefulEnds(tmp_path, "relay").read(), "noted: the kill is no evidence against a record"
        assert kept.roles["relay"].token != token
    finally:
        await kept.stop()


async def test_roles_never_get_the_owners_dsn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_POSTGRES__OWNER_DSN", "postgresql://owner@x/y")
    code = "import os; print(os.environ.get('RATCHET_POSTGRES__OWNER_DSN'), flush=True)"
    kept = supervisor(code, settings(tmp_path), [])
    kept.start(["relay"])
    try:
        await until(lambda: last_line(kept.log_path("relay")))
        assert last_line(kept.log_path("relay")) == "None"
    finally:
        await kept.stop()


async def test_stop_before_start_is_nothing(tmp_path: Path) -> None:
    await supervisor(GOOD_ROLE, settings(tmp_path), []).stop()
