"""The local storage of rate windows: what `limits` keeps in memory, with a bound on how much.

The library's own `MemoryStorage` has none: a flood of addresses grows it by a counter an address, and every hit walks
through all of them to drop those that have expired. Here a hit costs the same however many there are.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING, NoReturn

from limits.aio.storage import SlidingWindowCounterSupport, Storage

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(slots=True)
class KeyHits:
    """Hits of one key in the window `number` of the wall clock, and in the one before."""

    number: int
    current: int = 0
    previous: int = 0


class LocalStorage(Storage, SlidingWindowCounterSupport):
    """At most `keys_max` keys; the one that was hit longest ago gives way. For the sliding window counter alone."""

    STORAGE_SCHEME = None

    def __init__(self, keys_max: int, now: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._keys_max = keys_max
        self._now = now
        self._counts: OrderedDict[str, KeyHits] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def base_exceptions(self) -> type[Exception]:
        """Return what the storage may raise: nothing of its own."""
        return ValueError

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Count a hit, unless the weighted count of both windows would pass the limit."""
        counts, left = self._look(key, expiry)
        if floor(counts.previous * left / expiry) + counts.current + amount > limit:
            return False
        counts.current += amount
        self._counts[key] = counts
        self._counts.move_to_end(key)
        if len(self._counts) > self._keys_max:
            self._counts.popitem(last=False)
        return True

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        """Return previous count, seconds it still weighs, current count, seconds until it is forgotten."""
        counts, left = self._look(key, expiry)
        return counts.previous, left if counts.previous else 0.0, counts.current, left + expiry

    async def clear_sliding_window(self, key: str, expiry: int) -> None:  # noqa: ARG002 - the library's signature
        """Forget a key."""
        self._counts.pop(key, None)

    async def check(self) -> bool:
        """Tell that the memory is there."""
        return True

    async def reset(self) -> int:
        """Forget everything; return how many keys there were."""
        count = len(self._counts)
        self._counts.clear()
        return count

    async def clear(self, key: str) -> None:
        """Forget a key."""
        self._counts.pop(key, None)

    async def incr(self, key: str, expiry: int, amount: int = 1) -> NoReturn:
        """Refuse: a fixed window's counter is not kept here."""
        raise NotImplementedError

    async def get(self, key: str) -> NoReturn:
        """Refuse: see `incr`."""
        raise NotImplementedError

    async def get_expiry(self, key: str) -> NoReturn:
        """Refuse: see `incr`."""
        raise NotImplementedError

    def _look(self, key: str, expiry: int) -> tuple[KeyHits, float]:
        """Return the key's counts as of now, and the seconds that are left of the current window."""
        now = self._now()
        number = int(now // expiry)
        counts = self._counts.get(key) or KeyHits(number)
        if counts.number != number:
            counts.previous = counts.current if counts.number == number - 1 else 0
            counts.current, counts.number = 0, number
        return counts, expiry - now % expiry
