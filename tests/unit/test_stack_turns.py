"""The brokers' supervisor: one thing at a time a broker, and nothing is forgotten that was begun."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from waiting import until

from runtime.stack.supervisor import Stack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


class PaperGuard:
    """A broker that is dead until it is started again; a stop of it takes a while."""

    def __init__(self) -> None:
        self.lives, self.stopped = False, 0

    def alive(self) -> bool:
        return self.lives

    def stop(self) -> None:
        self.stopped += 1


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    found = Stack(tmp_path / "home")
    found._guards["kafka"] = cast("Any", PaperGuard())
    found._brokers["kafka"] = cast("Any", "kafka")
    return found


async def test_a_dead_broker_is_started_once_whoever_finds_it_dead(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []

    async def run(broker: Any) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        started.append(broker)
        cast("Any", stack._guards["kafka"]).lives = True

    monkeypatch.setattr(stack, "_run", run)
    assert await asyncio.gather(stack.revive(), stack.revive()) == [["kafka"], ["kafka"]]
    assert started == ["kafka"]


async def test_a_stop_waits_for_a_start_that_is_under_way_and_stops_what_it_started(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a broker that comes up meanwhile outlives the stack."""
    begun, may = asyncio.Event(), asyncio.Event()
    new = PaperGuard()

    async def run(_broker: Any) -> None:
        begun.set()
        await may.wait()
        stack._guards["kafka"] = cast("Any", new)

    monkeypatch.setattr(stack, "_run", run)
    restarting = asyncio.create_task(stack.restart("kafka"))
    await begun.wait()
    stopping = asyncio.create_task(stack.stop())
    for _ in range(5):
        await asyncio.sleep(0)
    may.set()
    await asyncio.wait_for(asyncio.gather(restarting, stopping), 5)
    assert new.stopped == 1
    assert stack.dead() == []


async def test_who_is_cancelled_waits_for_what_a_thread_has_begun(stack: Stack) -> None:
    """A process that a thread is starting must be known before anybody stops all of them."""
    begun, may, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        may.wait(5)
        done.append(True)

    working = asyncio.create_task(stack._in_thread(work))
    await until(begun.is_set, within_seconds=5)
    working.cancel()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not working.done()
    may.set()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert done == [True]


async def test_a_broker_is_ready_when_all_that_follows_its_start_is_done(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []

    class Starting:
        name = "kafka"

        async def after_start(self) -> None:
            await asyncio.sleep(0)
            done.append("roles made")

    async def answers(_broker: Any) -> None:
        await asyncio.sleep(0)
        done.append("answers")

    monkeypatch.setattr(stack, "_spawn", lambda _broker: PaperGuard())
    monkeypatch.setattr(stack, "_wait_until_ready", answers)
    monkeypatch.setattr(stack, "_note", lambda _name, *, ready: done.append(ready))
    await stack._run(cast("Any", Starting()))
    assert done == [False, "answers", "roles made", True]
