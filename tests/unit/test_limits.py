"""Rate windows: what is counted, what is left, and what happens while Redis is away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from runtime.limits import Limits, Quota
from runtime.limits_local import LocalStorage
from runtime.redis import AWAY, RedisLink
from runtime.settings import RedisSettings
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.unit

NOWHERE = RedisSettings(url=SecretStr("redis://127.0.0.1:1/0"), timeout_seconds=0.2, breaker_seconds=5)
START = 1_790_000_040.0
"""A moment at which a window of 60 seconds begins."""


class Clock:
    """A clock that the test moves."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def local_limits(clock: Clock, keys_max: int = 100) -> Limits:
    return Limits(RedisLink(RedisSettings()), keys_max, clock)


async def hits(limits: Limits, quota: Quota, count: int, who: str = "a") -> list[bool]:
    return [(await limits.hit(quota, who)).allowed for _ in range(count)]


async def test_a_quota_is_counted_down_and_then_refused(clock: Clock) -> None:
    limits, quota = local_limits(clock), Quota("default", 3, 60)
    clock.now += 20
    results = [await limits.hit(quota, "a") for _ in range(5)]
    assert [result.allowed for result in results] == [True, True, True, False, False]
    assert [result.remaining for result in results] == [2, 1, 0, 0, 0]
    assert [result.reset_seconds for result in results] == [40, 40, 40, 41, 41]
    assert (await limits.hit(quota, "b")).allowed, "another one has a quota of its own"
    assert (await limits.hit(Quota("other", 3, 60), "a")).allowed, "so has another policy"


async def test_who_waits_as_long_as_reported_gets_in(clock: Clock) -> None:
    limits, quota = local_limits(clock), Quota("default", 10, 60)
    assert await hits(limits, quota, 10) == [True] * 10
    for _ in range(20):
        result = await limits.hit(quota, "a")
        assert not result.allowed
        assert 1 <= result.reset_seconds <= 61
        clock.now += result.reset_seconds
        assert (await limits.hit(quota, "a")).allowed
        await hits(limits, quota, 10)


async def test_the_window_slides(clock: Clock) -> None:
    limits, quota = local_limits(clock), Quota("default", 10, 60)
    clock.now += 59
    assert await hits(limits, quota, 10) == [True] * 10
    clock.now += 2
    assert sum(await hits(limits, quota, 10)) <= 1, "the edge of a window is no second quota"
    clock.now += 60 + 59
    assert await hits(limits, quota, 10) == [True] * 10, "two windows on, everything is forgotten"


async def test_what_was_reported_last_is_known_without_asking(clock: Clock) -> None:
    limits, quota = local_limits(clock), Quota("default", 2, 60)
    assert limits.last(quota, "a") is None
    await hits(limits, quota, 1)
    last = limits.last(quota, "a")
    assert last is not None
    assert (last.remaining, last.reset_seconds, last.allowed) == (1, 60, True)
    clock.now += 60
    assert limits.last(quota, "a") is None


async def test_what_was_reported_last_grows_old(clock: Clock) -> None:
    """A refused sender that comes again learns what is left of its wait, and a flood asks nobody."""
    limits, quota = local_limits(clock), Quota("default", 1, 60)
    await hits(limits, quota, 2)
    left = []
    for clock.now in (START + 1, START + 20, START + 60):
        refused, last = await limits.hit(quota, "a"), limits.last(quota, "a")
        assert last == refused
        left.append((refused.allowed, refused.reset_seconds))
    assert left == [(False, 60), (False, 41), (False, 1)]


async def test_memory_is_bounded_in_a_flood_of_addresses(clock: Clock) -> None:
    limits, quota = local_limits(clock, keys_max=50), Quota("unverified", 1, 60)
    for number in range(2_000):
        for _ in range(2):
            await limits.hit(quota, f"2001:db8::{number:x}")
    (storage,) = limits._local.values()
    assert len(storage) == len(limits._latest) == 50
    assert not (await limits.hit(quota, "2001:db8::7cf")).allowed, "the latest are the ones that are kept"


async def test_the_key_not_hit_for_longest_gives_way() -> None:
    """Who knocks all the time stays counted, and its last answer is known, however many others come by."""
    clock = Clock()
    limits, quota = local_limits(clock, keys_max=2), Quota("unverified", 3, 60)
    for who in ("busy", "other", "busy", "third"):
        assert (await limits.hit(quota, who)).allowed
    assert (limits.last(quota, "other"), limits.last(quota, "busy") is None) == (None, False)
    assert (await limits.hit(quota, "busy")).allowed
    assert not (await limits.hit(quota, "busy")).allowed


async def test_the_local_storage_keeps_sliding_windows_alone() -> None:
    clock = Clock()
    storage = LocalStorage(2, clock)
    assert await storage.check()
    assert storage.base_exceptions is ValueError
    assert await storage.acquire_sliding_window_entry("a", 1, 60)
    assert not await storage.acquire_sliding_window_entry("a", 1, 60)
    assert await storage.get_sliding_window("a", 60) == (0, 0.0, 1, 120.0)
    clock.now += 60 + 15
    assert await storage.get_sliding_window("a", 60) == (1, 45.0, 0, 105.0)
    await storage.clear_sliding_window("a", 60)
    assert await storage.acquire_sliding_window_entry("b", 1, 60)
    await storage.clear("b")
    assert await storage.acquire_sliding_window_entry("b", 1, 60)
    assert (await storage.reset(), len(storage)) == (1, 0)
    for call in (storage.incr("a", 1), storage.get("a"), storage.get_expiry("a")):
        with pytest.raises(NotImplementedError):
            await call


async def test_a_clock_that_is_set_back_refuses_nobody_until_it_is_there_again() -> None:
    clock = Clock(START + 3600)
    storage = LocalStorage(2, clock)
    assert await storage.acquire_sliding_window_entry("a", 1, 60)
    clock.now = START
    assert await storage.acquire_sliding_window_entry("a", 1, 60)
    assert not await storage.acquire_sliding_window_entry("a", 1, 60)


async def test_two_deployments_on_one_redis_count_apart() -> None:
    link = RedisLink(NOWHERE.model_copy(update={"key_prefix": "shop:"}))
    shared = Limits(link, 10)._shared
    assert shared is not None
    assert shared.bridge.prefixed_key("a") == "shop:limit:a"
    await link.close()


async def test_a_dead_redis_is_asked_once_and_then_left_alone() -> None:
    clock, asked = Clock(0.0), []
    link = RedisLink(NOWHERE, clock)

    async def question(_: Any) -> str:
        asked.append(clock.now)
        raise RedisConnectionError("refused")

    assert await link.ask(question) is AWAY
    for _ in range(100):
        assert await link.ask(question) is AWAY
    assert asked == [0.0]
    assert link.away
    clock.now = 5.0
    assert await link.ask(question) is AWAY, "a ping in the background asks, no request does"
    assert link._probe is not None
    await link._probe
    assert link.away
    assert asked == [0.0]
    await link.close()


async def test_a_hung_redis_costs_its_time_out_once() -> None:
    import asyncio

    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    settings = RedisSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"), timeout_seconds=0.1, breaker_seconds=600)
    link = RedisLink(settings)
    limits, quota = Limits(link, 10), Quota("default", 1000, 60)
    began = asyncio.get_running_loop().time()
    assert (await limits.hit(quota, "a")).allowed
    waited = asyncio.get_running_loop().time() - began
    assert waited > 0.08
    assert link.away
    assert all(await hits(limits, quota, 500))
    assert len(held) == 1, "one connection was tried"
    await link.close()
    for writer in held:
        writer.close()
    server.close()


async def test_without_a_url_it_is_away_for_good() -> None:
    link = RedisLink(RedisSettings())
    never: Callable[[Any], Awaitable[int]] = lambda _: pytest.fail("asked")  # noqa: E731
    assert await link.ask(never) is AWAY
    await link.close()


async def test_an_error_of_the_question_is_its_own() -> None:
    link = RedisLink(NOWHERE)

    async def wrong(_: Any) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await link.ask(wrong)
    assert not link.away
    await link.close()


async def test_a_probe_that_is_cancelled_leaves_its_place_free(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    clock = Clock(0.0)
    link = RedisLink(NOWHERE, clock)
    assert link.client is not None

    async def hangs() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(link.client, "ping", hangs)

    async def refused(_: Any) -> None:
        raise OSError

    assert await link.ask(refused) is AWAY
    clock.now = 6.0
    assert await link.ask(refused) is AWAY
    await asyncio.sleep(0)
    await link.close()
    assert link._breaker.would_allow(6.0)


def test_a_url_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="RATCHET_REDIS__URL"):
        RedisLink(RedisSettings(url=SecretStr("http://127.0.0.1:6379")))
