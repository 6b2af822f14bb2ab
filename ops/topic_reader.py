"""Reads a topic from where the caller says, in no group: nothing is committed, and nobody's partitions move."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from runtime.kafka import opening
from runtime.kafka_security import client_arguments

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiokafka import AIOKafkaConsumer

    from runtime.settings import Settings


@contextlib.asynccontextmanager
async def reading(settings: Settings, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a consumer of no group; raise UnavailableError for every error of the client, naming the topic."""
    from aiokafka import AIOKafkaConsumer

    from runtime.kafka_records import bound_fetches, tolerate_odd_headers

    tolerate_odd_headers()
    bound_fetches(settings.consumer.partition_fetch_bytes_max)
    consumer = AIOKafkaConsumer(
        **client_arguments(settings.kafka),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        request_timeout_ms=int(settings.ops.lookup_timeout_seconds * 1000),
    )
    try:
        async with opening(settings.kafka, None, f"reading {topic}"):
            await consumer.start()
            yield consumer
    finally:
        with contextlib.suppress(Exception):
            await consumer.stop()
