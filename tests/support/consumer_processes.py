"""The consumer as processes: topics read from now on, children with their logs, what is committed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import CommitFailedError
from aiokafka.protocol.group import LeaveGroupRequest
from consumer_harness import Event, Tables, read_all_tables, until

from runtime.kafka import ensure_topics
from runtime.migrations import migrate_up
from runtime.settings import ConsumerSettings, KafkaSettings
from schemas import topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from runtime.stack import Endpoints

CHILD = Path(__file__).parents[1] / "fault" / "consumer_child.py"
PARTITIONS = KafkaSettings().partitions
SESSION_TIMEOUT_SECONDS = 6.0
"""The broker's smallest."""


class Database(Protocol):
    """A database by its DSNs."""

    @property
    def dsn(self) -> str: ...
    @property
    def owner_dsn(self) -> str: ...


@dataclass
class Child:
    """One consumer process."""

    process: subprocess.Popen[bytes]
    log: Path
    probe: Path

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in found if line.get("event") == event]

    def batches(self) -> int:
        """Count the batches that it has applied."""
        return len(self.lines("batch_settled"))

    def last_words(self) -> str:
        """Return the end of its log without the lines of every batch: shown where a test fails."""
        reported = [line for line in self.log.read_text().splitlines() if '"batch_settled"' not in line]
        return "\n".join(line[-2000:] for line in reported[-12:])

    def health(self) -> dict[str, Any]:
        try:
            return dict(json.loads(self.probe.read_text()))
        except (OSError, ValueError):
            return {}

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    async def terminate(self) -> int:
        """Ask it to stop; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self.process.wait, 20)


@dataclass
class ConsumerProcesses:
    """Brokers, a database of its own, and the group at the topics' end; children are its consumers."""

    kafka: str
    database: Database
    folder: Path
    producer: AIOKafkaProducer
    pool: asyncpg.Pool[Any]
    start: dict[TopicPartition, int]
    children: list[Child] = field(default_factory=list)

    def spawn(
        self,
        *,
        limits: dict[str, Any] | None = None,
        parking: dict[str, Any] | None = None,
        dsn: str | None = None,
        sources: Sequence[str] = (),
        executors: dict[str, list[str]] | None = None,
        **faults: str,
    ) -> Child:
        """Start a consumer process; `limits` are ConsumerSettings, `faults` see consumer_child.py.

        `dsn` is another way to the same database, `sources` is RATCHET_SOURCES, `executors` RATCHET_EXECUTORS.
        """
        number = len(self.children)
        log, probe = self.folder / f"consumer-{number}.log", self.folder / f"probe-{number}.json"
        settings = {
            "session_timeout_seconds": SESSION_TIMEOUT_SECONDS,
            "commit_interval_seconds": 0.2,
            **(limits or {}),
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
        environment |= {f"RATCHET_CONSUMER__{name.upper()}": str(value) for name, value in settings.items()}
        environment |= {f"RATCHET_PARKING__{name.upper()}": str(value) for name, value in (parking or {}).items()}
        environment |= {
            "RATCHET_HOME": str(self.folder / f"home-{number}"),
            "RATCHET_KAFKA__BOOTSTRAP": self.kafka,
            "RATCHET_POSTGRES__DSN": dsn or self.database.dsn,
            "RATCHET_SOURCES": json.dumps(list(sources)),
            "RATCHET_EXECUTORS": json.dumps(executors or {}),
            "RATCHET_ROLE__PARENT_PID": str(os.getpid()),
            "FAULT_PROBE": str(probe),
            **{f"FAULT_{name.upper()}": value for name, value in faults.items()},
        }
        with log.open("wb") as output:
            process = subprocess.Popen([sys.executable, str(CHILD)], env=environment, stderr=output, stdout=output)
        self.children.append(Child(process, log, probe))
        return self.children[-1]

    async def publish(self, events: Iterable[Event], topic: str = topics.WEBHOOKS.name, **where: Any) -> None:
        sent = [
            await self.producer.send(topic, event.value, key=event.key, headers=list(event.headers), **where)
            for event in events
        ]
        await asyncio.gather(*sent)

    async def count(self, table: str) -> int:
        return int(await self.pool.fetchval(f"select count(*) from {table}"))

    async def written(self) -> int:
        """Count the events that ended somewhere."""
        query = """select (select count(*) from payment_logs) + (select count(*) from parked_events)
            + (select count(*) from dead_letters)"""
        return int(await self.pool.fetchval(query))

    async def until_written(self, count: int, within_seconds: float = 60.0) -> Tables:
        async def enough() -> bool:
            return await self.written() >= count

        await until(enough, f"{count} events in the ledger", within_seconds)
        return await self.tables()

    async def until_applied(self, count: int, within_seconds: float = 60.0) -> Tables:
        """Wait for `count` events of which none is parked any more: those are woken after the batch that names them."""

        async def all_applied() -> bool:
            return await self.written() >= count and not await self.count("parked_events")

        await until(all_applied, f"{count} events in the ledger, none of them parked", within_seconds)
        return await self.tables()

    async def tables(self) -> Tables:
        return await read_all_tables(self.pool)

    async def lag(self) -> int:
        """Return how far committed offsets are from the topics' ends."""
        async with member(self.kafka) as reader:
            ends = await reader.end_offsets(list(self.start))
            committed = {partition: await reader.committed(partition) for partition in self.start}
        return sum(end - (committed[partition] or 0) for partition, end in ends.items())

    async def until_no_lag(self) -> None:
        async def none() -> bool:
            return await self.lag() == 0

        await until(none, "no lag")

    async def members(self) -> list[str]:
        """Return the ids of the group's members, the dead ones too."""
        async with administration(self.kafka) as client:
            return await _members(client)

    async def bury_the_dead(self) -> None:
        """Take all members out of the group: what its session time-out does, at once."""
        async with administration(self.kafka) as client:
            node = await client.find_coordinator(topics.CONSUMER_GROUP)
            for member_id in await _members(client):
                await client._send_request(LeaveGroupRequest(topics.CONSUMER_GROUP, member_id), node)


async def _members(client: AIOKafkaAdminClient) -> list[str]:
    (answer,) = await client.describe_consumer_groups([topics.CONSUMER_GROUP])
    return [member[0] for member in answer.groups[0][5]]


@asynccontextmanager
async def administration(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def member(kafka: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a client that speaks for the group without joining it."""
    reader = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=topics.CONSUMER_GROUP, enable_auto_commit=False)
    await reader.start()
    try:
        reader.assign(places())
        yield reader
    finally:
        await reader.stop()


def places() -> list[TopicPartition]:
    return [TopicPartition(topic.name, number) for topic in topics.CONSUMED for number in range(PARTITIONS)]


async def from_now_on(kafka: str) -> dict[TopicPartition, int]:
    """Move the group to the topics' ends; return them. What other tests left behind is not read again.

    A static member of an `up` that ended keeps the group for the session time-out; until then nobody else may commit.
    """
    await ensure_topics(KafkaSettings(bootstrap=kafka))
    async with member(kafka) as reader:
        ends = await reader.end_offsets(places())

        async def moved() -> bool:
            try:
                await reader.commit(ends)
            except CommitFailedError:
                return False
            return True

        await until(moved, "the group is free", 3 * ConsumerSettings().session_timeout_seconds)
    return dict(ends)


class OwnDatabase(NamedTuple):
    """A database of one test, migrated."""

    dsn: str
    owner_dsn: str


def at_database(dsn: str, name: str) -> str:
    """Return the DSN of another database of the same server and role."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


@asynccontextmanager
async def new_database(endpoints: Endpoints) -> AsyncIterator[OwnDatabase]:
    """Give a migrated database on brokers that are not the session's, and drop it at the end."""
    name, owner, app = f"fault_{uuid.uuid4().hex[:12]}", urlsplit(endpoints.owner_dsn).username, urlsplit(endpoints.dsn)
    superuser = await asyncpg.connect(endpoints.superuser_dsn)
    await superuser.execute(f"create database {name} owner {owner}")
    await superuser.close()
    database = OwnDatabase(at_database(endpoints.dsn, name), at_database(endpoints.owner_dsn, name))
    await migrate_up(database.owner_dsn, str(app.username))
    yield database
    superuser = await asyncpg.connect(endpoints.superuser_dsn)
    await superuser.execute(f"drop database if exists {name} with (force)")
    await superuser.close()


@asynccontextmanager
async def consumer_processes(kafka: str, database: Database, folder: Path) -> AsyncIterator[ConsumerProcesses]:
    start = await from_now_on(kafka)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True, acks="all")
    await producer.start()
    pool = await asyncpg.create_pool(database.dsn, min_size=1, max_size=2)
    made = ConsumerProcesses(kafka, database, folder, producer, pool, start)
    try:
        yield made
    finally:
        for child in made.children:
            print(f"--- {child.log.name}, exit status {child.process.poll()}, {child.health()}\n{child.last_words()}")  # noqa: T201
            if child.running:
                child.kill()
        with contextlib.suppress(Exception):
            await made.bury_the_dead()
        await producer.stop()
        await pool.close()
