"""`migrate up` beside live traffic: nobody waits behind it for long, however long a table that it needs is read."""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING

import asyncpg
import pytest
from consumer_harness import batch_harness, records, webhook

from runtime.migrations import migrate_down, migrate_up, read_files
from tests.conftest import Database, role_of, run_as_superuser, with_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from runtime.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.slow]

HELD_SECONDS_MAX = 1.0
READER_SECONDS = 4.0
LOADED_ROWS = 200_000
LOCKS = """
select l.relation::regclass::text || ' ' || l.mode || case when l.granted then '' else ' (asked for)' end
from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
where a.application_name = 'ratchet migrate' and l.locktype = 'relation' and l.database = (
    select oid from pg_database where datname = current_database()
) and l.mode = any('{ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}')
and l.relation::regclass::text = any('{payments,payment_refs,payment_logs,parked_events,spool}')
"""
"""What keeps batches from writing, also where it is only asked for: who comes later queues behind it."""
BATCH_TABLES = ("payment_refs", "payments", "payment_logs", "parked_events", "parked_refs")
"""In the order in which a batch writes."""
ANY_TABLE = """
select l.relation::regclass::text || ' ' || l.mode || case when l.granted then '' else ' (asked for)' end
from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
join pg_class c on c.oid = l.relation and c.relkind = 'r' and c.relnamespace = 'public'::regnamespace
where a.application_name = 'ratchet migrate' and l.locktype = 'relation' and l.database = (
    select oid from pg_database where datname = current_database()
) and l.mode = any('{ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}')
and c.relname <> 'schema_migrations'
"""
"""The same of every table."""
EXPAND = """
alter table payment_refs add column noted text;
alter table payments add column noted text, add check (noted <> '');
create index payments_noted on payments (noted) where noted is not null;
"""
CONTRACT = "alter table payments drop column noted;\nalter table payment_refs drop column noted;\n"


def folder_with_one_more(there: Path) -> Path:
    """Return a folder of all migrations and one that changes what batches write."""
    source = resources.files("migrations")
    for file in source.iterdir():
        if file.name.endswith(".sql"):
            (there / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    number = len(read_files(source)) + 1
    (there / f"{number:04d}_add_notes.sql").write_text(f"-- migrate:up\n{EXPAND}\n-- migrate:down\n{CONTRACT}")
    return there


async def longest_held(dsn: str, seen: dict[str, float], query: str = LOCKS) -> None:
    """Note how long `migrate` holds, or asks for, each lock at a stretch, until cancelled."""
    observer = await asyncpg.connect(dsn)
    since: dict[str, float] = {}
    try:
        while True:
            now = time.monotonic()
            held = {row[0] for row in await observer.fetch(query)}
            since = {lock: since.get(lock, now) for lock in held}
            for lock, begun in since.items():
                seen[lock] = max(seen.get(lock, 0.0), now - begun)
            await asyncio.sleep(0.02)
    finally:
        observer.terminate()


async def write_until(database: Database, stop: asyncio.Event) -> list[float]:
    """Apply batches, as a consumer does; return how long each took."""
    took: list[float] = []
    async with batch_harness(database.dsn, connections=2) as harness:
        while not stop.is_set():
            begun = time.monotonic()
            await harness.process(records([webhook("payment.created", f"pay-{len(took)}-{n}") for n in range(4)]))
            took.append(time.monotonic() - begun)
    return took


async def test_no_lock_is_held_or_asked_for_longer_than_a_second(database: Database, tmp_path: Path) -> None:
    app = database.dsn.split("//")[1].split(":")[0]
    stop, seen = asyncio.Event(), dict[str, float]()
    watching = asyncio.create_task(longest_held(database.owner_dsn, seen))
    writing = asyncio.create_task(write_until(database, stop))
    reader = await asyncpg.connect(database.owner_dsn)
    await reader.execute("begin")
    await reader.fetch("select from payments limit 1")  # a report, or pg_dump
    migrating = asyncio.create_task(migrate_up(database.owner_dsn, app, folder=folder_with_one_more(tmp_path)))
    await asyncio.sleep(READER_SECONDS)
    assert not migrating.done(), "the reader is waited for"
    await reader.execute("rollback")
    await reader.close()
    (title,) = await asyncio.wait_for(migrating, 60)
    assert title.endswith("add_notes")
    stop.set()
    took = await asyncio.wait_for(writing, 60)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert any("payments AccessExclusiveLock (asked for)" in lock for lock in seen), "it was seen to wait"
    assert max(seen.values()) < HELD_SECONDS_MAX, seen
    assert len(took) > READER_SECONDS, "batches went on beside it"


async def write_to_tables_until(dsn: str, stop: asyncio.Event) -> float:
    """Take a writer's lock on every table that is there, one after the other; return the longest wait."""
    writer = await asyncpg.connect(dsn)
    longest = 0.0
    try:
        while not stop.is_set():
            for (table,) in await writer.fetch(
                "select quote_ident(tablename) from pg_tables where schemaname = 'public'"
            ):
                begun = time.monotonic()
                with suppress(asyncpg.UndefinedTableError):
                    async with writer.transaction():
                        await writer.execute(f"lock table {table} in row exclusive mode")
                longest = max(longest, time.monotonic() - begun)
            await asyncio.sleep(0)
    finally:
        await writer.close()
    return longest


@pytest.fixture
async def bare_database(stack: Endpoints) -> AsyncIterator[Database]:
    """Give a database without a schema."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    await run_as_superuser(stack, f"create database {name} owner {role_of(stack.owner_dsn)}")
    yield Database(with_database(stack.dsn, name), with_database(stack.owner_dsn, name))
    await run_as_superuser(stack, f"drop database if exists {name} with (force)")


async def test_every_migration_holds_its_tables_for_less_than_a_second(
    stack: Endpoints, bare_database: Database, tmp_path: Path
) -> None:
    """One after the other, beside a writer on all tables: not only the newest."""
    app, source = role_of(stack.dsn), resources.files("migrations")
    files, slow = read_files(source), dict[str, dict[str, float]]()
    for migration in files:
        name = f"{migration.title}.sql"
        (tmp_path / name).write_text(source.joinpath(name).read_text(encoding="utf-8"), encoding="utf-8")
        (tmp_path / "grants.sql").write_text("select 1")
        stop, seen = asyncio.Event(), dict[str, float]()
        watching = asyncio.create_task(longest_held(bare_database.owner_dsn, seen, ANY_TABLE))
        writing = asyncio.create_task(write_to_tables_until(bare_database.owner_dsn, stop))
        assert await migrate_up(bare_database.owner_dsn, app, folder=tmp_path) == [migration.title]
        stop.set()
        assert await asyncio.wait_for(writing, 30) < HELD_SECONDS_MAX, migration.title
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        if too_long := {lock: held for lock, held in seen.items() if held >= HELD_SECONDS_MAX}:
            slow[migration.title] = too_long
    assert slow == {}
    shutil.rmtree(tmp_path)


async def lock_as_batches_until(dsn: str, stop: asyncio.Event) -> float:
    """Take the tables of a batch in its order, all in one transaction, again and again; return the longest wait."""
    writer = await asyncpg.connect(dsn)
    longest = 0.0
    try:
        while not stop.is_set():
            transaction = writer.transaction()
            await transaction.start()
            for table in BATCH_TABLES:
                begun = time.monotonic()
                if await writer.fetchval("select to_regclass($1)", table) is not None:
                    await writer.execute(f"lock table {table} in row exclusive mode")
                longest = max(longest, time.monotonic() - begun)
                await asyncio.sleep(0.005)
            await transaction.rollback()
    finally:
        await writer.close()
    return longest


async def test_every_migration_is_undone_beside_batches(stack: Endpoints, database: Database) -> None:
    """Batches walk the tables in another order: neither is a deadlock's victim for good, nor waits for long."""
    app = role_of(stack.dsn)
    slow: dict[str, float] = {}
    for title in [migration.title for migration in read_files(resources.files("migrations"))][:0:-1]:
        stop = asyncio.Event()
        writing = asyncio.create_task(lock_as_batches_until(database.owner_dsn, stop))
        await asyncio.sleep(0.05)
        assert await migrate_down(database.owner_dsn, app) == [title]
        stop.set()
        if (waited := await asyncio.wait_for(writing, 30)) >= HELD_SECONDS_MAX:
            slow[title] = waited
    assert slow == {}


def folder_with(there: Path, half: str) -> Path:
    """Return a folder of all migrations and one more that builds an index, in this way."""
    source = resources.files("migrations")
    for file in source.iterdir():
        if file.name.endswith(".sql"):
            (there / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    number = len(read_files(source)) + 1
    (there / f"{number:04d}_index_rows.sql").write_text(f"{half}\n-- migrate:down\ndrop index rows_by_kind;\n")
    return there


BUILT = {
    "in a transaction": "-- migrate:up\ncreate index rows_by_kind on payment_logs (md5(event_type || facts::text));",
    "concurrently": """-- migrate:up transaction:false
drop index concurrently if exists rows_by_kind;
create index concurrently rows_by_kind on payment_logs (md5(event_type || facts::text));""",
}


@pytest.mark.parametrize("how", BUILT)
async def test_an_index_of_a_large_table_is_built_beside_writers(
    stack: Endpoints, database: Database, tmp_path: Path, how: str
) -> None:
    """In a transaction writers wait for as long as it takes; `transaction:false` is what for."""
    superuser = await asyncpg.connect(with_database(stack.superuser_dsn, database.dsn.rpartition("/")[2]))
    await superuser.execute("set session_replication_role = replica")
    await superuser.execute(
        """insert into payment_logs (source, event_id, event_type, outcome, facts, topic, partition, "offset",
            recorded_at, relay_xid, hash)
        select 'filled', n::text, 'made.up', 'noop', to_jsonb(array[repeat('x', 200)]), 'payments.webhooks', 0, n,
            now(), 1, sha256(n::text::bytea)
        from generate_series(1, $1) as n""",
        LOADED_ROWS,
    )
    stop, seen = asyncio.Event(), dict[str, float]()
    watching = asyncio.create_task(longest_held(database.owner_dsn, seen))
    writing = asyncio.create_task(write_until(database, stop))
    (title,) = await migrate_up(database.owner_dsn, role_of(stack.dsn), folder=folder_with(tmp_path, BUILT[how]))
    stop.set()
    took = await asyncio.wait_for(writing, 60)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert title.endswith("index_rows")
    valid = "select indisvalid from pg_index where indexrelid = 'rows_by_kind'::regclass"
    assert await superuser.fetchval(valid)
    await superuser.close()
    held = {lock for lock in seen if lock.startswith("payment_logs ")}
    assert (held == set()) is (how == "concurrently"), seen
    assert len(took) > 0


async def test_two_migrations_side_by_side_do_not_wait_for_each_other_in_a_circle(
    stack: Endpoints, database: Database, tmp_path: Path
) -> None:
    """An index that is built concurrently waits for all snapshots: one that waits for its turn must have none."""
    folder, app = folder_with(tmp_path, BUILT["concurrently"]), role_of(stack.dsn)
    both = await asyncio.gather(*(migrate_up(database.owner_dsn, app, folder=folder) for _ in range(2)))
    assert sorted(map(len, both)) == [0, 1]


async def test_an_index_that_was_left_half_built_is_built_anew(
    stack: Endpoints, database: Database, tmp_path: Path
) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("create index rows_by_kind on payment_logs (id)")
    folder = folder_with(tmp_path, BUILT["concurrently"])
    (title,) = await migrate_up(database.owner_dsn, role_of(stack.dsn), folder=folder)
    assert title.endswith("index_rows")
    assert "md5" in await owner.fetchval("select pg_get_indexdef('rows_by_kind'::regclass)")
    await owner.close()
