"""The supervisor's roles: what it does to processes that die, hang or do not stop."""

from __future__ import annotations

import errno
import os
import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from waiting import until

from ops.supervisor import Supervisor, last_line, reason_in
from runtime.ends import PurposefulEnds
from runtime.settings import RoleSettings, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.process

FULL = OSError(errno.ENOSPC, "No space left on device")

GOOD_ROLE = """
import asyncio
from runtime.lifecycle import leave, run_role
from runtime.settings import load
async def serve(settings, stop, probe):
    probe.state = "running"
    await stop.wait()
leave(run_role("relay", load(), serve))
"""

DEAF_ROLE = """
import os, pathlib, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(os.environ["RATCHET_HOME"], "deaf").touch()
time.sleep(300)
"""


def settings(home: Path, **role: Any) -> Settings:
    quick = {"probe_interval_seconds": 0.1, "probe_timeout_seconds": 0.5, "restart_backoff_initial_seconds": 0.1}
    return Settings(home=home, role=RoleSettings(**quick | {"stalled_after_seconds": 1} | role))


def supervisor(code: str, configured: Settings, reported: list[str]) -> Supervisor:
    environment = {"RATCHET_HOME": str(configured.home)}
    return Supervisor(configured, environment, reported.append, command=lambda _: (sys.executable, "-c", code))


@asynccontextmanager
async def running(code: str, configured: Settings, reported: list[str]) -> AsyncIterator[Supervisor]:
    """Keep the relay by this code for as long as the context lasts."""
    kept = supervisor(code, configured, reported)
    kept.start(["relay"])
    try:
        yield kept
    finally:
        await kept.stop()


def pid_of(kept: Supervisor) -> int:
    process = kept.roles["relay"].process
    return process.pid if process else 0


async def test_a_killed_role_comes_back_and_all_stop_cleanly(tmp_path: Path) -> None:
    reported: list[str] = []
    async with running(GOOD_ROLE, settings(tmp_path), reported) as kept:
        await until(lambda: kept.roles["relay"].watch.healthy_at)
        first = pid_of(kept)
        os.kill(first, signal.SIGKILL)
        await until(lambda: pid_of(kept) not in (0, first) and kept.roles["relay"].watch.healthy_at)
        assert "ended with status -9" in reported[0]
        last = pid_of(kept)
    assert not psutil.pid_exists(last)
    assert not (tmp_path / "run" / "relay.json").exists(), "a clean stop removes the run file"


async def test_a_stopped_process_is_replaced(tmp_path: Path) -> None:
    reported: list[str] = []
    async with running(GOOD_ROLE, settings(tmp_path), reported) as kept:
        await until(lambda: kept.roles["relay"].watch.healthy_at)
        first = pid_of(kept)
        os.kill(first, signal.SIGSTOP)
        await until(lambda: pid_of(kept) not in (0, first) and kept.roles["relay"].watch.healthy_at)
        assert "is stuck" in reported[0]
        assert not psutil.pid_exists(first)


async def test_a_wrong_setting_is_the_exit_status_of_a_role(tmp_path: Path) -> None:
    wrong = GOOD_ROLE.replace("    probe.state", "    raise SettingsError('X is wrong')\n    probe.state")
    async with running("from schemas.errors import SettingsError\n" + wrong, settings(tmp_path), []) as kept:
        await until(lambda: kept.roles["relay"].status is not None)
        assert kept.roles["relay"].status == 2
        assert reason_in(kept.log_path("relay")) == "X is wrong"


async def test_a_role_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.supervisor.KILL_GRACE_SECONDS", 0.1)
    reported: list[str] = []
    kept = supervisor(DEAF_ROLE, settings(tmp_path, drain_seconds_max=0.3), reported)
    kept.start(["relay"])
    await until(lambda: pid_of(kept))
    pid = pid_of(kept)
    await until((tmp_path / "deaf").exists)
    await kept.stop()
    assert not psutil.pid_exists(pid)
    assert any("did not stop in time" in line for line in reported)


async def test_a_role_that_never_says_where_it_is_gets_replaced(tmp_path: Path) -> None:
    reported: list[str] = []
    async with running("import time; time.sleep(300)", settings(tmp_path, start_seconds_max=0.5), reported) as kept:
        await until(lambda: kept.roles["relay"].process)
        token = kept.roles["relay"].token
        await until(lambda: kept.roles["relay"].starts >= 2)
        assert "has not reported where its probe is" in reported[0]
        assert token in PurposefulEnds(tmp_path, "relay").read(), "noted: the kill is no evidence against a record"
        assert kept.roles["relay"].token != token


async def test_roles_never_get_the_owners_dsn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_POSTGRES__OWNER_DSN", "postgresql://owner@x/y")
    code = "import os; print(os.environ.get('RATCHET_POSTGRES__OWNER_DSN'), flush=True)"
    async with running(code, settings(tmp_path), []) as kept:
        await until(lambda: last_line(kept.log_path("relay")))
        assert last_line(kept.log_path("relay")) == "None"


async def test_stop_before_start_is_nothing(tmp_path: Path) -> None:
    await supervisor(GOOD_ROLE, settings(tmp_path), []).stop()


async def test_a_role_is_started_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[str] = []
    configured = Settings(home=tmp_path, role={"restart_backoff_initial_seconds": 0.01})
    kept = Supervisor(
        configured, {}, reported.append, lambda _role: (sys.executable, "-c", "import time; time.sleep(60)")
    )
    spawn, full = Supervisor._spawn, [True, True]

    async def spawn_or_fail(self: Supervisor, role: Any) -> Any:
        if full:
            full.pop()
            raise FULL
        return await spawn(self, role)

    monkeypatch.setattr(Supervisor, "_spawn", spawn_or_fail)
    kept.start(["relay"])
    await until(lambda: kept.roles["relay"].process, within_seconds=10)
    await kept.stop()
    assert [one for one in reported if "could not be kept" in one] == [
        "relay could not be kept ([Errno 28] No space left on device); starting it again"
    ] * 2
