"""A rolling upgrade: consumers of the release before and of this one share a group while the schema changes under them.

The release before is a commit of this repository: the last one before the newest migration, taken out of its history.
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import subprocess
import sys
import tarfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from consumer_harness import SOURCE, Life, broken_chains, lives, until, wrong_payments
from consumer_processes import (
    SESSION_TIMEOUT_SECONDS,
    Child,
    ConsumerProcesses,
    OwnDatabase,
    at_database,
    consumer_processes,
)

from ops.audit import walk
from runtime.migrations import migrate_up, read_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.fault.conftest import Brokers

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).parent.parent.parent
HELD_SECONDS_MAX = 1.0
CODE = ("schemas", "providers", "runtime", "producers", "consumer", "ops", "migrations")
RUN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from ops.cli import main; main()"


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Take the code of before the newest migration out of the history."""
    newest = max((ROOT / "migrations").glob("0*.sql")).name
    try:
        added = git("log", "--format=%H", "--diff-filter=A", "--", f"migrations/{newest}").split()[-1].decode()
        tree = git("archive", "--format=tar", f"{added}~1", *CODE)
    except (subprocess.CalledProcessError, IndexError, FileNotFoundError):
        pytest.skip("there is no history here that reaches back before the newest migration")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        archive.extractall(folder, filter="data")
    assert len(read_files(folder / "migrations")) == int(newest[:4]) - 1
    return folder


@pytest.fixture
async def older(brokers: Brokers, before: Path, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    """Give processes whose database has the schema of before."""
    name, endpoints = f"fault_{uuid.uuid4().hex[:12]}", brokers.endpoints
    owner, app = str(urlsplit(endpoints.owner_dsn).username), str(urlsplit(endpoints.dsn).username)
    superuser = await asyncpg.connect(endpoints.superuser_dsn)
    await superuser.execute(f"create database {name} owner {owner}")
    database = OwnDatabase(at_database(endpoints.dsn, name), at_database(endpoints.owner_dsn, name))
    await migrate_up(database.owner_dsn, app, folder=before / "migrations")
    async with consumer_processes(endpoints.kafka, database, tmp_path) as made:
        yield made
    await superuser.execute(f"drop database if exists {name} with (force)")
    await superuser.close()


def spawn(given: ConsumerProcesses, code: Path) -> Child:
    """Start `ratchet consumer` of a tree."""
    number = len(given.children)
    log = given.folder / f"consumer-{number}.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    environment |= {
        "RATCHET_HOME": str(given.folder / f"home-{number}"),
        "RATCHET_KAFKA__BOOTSTRAP": given.kafka,
        "RATCHET_POSTGRES__DSN": given.database.dsn,
        "RATCHET_CONSUMER__SESSION_TIMEOUT_SECONDS": str(SESSION_TIMEOUT_SECONDS),
        "RATCHET_CONSUMER__COMMIT_INTERVAL_SECONDS": "0.2",
        "RATCHET_ROLE__PARENT_PID": str(os.getpid()),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, str(code), "consumer"], env=environment, stdout=output, stderr=output,
            cwd=given.folder,
        )  # fmt: skip
    given.children.append(Child(process, log, given.folder / "no-probe"))
    return given.children[-1]


async def watch_locks(dsn: str, held: dict[str, float]) -> None:
    """Note how long `migrate` holds, or asks for, a lock that keeps batches from writing, until cancelled."""
    query = """select l.relation::regclass::text from pg_locks l join pg_stat_activity a on a.pid = l.pid
        join pg_class c on c.oid = l.relation and c.relnamespace = 'public'::regnamespace
        where a.application_name = 'ratchet migrate' and l.locktype = 'relation'
        and l.mode = any('{ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}')"""
    observer = await asyncpg.connect(dsn)
    since: dict[str, float] = {}
    try:
        while True:
            now = time.monotonic()
            since = {row[0]: since.get(row[0], now) for row in await observer.fetch(query)}
            for table, begun in since.items():
                held[table] = max(held.get(table, 0.0), now - begun)
            await asyncio.sleep(0.02)
    finally:
        observer.terminate()


async def by_process(given: ConsumerProcesses) -> dict[int, int]:
    """Return how many batches each consumer has applied, by its place among the children."""
    return {at: child.batches() for at, child in enumerate(given.children)}


async def check(given: ConsumerProcesses, rows: Any, expected: list[Life]) -> None:
    """Every event has one ledger row, every payment is what its events come to, and the audit holds."""
    assert rows.dedupe_keys == sorted((SOURCE, event.event_id) for life in expected for event in life.events())
    assert wrong_payments(rows, expected) == []
    assert broken_chains(rows) == []
    assert rows.letters == rows.parked == []
    connection: Any = await asyncpg.connect(given.database.owner_dsn)
    found = await walk(connection, 10)
    await connection.close()
    assert (found.ok, found.broken) == (True, [])


async def test_a_rolling_upgrade_loses_and_doubles_nothing(older: ConsumerProcesses, before: Path) -> None:
    given = older
    expected = lives(500)
    events = [event for life in expected for event in life.events()]
    random.Random(7).shuffle(events)
    fifth = len(events) // 5

    async def publish(part: int) -> None:
        await given.publish(events[part * fifth : (part + 1) * fifth])

    old = spawn(given, before)
    await publish(0)
    await given.until_written(fifth)

    new = spawn(given, ROOT)

    async def waits() -> bool:
        return "ratchet migrate up" in new.log.read_text()

    await until(waits, "this release says that the schema is the one of before", 60)
    await publish(1)
    await given.until_written(2 * fifth)
    assert old.running
    assert new.running, "it waits, and does not end"

    held = dict[str, float]()
    watching = asyncio.create_task(watch_locks(given.database.owner_dsn, held))
    publishing = asyncio.create_task(publish(2))
    app = str(urlsplit(given.database.dsn).username)
    applied = await migrate_up(given.database.owner_dsn, app)
    assert len(applied) == 1
    await publishing
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    assert max(held.values(), default=0.0) < HELD_SECONDS_MAX, held

    async def shared() -> bool:
        """Tell whether the group's partitions were shared out to both, the older one's anew."""
        return len(old.lines("partitions_assigned")) > 1 and bool(new.lines("partitions_assigned"))

    await given.until_written(3 * fifth)
    await until(shared, "both are members of the group and have partitions", 60)
    assert len(await given.members()) == 2
    seen = await by_process(given)
    await publish(3)
    await given.until_written(4 * fifth)

    async def both_apply() -> bool:
        now = await by_process(given)
        return all(now[at] > seen[at] for at in (0, 1))

    await until(both_apply, "each of both has applied batches since then", 30)
    assert await old.terminate() == 0
    await publish(4)
    rows = await given.until_applied(len(events))
    await given.until_no_lag()
    assert await new.terminate() == 0
    await check(given, rows, expected)
