"""`migrate up` beside live traffic: nobody waits behind it for long, however long a table that it needs is read."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING

import asyncpg
import pytest
from settling import bench, records, webhook

from runtime.migrations import migrate_up, read_files

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.slow]

HELD_SECONDS_MAX = 1.0
READER_SECONDS = 4.0
LOCKS = """
select l.relation::regclass::text || ' ' || l.mode || case when l.granted then '' else ' (asked for)' end
from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
where a.application_name = 'ratchet migrate' and l.locktype = 'relation' and l.database = (
    select oid from pg_database where datname = current_database()
) and l.mode = any('{ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}')
and l.relation::regclass::text = any('{payments,payment_refs,payment_logs,parked_events,spool}')
"""
"""What keeps batches from writing, also where it is only asked for: who comes later queues behind it."""
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


async def longest_held(dsn: str, seen: dict[str, float]) -> None:
    """Note how long `migrate` holds, or asks for, each lock at a stretch, until cancelled."""
    observer = await asyncpg.connect(dsn)
    since: dict[str, float] = {}
    try:
        while True:
            now = time.monotonic()
            held = {row[0] for row in await observer.fetch(LOCKS)}
            since = {lock: since.get(lock, now) for lock in held}
            for lock, begun in since.items():
                seen[lock] = max(seen.get(lock, 0.0), now - begun)
            await asyncio.sleep(0.02)
    finally:
        observer.terminate()


async def write_until(database: Database, stop: asyncio.Event) -> list[float]:
    """Apply batches, as a consumer does; return how long each took."""
    took: list[float] = []
    async with bench(database.dsn, connections=2) as harness:
        while not stop.is_set():
            begun = time.monotonic()
            await harness.settle(records([webhook("payment.created", f"pay-{len(took)}-{n}") for n in range(4)]))
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
