"""A harness for redrives: letters made by a real consumer, the relay in this process, what became of each letter."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from consumer_harness import until
from consumer_processes import consumer_processes
from pydantic import SecretStr
from relay_rows import relaying

from ops import redrives
from ops.redrives import RedriveRequest
from runtime.settings import KafkaSettings, PostgresSettings, RedriveSettings, RelaySettings, Settings
from schemas.topics import DLQ

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from conftest import Database
    from consumer_harness import Event
    from consumer_processes import ConsumerProcesses

    from ops.redrives import Preview, RedriveProgress
    from runtime.stack import Endpoints

FAST = 2000.0
"""Letters a second, where the pace is not what is tested."""


@dataclass
class RedriveHarness:
    """Processes of the consumer, a connection of ops, and the settings of relay and ops."""

    consumers: ConsumerProcesses
    connection: asyncpg.Connection[Any]
    settings: Settings

    async def letters(self, status: str | None = "open") -> list[dict[str, Any]]:
        rows = await self.connection.fetch("select * from dead_letters order by id")
        return [dict(row) for row in rows if status in (None, row["status"])]

    async def bury(self, events: Iterable[Event], count: int) -> list[dict[str, Any]]:
        """Publish events and wait until so many letters are open; those that wait are sent past their deadline."""
        await self.consumers.publish(events)

        async def buried() -> bool:
            await self.connection.execute("update parked_events set deadline = parked_at")
            return len(await self.letters()) == count

        await until(buried, f"{count} open letters")
        return await self.letters()

    async def preview(self, **order: Any) -> Preview:
        return await redrives.preview(self.connection, self.settings, RedriveRequest(**order))

    async def order(self, **order: Any) -> int:
        """Order a redrive that has something to publish."""
        started = await redrives.start(
            self.connection, self.settings, RedriveRequest(**{"rate_per_second": FAST} | order)
        )
        assert started.redrive_id is not None
        return started.redrive_id

    async def ended(self, redrive_id: int) -> RedriveProgress:
        async def now() -> RedriveProgress | None:
            found = await redrives.progress(self.connection, redrive_id)
            return found if found.ended else None

        found: RedriveProgress = await until(now, f"redrive {redrive_id} ends")
        return found

    async def redrive(self, **order: Any) -> RedriveProgress:
        """Order a redrive and let a relay carry it out."""
        redrive_id = await self.order(**order)
        async with relaying(self.settings):
            return await self.ended(redrive_id)

    async def fates(self, redrive_id: int, processed_before: set[tuple[str, str]]) -> dict[int, str]:
        """Return what became of each letter of a redrive, read from the tables alone."""
        rows = await self.connection.fetch(
            """select d.id, d.source, d.event_id, r.returned_id,
                exists (select from parked_events p where p.source = d.source and p.event_id = d.event_id) as parked,
                (select l.outcome from payment_logs l where l.source = d.source and l.event_id = d.event_id) as outcome
            from redrive_messages m join dead_letters d on d.id = m.dead_letter_id
            left join redrive_returns r using (redrive_id, dead_letter_id)
            where m.redrive_id = $1""",
            redrive_id,
        )
        return {row["id"]: _fate(row, processed_before) for row in rows}

    async def written(self) -> set[tuple[str, str]]:
        rows = await self.connection.fetch("select source, event_id from payment_logs")
        return {(row["source"], row["event_id"]) for row in rows}


def _fate(row: Any, processed_before: set[tuple[str, str]]) -> str:
    if row["returned_id"] is not None:
        return "illegal"
    if row["parked"]:
        return "orphan"
    if row["outcome"] is None:
        return "nothing"
    return "noop" if row["outcome"] == "noop" or (row["source"], row["event_id"]) in processed_before else "apply"


def settings_of(stack: Endpoints, dsn: str, **bounds: Any) -> Settings:
    return Settings(
        kafka=KafkaSettings(bootstrap=stack.kafka),
        postgres=PostgresSettings(dsn=SecretStr(dsn)),
        relay=RelaySettings(poll_interval_seconds=0.02, lease_seconds=2.0, backoff_max_seconds=0.3),
        redrive=RedriveSettings(**{"failure_check_seconds": 0.05} | bounds),
    )


@asynccontextmanager
async def redrive_harness(
    stack: Endpoints, database: Database, folder: Path, **bounds: Any
) -> AsyncIterator[RedriveHarness]:
    connection = await asyncpg.connect(database.dsn)
    try:
        async with consumer_processes(stack.kafka, database, folder) as consumers:
            yield RedriveHarness(consumers, connection, settings_of(stack, database.dsn, **bounds))
    finally:
        await connection.close()


async def empty_dlq(stack: Endpoints) -> None:
    """Delete all records of `payments.dlq`: letters that a test put there must not reach the next one's table."""
    places = [TopicPartition(DLQ.name, number) for number in range(KafkaSettings().partitions)]
    reader = AIOKafkaConsumer(bootstrap_servers=stack.kafka)
    await reader.start()
    ends = await reader.end_offsets(places)
    await reader.stop()
    client = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await client.start()
    try:
        await client.delete_records({place: RecordsToDelete(end) for place, end in ends.items()})
    finally:
        await client.close()
