"""Leases with Redis in front: whatever Redis says, loses or is made to say, Postgres decides and one writes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr

from runtime.lease import Leader, Lease, PostgresLeases, guard
from runtime.lease_redis import RedisLeases, open_leases
from runtime.redis import RedisLink
from runtime.settings import RedisSettings
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration

TRUST_SECONDS = 0.3
CHILD = textwrap.dedent(
    """
    import asyncio, sys
    import asyncpg
    from runtime.lease import Lease, PostgresLeases, guard
    from schemas.errors import LeaseLostError

    async def main(dsn: str) -> None:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            lease = await PostgresLeases(pool).acquire("work", "child", 1.0)
            print(lease.token, flush=True)
            sys.stdin.readline()
            async with pool.acquire() as connection:
                try:
                    async with connection.transaction():
                        await guard(connection, lease)
                        await connection.execute("update leases set holder = 'child' where name = 'written'")
                    print("wrote", flush=True)
                except LeaseLostError:
                    print("refused", flush=True)

    asyncio.run(main(sys.argv[1]))
    """
)


@pytest.fixture
async def pool(database: Any) -> AsyncIterator[asyncpg.Pool]:
    async with asyncpg.create_pool(database.dsn, min_size=1, max_size=8) as pool:
        yield pool


@pytest.fixture
def settings(stack: Any, topic_prefix: str) -> RedisSettings:
    return RedisSettings(url=SecretStr(stack.redis), key_prefix=topic_prefix, breaker_seconds=0.1)


@pytest.fixture
async def link(settings: RedisSettings) -> AsyncIterator[RedisLink]:
    link = RedisLink(settings)
    yield link
    await link.close()


@pytest.fixture
def leases(pool: asyncpg.Pool, link: RedisLink) -> RedisLeases:
    return RedisLeases(PostgresLeases(pool), link, TRUST_SECONDS)


def other(pool: asyncpg.Pool, link: RedisLink) -> RedisLeases:
    """Give what another process has: the same brokers, a memory of its own."""
    return RedisLeases(PostgresLeases(pool), link, TRUST_SECONDS)


async def key_of(link: RedisLink, name: str = "work") -> bytes | None:
    assert link.client is not None
    found: bytes | None = await link.client.get(f"{link.key_prefix}lease:{{{name}}}")
    return found


async def may_write(pool: asyncpg.Pool, lease: Lease) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        try:
            await guard(connection, lease)
        except LeaseLostError:
            return False
    return True


async def taken(leases: RedisLeases, holder: str, within: float = 5.0) -> tuple[Lease, float]:
    """Ask again and again until the lease is had; return it and how long that took."""
    began = time.monotonic()
    async with asyncio.timeout(within):
        while (lease := await leases.acquire("work", holder, 60)) is None:  # noqa: ASYNC110 - a condition outside
            await asyncio.sleep(0.02)
    return lease, time.monotonic() - began


async def expire(pool: asyncpg.Pool) -> None:
    await pool.execute("update leases set expires_at = clock_timestamp() - interval '1 ms' where name = 'work'")


async def test_a_lease_is_taken_kept_and_given_back(leases: RedisLeases, pool: Any, link: RedisLink) -> None:
    first = await leases.acquire("work", "a", 60)
    assert first == Lease("work", "a", 1)
    assert await key_of(link) == b"1:a"
    assert await leases.acquire("work", "b", 60) is None
    assert await leases.renew(first, 60)
    await leases.release(first)
    assert await key_of(link) is None
    second, _ = await taken(leases, "b")
    assert second == Lease("work", "b", 2)
    await leases.release(first)
    assert await key_of(link) == b"2:b", "a late release of the first frees nothing"
    assert not await leases.renew(first, 60)
    assert await may_write(pool, second)


async def test_contenders_ask_postgres_only_now_and_then(pool: Any, link: RedisLink) -> None:
    asked = []

    class Counting(PostgresLeases):
        async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
            asked.append(holder)
            return await super().acquire(name, holder, seconds)

    leases = RedisLeases(Counting(pool), link, trust_seconds=600)
    assert await leases.acquire("work", "a", 60)
    for _ in range(50):
        assert await leases.acquire("work", "b", 60) is None
    assert asked == ["a"]


async def test_a_flushed_redis_makes_no_second_writer(leases: RedisLeases, pool: Any, link: RedisLink) -> None:
    lease = await leases.acquire("work", "a", 60)
    assert lease is not None
    assert link.client is not None
    await link.client.delete(f"{link.key_prefix}lease:{{work}}")
    contenders = [other(pool, link) for _ in range(20)]
    assert (
        await asyncio.gather(*(one.acquire("work", f"h{number}", 60) for number, one in enumerate(contenders)))
        == [None] * 20
    )
    assert await may_write(pool, lease)
    assert await leases.renew(lease, 60)
    assert await key_of(link) == b"1:a", "the holder's next renewal puts its key back"


@pytest.mark.parametrize("stolen", [b"999:thief", b"thief", b""])
async def test_a_stolen_key_delays_a_take_over_no_longer_than_it_is_trusted(
    leases: RedisLeases, pool: Any, link: RedisLink, stolen: bytes
) -> None:
    lease = await leases.acquire("work", "a", 60)
    assert lease is not None
    assert link.client is not None
    await link.client.set(f"{link.key_prefix}lease:{{work}}", stolen)
    assert await may_write(pool, lease), "a key in Redis takes nothing from the holder"
    assert await leases.renew(lease, 60)
    successor = other(pool, link)
    assert await successor.acquire("work", "b", 60) is None
    await expire(pool)
    second, waited = await taken(successor, "b")
    assert second.token == 2
    assert waited < TRUST_SECONDS + 2
    assert not await may_write(pool, lease)
    assert await may_write(pool, second)


async def test_a_frozen_holder_that_wakes_up_takes_no_key_back(leases: RedisLeases, pool: Any, link: RedisLink) -> None:
    lease = await leases.acquire("work", "a", 60)
    assert lease is not None
    await expire(pool)
    second, _ = await taken(other(pool, link), "b")
    await leases._mark(lease, 60)  # what a holder frozen between Postgres's yes and Redis would do
    await leases.release(lease)
    assert await key_of(link) == b"2:b"
    assert not await may_write(pool, lease)
    assert await may_write(pool, second)


class Gate:
    """Stands before Redis and can be shut."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._redis = (where.hostname, where.port)
        self._open: list[asyncio.Transport] = []
        self._server: asyncio.Server | None = None
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for transport in self._open:
            transport.abort()
        self._open.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection(*self._redis)
        self._open += (writer.transport, back_writer.transport)
        await asyncio.gather(_forward(reader, back_writer), _forward(back_reader, writer))


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


async def test_redis_that_stops_in_the_middle_changes_nothing(pool: Any, stack: Any, topic_prefix: str) -> None:
    gate = Gate(stack.redis)
    await gate.open()
    url = SecretStr(stack.redis.replace(f":{urlsplit(stack.redis).port}/", f":{gate.port}/"))
    async with open_leases(pool, RedisSettings(url=url, key_prefix=topic_prefix, breaker_seconds=0.1)) as leases:
        lease = await leases.acquire("work", "a", 60)
        assert lease is not None
        gate.shut()
        assert await leases.renew(lease, 60)
        assert await leases.acquire("work", "b", 60) is None
        await leases.release(lease)
        second = await leases.acquire("work", "b", 60)
        assert second == Lease("work", "b", 2)
        await gate.open()
        link = leases._link  # type: ignore[attr-defined]
        async with asyncio.timeout(20):
            while link.away:
                assert await leases.renew(second, 60)
                await asyncio.sleep(0.02)
        assert await leases.renew(second, 60)
        assert await key_of(link) == b"2:b", "back in use without a hand"
    gate.shut()


async def test_a_release_wakes_one_that_waits(leases: RedisLeases, pool: Any, link: RedisLink) -> None:
    lease = await leases.acquire("work", "a", 60)
    assert lease is not None
    stop, woken = asyncio.Event(), asyncio.Event()

    async def work(taken_over: Lease, ending: asyncio.Event) -> None:
        assert taken_over.token == 2
        woken.set()
        stop.set()

    leader = asyncio.ensure_future(Leader(other(pool, link), "work", "b", 600).run(stop, work))
    assert link.client is not None
    async with asyncio.timeout(20):
        while not any(one["cmd"] == "blpop" for one in await link.client.client_list()):  # noqa: ASYNC110 - a condition outside
            await asyncio.sleep(0.01)
    await leases.release(lease)
    async with asyncio.timeout(10):
        await woken.wait()
        await leader


async def test_who_waits_ends_at_once_when_it_is_reported_to(leases: RedisLeases, link: RedisLink) -> None:
    stop = asyncio.Event()
    waiting = asyncio.ensure_future(leases.wait("work", 600, stop))
    await asyncio.sleep(0)
    stop.set()
    async with asyncio.timeout(5):
        await waiting
    assert not link.away


async def test_a_stopped_process_whose_lease_was_taken_can_not_write(pool: Any, database: Any) -> None:
    await pool.execute("insert into leases (name, holder, token, expires_at) values ('written', 'x', 1, now())")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, database.dsn, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        assert await child.stdout.readline() == b"1\n"
        os.kill(child.pid, signal.SIGSTOP)
        async with asyncio.timeout(20):
            while (second := await PostgresLeases(pool).acquire("work", "b", 60)) is None:  # noqa: ASYNC110 - a condition outside
                await asyncio.sleep(0.05)
        assert second.token == 2
        os.kill(child.pid, signal.SIGCONT)
        child.stdin.write(b"go on\n")
        assert await child.stdout.readline() == b"refused\n"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGCONT)
        child.stdin.close()
        await child.wait()
    assert await pool.fetchval("select holder from leases where name = 'written'") == "x"
    assert await may_write(pool, second)


@pytest.mark.parametrize("way", ["postgres", "redis", "redis away"])
async def test_the_benchmark_asks_its_three_questions(database: Any, settings: RedisSettings, way: str) -> None:
    from ops.bench.leases import measure, table_of
    from runtime.settings import PostgresSettings, RelaySettings, Settings

    at = {"postgres": PostgresSettings(dsn=SecretStr(database.dsn)), "redis": settings}
    at |= {"relay": RelaySettings(lease_seconds=2.0)}
    found = await measure(way, Settings().model_copy(update=at), 6, 2)
    assert [(one.way, one.question, one.samples) for one in found] == [
        (way, "stampede", 12),
        (way, "hand-over", 2),
        (way, "turns", 6),
    ]
    assert all(0 < one.p50_ms <= one.p99_ms <= one.max_ms for one in found)
    assert table_of(found, 6).row_count == 3
