"""The embedded stack's processes, with small servers in the brokers' place: started, known again, ended."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest
from waiting import wait_until

from runtime.settings import StackSettings
from runtime.stack import guard, identity, layout, leftovers, postgres, service, state
from runtime.stack.broker import ENVIRONMENT, BrokerServer
from runtime.stack.state import Endpoints, StackState
from schemas.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

SETTINGS = StackSettings(stop_grace_seconds=0.5, leftover_wait_seconds=0.3, watch_interval_seconds=0.01)
ENDPOINTS = Endpoints("127.0.0.1:1", "postgresql://a", "postgresql://b", "postgresql://c", "redis://d")

OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def server(folder: Path, code: str) -> BrokerServer:
    return BrokerServer("redis", 1, (sys.executable, "-c", code), folder)


def start(folder: Path, code: str) -> guard.Guard:
    """Start a server and wait until it says that it is up."""
    one = guard.start(server(folder, code), SETTINGS)
    while "up" not in (folder / "server.log").read_text():
        assert one.alive()
    return one


def test_a_server_is_stopped_and_its_folder_is_free_again(tmp_path: Path) -> None:
    one = start(tmp_path, OBEDIENT)
    assert one.alive()
    assert leftovers.is_locked(tmp_path / "server.lock")
    one.stop()
    one.stop()
    assert not one.alive()
    assert not leftovers.is_locked(tmp_path / "server.lock")


def test_a_server_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    one = start(tmp_path, STUBBORN)
    one.stop()
    assert not one.server.alive()


OPEN = """
import os, signal, time
signal.signal(15, signal.SIG_IGN)
open("made", "w").close()
child = os.fork()
if not child:
    time.sleep(60)
print(sorted(os.environ), child, "up", flush=True)
time.sleep(60)
"""


def test_a_server_gets_nothing_of_ours_shows_nothing_to_others_and_leaves_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RATCHET_API_KEYS", "a secret of ours")
    one = start(tmp_path, OPEN)
    log = tmp_path / "server.log"
    names, _, child = log.read_text().replace(" up", "").strip().rpartition(" ")
    assert names == str(sorted(ENVIRONMENT))
    assert [stat.S_IMODE(path.stat().st_mode) for path in (log, tmp_path / "made")] == [0o600, 0o600]
    held = identity.of(int(child))
    assert held is not None
    one.stop()
    wait_until(lambda: not held.alive(), "what it started has ended with it", within_seconds=20)


def test_a_second_server_of_a_folder_is_refused(tmp_path: Path) -> None:
    one = start(tmp_path, OBEDIENT)
    with pytest.raises(guard.StillLockedError, match="earlier run"):
        guard.start(server(tmp_path, OBEDIENT), SETTINGS)
    assert one.alive()
    one.stop()


def test_a_server_that_cannot_be_run_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"redis did not start.*no-such-program"):
        guard.start(BrokerServer("redis", 1, (str(tmp_path / "no-such-program"),), tmp_path), SETTINGS)


def test_the_end_of_a_server_ends_its_reaper(tmp_path: Path) -> None:
    one = guard.start(server(tmp_path, "input()"), SETTINGS)
    one.wait_for_end(10.0)
    assert not one.alive()
    one.stop()


def test_a_reaper_asked_to_end_takes_its_server_along(tmp_path: Path) -> None:
    one = start(tmp_path, OBEDIENT)
    process = psutil.Process(one.server.pid).parent()
    assert process is not None
    process.terminate()
    one.wait_for_end(10.0)
    assert not one.server.alive()
    one.stop()


def test_stale_files_are_gone_before_the_server_starts(tmp_path: Path) -> None:
    (tmp_path / "stale.pid").touch()
    code = "import os; print('there' if os.path.exists('stale.pid') else 'gone')"
    broker = BrokerServer("redis", 1, (sys.executable, "-c", code), tmp_path, stale=(tmp_path / "stale.pid",))
    one = guard.start(broker, SETTINGS)
    one.wait_for_end(10.0)
    one.stop()
    assert (tmp_path / "server.log").read_text() == "gone\n"


def test_a_data_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "initdb").write_text("#!/bin/sh\necho no room >&2; exit 1\n")
    (tmp_path / "initdb").chmod(0o755)
    with pytest.raises(StackError, match="no room"):
        postgres.initialize(tmp_path / "data", tmp_path, None)
    assert not (tmp_path / "data").exists()


async def test_a_starter_that_does_not_stop_is_reported(tmp_path: Path) -> None:
    home = layout.at(tmp_path)
    code = "import fcntl,signal,sys,time; signal.signal(15, signal.SIG_IGN); f=open(sys.argv[1],'w'); fcntl.flock(f,2)"
    argv = [sys.executable, "-c", f"{code}; print(1, flush=True); time.sleep(60)", str(home.lock)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as owner:  # noqa: ASYNC220 - a moment
        assert owner.stdout is not None
        owner.stdout.readline()
        found = identity.of(owner.pid)
        assert found is not None
        state.write(home.state, StackState(found, Endpoints("", "", "", "", "")))
        with pytest.raises(StackError, match="has not stopped"):
            await service.request_stop(tmp_path, 0.2)
        owner.kill()


def test_a_process_is_known_by_pid_and_start_time() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        found = identity.of(process.pid)
        assert found is not None
        assert found.alive()
        other = replace(found, started=found.started - 60)
        assert not other.alive()
        assert not other.signal(9)
        assert process.poll() is None, "a signal for another process of that pid hurt this one"
        assert found.signal(9)
        process.wait()
    assert not found.alive()
    assert not found.signal(9)
    assert identity.of(process.pid) is None


def test_a_zombie_does_not_live() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    found = identity.of(process.pid)
    assert found is not None
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not found.alive()
    process.wait()


def test_a_lock_is_seen_by_others_and_ends_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not leftovers.is_locked(path)
    code = "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.flock(f,fcntl.LOCK_EX); print('held',flush=True); input()"
    argv = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert leftovers.is_locked(path)
        holder.kill()
    assert not leftovers.is_locked(path)


def holder_of(path: Path) -> subprocess.Popen[bytes]:
    code = "import fcntl,sys,time; f=open(sys.argv[1],'w'); fcntl.flock(f,2); print(1,flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    return process


def test_a_leftover_that_stays_is_killed_if_it_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = layout.at(tmp_path)
    home.broker("redis").mkdir()
    process = holder_of(home.broker("redis") / "server.lock")
    found = identity.of(process.pid)
    assert found is not None
    monkeypatch.setattr(leftovers, "KILL_WAIT_SECONDS", 0.2)
    with pytest.raises(StackError, match="redis of an earlier run"):
        leftovers.wait_until_gone(home, ("redis",), None, 0.0)
    monkeypatch.setattr(leftovers, "KILL_WAIT_SECONDS", 10.0)
    leftovers.wait_until_gone(home, ("redis",), StackState(found, ENDPOINTS, {"redis": found}), 0.0)
    assert process.wait() == -9
