"""Kafka is away for longer than a parked event may wait: what it waits for comes afterwards, and it is applied."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from consumer_harness import until, webhook

if TYPE_CHECKING:
    from conftest import Brokers
    from consumer_processes import ConsumerProcesses

pytestmark = [pytest.mark.integration, pytest.mark.slow]
DEADLINE_SECONDS = 5
SHORT = {"deadline_seconds": DEADLINE_SECONDS, "standstill_seconds_min": 1, "sweep_interval_seconds": 0.2}


async def test_no_parked_event_is_buried_while_kafka_is_away(harness: ConsumerProcesses, brokers: Brokers) -> None:
    harness.spawn(parking=SHORT)
    await harness.publish([webhook("refund.succeeded", "p", child="r", amount=100)])

    async def parked() -> bool:
        return await harness.count("parked_events") == 1

    await until(parked, "the refund is parked")
    frozen = brokers.freeze("kafka")
    try:

        async def passed() -> bool:
            query = "select bool_and(clock_timestamp() > parked_at + make_interval(secs => $1)) from parked_events"
            return bool(await harness.pool.fetchval(query, 3.0 * DEADLINE_SECONDS))

        await until(passed, "the deadline passes")
        assert await harness.count("dead_letters") == 0
        reported = await harness.pool.fetchval("select waits_for from parking_clock")
        assert "Kafka does not answer" in reported
    finally:
        brokers.thaw(frozen)
    await harness.publish([webhook("payment.captured", "p", child="c")])

    async def applied() -> bool:
        return bool(await harness.pool.fetchval("select coalesce(sum(refunded), 0) from payments") == 100)

    await until(applied, "the refund is applied")
    tables = await harness.tables()
    assert tables.letters == tables.parked == []
