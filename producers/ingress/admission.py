"""Admission: a bounded number of places; who waits too long for one is shed."""

from __future__ import annotations

import asyncio
from collections import deque


class Window:
    """A window of `places`; `enter` waits up to `wait_seconds`, first come first served."""

    def __init__(self, places: int, wait_seconds: float) -> None:
        self._free = places
        self._wait_seconds = wait_seconds
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        """Return how many places are free."""
        return self._free

    async def enter(self) -> bool:
        """Take a place, or return False when none became free in time. `leave` gives it back."""
        if self._free > 0:
            self._free -= 1
            return True
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await asyncio.wait((place,), timeout=self._wait_seconds)
        except asyncio.CancelledError:
            self._give_up(place)
            raise
        if not place.done():
            self._waiting.remove(place)
            return False
        return True

    def leave(self) -> None:
        """Give the place to whoever waits longest, or free it."""
        if self._waiting:
            self._waiting.popleft().set_result(None)
        else:
            self._free += 1

    def _give_up(self, place: asyncio.Future[None]) -> None:
        """Pass on a place that came together with the cancellation."""
        if place.done():
            self.leave()
        else:
            self._waiting.remove(place)
