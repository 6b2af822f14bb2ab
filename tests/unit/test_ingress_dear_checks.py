"""Dear checks: in turn, the cheapest first, with time between for everybody else."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from producers.ingress.verification.dear_checks import CHEAP_BYTES, DearChecks

pytestmark = pytest.mark.unit

DEAR = CHEAP_BYTES + 1


async def test_a_cheap_check_waits_for_nobody() -> None:
    checks = DearChecks(waiting_max=1, wait_seconds=5)
    coroutine = checks.run(CHEAP_BYTES, lambda: "done")
    with pytest.raises(StopIteration, match="done"):
        coroutine.send(None)


async def test_the_cheapest_goes_first_and_one_at_a_time() -> None:
    checks, order = DearChecks(waiting_max=9, wait_seconds=5), []
    works = [DEAR + 300, DEAR + 100, DEAR, DEAR + 200]
    await asyncio.gather(*(checks.run(work, lambda work=work: order.append(work)) for work in works))  # type: ignore[misc]
    assert order == sorted(works)


async def test_the_loop_has_as_much_time_as_a_check_took() -> None:
    checks, turns, counting = DearChecks(waiting_max=9, wait_seconds=5), [0], True

    async def count() -> None:
        while counting:
            turns[0] += 1
            await asyncio.sleep(0)

    seen: list[int] = []

    def check() -> None:
        seen.append(turns[0])
        time.sleep(0.02)

    counter = asyncio.create_task(count())
    await asyncio.gather(*(checks.run(DEAR, check) for _ in range(3)))
    counting = False
    await counter
    assert all(after - before > 10 for before, after in itertools.pairwise(seen))


async def test_who_waits_too_long_or_finds_too_many_is_answered_so() -> None:
    checks = DearChecks(waiting_max=2, wait_seconds=0.01)
    checks._busy = True  # somebody has the turn and keeps it
    assert await asyncio.gather(*(checks.run(DEAR, lambda: "done") for _ in range(3))) == [None, None, None]
    checks._next()
    assert await checks.run(DEAR, lambda: "done") == "done"


async def test_a_turn_that_comes_with_a_cancellation_is_passed_on() -> None:
    """Nobody else would pass it on: all dear checks would wait for good."""
    checks = DearChecks(waiting_max=9, wait_seconds=5)
    checks._busy = True  # somebody has the turn
    first = asyncio.create_task(checks.run(DEAR, lambda: "first"))
    second = asyncio.create_task(checks.run(DEAR + 1, lambda: "second"))
    await asyncio.sleep(0)
    checks._next()
    first.cancel()
    async with asyncio.timeout(1):
        assert await second == "second"
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_who_gives_up_while_it_waits_leaves_the_turn_to_the_others() -> None:
    checks = DearChecks(waiting_max=9, wait_seconds=5)
    checks._busy = True
    first, second = (asyncio.create_task(checks.run(DEAR + one, lambda one=one: one)) for one in range(2))  # type: ignore[misc]
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    checks._next()
    async with asyncio.timeout(1):
        assert await second == 1


async def test_of_checks_that_cost_the_same_the_first_comes_first() -> None:
    checks, order = DearChecks(waiting_max=9, wait_seconds=5), list[int]()
    await asyncio.gather(*(checks.run(DEAR, lambda one=one: order.append(one)) for one in range(5)))  # type: ignore[misc]
    assert order == [0, 1, 2, 3, 4]


async def test_a_check_that_raises_gives_its_turn_back() -> None:
    checks = DearChecks(waiting_max=9, wait_seconds=5)

    def broken() -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        await checks.run(DEAR, broken)
    assert await checks.run(DEAR, lambda: "done") == "done"


async def test_beyond_the_bound_nobody_waits_at_all() -> None:
    checks = DearChecks(0, 5.0)
    assert await checks.run(CHEAP_BYTES + 1, lambda: "checked") is None
    assert await checks.run(CHEAP_BYTES, lambda: "checked") == "checked"
