"""The reaper's log, the watch over brokers, and what is reported of a home; no server is started."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from runtime.settings import StackSettings
from runtime.stack import identity, layout, leftovers, ports, reaper, service, state
from runtime.stack.identity import Identity
from runtime.stack.state import Endpoints, StackState
from schemas.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

SETTINGS = StackSettings(stop_grace_seconds=0.5, leftover_wait_seconds=0.3, watch_interval_seconds=0.01)


def test_a_log_past_its_bound_is_begun_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaper, "LOG_BYTES_MAX", 3)
    (tmp_path / "server.log").write_text("old words")
    os.close(reaper.open_log(tmp_path / "server.log"))
    assert (tmp_path / "server.log").read_text() == ""
    assert (tmp_path / "server.old.log").read_text() == "old words"
    os.close(reaper.open_log(tmp_path / "server.log"))


def test_a_foreign_process_is_reported_and_a_vanished_one_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_pauses_between_tries_begin_at_the_interval_and_grow_to_their_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, pauses = asyncio.Event(), list[float]()

    async def pause(stop: asyncio.Event, seconds: float) -> None:
        await asyncio.sleep(0)
        pauses.append(seconds)
        if len(pauses) == 5:
            stop.set()

    monkeypatch.setattr(service, "_pause", pause)
    settings = StackSettings(watch_interval_seconds=1.0, revive_backoff_max_seconds=5.0)
    flaky: Any = FlakyStack(1_000)
    await service._bring_back(flaky, "kafka", stop, settings, service.ignore)
    assert pauses == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_trying_ends_with_the_stop() -> None:
    stop, flaky = asyncio.Event(), FlakyStack(1_000_000)

    def report(line: str) -> None:
        if line == "kafka ended at its start":
            stop.set()

    anything: Any = flaky
    await asyncio.wait_for(service.watch(anything, stop, SETTINGS, report), 10.0)
    assert flaky.failures > 0


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


async def test_a_stack_whose_starter_is_gone_runs_no_more(tmp_path: Path) -> None:
    mine = identity.of(os.getpid())
    assert mine is not None
    path, nowhere = layout.at(tmp_path).state, Endpoints("", "", "", "", "")
    layout.at(tmp_path).home.mkdir(exist_ok=True)
    state.write(path, StackState(mine, nowhere))
    assert service.read_state(tmp_path) is not None
    state.write(path, StackState(Identity(mine.pid, mine.started - 60), nowhere))
    assert service.read_state(tmp_path) is None, "its number is another process's by now"
    assert not await service.request_stop(tmp_path)


def test_servers_of_a_killed_run_are_left_to_end_by_themselves_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their reapers stop them as they should be: Postgres that is killed has to recover."""
    killed: list[int] = []
    monkeypatch.setattr(Identity, "signal", lambda _self, number: killed.append(number))
    monkeypatch.setattr(leftovers, "POLL_SECONDS", 0.001)
    monkeypatch.setattr(leftovers, "KILL_WAIT_SECONDS", 0.01)
    old = StackState(Identity(1, 1.0), Endpoints("", "", "", "", ""), {"postgres": Identity(2, 1.0)})
    locked = iter([True, True, False])
    monkeypatch.setattr(leftovers, "is_locked", lambda _path: next(locked))
    leftovers.wait_until_gone(layout.at(tmp_path), ("postgres",), old, 10.0)
    assert killed == []
    monkeypatch.setattr(leftovers, "is_locked", lambda _path: True)
    with pytest.raises(StackError, match="postgres of an earlier run still live"):
        leftovers.wait_until_gone(layout.at(tmp_path), ("postgres",), old, 0.01)
    assert killed == [signal.SIGKILL]


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
