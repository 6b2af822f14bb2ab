"""Dear checks wait for their turn: one at a time, the cheapest first, and the loop has as much time as each took.

The ingress has one thread. A check that hashes megabytes, or a list of public-key signatures, is work that a stranger
can ask for; made at once for each of many senders, it would hold up every genuine webhook behind it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

CHEAP_BYTES: Final = 128 * 1024
"""Work (`providers.core.contract.Work`) that is done at once: a fraction of a millisecond."""


class DearChecks:
    """Runs checks; at most `waiting_max` wait, each up to `wait_seconds`."""

    def __init__(self, waiting_max: int, wait_seconds: float) -> None:
        self._waiting_max = waiting_max
        self._wait_seconds = wait_seconds
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._busy = False

    async def run(self, work: int, check: Callable[[], T]) -> T | None:
        """Return what the check returns, or None where it got no turn in time."""
        if work <= CHEAP_BYTES:
            return check()
        if not await self._turn(work):
            return None
        began = time.perf_counter()
        try:
            return check()
        finally:
            asyncio.get_running_loop().call_later(time.perf_counter() - began, self._next)

    async def _turn(self, work: int) -> bool:
        """Wait for a turn; whoever gets True calls `_next` when it is over."""
        if len(self._waiting) >= self._waiting_max:
            return False
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        heapq.heappush(self._waiting, (work, next(self._order), turn))
        if not self._busy:
            self._busy = True
            loop.call_soon(self._next)
        try:
            await asyncio.wait((turn,), timeout=self._wait_seconds)
        except asyncio.CancelledError:
            self._give_up(turn)
            raise
        if turn.done():
            return True
        self._give_up(turn)
        return False

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        """Leave the queue, or pass on a turn that came together with the cancellation."""
        if turn.done():
            self._next()
            return
        self._waiting = [one for one in self._waiting if one[2] is not turn]
        heapq.heapify(self._waiting)

    def _next(self) -> None:
        """Give the turn to the cheapest check that waits."""
        self._busy = bool(self._waiting)
        if self._busy:
            heapq.heappop(self._waiting)[2].set_result(None)
