"""The reaper and its starter, with small servers in the brokers' place."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from runtime.settings import StackSettings
from runtime.stack import guard, identity, layout, leftovers, ports, postgres, reaper, service, state
from runtime.stack.broker import Broker
from runtime.stack.identity import Identity
from runtime.stack.state import Endpoints, StackState
from schemas.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

SETTINGS = StackSettings(stop_grace_seconds=0.5, leftover_wait_seconds=0.3, watch_interval_seconds=0.01)
OBEDIENT = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def server(folder: Path, code: str) -> Broker:
    return Broker("redis", 1, (sys.executable, "-c", code), folder)


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


def test_a_second_server_of_a_folder_is_refused(tmp_path: Path) -> None:
    one = start(tmp_path, OBEDIENT)
    with pytest.raises(guard.StillLockedError, match="earlier run"):
        guard.start(server(tmp_path, OBEDIENT), SETTINGS)
    assert one.alive()
    one.stop()


def test_a_server_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"redis did not start.*no-such-program"):
        guard.start(Broker("redis", 1, (str(tmp_path / "no-such-program"),), tmp_path), SETTINGS)


def test_the_end_of_a_server_ends_its_reaper(tmp_path: Path) -> None:
    one = guard.start(server(tmp_path, "input()"), SETTINGS)
    one.wait_for_end(10.0)
    assert not one.alive()
    one.stop()


def test_a_warden_told_to_end_takes_its_server_along(tmp_path: Path) -> None:
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
    broker = Broker("redis", 1, (sys.executable, "-c", code), tmp_path, stale=(tmp_path / "stale.pid",))
    one = guard.start(broker, SETTINGS)
    one.wait_for_end(10.0)
    one.stop()
    assert (tmp_path / "server.log").read_text() == "gone\n"


def test_a_log_past_its_bound_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "LOG_BYTES_MAX", 3)
    (tmp_path / "server.log").write_text("old words")
    os.close(reaper.open_log(tmp_path / "server.log"))
    assert (tmp_path / "server.log").read_text() == ""
    assert (tmp_path / "server.old.log").read_text() == "old words"
    os.close(reaper.open_log(tmp_path / "server.log"))


def test_a_foreign_process_is_told_and_a_vanished_one_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = identity.of(os.getpid())
    assert mine is not None

    def refuse(*_: object) -> None:
        raise psutil.AccessDenied(1)

    def vanish(*_: object) -> None:
        raise psutil.NoSuchProcess(1)

    monkeypatch.setattr(psutil.Process, "send_signal", refuse)
    with pytest.raises(StackError, match="another user"):
        mine.signal(signal.SIGTERM)
    monkeypatch.setattr(psutil.Process, "send_signal", vanish)
    assert not mine.signal(signal.SIGTERM)


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "initdb").write_text("#!/bin/sh\necho no room >&2; exit 1\n")
    (tmp_path / "initdb").chmod(0o755)
    with pytest.raises(StackError, match="no room"):
        postgres.initialize(tmp_path / "data", tmp_path, None)
    assert not (tmp_path / "data").exists()


class FlakyStack:
    """A stack whose broker stays dead for some tries."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def dead(self) -> list[str]:
        return ["kafka"] if self.failures >= 0 else []

    async def restart(self, name: str) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise StackError(f"{name} ended at its start")


async def test_a_broker_that_fails_to_come_back_is_tried_until_it_does() -> None:
    stop, reported = asyncio.Event(), list[str]()

    def report(line: str) -> None:
        reported.append(line)
        if line == "kafka is back":
            stop.set()

    flaky: Any = FlakyStack(2)
    await asyncio.wait_for(service.watch(flaky, stop, SETTINGS, report), 10.0)
    assert reported[1:] == ["kafka ended at its start"] * 2 + ["kafka is back"]


async def test_trying_ends_with_the_stop() -> None:
    stop, flaky = asyncio.Event(), FlakyStack(1_000_000)

    def report(line: str) -> None:
        if line == "kafka ended at its start":
            stop.set()

    anything: Any = flaky
    await asyncio.wait_for(service.watch(anything, stop, SETTINGS, report), 10.0)
    assert flaky.failures > 0


async def test_a_starter_that_does_not_stop_is_told(tmp_path: Path) -> None:
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


async def test_a_home_that_was_never_started_is_stopped_and_has_no_address(tmp_path: Path) -> None:
    rows = await service.read_status(tmp_path)
    assert rows["kafka"] == {"state": "stopped", "pid": None, "address": None}
    assert service.read_state(tmp_path) is None
    assert not await service.request_stop(tmp_path)


async def test_a_server_that_lives_and_does_not_answer_is_starting_until_it_was_ready(tmp_path: Path) -> None:
    mine = identity.of(os.getpid())
    assert mine is not None
    kept = ports.keep(tmp_path / "stack-kept.json")
    path = layout.at(tmp_path).state
    nowhere = Endpoints("", "", "", "", "")
    state.write(path, StackState(mine, nowhere, {"redis": mine}))
    expected = {"state": "starting", "pid": mine.pid, "address": f"127.0.0.1:{kept.ports['redis']}"}
    assert (await service.read_status(tmp_path))["redis"] == expected
    state.write(path, StackState(mine, nowhere, {"redis": mine}, frozenset({"redis"})))
    assert (await service.read_status(tmp_path))["redis"] == {**expected, "state": "unresponsive"}
    state.write(path, StackState(mine, nowhere, {"redis": Identity(mine.pid, 1.0)}))
    assert (await service.read_status(tmp_path))["redis"]["state"] == "stopped"


async def test_something_else_at_a_brokers_port_is_not_the_broker() -> None:
    from runtime.stack import kafka, redis

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(64)
        writer.write(b"-ERR this is not it at all\r\n")
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        with pytest.raises(ConnectionError, match="redis answered"):
            await redis.ping(port, "secret")
        with pytest.raises(ConnectionError, match="something else"):
            await kafka.ask_versions(port)
