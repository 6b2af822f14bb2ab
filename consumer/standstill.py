"""Which partitions stand still, since when and why; and what the group does not read although it is there.

Kafka tells none of it by itself: a partition that nobody has, one behind an open transaction and one of a topic that
was deleted and made anew all look as if there were nothing to read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import structlog

from consumer.partition_reports import show_lag
from runtime import metrics
from runtime.kafka_ends import STABLE, partitions_in
from runtime.kafka_topic_ids import IdsSeen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiokafka import TopicPartition

    from consumer.loop import ConsumerLoop
    from runtime.kafka_ends import Ends, EndsReader
    from schemas.topics import Topics

log = structlog.get_logger()

LOOKS_BEFORE_REJOINING: Final = 2
"""A partition must be nobody's at so many looks in a row: the leader shares out a new one by itself, if it can."""


class Cause(StrEnum):
    """Why a partition stands still. None of them is mended by waiting alone, and none by a restart but HALTED."""

    HALTED = "halted"
    """Too many records in a row failed; a restart takes it up again."""
    OPEN_TRANSACTION = "open_transaction"
    """A publisher's transaction has not ended: what is behind its first record is given to nobody."""
    UNASSIGNED = "unassigned"
    """It exists, and no member of the group has it."""


@dataclass(frozen=True, slots=True)
class Standstill:
    """A partition that has something to read and is not read further.

    `since` is unix seconds: when the open transaction's first record was made, else when it was first seen. `waiting`
    is how many offsets lie between what was read and the high watermark.
    """

    topic: str
    partition: int
    cause: Cause
    since: float
    waiting: int


class PartitionWatch:
    """Looks at all partitions of our topics, again and again, and acts where nobody else would."""

    def __init__(self, loop: ConsumerLoop, topics: Topics, clock: Callable[[], float] = time.time) -> None:
        self._loop = loop
        self._topics = topics
        self._clock = clock
        self._ids = IdsSeen()
        self._unassigned_looks = 0
        self._found: dict[TopicPartition, Standstill] = {}

    @property
    def standstills(self) -> tuple[Standstill, ...]:
        """What stood still at the last look, in order of topics and partitions.

        An open transaction stands here as soon as it is seen: most end within milliseconds.
        """
        return tuple(self._found[place] for place in sorted(self._found))

    def since(self, topic: str, partition: int) -> Standstill | None:
        """Tell since when a partition stands still, and why; None where it was read on at the last look."""
        return next((one for one in self.standstills if (one.topic, one.partition) == (topic, partition)), None)

    async def look(self, reader: EndsReader) -> None:
        """Compare what Kafka has with what is read; raises the client's errors."""
        found = await reader.topics(self._topics.consumed_names)
        for made_anew in self._ids.note(found):
            self._loop.read_anew(made_anew)
        places = frozenset(partitions_in(found))
        ends = await reader.ends(places)
        self._loop.note_ends(ends)
        read = {place: offset for place, offset in self._loop.positions().items() if place in places}
        nobodys = await self._nobodys(reader, places)
        if nobodys:
            committed = await reader.committed(self._topics.group)
            read |= {place: max(committed.get(place, 0), ends[place].begin) for place in nobodys}
        show_lag({place: ends[place].high - offset for place, offset in read.items()})
        self._note(ends, read, nobodys)

    async def _nobodys(self, reader: EndsReader, places: frozenset[TopicPartition]) -> frozenset[TopicPartition]:
        """Return the partitions that no member of the group has; at the second look in a row join the group anew."""
        missing = places - self._loop.assigned
        if missing:
            group = await reader.group(self._topics.group)
            missing = missing - group.held if group.state == STABLE else frozenset()
        self._unassigned_looks = self._unassigned_looks + 1 if missing else 0
        if self._unassigned_looks >= LOOKS_BEFORE_REJOINING and self._loop.rejoin(missing):
            self._unassigned_looks = 0
            names = [f"{place.topic}/{place.partition}" for place in sorted(missing)]
            log.warning("partitions_of_nobody", partitions=names, detail="the group is joined anew to share them out")
        return missing

    def _note(
        self,
        ends: Mapping[TopicPartition, Ends],
        read: Mapping[TopicPartition, int],
        nobodys: frozenset[TopicPartition],
    ) -> None:
        now = self._clock()
        found: dict[TopicPartition, Standstill] = {}
        for place, offset in read.items():
            cause, waiting = self._cause(place, offset, ends[place], nobodys), ends[place].high - offset
            if cause is None or (waiting <= 0 and cause is not Cause.HALTED):
                continue
            before = self._found.get(place)
            since = before.since if before is not None and before.cause is cause else now
            if cause is Cause.OPEN_TRANSACTION and (began := ends[place].held_since) is not None:
                since = min(began, now)
            found[place] = Standstill(place.topic, place.partition, cause, since, max(0, waiting))
        self._found = found
        show_standstills(self.standstills, now)

    def _cause(
        self, place: TopicPartition, offset: int, ends: Ends, nobodys: frozenset[TopicPartition]
    ) -> Cause | None:
        if place in nobodys:
            return Cause.UNASSIGNED
        if (place.topic, place.partition) in self._loop.halted:
            return Cause.HALTED
        return Cause.OPEN_TRANSACTION if ends.stable < ends.high and offset >= ends.stable else None


def show_standstills(found: tuple[Standstill, ...], now: float) -> None:
    """Show these in the metrics, and no other."""
    metrics.STANDSTILL_SECONDS.clear()
    for one in found:
        seconds = max(0.0, now - one.since)
        metrics.STANDSTILL_SECONDS.labels(one.topic, str(one.partition), one.cause.value).set(seconds)
