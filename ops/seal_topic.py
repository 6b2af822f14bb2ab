"""Seals in a Kafka topic: published in parts, and the newest whole one read back.

A topic that the schema's owner can't write to keeps a seal as well as a file elsewhere does. A seal proves what it
proves by its signature: who can write to the topic can put something else there, but nothing that verifies. All parts
go to one partition, in order: key is the seal's id, headers say which part of how many.
"""

from __future__ import annotations

import contextlib
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ops.seal import SealError
from ops.topic_reader import reading
from runtime.kafka import close_producer, ensure_topics, open_producer, unavailable_after
from schemas.topics import RECORD_BYTES_MAX, Topic

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from aiokafka import AIOKafkaConsumer, ConsumerRecord

    from runtime.settings import Settings

PART_BYTES: Final = 512 * 1024
PART_HEADER: Final = "ratchet-seal-part"
PARTS_HEADER: Final = "ratchet-seal-parts"
PARTITION: Final = 0
POLL_MILLISECONDS: Final = 200


def seals(name: str) -> Topic:
    """Return the topic as it is made where it is not there: it keeps seals for ever."""
    return Topic(name, RECORD_BYTES_MAX, -1)


async def publish_seal(settings: Settings, topic: str, path: Path) -> int:
    """Publish a finished seal; return in how many parts. Raises UnavailableError, AccessRefusedError."""
    await ensure_topics(settings.kafka, [seals(topic)])
    count = sum(1 for _ in _parts(path))
    key = uuid.uuid4().hex.encode()
    producer = await open_producer(settings.kafka, RECORD_BYTES_MAX, compression="gzip")
    try:
        for number, part in enumerate(_parts(path)):
            headers = [(PART_HEADER, b"%d" % number), (PARTS_HEADER, b"%d" % count)]
            async with unavailable_after(settings.kafka.publish_timeout_seconds, f"publishing a seal to {topic}"):
                await producer.send_and_wait(topic, part, key=key, partition=PARTITION, headers=headers)
    finally:
        await close_producer(producer, settings.kafka.close_timeout_seconds)
    return count


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            yield part


class _Gathering:
    """Puts the parts of seals together in files; one whose parts are all there is the newest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reached: dict[bytes, int] = {}
        self.newest: Path | None = None

    def take(self, record: ConsumerRecord) -> None:
        """Take one record of the topic; what is no part, or follows none, is no seal's."""
        headers = dict(record.headers)
        try:
            number, count = int(headers[PART_HEADER]), int(headers[PARTS_HEADER])
        except (KeyError, ValueError, TypeError):
            return
        key = record.key or b""
        if number != self._reached.get(key, -1) + 1 or not record.value:
            return
        path = self._folder / uuid.uuid5(uuid.NAMESPACE_OID, key.hex()).hex
        with path.open("wb" if number == 0 else "ab") as file:
            file.write(record.value)
        self._reached[key] = number
        if number + 1 == count:
            del self._reached[key]
            self.newest = path.replace(self._folder / "newest.seal")


@contextlib.asynccontextmanager
async def newest_seal(settings: Settings, topic: str) -> AsyncIterator[Path]:
    """Give the newest whole seal of a topic as a file, while it is needed.

    Raises SealError where there is none, UnavailableError where Kafka does not answer.
    """
    with tempfile.TemporaryDirectory(prefix="ratchet-seal-") as folder:
        gathering = _Gathering(Path(folder))
        async with reading(settings, topic) as consumer:
            await _read_all(settings, consumer, topic, gathering)
        if gathering.newest is None:
            raise SealError(f"topic {topic} holds no whole seal")
        yield gathering.newest


async def _read_all(settings: Settings, consumer: AIOKafkaConsumer, topic: str, gathering: _Gathering) -> None:
    from aiokafka import TopicPartition

    if topic not in await consumer.topics():
        raise SealError(f"topic {topic} is not there, or may not be read")
    place = TopicPartition(topic, PARTITION)
    consumer.assign([place])
    await consumer.seek_to_beginning(place)
    end = (await consumer.end_offsets([place]))[place]
    while await consumer.position(place) < end:
        async with unavailable_after(settings.redrive.rebuild_wait_seconds, f"reading a seal of {topic}"):
            found: dict[TopicPartition, list[ConsumerRecord]] = {}
            while not found and await consumer.position(place) < end:
                found = await consumer.getmany(timeout_ms=POLL_MILLISECONDS, max_records=1)
        for records in found.values():
            for record in records:
                gathering.take(record)
