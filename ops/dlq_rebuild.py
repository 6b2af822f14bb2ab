"""Takes letters of the DLQ topic into the table: after the database was lost, and those that other tools put there.

What is taken in bears `relay_xid` 1, which is below every transaction's id and below the relay's cursor: it is in the
topic already and is never published there again. A letter is known by its place and digest, so nothing is taken in
twice. Letters of ours that came back from a redrive mark the ones they were as redriven; orphans whose event is in the
ledger were applied.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka import TopicPartition

from consumer import rows
from consumer.plan import Letter
from ops.dlq_families import read_back
from ops.topic_reader import reading
from runtime.kafka import unavailable_after
from runtime.kafka_security import client_arguments
from runtime.kafka_topic_ids import TopicFound, topics_of
from runtime.sql import statement
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Mapping, Sequence

    from aiokafka import AIOKafkaConsumer

    from ops.dlq_families import TopicLetter
    from runtime.postgres import Connection
    from runtime.settings import Settings
    from schemas.record import Record

PUBLISHED_XID: Final = 1
NOWHERE: Final = TopicFound(None, frozenset())
POLL_MILLISECONDS: Final = 200
YEAR_10000_MS: Final = 253_402_300_800_000


@dataclass(slots=True)
class TakenIn:
    """What was found: records read, letters taken in (by whom they were put there), letters of ours left for a rebuild.

    `complete` is True where everything up to the end, as it was at the beginning, was read; `made_anew` where the topic
    is another one than at the last look, so that it was read from its beginning.
    """

    read: int = 0
    added: int = 0
    added_foreign: int = 0
    unknown_ours: int = 0
    complete: bool = True
    made_anew: bool = False


class Position(NamedTuple):
    """How far a partition was read, of which topic; its id is None where brokers gave none."""

    next_offset: int
    topic_id: uuid.UUID | None

    def is_of(self, topic: TopicFound) -> bool:
        """Tell whether the position is one in this topic, as far as is known."""
        return self.topic_id is None or topic.topic_id is None or self.topic_id == topic.topic_id


async def rebuild(connection: Connection, settings: Settings) -> TakenIn:
    """Read the whole topic and take in every letter that the table does not know.

    Raises UnavailableError when Kafka does not answer, or nothing comes for `rebuild_wait_seconds`.
    """
    found = await _read(connection, settings, {}, ours_too=True, seconds=None)
    await connection.execute(statement("ops", "note_returned_letters"))
    await connection.execute(statement("ops", "note_applied_letters"))
    if not found.complete:
        seconds = settings.redrive.rebuild_wait_seconds
        name = settings.kafka.topics.dlq.name
        raise UnavailableError(f"Kafka: no more of {name} came for {seconds:g} s; run it again, nothing is lost")
    return found


async def take_in(connection: Connection, settings: Settings) -> TakenIn:
    """Take in the letters that other tools put there since the last look; read for `take_in_seconds` at most.

    Raises UnavailableError when Kafka does not answer.
    """
    positions = {
        row["partition"]: Position(row["next_offset"], row["topic_id"])
        for row in await connection.fetch(statement("ops", "read_positions"))
    }
    seconds, name = settings.redrive.take_in_seconds, settings.kafka.topics.dlq.name
    async with unavailable_after(seconds + settings.ops.lookup_timeout_seconds, f"looking through {name}"):
        return await _read(connection, settings, positions, ours_too=False, seconds=seconds)


async def _read(
    connection: Connection,
    settings: Settings,
    positions: Mapping[int, Position],
    *,
    ours_too: bool,
    seconds: float | None,
) -> TakenIn:
    """Read from these positions to the end, part by part; each part's letters and positions are written together."""
    patience = settings.redrive.rebuild_wait_seconds if seconds is None else seconds
    from consumer.fetched import record_of

    async with reading(settings, settings.kafka.topics.dlq.name) as consumer:
        # The id first: where the topic is made anew from here on, offsets count as the old one's, and are read again.
        topic = await _topic(settings)
        others = {number for number, position in positions.items() if not position.is_of(topic)}
        found = TakenIn(made_anew=bool(others & topic.partitions))
        known = {number: position.next_offset for number, position in positions.items() if number not in others}
        ends = await _assign(consumer, settings.kafka.topics.dlq.name, topic, known)
        await _note(connection, topic, await _reached(consumer, ends))  # also the id alone may be new
        until = time.monotonic() + patience
        while await _behind(consumer, ends):
            if time.monotonic() > until:
                found.complete = False
                break
            parts = await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=settings.redrive.read_records_max)
            records = [record_of(message) for part in parts.values() for message in part]
            if records and seconds is None:
                until = time.monotonic() + patience
            reached = await _reached(consumer, ends)
            async with connection.transaction():
                await _take(connection, records, found, ours_too=ours_too)
                await _note(connection, topic, reached)
    return found


async def _topic(settings: Settings) -> TopicFound:
    """Return the topic, without id and partitions where it is not there yet."""
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(
        **client_arguments(settings.kafka),
        request_timeout_ms=int(settings.ops.lookup_timeout_seconds * 1000),
    )
    try:
        await admin.start()
        name = settings.kafka.topics.dlq.name
        return (await topics_of(admin, [name])).get(name, NOWHERE)
    finally:
        with contextlib.suppress(Exception):
            await admin.close()


async def _assign(
    consumer: AIOKafkaConsumer, name: str, topic: TopicFound, positions: Mapping[int, int]
) -> dict[TopicPartition, int]:
    """Assign all partitions and seek; return their ends. A topic that is not there, or was cut, is no error."""
    places = [TopicPartition(name, number) for number in sorted(topic.partitions)]
    if not places:
        return {}
    consumer.assign(places)
    ends, begins = await consumer.end_offsets(places), await consumer.beginning_offsets(places)
    for place in places:
        start = positions.get(place.partition, 0)
        consumer.seek(place, start if begins[place] <= start <= ends[place] else begins[place])
    return dict(ends)


async def _behind(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    """Tell whether anything up to the ends is still to come."""
    return any([await consumer.position(place) < end for place, end in ends.items()])


async def _take(connection: Connection, records: Sequence[Record], found: TakenIn, *, ours_too: bool) -> None:
    """Write what is new of these."""
    letters = [read_back(record) for record in records]
    found.read += len(letters)
    unknown = await _unknown(connection, letters)
    wanted = [one for one in unknown if ours_too or not one.ours]
    await connection.executemany(statement("ops", "take_in_letter"), [_arguments(one) for one in wanted])
    found.added += len(wanted)
    found.added_foreign += sum(not one.ours for one in wanted)
    found.unknown_ours += len(unknown) - len(wanted)


async def _reached(consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> dict[int, int]:
    """Return where reading is, by partition."""
    return {place.partition: await consumer.position(place) for place in places}


async def _note(connection: Connection, topic: TopicFound, reached: dict[int, int]) -> None:
    """Write how far the topic was read."""
    await connection.execute(statement("ops", "note_positions"), list(reached), list(reached.values()), topic.topic_id)


async def _unknown(connection: Connection, letters: Sequence[TopicLetter]) -> list[TopicLetter]:
    """Return the letters that the table does not hold, each once."""
    by_place: dict[tuple[str, int, int, bytes], TopicLetter] = {}
    for one in letters:
        digest = one.digest or _letter(one).digest
        place = (one.record.topic, one.record.partition, one.record.offset, digest)
        by_place.setdefault(place, one)
    known = await connection.fetch(statement("ops", "find_places"), *rows.columns(by_place, 4))
    for row in known:
        by_place.pop((row["topic"], row["partition"], row["offset"], row["digest"]))
    return list(by_place.values())


def _letter(one: TopicLetter) -> Letter:
    return Letter(one.record, one.reason, one.message)


def _arguments(one: TopicLetter) -> tuple[object, ...]:
    """Return the arguments of take_in_letter.sql: those of the consumer's own letters, and the deliveries."""
    timestamp_ms = one.record.timestamp_ms
    known = 0 < timestamp_ms < YEAR_10000_MS
    when = dt.datetime.fromtimestamp(timestamp_ms / 1000 if known else time.time(), dt.UTC)
    return (*rows.letter_arguments(_letter(one), PUBLISHED_XID, when), one.delivery_count)
