"""Where a partition is read on from: the smaller of what Kafka and what this database say was processed.

They differ where the database is older than Kafka: restored from a copy, or a replica that was promoted without the
last transactions. Then what it lacks is read again, and a new epoch begins, for versions count anew.

A copy may be older than the first offset of a partition, and has none of it: then what was committed says by its
metadata which database did it. Committed by this one, or by what it is a copy of, the partition is read from its
beginning. Committed by another one, a new database stands beside an old group, and goes on where that stood.

Our own offset is noted in a transaction of its own, after those of the batches that it speaks of and before the same is
committed to Kafka. Postgres keeps transactions in order, so a copy that has the note has those batches too. Noted in
each batch's transaction, the row of a partition would be one lock for all workers.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import structlog
from aiokafka.errors import KafkaError

from runtime import metrics
from runtime.postgres import classify
from runtime.refusals import PASSING, Failure
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from aiokafka import AIOKafkaConsumer, TopicPartition

    from consumer.offsets import Place
    from runtime.postgres import Pool

log = structlog.get_logger()


class OwnOffsets(Protocol):
    """How far this database says that partitions were processed."""

    async def identity(self) -> str:
        """Return what the database is known by; its copies are known by the same, no other one is."""

    async def read(self, places: Iterable[Place]) -> dict[Place, int]:
        """Return the offset to be read next, of those of which it is known."""

    async def note(self, positions: Mapping[Place, int]) -> None:
        """Keep these: everything before them is in the database."""

    async def begin_epoch(self, because: str) -> None:
        """Let versions count anew."""


class StoredOffsets:
    """Our offsets in `consumer_offsets`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def identity(self) -> str:
        """See `OwnOffsets`."""
        return str(await self._pool.fetchval(statement("consumer", "read_identity")))

    async def read(self, places: Iterable[Place]) -> dict[Place, int]:
        """See `OwnOffsets`."""
        topics, partitions = zip(*sorted(places), strict=True)
        rows = await self._pool.fetch(statement("consumer", "read_offsets"), topics, partitions)
        return {(row["topic"], row["partition"]): row["next_offset"] for row in rows}

    async def note(self, positions: Mapping[Place, int]) -> None:
        """See `OwnOffsets`."""
        rows = sorted((topic, partition, offset) for (topic, partition), offset in positions.items())
        columns = zip(*rows, strict=True)
        await self._pool.execute(statement("consumer", "note_offsets"), *map(list, columns))

    async def begin_epoch(self, because: str) -> None:
        """See `OwnOffsets`."""
        await self._pool.execute(statement("consumer", "begin_epoch"), because)


class Positions:
    """Compares where Kafka and the database say that a partition goes on, once an assignment.

    `unchecked` are the partitions of which that is not known yet: nothing of them may be taken; `postgres_away` says
    that it is Postgres that does not tell. `identity` is what our commits carry as their metadata.
    """

    def __init__(self, own: OwnOffsets, timeout_seconds: float) -> None:
        self._own = own
        self._timeout_seconds = timeout_seconds
        self.unchecked: frozenset[TopicPartition] = frozenset()
        self.postgres_away = False
        self.identity = ""

    def assigned(self, partitions: Iterable[TopicPartition]) -> None:
        """Note an assignment: all of it is to be checked."""
        self.unchecked = frozenset(partitions)

    async def check(self, consumer: AIOKafkaConsumer) -> bool:
        """Go back where the database is older; False where Kafka or Postgres did not answer, or we lost partitions."""
        partitions = self.unchecked
        try:
            async with asyncio.timeout(self._timeout_seconds):
                behind = await self._find_behind(consumer, partitions)
                if behind:
                    with self._asking_postgres():
                        await self._own.begin_epoch("the group's offsets were ahead of the database")
            for place, (ours, _) in behind.items():
                consumer.seek(place, ours)
        except Exception as error:
            if not isinstance(error, KafkaError) and classify(error) not in PASSING:
                raise
            log.warning("positions_not_checked", error=type(error).__name__)
            return False
        for place, (ours, kafkas) in behind.items():
            _report(place, ours, kafkas)
        self.unchecked -= partitions
        return True

    async def _find_behind(
        self, consumer: AIOKafkaConsumer, partitions: frozenset[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """Return the partitions whose offset in the database is below Kafka's, with both.

        Kafka is asked first: an offset is noted before it is committed, so what Kafka knows of us is noted by then.
        """
        with self._asking_postgres():
            self.identity = await self._own.identity()
        kafkas = {place: await _committed(consumer, place) for place in sorted(partitions)}
        with self._asking_postgres():
            ours = await self._own.read((place.topic, place.partition) for place in partitions)
        behind = {}
        for place, (committed, by) in kafkas.items():
            mine = ours.get((place.topic, place.partition))
            if mine is None and by == self.identity:
                mine = (await consumer.beginning_offsets([place]))[place]
            if mine is not None and mine < committed:
                behind[place] = mine, committed
        return behind

    @contextmanager
    def _asking_postgres(self) -> Iterator[None]:
        self.postgres_away = True
        yield
        self.postgres_away = False

    async def note(self, positions: Mapping[Place, int]) -> bool:
        """Keep how far partitions were processed; False where Postgres could not take it now."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._own.note(positions)
        except Exception as error:
            if classify(error) not in PASSING | {Failure.CONFLICT}:
                raise
            log.warning("offsets_not_noted", error=type(error).__name__)
            return False
        return True


async def _committed(consumer: AIOKafkaConsumer, place: TopicPartition) -> tuple[int, str]:
    """Return the offset that the group committed, -1 where none, and its metadata.

    Raises what the client raises; its public method leaves the metadata out.
    """
    found = await consumer._coordinator.fetch_committed_offsets([place])  # noqa: SLF001 - see above
    return (found[place].offset, found[place].metadata or "") if place in found else (-1, "")


def _report(place: TopicPartition, ours: int, kafkas: int) -> None:
    metrics.RECORDS_READ_AGAIN.labels(place.topic, str(place.partition)).inc(kafkas - ours)
    log.error(
        "database_older_than_kafka",
        topic=place.topic,
        partition=place.partition,
        from_offset=ours,
        committed_offset=kafkas,
        detail="the database was restored, or a replica promoted, or offsets were set by hand: records are read again",
    )
