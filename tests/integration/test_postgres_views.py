"""What we read of Postgres' own views: of many rows those that concern us.

Tables of the same names stand before the real views here, so that each row can be what it has to be: a standby that
lags, a transaction that is prepared, a cluster that has counted its transactions round once. The real ones are asked
in `test_standby`, `test_holdups_sampled` and `test_postgres_disk_measured`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from filled_database import filled_database, undone

from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

pytestmark = pytest.mark.integration

VIEWS = """
create schema stand_in;
create table stand_in.pg_stat_activity (pid integer, usename name, application_name text, wait_event text,
    query_start timestamptz, xact_start timestamptz);
create table stand_in.pg_stat_replication (application_name text, replay_lsn pg_lsn);
create table stand_in.pg_locks (locktype text, transactionid xid, pid integer, mode text, granted boolean);
create table stand_in.pg_prepared_xacts (transaction xid, gid text);
create function stand_in.pg_snapshot_xmin(pg_snapshot) returns xid8 language sql return '4294967303'::xid8;
"""
"""The oldest open transaction is the seventh since the cluster has counted 2^32 of them."""


@pytest.fixture(scope="module")
async def filled(stack: Any, template_database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    async with filled_database(stack, template_database, VIEWS) as connection:
        yield connection


@pytest.fixture
async def views(filled: asyncpg.Connection[Any]) -> AsyncIterator[asyncpg.Connection[Any]]:
    async with undone(filled):
        await filled.execute("set local search_path = stand_in, pg_catalog, public")
        yield filled


WAITING = """
insert into pg_stat_activity (wait_event, query_start)
select event, clock_timestamp() - age
from (values ('SyncRep', interval '3 s'), ('SyncRep', '9 s'), ('SyncRep', '1 s'), ('ClientRead', '1 h'), (null, '1 h'))
    as session (event, age)
"""


@pytest.mark.parametrize("name", ["read_clock_and_waits", "read_replication"])
async def test_a_commit_that_has_waited_for_two_seconds_waits_for_a_standby(
    views: asyncpg.Connection[Any], name: str
) -> None:
    await views.execute(WAITING)
    row = await views.fetchrow(statement("runtime", name))
    assert row is not None
    assert row["waiting"] == 2


async def test_the_standby_that_lacks_most_is_named_and_all_are_counted(views: asyncpg.Connection[Any]) -> None:
    sql = statement("runtime", "read_replication")
    assert tuple((await views.fetchrow(sql)) or ())[1:] == (0, 0, None, None)
    await views.execute(
        "insert into pg_stat_replication values ('near', pg_current_wal_lsn() - 1000),"
        " ('far', pg_current_wal_lsn() - 70000), ('hidden', null), ('nearer', pg_current_wal_lsn() - 100)"
    )
    row = await views.fetchrow(sql)
    assert row is not None
    assert (row["standbys"], row["furthest"]) == (4, "far")
    assert row["lag_bytes"] >= 70000


LOCKS = """
insert into pg_locks values
    ('transactionid', '8', 1, 'ExclusiveLock', true),
    ('transactionid', '7', {pid}, 'ExclusiveLock', true),
    ('transactionid', '7', 3, 'ShareLock', false),
    ('transactionid', '7', 4, 'ShareLock', true),
    ('virtualxid', null, 2, 'ExclusiveLock', true);
insert into pg_stat_activity (pid, usename, application_name, xact_start)
select pid, 'role ' || pid, 'application ' || pid, clock_timestamp() - pid * interval '1 h'
from generate_series(1, 4) as pid;
insert into pg_prepared_xacts values ('8', 'younger'), ({xid}, 'older')
"""


@pytest.mark.parametrize(
    ("pid", "xid", "found"),
    [("2", "'9'", ("7", 2, "role 2", "application 2", None)), ("null", "'7'", ("7", None, None, None, "older"))],
)
async def test_the_oldest_open_transaction_is_named_with_whose_it_is(
    views: asyncpg.Connection[Any], pid: str, xid: str, found: tuple[Any, ...]
) -> None:
    """A prepared one has no process, and is held by its name."""
    await views.execute(LOCKS.format(pid=pid, xid=xid))
    [row] = await views.fetch(statement("runtime", "read_oldest_transaction"))
    assert tuple(row[name] for name in ("xid", "pid", "role", "application", "gid")) == found
    assert row["seconds"] is None if pid == "null" else 7100 < row["seconds"] < 7300
