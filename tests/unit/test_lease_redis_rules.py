"""Leases with Redis in front, without either: whom a contender asks when, what holds how long, who is woken."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import SecretStr
from redis.exceptions import AuthenticationError, ReadOnlyError
from redis.exceptions import ConnectionError as RedisConnectionError

from runtime.lease import Lease
from runtime.lease_redis import RedisLeases
from runtime.redis import AWAY, RedisLink
from runtime.settings import RedisSettings

pytestmark = pytest.mark.unit

TRUST_SECONDS = 1.0
KEY, BELL = "shop:lease:{work}", "shop:lease:{work}:bell"
HELD = Lease("work", "us", 7)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Keys:
    """Redis: whether the key is another's, what it was asked, and whether it is away."""

    def __init__(self, happened: list[Any]) -> None:
        self.happened = happened
        self.held = True
        self.error: Exception | None = None
        self.bell = asyncio.Event()

    async def _answer(self, *asked: Any) -> None:
        await asyncio.sleep(0)
        self.happened.append(asked)
        if self.error is not None:
            raise self.error

    async def set(self, key: str, value: str, *, nx: bool, px: int) -> bool | None:
        assert nx
        await self._answer("set", key, value, px)
        return None if self.held else True

    async def eval(self, _script: str, count: int, *values: Any) -> int:
        await self._answer("eval", values[:count], *values[count:])
        return 1

    async def blpop(self, keys: list[str], *, timeout: float) -> list[bytes] | None:  # noqa: ASYNC109 - the library's
        await self._answer("blpop", *keys, timeout)
        try:
            async with asyncio.timeout(timeout):
                await self.bell.wait()
        except TimeoutError:
            return None
        return [b"free"]

    async def ping(self) -> None:
        await self._answer("ping")


class Postgres:
    """What decides: whether the lease is to be had and stands, and how long it takes to say so."""

    def __init__(self, clock: Clock, happened: list[Any]) -> None:
        self.clock, self.happened = clock, happened
        self.gives: Lease | None = None
        self.stands = True
        self.takes_seconds = 0.0

    async def acquire(self, *_: Any) -> Lease | None:
        self.happened.append("acquire")
        await asyncio.sleep(0)
        self.clock.now += self.takes_seconds
        return self.gives

    async def renew(self, *_: Any) -> bool:
        self.happened.append("renew")
        await asyncio.sleep(0)
        return self.stands

    async def release(self, _lease: Lease) -> None:
        await asyncio.sleep(0)
        self.happened.append("release")

    async def wait(self, *_: Any) -> None:
        raise AssertionError("Redis is waited on")


class Parts:
    def __init__(self, **settings: Any) -> None:
        self.happened: list[Any] = []
        self.clock = Clock()
        given = {"timeout_seconds": 0.2, "breaker_seconds": 5.0, "key_prefix": "shop:"} | settings
        self.link = RedisLink(RedisSettings(url=SecretStr("redis://127.0.0.1:1/0"), **given), self.clock)
        self.keys = Keys(self.happened)
        self.link.client = self.keys  # type: ignore[assignment]
        self.postgres = Postgres(self.clock, self.happened)
        self.leases = RedisLeases(self.postgres, self.link, TRUST_SECONDS, self.clock)

    async def ask(self, at: float, seconds: float = 5.0) -> list[Any]:
        """Ask for the lease at a time; return what was asked of whom."""
        self.clock.now = 100.0 + at
        self.happened.clear()
        assert await self.leases.acquire("work", "us", seconds) == self.postgres.gives
        return self.happened


@pytest.fixture
async def parts() -> Parts:
    return Parts()


async def test_redis_is_believed_for_so_long_and_then_postgres_is_asked(parts: Parts) -> None:
    reserved = ("set", KEY, "0:us", 1000)
    assert await parts.ask(0.0) == [reserved]
    assert await parts.ask(0.9) == [reserved]
    parts.postgres.takes_seconds = 0.5
    assert await parts.ask(1.0) == ["acquire"], "a key that is kept for ever delays no longer than that"
    assert await parts.ask(1.9) == [reserved]
    assert await parts.ask(2.0) == ["acquire"], "counted from when Postgres was asked"


async def test_who_finds_the_key_free_asks_postgres_and_marks_what_it_is_given(parts: Parts) -> None:
    parts.keys.held, parts.postgres.gives = False, HELD
    assert await parts.ask(0.0) == [("set", KEY, "0:us", 1000), "acquire", ("eval", (KEY,), "7:us", 5000)]
    parts.clock.now = 200.0
    assert (await Parts().ask(0.0, seconds=0.4))[0] == ("set", KEY, "0:us", 400), "no longer than the lease itself"


@pytest.mark.parametrize("error", [RedisConnectionError, AuthenticationError, ReadOnlyError, OSError, RuntimeError])
async def test_where_redis_gives_no_answer_postgres_is_asked_each_time(parts: Parts, error: type[Exception]) -> None:
    parts.keys.error = error()
    assert (await parts.ask(0.0))[-1] == "acquire"
    assert await parts.ask(0.1) == ["acquire"], "and Redis is left alone"
    parts.postgres.gives = HELD
    assert await parts.ask(0.2) == ["acquire"]


async def test_a_lease_that_is_lost_is_marked_no_more(parts: Parts) -> None:
    assert await parts.leases.renew(HELD, 5.0)
    assert parts.happened == ["renew", ("eval", (KEY,), "7:us", 5000)]
    parts.happened.clear()
    parts.postgres.stands = False
    assert not await parts.leases.renew(HELD, 5.0)
    assert parts.happened == ["renew"]


async def test_who_waits_is_woken_once_postgres_has_it_back(parts: Parts) -> None:
    await parts.leases.release(HELD)
    assert parts.happened == ["release", ("eval", (KEY, BELL), "7:us", 1000)]


async def timed(waiting: Any) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await asyncio.wait_for(waiting, 10.0)
    return loop.time() - began


async def test_a_wait_ends_with_the_bell_with_the_stop_and_before_redis_counts_as_hung(parts: Parts) -> None:
    before, stop = asyncio.all_tasks(), asyncio.Event()
    assert 0.05 < await timed(parts.leases.wait("work", 60.0, stop)) < 5.0
    assert not parts.link.away
    parts.keys.bell.set()
    await timed(parts.leases.wait("work", 60.0, stop))
    assert parts.happened == [("blpop", BELL, 0.1)] * 2
    assert asyncio.all_tasks() == before
    parts.keys.bell.clear()
    parts.link.timeout_seconds = 60.0
    waiting = asyncio.create_task(parts.leases.wait("work", 60.0, stop))
    await asyncio.sleep(0)
    stop.set()
    await timed(waiting)
    assert asyncio.all_tasks() == before, "nobody goes on waiting"


async def test_a_wait_without_redis_lasts_its_whole_time(parts: Parts) -> None:
    parts.keys.error = RedisConnectionError()
    assert await timed(parts.leases.wait("work", 0.05, asyncio.Event())) >= 0.04


async def test_a_redis_that_is_back_is_used_again_and_one_that_hangs_holds_up_no_probe() -> None:
    parts = Parts(timeout_seconds=0.02)
    link, keys = parts.link, parts.keys

    async def question(client: Any) -> str:
        await client.ping()
        return "here"

    async def hang() -> None:
        await asyncio.Event().wait()

    answering, keys.ping = keys.ping, hang  # type: ignore[method-assign]
    assert await link.ask(question) is AWAY
    parts.clock.now += 5.0
    assert await link.ask(question) is AWAY
    first = link._probe
    assert first is not None
    await asyncio.wait_for(first, 10.0)
    assert link.away
    parts.clock.now += 4.9
    assert await link.ask(question) is AWAY
    assert link._probe is first, "the pause begins anew with the probe that failed"
    keys.ping = answering  # type: ignore[method-assign]
    parts.clock.now += 0.1
    assert await link.ask(question) is AWAY
    assert link._probe is not first
    await asyncio.wait_for(link._probe, 10.0)  # type: ignore[arg-type]
    assert await link.ask(question) == "here"
