from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from runtime.lease import Lease, PostgresLeases, guard
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration


@pytest.fixture
async def pool(database: Database):
    async with asyncpg.create_pool(database.dsn, min_size=1, max_size=4) as pool:
        yield pool


async def expire(pool: asyncpg.Pool, name: str) -> None:
    await pool.execute("update leases set expires_at = clock_timestamp() - interval '1 ms' where name = $1", name)


async def test_one_holds_and_the_token_rises_at_each_take_over(pool: asyncpg.Pool):
    leases = PostgresLeases(pool)
    first = await leases.acquire("work", "a", 60)
    assert first == Lease("work", "a", 1)
    assert await leases.acquire("work", "b", 60) is None
    assert await leases.acquire("work", "a", 60) is None, "not re-entrant: a holder has its lease object"
    assert await leases.acquire("other", "b", 60) == Lease("other", "b", 1)
    await leases.release(first)
    second = await leases.acquire("work", "b", 60)
    assert second == Lease("work", "b", 2)
    await leases.release(first)
    assert await leases.acquire("work", "a", 60) is None, "a late release of the first frees nothing"
    await expire(pool, "work")
    assert await leases.acquire("work", "a", 60) == Lease("work", "a", 3)


async def test_renewal_extends_only_what_stands(pool: asyncpg.Pool):
    leases = PostgresLeases(pool)
    lease = await leases.acquire("work", "a", 1)
    assert lease is not None
    assert await leases.renew(lease, 60)
    left = await pool.fetchval("select extract(epoch from expires_at - clock_timestamp())::float from leases")
    assert 55 < left <= 60
    await expire(pool, "work")
    assert not await leases.renew(lease, 60)


async def test_many_ask_at_once_and_one_gets_it(pool: asyncpg.Pool):
    leases = PostgresLeases(pool)
    for _ in range(5):
        given = await asyncio.gather(*(leases.acquire("work", f"h{number}", 60) for number in range(8)))
        winners = [lease for lease in given if lease]
        assert len(winners) == 1
        await leases.release(winners[0])


async def test_guard_refuses_a_lost_lease(pool: asyncpg.Pool):
    leases = PostgresLeases(pool)
    lease = await leases.acquire("work", "a", 60)
    assert lease is not None
    async with pool.acquire() as connection, connection.transaction():
        await guard(connection, lease)
    await expire(pool, "work")
    async with pool.acquire() as connection, connection.transaction():
        with pytest.raises(LeaseLostError, match="'work' with token 1"):
            await guard(connection, lease)
    assert await leases.acquire("work", "b", 60)
    async with pool.acquire() as connection, connection.transaction():
        with pytest.raises(LeaseLostError):
            await guard(connection, lease)


async def test_a_token_given_twice_guards_only_its_holder(pool: asyncpg.Pool):
    """A replica was promoted that lacks the last take-over: it gives the same token to another holder."""
    leases = PostgresLeases(pool)
    first = await leases.acquire("work", "a", 60)
    assert first is not None
    await pool.execute("update leases set holder = 'b'")
    second = Lease("work", "b", first.token)
    assert not await leases.renew(first, 60)
    assert await leases.renew(second, 60)
    await leases.release(first)
    async with pool.acquire() as connection, connection.transaction():
        await guard(connection, second)
        with pytest.raises(LeaseLostError):
            await guard(connection, first)


async def test_take_over_waits_for_a_guarded_transaction(pool: asyncpg.Pool):
    leases = PostgresLeases(pool)
    lease = await leases.acquire("work", "a", 60)
    assert lease is not None
    async with pool.acquire() as connection:
        guarded = connection.transaction()
        await guarded.start()
        await pool.execute("update leases set expires_at = clock_timestamp() + interval '50 ms' where name = 'work'")
        await guard(connection, lease)
        await asyncio.sleep(0.1)  # the lease's own time passes
        successor = asyncio.ensure_future(leases.acquire("work", "b", 60))
        pid_waits = (
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%into leases%'"
        )
        async with asyncio.timeout(10):
            while not await pool.fetchval(pid_waits):
                assert not successor.done()
        await guarded.commit()
        assert await successor == Lease("work", "b", 2)
