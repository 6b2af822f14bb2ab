"""The Kafka client's edges: topics made once, a producer that reaches them, and brokers that are away or hang."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import running_ingress as running
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaConnectionError
from freezing import freeze

from runtime import kafka
from runtime.settings import KafkaSettings
from schemas import topics
from schemas.errors import SettingsError, UnavailableError

pytestmark = pytest.mark.integration

NOWHERE = KafkaSettings(bootstrap="127.0.0.1:1", connect_timeout_seconds=0.5, request_timeout_seconds=0.5)


async def topic_settings(bootstrap: str, name: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(10):
            while True:  # the broker may not know yet what its controller has made
                (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
                if found := {entry[0]: entry[1] for entry in answer.resources[0][4]}:
                    return found
                await asyncio.sleep(0.02)
    finally:
        await admin.close()


async def test_topics_are_made_once_with_their_bounds(stack: Any) -> None:
    settings = KafkaSettings(bootstrap=stack.kafka)
    await kafka.ensure_topics(settings)
    await kafka.ensure_topics(settings)
    for topic in topics.ALL:
        found = await topic_settings(stack.kafka, topic.name)
        assert found["max.message.bytes"] == str(topic.record_bytes_max)
        assert found["cleanup.policy"] == ("compact" if topic.compacted else "delete")
        assert topic.compacted or found["retention.ms"] == str(topic.retention_ms)
        assert found["compression.type"] == "producer"


async def test_topics_made_by_two_at_once_are_no_error(stack: Any, unique: Any) -> None:
    settings = KafkaSettings(bootstrap=stack.kafka)
    made = topics.Topic(unique("made"), 1000, 1000)
    await asyncio.gather(*(kafka.ensure_topics(settings, [made]) for _ in range(3)))
    assert (await topic_settings(stack.kafka, made.name))["max.message.bytes"] == "1000"


async def test_a_topic_that_cannot_be_made_says_why(stack: Any, unique: Any) -> None:
    wide = topics.Topic(unique("wide"), 1000, 1000)
    with pytest.raises(UnavailableError, match="InvalidReplicationFactor"):
        await kafka.ensure_topics(KafkaSettings(bootstrap=stack.kafka, replication_factor=9), [wide])


async def test_a_producer_carries_the_largest_record(stack: Any, unique: Any) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    name = unique("large")
    config = {"max.message.bytes": str(topics.RECORD_BYTES_MAX)}
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs=config)])
    await admin.close()
    producer = await kafka.open_producer(KafkaSettings(bootstrap=stack.kafka), topics.RECORD_BYTES_MAX)
    try:
        ack = await producer.send_and_wait(name, b"x" * (topics.RECORD_BYTES_MAX - 1024), b"key")
        assert ack.offset == 0
    finally:
        await kafka.close_producer(producer, 5)


async def test_a_broker_that_is_away_or_hangs_is_unavailable_in_time() -> None:
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    hanging = NOWHERE.model_copy(update={"bootstrap": f"127.0.0.1:{server.sockets[0].getsockname()[1]}"})
    started = time.monotonic()
    for settings in (NOWHERE, hanging):
        with pytest.raises(UnavailableError):
            await kafka.ping(settings)
        with pytest.raises(UnavailableError):
            await kafka.ensure_topics(settings)
        with pytest.raises(UnavailableError):
            await kafka.open_producer(settings, 1000)
    assert time.monotonic() - started < 6
    for writer in held:
        writer.close()
    server.close()


async def test_a_producer_of_a_broker_that_hangs_is_given_up_in_time(stack: Any) -> None:
    settings = KafkaSettings(bootstrap=stack.kafka)
    await kafka.ensure_topics(settings)
    producer = await kafka.open_producer(settings, topics.RECORD_BYTES_MAX)
    await producer.partitions_for(topics.WEBHOOKS.name)
    broker = running.server_process(stack.kafka)
    freeze(broker)
    try:
        sent = await producer.send(topics.WEBHOOKS.name, b"in flight", b"a", partition=0)
        await asyncio.sleep(0.05)
        queued = await producer.send(topics.WEBHOOKS.name, b"queued", b"a", partition=0)
        started = time.monotonic()
        await kafka.close_producer(producer, 0.3)
        assert time.monotonic() - started < 2
        for ack in (sent, queued):
            with pytest.raises(KafkaConnectionError):
                await ack
    finally:
        broker.resume()


async def test_ping_and_the_missing_address(stack: Any) -> None:
    await kafka.ping(KafkaSettings(bootstrap=stack.kafka))
    with pytest.raises(SettingsError, match="RATCHET_KAFKA__BOOTSTRAP"):
        await kafka.ping(KafkaSettings())
