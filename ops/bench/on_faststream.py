"""FastStream's contenders: the naive handler on its Kafka broker, in the three forms that it offers.

In its favour: no parsing, no validation and no logging by the framework, and acknowledgements by hand, so that offsets
are committed every 100 records (a batch: once a batch) instead of after each.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from faststream.kafka import KafkaBroker
from faststream.middlewares import AckPolicy

from ops.bench.naive import COMMIT_RECORDS
from ops.bench.stage import PARTITIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from faststream.kafka import KafkaMessage

    from ops.bench.naive import Handler

POLL_SECONDS: Final = 0.01
BATCH_RECORDS_MAX: Final = 500
KINDS: Final = ("faststream", "faststream-workers", "faststream-batch")


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a broker is to consume, and in which of the three forms."""

    bootstrap: str
    topic: str
    group: str
    kind: str


async def consume(subscription: Subscription, handler: Handler, wanted: Callable[[], bool]) -> None:
    """Run a broker with one subscriber for as long as records are wanted."""
    broker = KafkaBroker(subscription.bootstrap, logger=None, apply_types=False, ack_policy=AckPolicy.MANUAL)
    options: dict[str, Any] = {"group_id": subscription.group, "auto_offset_reset": "earliest", "decoder": _undecoded}
    if subscription.kind == "faststream-batch":
        process: Callable[..., Any] = _batches(handler)
        options |= {"batch": True, "max_records": BATCH_RECORDS_MAX}
    else:
        process = _records(handler)
        options |= {"max_workers": PARTITIONS} if subscription.kind == "faststream-workers" else {}
    broker.subscriber(subscription.topic, **options)(process)
    async with broker:
        await broker.start()
        while wanted():  # noqa: ASYNC110 - the framework owns the loop
            await asyncio.sleep(POLL_SECONDS)


async def _undecoded(message: KafkaMessage) -> KafkaMessage:
    return message


def _records(handler: Handler) -> Callable[..., Any]:
    """Return the handler of single records; each consumer commits for its own partitions."""
    since_commit: dict[int, int] = {}

    async def process(message: Any) -> None:
        await handler.process(message.raw_message)
        consumer = id(message.consumer)
        since_commit[consumer] = since_commit.get(consumer, 0) + 1
        if since_commit[consumer] >= COMMIT_RECORDS:
            since_commit[consumer] = 0
            await message.ack()

    return process


def _batches(handler: Handler) -> Callable[..., Any]:
    async def process(message: Any) -> None:
        for one in message.raw_message:
            await handler.process(one)
        await message.ack()

    return process
