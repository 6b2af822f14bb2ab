"""Making records durable: Kafka with every replica's acknowledgement, or the Postgres spool while Kafka is away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from producers.ingress.deadlines import Deadlines
from runtime import metrics
from runtime.breaker import Breaker
from runtime.kafka import close_producer, ensure_topics, open_producer, unavailable_after
from runtime.kafka_security import client_arguments
from schemas.errors import UnavailableError
from schemas.topics import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiokafka import AIOKafkaProducer

    from producers.ingress.records import Outgoing
    from runtime.settings import Settings

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


class Publisher:
    """Owns the producer. `run` keeps it connected; `publish` is the only way records leave.

    A producer that failed is given up for a new one: its sequence numbers and its buffered records are of unknown fate,
    and what it may still deliver is a duplicate that the consumer knows by its id.
    """

    def __init__(self, settings: Settings, spool: Store, monotonic: Callable[[], float] = time.monotonic) -> None:
        client_arguments(settings.kafka)  # what cannot work is told now, not at the first webhook
        self._kafka = settings.kafka
        self._deadlines = Deadlines(settings.ingress.publish_timeout_seconds)
        self._pause_seconds = settings.ingress.breaker_seconds
        self._ready_timeout_seconds = settings.ingress.ready_timeout_seconds
        self._spool = spool
        self._monotonic = monotonic
        self._breaker = Breaker(self._pause_seconds)
        metrics.BREAKERS.watch("kafka", self._breaker)
        self._producer: AIOKafkaProducer | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._tried = asyncio.Event()

    async def publish(self, records: Sequence[Outgoing]) -> Durability:
        """Return once all records are durable; raise UnavailableError when neither Kafka nor the spool takes them.

        Records whose fate in Kafka is unknown go to the spool too: twice is harmless, never is not.
        """
        producer = self._producer
        if producer is not None and self._breaker.allows(self._monotonic()) and await self._acked(producer, records):
            return Durability.KAFKA
        await self._spool.store(records)
        return Durability.SPOOL

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
        await ensure_topics(self._kafka, (webhooks,))
        producer = await open_producer(self._kafka, RECORD_BYTES_MAX)
        try:
            async with unavailable_after(self._kafka.connect_timeout_seconds, "reading the topic's partitions"):
                await producer.partitions_for(webhooks.name)
        except BaseException:
            await close_producer(producer, self._kafka.close_timeout_seconds)
            raise
        return producer

    async def _acked(self, producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> bool:
        """Tell whether Kafka acknowledged all records; a failure opens the breaker."""
        try:
            with self._deadlines.deadline():
                await _send(producer, records)
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            self._breaker.succeeded()
            _log.error("kafka_refused_size", error=type(error).__name__, topic=records[0].topic)
            return False
        except Exception as error:  # noqa: BLE001 - whatever the client raises, the webhook goes to the spool
            self._failed(producer, error)
            return False
        except asyncio.CancelledError:
            self._breaker.abandoned(self._monotonic())
            raise
        if producer is self._producer:
            self._breaker.succeeded()
        return True

    def _failed(self, producer: AIOKafkaProducer, error: Exception) -> None:
        if producer is not self._producer:
            return
        self._breaker.failed(self._monotonic())
        _log.warning("kafka_failed", error=type(error).__name__, detail=str(error))
        self._give_up(producer)

    def _give_up(self, producer: AIOKafkaProducer) -> None:
        self._producer = None
        task = asyncio.create_task(close_producer(producer, self._kafka.close_timeout_seconds))
        self._closing.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("producer_close_failed", error=type(error).__name__)


async def _send(producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> None:
    """Hand over all records, then wait for all acknowledgements."""
    acks: list[asyncio.Future[Any]] = []
    try:
        for record in records:
            ack = await producer.send(record.topic, record.value, record.key, headers=list(record.headers))
            acks.append(ack)
        for ack in acks:
            await ack
    except BaseException:
        for ack in acks:
            ack.add_done_callback(_forget)
        raise


def _forget(ack: asyncio.Future[Any]) -> None:
    """Look at the outcome that nobody awaits any more, or asyncio would complain of it."""
    with contextlib.suppress(asyncio.CancelledError):
        ack.exception()
