"""Many waits of one length under one timer: each ends in time, and nobody else's cancellation is mistaken for it."""

from __future__ import annotations

import asyncio

import pytest

from producers.ingress.publishing.deadlines import Deadlines

pytestmark = pytest.mark.unit

SOON_SECONDS = 0.02


async def hang(deadlines: Deadlines) -> None:
    with deadlines.deadline():
        await asyncio.get_running_loop().create_future()


async def test_what_hangs_is_interrupted_and_the_timer_goes_with_the_last() -> None:
    deadlines = Deadlines(SOON_SECONDS)
    began = asyncio.get_running_loop().time()
    first = asyncio.create_task(hang(deadlines))
    await asyncio.sleep(SOON_SECONDS / 2)
    found = await asyncio.gather(first, hang(deadlines), hang(deadlines), return_exceptions=True)
    assert [type(one) for one in found] == [TimeoutError] * 3
    assert asyncio.get_running_loop().time() - began >= SOON_SECONDS * 1.5
    assert not deadlines._waiting
    assert deadlines._timer is None


async def test_the_next_look_is_when_the_oldest_of_the_others_is_due() -> None:
    """By the newest's time a publish that hangs would be waited for as long as others come."""
    deadlines, loop = Deadlines(10), asyncio.get_running_loop()
    tasks = [asyncio.create_task(hang(deadlines)) for _ in range(3)]
    await asyncio.sleep(0)
    for deadline, due in zip(deadlines._waiting, (0.0, loop.time() + 5, loop.time() + 9), strict=True):
        deadline.due = due
    assert deadlines._timer is not None
    deadlines._timer.cancel()
    deadlines._look(loop)
    assert deadlines._timer.when() == deadlines._waiting[0].due
    with pytest.raises(TimeoutError):
        await tasks[0]
    for task in tasks[1:]:
        task.cancel()
    await asyncio.wait(tasks[1:])


async def test_what_is_over_in_time_is_left_alone_and_dropped() -> None:
    deadlines = Deadlines(SOON_SECONDS)
    for _ in range(1000):
        with deadlines.deadline():
            pass
    assert len(deadlines._waiting) == 1
    with deadlines.deadline():
        await asyncio.sleep(0)
    await asyncio.sleep(SOON_SECONDS * 2)
    with pytest.raises(TimeoutError):
        await hang(deadlines)


async def test_a_cancellation_stays_one() -> None:
    task = asyncio.create_task(hang(Deadlines(10)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_cancellation_beside_the_deadline_stays_one() -> None:
    deadlines = Deadlines(10)

    async def both() -> None:
        with deadlines.deadline() as deadline:
            deadline.expire()
            task.cancel()
            await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(both())
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_of_the_block_goes_its_way() -> None:
    with pytest.raises(OSError, match="its own"), Deadlines(10).deadline():
        raise OSError("its own")


def test_without_a_task_there_is_nobody_to_interrupt() -> None:
    with pytest.raises(RuntimeError), Deadlines(10).deadline():
        pass
