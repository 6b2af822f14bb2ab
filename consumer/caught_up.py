"""Up to when all that had come in is processed: what Kafka holds is compared with what the group committed.

The high watermark of each partition is sampled with the time. When the group has committed that offset, everything
that came before that time is processed. A halted partition, one behind an open transaction, one of nobody, stopped
consumers and a Kafka that is away all show alike: the offset of an old sample is not reached.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import structlog
from aiokafka.errors import KafkaError

from runtime.kafka_ends import EndsReader, partitions_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import TopicPartition

    from runtime.kafka_ends import Ends
    from runtime.settings import Settings

log = structlog.get_logger()

SAMPLES_PER_SPAN: Final = 256
"""A backlog is sampled to this part of its age: the older it gets, the rarer its samples; a month makes some 2,500."""


class Sample(NamedTuple):
    """A partition's high watermark at a time, in unix seconds."""

    offset: int
    at: float


@dataclass(frozen=True, slots=True)
class Reading:
    """`caught_up`: all that had come in by then, in unix seconds, is processed; None where that is not known now.

    `waits_for` says what is furthest behind; empty where nothing is.
    """

    caught_up: float | None
    waits_for: str = ""


class CatchUp:
    """Remembers samples of each partition, and which of them were reached. Pure."""

    def __init__(self) -> None:
        self._pending: dict[TopicPartition, deque[Sample]] = {}
        self._reached: dict[TopicPartition, float] = {}

    def note(self, ends: Mapping[TopicPartition, Ends], committed: Mapping[TopicPartition, int], now: float) -> Reading:
        """Take one look at all partitions in; `now` is when it began, in unix seconds."""
        self._pending = {place: self._pending.get(place, deque()) for place in ends}
        self._reached = {place: at for place, at in self._reached.items() if place in ends}
        behind = {place: self._note(place, found, committed.get(place), now) for place, found in ends.items()}
        if not behind:
            return Reading(None, "none of the topics is there")
        worst = min(behind, key=lambda place: (self._reached.get(place, 0.0), place))
        waits_for = f"{worst.topic}/{worst.partition}: {behind[worst]} offsets not processed" if behind[worst] else ""
        return Reading(self._reached.get(worst), waits_for)

    def _note(self, place: TopicPartition, ends: Ends, committed: int | None, now: float) -> int:
        """Sample one partition; return how many of its offsets are not processed."""
        processed = ends.begin if committed is None else max(committed, ends.begin)
        if processed > ends.high:
            processed = ends.begin
        pending = self._pending[place]
        if pending and pending[-1].offset > ends.high:
            pending.clear()  # the topic was made anew or cut: nobody reaches those offsets
        if pending and pending[-1].offset == ends.high:
            pending[-1] = Sample(ends.high, now)
        elif not pending or now - pending[-1].at >= (now - pending[0].at) / SAMPLES_PER_SPAN:
            pending.append(Sample(ends.high, now))
        while pending and pending[0].offset <= processed:
            self._reached[place] = pending.popleft().at
        return ends.high - processed


class CatchUpReader:
    """Looks at Kafka, through connections that are made anew after a failure. Use it as a context."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka
        self._seconds = settings.parking.lookup_timeout_seconds
        self._catch_up = CatchUp()
        self._stack = AsyncExitStack()
        self._reader: EndsReader | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._close()

    async def look(self, now: float) -> Reading:
        """Return up to when all is processed; where Kafka does not answer that is logged, and nothing raised."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._look(now)
        except (KafkaError, OSError, TimeoutError) as error:
            log.warning("parking_clock_blind", error=type(error).__name__)
            await self._close()
            return Reading(None, f"Kafka does not answer: {type(error).__name__}")

    async def _look(self, now: float) -> Reading:
        if self._reader is None:
            self._reader = await self._stack.enter_async_context(EndsReader(self._kafka, self._seconds))
        topics = self._kafka.topics
        ends = await self._reader.ends(partitions_in(await self._reader.topics(topics.consumed_names)))
        return self._catch_up.note(ends, await self._reader.committed(topics.group), now)

    async def _close(self) -> None:
        self._reader = None
        await self._stack.aclose()
