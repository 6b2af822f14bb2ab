"""Making records durable: Kafka with every replica's acknowledgement, or the Postgres spool while Kafka is away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from producers.ingress.publishing.deadlines import Deadlines
from runtime import metrics
from runtime.breaker import Breaker
from runtime.kafka import close_producer, ensure_topics, open_producer, unavailable_after
from runtime.kafka_partitions import partition_of
from runtime.kafka_security import client_arguments
from schemas.errors import UnavailableError
from schemas.topics import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from aiokafka import AIOKafkaProducer

    from producers.ingress.publishing.records import Outgoing
    from runtime.settings import Settings

NOBODY: Final = -1
"""What the client has for the leader of a partition that has none."""

_log = structlog.get_logger()


class Durability(StrEnum):
    """Where a request's records are safe now."""

    KAFKA = "kafka"
    SPOOL = "spool"
    REFETCHES = "refetches"
    """Of a hint: the id that it names waits to be read again."""


class Store(Protocol):
    """What takes records while Kafka does not."""

    async def store(self, records: Sequence[Outgoing]) -> None:
        """Store all or none; raise UnavailableError where that is not certain."""
        ...


Leader = int | None
"""A broker's number; None while nobody knows who leads a partition."""


class Publisher:
    """Owns the producer. `run` keeps it connected; `publish` is the only way records leave.

    A broker that does not answer is left alone, with the partitions that it leads, while the others go on; a partition
    that gets another leader is used again at once. The producer goes on trying to deliver what it has for it: what it
    delivers late is a duplicate that the consumer knows by its id. Once no leader answers, or the client itself fails,
    the producer is given up for a new one: its sequence numbers and its buffered records are of unknown fate.
    """

    def __init__(self, settings: Settings, spool: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        client_arguments(settings.kafka)  # what cannot work is raised now, not at the first webhook
        self._kafka = settings.kafka
        self._deadlines = Deadlines(settings.ingress.publish_timeout_seconds)
        self._pause_seconds = settings.ingress.breaker_seconds
        self._ready_timeout_seconds = settings.ingress.ready_timeout_seconds
        self._spool = spool
        self._monotonic = monotonic
        self._hedges = Deadlines(settings.ingress.hedge_seconds)
        self._quiet_seconds = settings.ingress.publish_timeout_seconds
        self._hedges_max = max(1, int(settings.ingress.publish_timeout_seconds / settings.ingress.hedge_seconds))
        self._heard: Counter[Leader] = Counter()
        self._quiet: dict[Leader, _Quiet] = {}
        self._breaker = Breaker(self._pause_seconds)
        self._breakers: dict[Leader, Breaker] = {}
        metrics.BREAKERS.watch("kafka", self._breaker)
        self._producer: AIOKafkaProducer | None = None
        self._closing: set[asyncio.Task[Any]] = set()
        self._tried = asyncio.Event()
        self._topic_seen = False

    async def publish(self, records: Sequence[Outgoing]) -> Durability:
        """Return once all records are durable; raise UnavailableError when neither Kafka nor the spool takes them.

        Records whose fate in Kafka is unknown go to the spool too: twice is harmless, never is not. Where one of their
        brokers acknowledges nothing at all for `hedge_seconds` the spool is asked beside it, and the first to have
        them answers for both; the next requests ask it at once, until that broker acknowledges something. A broker that
        is only slow is waited for: copies would make it slower.
        """
        producer = self._producer
        if producer is None or not self._breaker.allows(self._monotonic()):
            return await self._spooled(records)
        leaders = {leader_of(producer, record) for record in records}
        if not self._take(leaders):
            self._breaker.abandoned(self._monotonic())
            return await self._spooled(records)
        sending = _Sending(producer, leaders, self._heard)
        try:
            acknowledged = await self._sent(sending, records)
        except asyncio.CancelledError:
            self._abandoned(leaders)
            raise
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the webhook goes to the spool
            self._failed(sending, error, records)
            return await self._spooled(records)
        if not acknowledged:
            return await self._hedge(sending, records)
        self._succeeded(sending)
        return Durability.KAFKA

    async def _sent(self, sending: _Sending, records: Sequence[Outgoing]) -> bool:
        """Tell whether all was acknowledged before a broker that is waited for was silent, in the publish time-out.

        One that was found silent, and has acknowledged nothing since, is not waited for by the next request too.
        """
        if any(self._still_quiet(leader, sending.producer) for leader in sending.leaders):
            return False
        for _ in range(self._hedges_max):
            before = self._heard.copy()
            try:
                with self._hedges.deadline():
                    await sending.send(records)
            except TimeoutError:
                quiet = [leader for leader in sending.silent(records) if self._heard[leader] == before[leader]]
                if quiet:
                    until = self._monotonic() + self._quiet_seconds
                    self._quiet |= {leader: _Quiet(sending.producer, self._heard[leader], until) for leader in quiet}
                    return False
            else:
                return True
        return False

    def _still_quiet(self, leader: Leader, producer: AIOKafkaProducer) -> bool:
        found = self._quiet.get(leader)
        if found is None or found.producer is not producer:
            return False
        return found.heard == self._heard[leader] and self._monotonic() < found.until

    async def _spooled(self, records: Sequence[Outgoing]) -> Durability:
        await self._spool.store(records)
        return Durability.SPOOL

    async def _hedge(self, sending: _Sending, records: Sequence[Outgoing]) -> Durability:
        """Ask the spool while Kafka may still answer; return where the records were durable first.

        `_await_acks` tells the breakers what came of Kafka, whoever leaves meanwhile.
        """
        acking = asyncio.create_task(self._await_acks(sending, records))
        spooling = asyncio.create_task(self._spooled(records))
        try:
            await asyncio.wait((acking, spooling), return_when=asyncio.FIRST_COMPLETED)
            if acking.done() and acking.result():
                return Durability.KAFKA
            if spooling.done() and spooling.exception() is not None and await asyncio.shield(acking):
                return Durability.KAFKA
            return await asyncio.shield(spooling)
        finally:
            for task in (acking, spooling):  # the other one goes on by itself: its outcome is known to nobody yet
                self._keep(task)

    async def _await_acks(self, sending: _Sending, records: Sequence[Outgoing]) -> bool:
        """Wait for what is left of the publish time-out; tell whether Kafka acknowledged all records."""
        try:
            with self._deadlines.deadline():
                await sending.send(records)
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the spool has the webhook
            self._failed(sending, error, records)
            return False
        self._succeeded(sending)
        return True

    def _take(self, leaders: Collection[Leader]) -> bool:
        """Tell whether all these brokers may be tried; one that rests may be tried by one request."""
        now = self._monotonic()
        found = [self._breakers[leader] for leader in leaders if leader in self._breakers]
        return all(breaker.would_allow(now) for breaker in found) and all(breaker.allows(now) for breaker in found)

    def _succeeded(self, sending: _Sending) -> None:
        if sending.producer is self._producer:
            self._breaker.succeeded()
            for leader in sending.leaders:
                self._breakers.pop(leader, None)

    def _abandoned(self, leaders: Collection[Leader]) -> None:
        now = self._monotonic()
        self._breaker.abandoned(now)
        for leader in leaders & self._breakers.keys():
            self._breakers[leader].abandoned(now)

    async def check(self) -> None:
        """Return if Kafka answers on the producer's connection, else raise UnavailableError."""
        if (producer := self._producer) is None:
            raise UnavailableError("Kafka: not connected")
        async with unavailable_after(self._ready_timeout_seconds, "metadata"):
            await producer.client.fetch_all_metadata()

    async def run(self) -> None:
        """Connect, and connect again whenever the producer was given up; runs until it is cancelled."""
        away = None
        while True:
            if self._producer is None:
                try:
                    self._producer = await self._connect()
                except UnavailableError as error:
                    if str(error) != away:
                        _log.warning("kafka_away", error=str(error))
                    away = str(error)
                else:
                    _log.info("kafka_connected")
                    away = None
                self._tried.set()
            await asyncio.sleep(self._pause_seconds)

    async def first_try(self) -> None:
        """Wait for the first attempt to connect, for `ready_timeout_seconds` at most: a start need not spool."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._ready_timeout_seconds):
                await self._tried.wait()

    async def close(self) -> None:
        """Close the producer; every published record was acknowledged before, so nothing is left to flush."""
        if self._producer is not None:
            self._give_up(self._producer)
        while self._closing:
            await asyncio.wait(set(self._closing))

    async def _connect(self) -> AIOKafkaProducer:
        webhooks = self._kafka.topics.webhooks
        if not self._topic_seen:  # asked of any broker, which may be the one that does not answer
            await ensure_topics(self._kafka, (webhooks,))
        self._topic_seen = False
        producer = await open_producer(self._kafka, RECORD_BYTES_MAX)
        try:
            async with unavailable_after(self._kafka.connect_timeout_seconds, "reading the topic's partitions"):
                await producer.partitions_for(webhooks.name)
        except BaseException:
            await close_producer(producer, self._kafka.close_timeout_seconds)
            raise
        self._topic_seen = True
        return producer

    def _failed(self, sending: _Sending, error: Exception, records: Sequence[Outgoing]) -> None:
        """Leave alone who did not answer; a size that a topic refuses is no broker's failure."""
        now, producer = self._monotonic(), sending.producer
        if isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError)):
            self._succeeded(sending)
            _log.error("kafka_refused_size", error=type(error).__name__, topic=records[0].topic)
            return
        if producer is not self._producer:
            return
        silent = sending.silent(records) if isinstance(error, TimeoutError) else frozenset[Leader]()
        for leader in silent:
            self._breakers.setdefault(leader, Breaker(self._pause_seconds)).failed(now)
        if silent and leaders_of(producer, records[0].topic) - self._breakers.keys():
            for leader in sending.leaders - silent:
                self._breakers.pop(leader, None)
            self._breaker.succeeded()
            _log.warning("kafka_broker_silent", brokers=sorted(-1 if one is None else one for one in silent))
            return
        self._breaker.failed(now)
        self._breakers.clear()
        _log.warning("kafka_failed", error=type(error).__name__, detail=str(error))
        self._give_up(producer)

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        self._producer = None
        self._keep(asyncio.create_task(close_producer(producer, self._kafka.close_timeout_seconds)))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        """Hold on to a task that nobody awaits, until it is done."""
        self._closing.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("left_to_itself_failed", error=type(error).__name__)


def leader_of(producer: AIOKafkaProducer, record: Outgoing) -> Leader:
    """Return the broker that leads a record's partition, as far as the client knows."""
    cluster = producer.client.cluster
    partitions = cluster.partitions_for_topic(record.topic)
    if not partitions:
        return None
    leader: Leader = cluster.leader_for_partition(
        TopicPartition(record.topic, partition_of(record.key, len(partitions)))
    )
    return None if leader == NOBODY else leader


def leaders_of(producer: AIOKafkaProducer, topic: str) -> set[Leader]:
    """Return the brokers that lead any partition of a topic, as far as the client knows."""
    cluster = producer.client.cluster
    places = [TopicPartition(topic, number) for number in cluster.partitions_for_topic(topic) or ()]
    return {cluster.leader_for_partition(place) for place in places} - {None, NOBODY}


class _Quiet(NamedTuple):
    """A broker that was found silent: by which producer, after how many acknowledgements, until when it is believed."""

    producer: AIOKafkaProducer
    heard: int
    until: float


@dataclass(slots=True)
class _Sending:
    """Records on their way to Kafka: to which brokers, and their acknowledgements."""

    producer: AIOKafkaProducer
    leaders: set[Leader]
    heard: Counter[Leader]
    acks: list[asyncio.Future[Any]] = field(default_factory=list)

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Hand over what is not handed over yet and wait for all acknowledgements; call it again after a time-out."""
        for record in records[len(self.acks) :]:
            ack = await self.producer.send(record.topic, record.value, record.key, headers=list(record.headers))
            ack.add_done_callback(partial(self._acknowledged, leader_of(self.producer, record)))
            self.acks.append(ack)
        for ack in self.acks:
            await asyncio.shield(ack)

    def _acknowledged(self, leader: Leader, ack: asyncio.Future[Any]) -> None:
        """Note who answered. Nobody may await the outcome any more: unless it is looked at, asyncio complains."""
        if not ack.cancelled() and ack.exception() is None:
            self.heard[leader] += 1

    def silent(self, records: Sequence[Outgoing]) -> frozenset[Leader]:
        """Return the brokers that have not answered for one of the records."""
        waiting = [one for one, ack in zip(records, self.acks, strict=False) if not ack.done()]
        return frozenset(leader_of(self.producer, one) for one in (*waiting, *records[len(self.acks) :]))
