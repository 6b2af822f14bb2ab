"""A consumer whose connections are lost at any moment goes on reading, on the event loop that the roles have."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
from aiokafka.protocol.metadata import MetadataRequest
from waiting import until

from consumer.role import leave, make_consumer
from runtime.kafka import close_producer, ensure_topics, open_producer
from runtime.kafka_tasks import ended_task
from runtime.settings import ConsumerSettings, KafkaSettings, Settings
from schemas.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import AIOKafkaConsumer

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

PATIENCE_SECONDS = 30.0
TURNS_MAX = 8
"""How many turns of the loop lie between a loss and the moment at which the client has noticed it, and some more."""


async def read(consumer: AIOKafkaConsumer) -> list[bytes]:
    fetched = await consumer.getmany(timeout_ms=200)
    return [message.value for messages in fetched.values() for message in messages]


async def lose_connections(consumer: AIOKafkaConsumer, turns: int) -> None:
    """Break all connections under one request, and have the client ask for metadata so many turns of the loop later."""
    client: Any = consumer._client
    live = [connection for connection in client._conns.values() if connection.connected()]
    for connection in live:
        with socket.socket(fileno=os.dup(connection._writer.get_extra_info("socket").fileno())) as same:
            same.shutdown(socket.SHUT_WR)  # the next write fails: broken pipe
    asked = [asyncio.ensure_future(connection.send(MetadataRequest([]))) for connection in live]
    for _ in range(turns):
        await asyncio.sleep(0)
    updated = client.force_metadata_update()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.gather(*asked, return_exceptions=True)
        await asyncio.wait([updated, client._sync_task], return_when=asyncio.FIRST_COMPLETED)


async def go_on_reading(settings: Settings, topic: Topic) -> None:
    consumer = make_consumer(settings)
    producer = await open_producer(settings.kafka, 1000)
    await consumer.start()
    try:
        consumer.subscribe([topic.name])
        await until(consumer.assignment)
        await consumer.seek_to_beginning()
        for number in range(3 * TURNS_MAX):
            await lose_connections(consumer, number % TURNS_MAX)
            assert ended_task(consumer) is None, f"{number % TURNS_MAX} turns after the loss"
        await producer.send_and_wait(topic.name, b"after all of them")
        found: list[bytes] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not found:
                found += await read(consumer)
        assert found == [b"after all of them"]
    finally:
        await leave(consumer, 1.0)
        await close_producer(producer, PATIENCE_SECONDS)


async def test_a_consumer_whose_connections_are_lost_as_it_writes_goes_on_reading(
    stack: Endpoints, unique: Callable[[str], str]
) -> None:
    """On uvloop the client's tasks ended, and it stayed in its group and read nothing (aio-libs/aiokafka#1038)."""
    kafka = KafkaSettings(bootstrap=stack.kafka, group=unique("lossy"), partitions=1)
    topic = Topic(unique("lossy"), 10_000, 3_600_000)
    await ensure_topics(kafka, (topic,))
    await asyncio.to_thread(uvloop.run, go_on_reading(Settings(kafka=kafka, consumer=ConsumerSettings()), topic))
