"""Rate limits: sliding windows of the `limits` library, shared through Redis, or this process's own without it.

The sliding window counter weighs the window before by what is left of it (two counters a key instead of a list of
hits). A refused hit is not counted, so a sender that keeps knocking gets in again when its window has moved on. What
was refused is remembered until the moment that the answer named: a flood of refusals asks Redis nothing.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from runtime.limits_local import LocalStorage
from runtime.redis import AWAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from limits import RateLimitItem
    from redis.asyncio import Redis

    from runtime.redis import RedisLink

_ANY_URL: Final = "async+redis://"
"""The library wants a URL; the connections are those of the pool that it is given."""


@dataclass(frozen=True, slots=True)
class Quota:
    """So many requests a window. `name` is the policy's, as clients see it; keys of two names never meet."""

    name: str
    requests_max: int
    window_seconds: int
    item: RateLimitItem = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        item = RateLimitItemPerSecond(self.requests_max, self.window_seconds, namespace=self.name)
        object.__setattr__(self, "item", item)


@dataclass(frozen=True, slots=True)
class LimitResult:
    """What came of a hit: `remaining` requests are left, more are there in `reset_seconds`."""

    quota: Quota
    allowed: bool
    remaining: int
    reset_seconds: int


class Limits:
    """Counts hits. Of each quota's keys, `local_keys_max` are held at most while Redis is away."""

    def __init__(self, link: RedisLink, local_keys_max: int, now: Callable[[], float] = time.time) -> None:
        self._link = link
        self._keys_max = local_keys_max
        self._now = now
        self._local: dict[str, LocalStorage] = {}
        self._latest: OrderedDict[str, tuple[float, LimitResult]] = OrderedDict()
        self._shared = None if link.client is None else _shared(link.client, link.key_prefix)

    async def hit(self, quota: Quota, *who: str) -> LimitResult:
        """Count a request of somebody, and tell whether it is within the quota."""
        key = quota.item.key_for(*who)
        known = self._current(key)
        if known is not None and not known.allowed:
            return known
        result = await self._count(quota, who)
        self._latest[key] = self._now() + result.reset_seconds, result
        self._latest.move_to_end(key)
        if len(self._latest) > self._keys_max:
            self._latest.popitem(last=False)
        return result

    def last(self, quota: Quota, *who: str) -> LimitResult | None:
        """Return what this process answered somebody last, as long as it holds; asks nobody and counts nothing."""
        return self._current(quota.item.key_for(*who)) if self._latest else None

    def _current(self, key: str) -> LimitResult | None:
        known = self._latest.get(key)
        if known is None:
            return None
        until, result = known
        left = math.ceil(until - self._now())
        if left > 0:
            return replace(result, reset_seconds=left)
        del self._latest[key]
        return None

    async def _count(self, quota: Quota, who: tuple[str, ...]) -> LimitResult:
        shared = self._shared
        if shared is not None:
            result = await self._link.ask(lambda _: check(shared, quota, who))
            if result is not AWAY:
                return result
        local = self._local.get(quota.name)
        if local is None:
            local = self._local[quota.name] = LocalStorage(self._keys_max, self._now)
        return await check(local, quota, who)


async def check(storage: RedisStorage | LocalStorage, quota: Quota, who: tuple[str, ...]) -> LimitResult:
    """Count a hit in a storage; raises what the storage raises."""
    allowed = await SlidingWindowCounterRateLimiter(storage).hit(quota.item, *who)
    counts = await storage.get_sliding_window(quota.item.key_for(*who), quota.window_seconds)
    return result_of(quota, counts, allowed=allowed)


def result_of(quota: Quota, counts: tuple[int, float, int, float], *, allowed: bool) -> LimitResult:
    """Return what the counts of a window come to, as `get_sliding_window` gives them.

    The library's own statistics take a window that has just begun for one that is just over. A refused hit gets the
    first whole second at which there is room: when enough of the window before has faded, or, where this window alone
    is full, when it begins to fade itself.
    """
    previous, previous_left, current, current_left = counts
    most, window = quota.requests_max, quota.window_seconds
    moves_on = max(0.0, current_left - window)
    if allowed:
        used = math.floor(previous * previous_left / window) + current
        return LimitResult(
            quota, allowed=True, remaining=max(0, most - used), reset_seconds=max(1, math.ceil(moves_on))
        )
    fades = previous_left - (most - current) * window / previous if previous and current < most else moves_on
    return LimitResult(quota, allowed=False, remaining=0, reset_seconds=math.floor(max(0.0, fades)) + 1)


def _shared(client: Redis, key_prefix: str) -> RedisStorage:
    """Return the storage on the process's own connections."""
    return RedisStorage(
        _ANY_URL,
        implementation="redispy",
        key_prefix=key_prefix + "limit",
        connection_pool=client.connection_pool,  # type: ignore[arg-type]
    )
