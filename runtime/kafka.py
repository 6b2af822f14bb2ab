"""Kafka: the topics, the producer and the ping of every role; a broker that is away or hangs is UnavailableError."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    BrokerResponseError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
    for_code,
    kafka_errors,
)

from runtime.kafka_security import away_or_refused, client_arguments
from schemas.errors import AccessRefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from runtime.settings import KafkaSettings
    from schemas.topics import Topic

TOPIC_EXISTS: Final = 36
"""Kafka's error code TOPIC_ALREADY_EXISTS."""
AUTHORIZATION_ERRORS: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
"""The login is right, and an ACL is missing."""


class InvalidRecordError(BrokerResponseError):  # type: ignore[misc]
    """A broker refuses a record for what it is (such as no key in a compacted topic); the client knows no such code."""

    errno = 87
    message = "INVALID_RECORD"
    description = "The broker refuses a record for what it is."


kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)
RECORD_REFUSALS: Final = (
    InvalidRecordError,
    InvalidTimestampError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
"""What a broker refuses about the records of a batch: the same again is refused again."""
REPLICAS_FOR_TWO: Final = 3
"""From so many replicas on a record counts as written once two have it: one broker may be lost, and one away."""
PRODUCE_OVERHEAD_BYTES: Final = 64 * 1024
"""Room in a request beside its largest record: batch header, topic names, other partitions' framing."""


def authorization_kind(error: BaseException) -> type[BaseException] | None:
    """Return which of AUTHORIZATION_ERRORS an error is, or None.

    aiokafka's coordinator hides what refused it to fetch offsets in the text of a bare KafkaError.
    """
    if isinstance(error, AUTHORIZATION_ERRORS):
        return type(error)
    return next((kind for kind in AUTHORIZATION_ERRORS if str(error) == f"KafkaError: {kind.__name__}()"), None)


def not_allowed(what: str, kind: type[BaseException]) -> AccessRefusedError:
    """Return what to raise for one of AUTHORIZATION_ERRORS."""
    return AccessRefusedError(
        f"Kafka: {what} is not allowed ({kind.__name__}): the login is right and an ACL is missing; "
        "deploy/README.md lists what is needed"
    )


@asynccontextmanager
async def unavailable_after(seconds: float | None, what: str) -> AsyncIterator[None]:
    """Turn a time-out of `seconds` and every error of the Kafka client into UnavailableError.

    Where an ACL is missing it is AccessRefusedError. None sets no time-out: what is done then has bounds of its own.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        within = "" if seconds is None else f" in {seconds:g} s"
        raise UnavailableError(f"Kafka: {what} got no answer{within}; is the broker up?") from None
    except AUTHORIZATION_ERRORS as error:
        raise not_allowed(what, type(error)) from error
    except (KafkaError, OSError) as error:
        raise UnavailableError(f"Kafka: {what} failed with {type(error).__name__}") from error


@asynccontextmanager
async def opening(settings: KafkaSettings, seconds: float | None, what: str) -> AsyncIterator[None]:
    """Do as `unavailable_after`, and raise AccessRefusedError where brokers answer and refuse us."""
    try:
        async with unavailable_after(seconds, what):
            yield
    except AccessRefusedError:
        raise
    except UnavailableError as error:
        raise await away_or_refused(settings, str(error)) from error


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(
        **client_arguments(settings), request_timeout_ms=_milliseconds(settings.request_timeout_seconds)
    )
    try:
        await client.start()
        yield client
    finally:
        await client.close()


async def ping(settings: KafkaSettings) -> None:
    """Return if a broker answers a metadata request in time; raise UnavailableError otherwise."""
    async with opening(settings, settings.connect_timeout_seconds, "ping"), _admin(settings) as client:
        await client.describe_cluster()


async def ensure_topics(settings: KafkaSettings, wanted: Iterable[Topic] | None = None) -> None:
    """Create those of the wanted topics (None: of all) that do not exist yet; what exists is left as it is.

    A process asks for what it uses itself: with ACLs it sees no others, and may not create them.
    """
    wanted = settings.topics.all if wanted is None else wanted
    async with opening(settings, settings.request_timeout_seconds, "creating topics"), _admin(settings) as client:
        existing = set(await client.list_topics())
        missing = [topic for topic in wanted if topic.name not in existing]
        if not missing:
            return
        if client._client.cluster.controller is None:  # noqa: SLF001 - the client fails on a young cluster
            raise UnavailableError("Kafka: the cluster has no controller yet; try again")
        answer = await client.create_topics([_new_topic(topic, settings) for topic in missing])
        for name, code, *_ in answer.topic_errors:
            _need_created(name, code)


def _new_topic(topic: Topic, settings: KafkaSettings) -> NewTopic:
    return NewTopic(
        topic.name,
        settings.partitions,
        settings.replication_factor,
        topic_configs={
            **topic.settings(),
            **({"min.insync.replicas": "2"} if settings.replication_factor >= REPLICAS_FOR_TWO else {}),
        },
    )


def _need_created(name: str, code: int) -> None:
    if code in (0, TOPIC_EXISTS):
        return
    why = for_code(code)
    if issubclass(why, AUTHORIZATION_ERRORS):
        raise not_allowed(f"creating topic {name}", why)
    raise UnavailableError(f"Kafka: topic {name} cannot be created: {why.__name__}")


async def open_producer(
    settings: KafkaSettings, record_bytes_max: int, *, idempotent: bool = True, compression: str | None = None
) -> AIOKafkaProducer:
    """Open a producer whose acknowledgement means every in-sync replica has the record, once a call.

    Records are sent as soon as the broker has answered the request before, so batches grow with load and a lone
    record never waits; no compression unless one is asked for: the CPU of one core is the ingress' bound, not the
    network. One that is not `idempotent` numbers nothing, so a batch that is refused leaves no gap behind it; it may
    send one twice. Raises UnavailableError when no broker answers in `connect_timeout_seconds`, AccessRefusedError
    when one refuses us.
    """
    producer = AIOKafkaProducer(
        **client_arguments(settings),
        enable_idempotence=idempotent,
        compression_type=compression,
        acks="all",
        linger_ms=_milliseconds(settings.linger_seconds),
        max_batch_size=settings.producer_batch_bytes_max,
        max_request_size=record_bytes_max + PRODUCE_OVERHEAD_BYTES,
        request_timeout_ms=_milliseconds(settings.request_timeout_seconds),
    )
    try:
        async with opening(settings, settings.connect_timeout_seconds, "opening a producer"):
            await producer.start()
    except BaseException:
        await close_producer(producer, settings.close_timeout_seconds)
        raise
    return producer


async def close_producer(producer: AIOKafkaProducer, within_seconds: float) -> None:
    """Flush and close; past `within_seconds` drop what is not acknowledged and close the connections."""
    try:
        async with asyncio.timeout(within_seconds):
            await producer.stop()
    except (TimeoutError, KafkaError, OSError):
        await _abandon(producer, within_seconds)


async def _abandon(producer: Any, within_seconds: float) -> None:
    """Fail what waits for acknowledgements and cancel the sender: the client's own `stop` would wait for a hung broker.

    The client has no public way to do it, so this knows its insides; a test on a stopped broker guards it.
    """
    accumulator = producer._message_accumulator  # noqa: SLF001
    accumulator.fail_all(KafkaConnectionError("the producer was given up"))
    for batches in accumulator._batches.values():  # noqa: SLF001
        for batch in batches:
            batch._drain_waiter.exception()  # noqa: SLF001 - looked at, or asyncio complains that nobody did
    if (task := producer._sender.sender_task) is not None:  # noqa: SLF001
        task.cancel()
    with contextlib.suppress(TimeoutError, KafkaError, OSError):
        async with asyncio.timeout(within_seconds):
            await producer.client.close()


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)
