"""Where partitions begin and end, what holds them back, who reads them: what Kafka says, without joining a group."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaError, for_code

from runtime.kafka_records import tolerate_odd_headers
from runtime.kafka_security import client_arguments
from runtime.kafka_topic_ids import IdsSeen, topics_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from types import TracebackType

    from runtime.kafka_topic_ids import TopicFound
    from runtime.settings import KafkaSettings

STABLE: Final = "Stable"
"""The state of a group in which each member has its partitions."""
FIRST_RECORD_BYTES: Final = 1024
FIRST_RECORD_WAIT_MS: Final = 500


@dataclass(frozen=True, slots=True)
class Ends:
    """Offsets of one partition: `begin` is its first record's.

    `high` is the high watermark, the next record's. `stable` is the last stable offset: the first one that belongs to
    an open transaction, from which on readers of committed records get nothing; equal to `high` where none is open.
    `held_since` is when that transaction's first record was made, in unix seconds, by its producer's clock.
    """

    begin: int
    stable: int
    high: int
    held_since: float | None = None


class ConsumerGroup(NamedTuple):
    """A consumer group: Kafka's word for its state, and the partitions that its members have."""

    state: str
    held: frozenset[TopicPartition]


class EndsReader:
    """Three connections: what is written, what is committed, and who reads. Use it as a context."""

    def __init__(self, settings: KafkaSettings, seconds: float) -> None:
        tolerate_odd_headers()
        reached: dict[str, Any] = dict(client_arguments(settings))
        reached["request_timeout_ms"] = int(seconds * 1000)
        self._seconds = seconds
        self._admin = AIOKafkaAdminClient(**reached)
        self._all = AIOKafkaConsumer(
            **reached, enable_auto_commit=False, auto_offset_reset="none", max_partition_fetch_bytes=FIRST_RECORD_BYTES
        )
        self._committed = AIOKafkaConsumer(**reached, enable_auto_commit=False, isolation_level="read_committed")
        self._ids = IdsSeen()
        self._began: dict[TopicPartition, tuple[int, float | None]] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            for client in (self._admin, self._all, self._committed):
                self._stack.push_async_callback(self._close, client)
            for client in (self._admin, self._all, self._committed):
                await client.start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _close(self, client: Any) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self._seconds):
                await (client.close() if client is self._admin else client.stop())

    async def topics(self, names: Collection[str]) -> dict[str, TopicFound]:
        """Return those of these topics that exist; raise the client's error where one may not be looked at."""
        found = await topics_of(self._admin, names)
        for anew in self._ids.note(found):
            self._began = {place: began for place, began in self._began.items() if place.topic != anew}
        return found

    async def ends(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, Ends]:
        """Return where these partitions, which exist, begin and end."""
        places = list(partitions)
        begins = await self._all.beginning_offsets(places)
        # In this order: what is written between the two must not look as if a transaction held it.
        highs = await self._all.end_offsets(places)
        stable = await self._committed.end_offsets(places)
        found = {place: Ends(begins[place], min(stable[place], highs[place]), highs[place]) for place in places}
        for place, ends in found.items():
            if ends.stable < ends.high:
                since = await self._held_since(place, ends.stable)
                found[place] = Ends(ends.begin, ends.stable, ends.high, since)
        return found

    async def _held_since(self, place: TopicPartition, offset: int) -> float | None:
        """Return when the record there was made; asked once an offset. None where it can't be read, or is gone."""
        known = self._began.get(place)
        if known is None or known[0] != offset:
            self._began[place] = known = offset, await self._time_of(place, offset)
        return known[1]

    async def _time_of(self, place: TopicPartition, offset: int) -> float | None:
        self._all.assign([place])
        try:
            self._all.seek(place, offset)
            found = await self._all.getmany(place, timeout_ms=FIRST_RECORD_WAIT_MS, max_records=1)
        except KafkaError:  # it may be deleted by now, or we may look at the topic and not read it
            return None
        finally:
            self._all.assign([])
        records = found.get(place, [])
        return records[0].timestamp / 1000 if records else None

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Return the offsets that the group committed."""
        found = await self._admin.list_consumer_group_offsets(group)
        return {place: one.offset for place, one in found.items() if one.offset >= 0}

    async def group(self, name: str) -> ConsumerGroup:
        """Return who reads what."""
        (answer,) = await self._admin.describe_consumer_groups([name])
        code, _, state, _, _, members, *_ = answer.groups[0]
        if code:
            raise for_code(code)(name)
        held = (ConsumerProtocol.ASSIGNMENT.decode(member[-1]).partitions() for member in members if member[-1])
        return ConsumerGroup(state, frozenset(place for places in held for place in places))


def partitions_in(found: Mapping[str, TopicFound]) -> list[TopicPartition]:
    """Return the partitions of these topics, sorted."""
    return sorted(TopicPartition(name, number) for name, topic in found.items() for number in topic.partitions)
