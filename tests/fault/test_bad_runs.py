"""A bad deploy, and records that trip the Kafka client: a partition halts and says so, nothing is poured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from consumer_harness import lives, until, webhook, wrong_payments

from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from conftest import Brokers
    from consumer_processes import ConsumerProcesses

pytestmark = pytest.mark.integration
RUN_MAX = 5
FEW_SECONDS = 8.0
CRC_AT, CHECKED_FROM = 17, 21


async def test_a_run_of_unexpected_errors_halts_the_partition_and_the_others_go_on(harness: ConsumerProcesses) -> None:
    bad = [webhook("payment.created", f"trip-{number}") for number in range(30)]
    child = harness.spawn(limits={"unexpected_run_max": RUN_MAX}, trip="trip-")
    await harness.publish(bad, partition=0)

    async def halted() -> bool:
        return child.health().get("state") == "halted"

    await until(halted, "the consumer shows that it is halted")
    (reported,) = child.lines("partition_halted")
    assert (reported["topic"], reported["partition"]) == (WEBHOOKS.name, 0)
    assert "restart the consumer" in reported["detail"]
    expected = lives(10)
    await harness.publish([event for life in expected for event in life.events()], partition=1)
    tables = await harness.until_applied(50 + RUN_MAX)
    assert wrong_payments(tables, expected) == []
    assert len(tables.letters) <= RUN_MAX + 1
    assert {row["reason"] for row in tables.letters} == {"unexpected"}
    assert child.health()["stuck"] is None, "halted is not stuck: a restart would pour the topic into the DLQ"
    assert await child.terminate() == 0
    assert await harness.lag() >= 30 - len(tables.letters), "what is not processed is not committed"
    harness.spawn()
    tables = await harness.until_written(50 + 30)
    await harness.until_no_lag()
    held = {row["event_id"] for row in (*tables.letters, *tables.ledger)}
    assert held >= {event.event_id for event in bad}, "after the mending deploy the rest is processed"


async def publish_raw(kafka: str, name: bytes, partition: int) -> None:
    """Publish a record whose header's name is these bytes, which no client of ours would write."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=False)
    await producer.start()
    try:
        stand_in = "x" * len(name)
        batch = producer.create_batch()
        event = webhook("payment.created", "raw")
        batch.append(timestamp=None, key=event.key, value=event.value, headers=[*event.headers, (stand_in, b"v")])
        raw = bytearray(bytes(batch._build()).replace(stand_in.encode(), name))
        raw[CRC_AT:CHECKED_FROM] = calc_crc32c(bytes(raw[CHECKED_FROM:])).to_bytes(4, "big")
        batch._buffer = bytes(raw)
        await (await producer.send_batch(batch, WEBHOOKS.name, partition=partition))
    finally:
        await producer.stop()


async def test_a_header_name_that_is_no_utf_8(harness: ConsumerProcesses, brokers: Brokers) -> None:
    """Kafka's protocol says that header names are UTF-8; the broker does not check it, and aiokafka decodes it."""
    await publish_raw(brokers.endpoints.kafka, b"wire\xff\xfeodd", 0)
    await harness.publish([webhook("payment.created", "behind")], partition=0)
    await harness.publish([webhook("payment.created", "elsewhere")], partition=1)
    child = harness.spawn()
    tables = await harness.until_written(3, FEW_SECONDS)
    assert {"behind", "elsewhere"} <= set(tables.by_ref)
    assert child.running


async def test_a_header_without_a_value(harness: ConsumerProcesses) -> None:
    event = webhook("payment.created", "bare", event_id="bare")
    headers: Any = (*((name, value) for name, value in event.headers if name != "ce_id"), ("ce_id", None))
    await harness.publish([event._replace(headers=headers), webhook("payment.created", "good")], partition=0)
    child = harness.spawn()
    tables = await harness.until_written(2, FEW_SECONDS)
    assert set(tables.by_ref) == {"good"}
    assert len(tables.letters) == 1
    assert child.running
