"""Tasks that run beside others: an error that nobody expected is logged and counted, and the task goes on."""

from __future__ import annotations

import asyncio
import errno
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from runtime import lifecycle, metrics
from runtime.background import end_all, keep_running, run_side_by_side
from runtime.lease import Leader
from runtime.settings import Settings
from runtime.stack import service

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.lease import Lease

pytestmark = pytest.mark.unit

FULL = OSError(errno.ENOSPC, "No space left on device")


def failures(task: str) -> float:
    return metrics.REGISTRY.get_sample_value("ratchet_background_failures_total", {"task": task}) or 0.0


class Failing:
    """Work that fails so often, then ends."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        if self.calls <= self.times:
            raise FULL


async def test_a_failure_is_counted_and_the_work_begins_anew() -> None:
    work, before = Failing(2), failures("planted")
    await keep_running("planted", work, 0.0)
    assert (work.calls, failures("planted") - before) == (3, 2)


async def test_what_it_counts_stands_at_zero_before_the_first_failure() -> None:
    """A series that appears with its first failure has not risen: no alert would see that one."""
    began = asyncio.Event()

    async def work() -> None:
        assert metrics.REGISTRY.get_sample_value("ratchet_background_failures_total", {"task": "at_zero"}) == 0
        began.set()

    await keep_running("at_zero", work, 0.0)
    assert began.is_set()


async def test_a_cancelled_one_ends() -> None:
    task = asyncio.create_task(keep_running("planted", asyncio.Event().wait, 0.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_works_side_by_side_end_together() -> None:
    """All are waited for; the first one to fail ends the others, and so does whoever cancels."""
    seen: list[str] = []

    async def ends(name: str, error: Exception | None = None) -> None:
        await asyncio.sleep(0)
        seen.append(name)
        if error is not None:
            raise error

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("ended")

    await run_side_by_side(ends("a"), ends("b"))
    with pytest.raises(OSError, match="No space left"):
        await run_side_by_side(waits(), ends("c", FULL))
    task = asyncio.create_task(run_side_by_side(waits()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["a", "b", "c", "ended", "ended"]


async def test_the_run_file_is_written_once_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full when a role starts must not hide the role for good."""
    write, full = lifecycle.write_run_file, [True]

    def write_or_fail(*arguments: Any) -> None:
        if full:
            full.clear()
            raise FULL
        write(*arguments)

    monkeypatch.setattr(lifecycle, "write_run_file", write_or_fail)
    monkeypatch.setattr(lifecycle, "keep_running", partial(lifecycle.keep_running, pause_seconds=0.01))
    seen = asyncio.Event()

    async def serve(_settings: Settings, stop: asyncio.Event, _probe: Any) -> None:
        while lifecycle.read_run_file(tmp_path, "planted") is None:  # noqa: ASYNC110 - a file says it
            await asyncio.sleep(0.01)
        seen.set()
        await stop.wait()

    settings = Settings(home=tmp_path, role={"probe_bind": "127.0.0.1:0"})
    living = asyncio.create_task(lifecycle._live(settings, serve, lifecycle.Probe("planted")))
    async with asyncio.timeout(10):
        await seen.wait()
    living.cancel()
    await asyncio.wait({living})
    assert not full


class Dying:
    """A stack whose broker is dead and can't be started so often."""

    def __init__(self, times: int) -> None:
        self.failing = Failing(times)
        self.back = False

    def dead(self) -> list[str]:
        return [] if self.back else ["kafka"]

    async def restart(self, _name: str) -> None:
        await self.failing()
        self.back = True


async def test_a_broker_comes_back_once_there_is_room() -> None:
    stack, stop, reported = Dying(3), asyncio.Event(), []
    bounds = Settings().stack.model_copy(update={"watch_interval_seconds": 0.01, "revive_backoff_max_seconds": 0.02})

    def report(text: str) -> None:
        reported.append(text)
        if text == "kafka is back":
            stop.set()

    async with asyncio.timeout(10):
        await service.watch(stack, stop, bounds, report)  # type: ignore[arg-type]
    assert reported.count("kafka does not start: [Errno 28] No space left on device") == 3
    assert reported[-1] == "kafka is back"


class Leases:
    """Leases whose renewal fails in a way that nobody expects."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.released = 0

    async def acquire(self, *_: Any) -> Lease:
        return self.lease

    async def renew(self, *_: Any) -> bool:
        raise FULL

    async def release(self, _lease: Lease) -> None:
        self.released += 1


async def test_a_lease_that_cannot_be_renewed_is_lost_whatever_the_reason() -> None:
    from runtime.lease import Lease

    leases, stop, ended = Leases(Lease("relay", "me", 1)), asyncio.Event(), asyncio.Event()

    async def work(_lease: Lease, _ending: asyncio.Event) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
            stop.set()

    async with asyncio.timeout(10):
        await Leader(leases, "relay", "me", 0.05).run(stop, work)  # type: ignore[arg-type]
    assert ended.is_set()
    assert leases.released == 1


async def test_a_task_that_takes_its_cancellation_for_a_failure_is_cancelled_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runtime.background.CANCEL_AGAIN_SECONDS", 0.01)
    swallowed = []

    async def connect() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if swallowed:
                    raise
                swallowed.append(True)

    tasks = [asyncio.create_task(connect()), asyncio.create_task(asyncio.Event().wait())]  # type: ignore[list-item]
    await asyncio.sleep(0)
    await asyncio.wait_for(end_all(tasks), 5)  # type: ignore[arg-type]
    assert swallowed == [True]
    assert all(task.cancelled() for task in tasks)
