"""A backlog of records that a codec made small must not fill the consumer's memory."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from consumer_harness import until, webhook
from consumer_processes import PARTITIONS

from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from consumer_harness import Event
    from consumer_processes import Child, ConsumerProcesses

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

RECORDS = 3000
WAITING = 1200
BLANKS = 1_000_000
Item = TypeVar("Item")
RSS_BYTES_MAX = 700 * 1024 * 1024
"""What a container of 1 GiB leaves with some room."""


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Give items in lists of at most so many."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


async def publish(harness: ConsumerProcesses, events: Iterable[Event]) -> None:
    """Publish events with a megabyte of blanks each, compressed, to all partitions in turn."""
    producer = AIOKafkaProducer(
        bootstrap_servers=harness.kafka, compression_type="zstd", max_request_size=2 * BLANKS, max_batch_size=2 * BLANKS
    )
    await producer.start()
    try:
        for numbered in batched(enumerate(events), 50):
            sent = []
            for number, event in numbered:
                value = event.value[:-1] + b" " * BLANKS + b"}"
                sent.append(
                    await producer.send(
                        WEBHOOKS.name, value, key=event.key, headers=list(event.headers), partition=number % PARTITIONS
                    )
                )
            await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def highest_until(child: Child, condition: Callable[[], Awaitable[bool]], what: str) -> int:
    """Wait for a condition; return the most that the process had resident meanwhile."""
    process, highest = psutil.Process(child.process.pid), 0

    async def reached() -> bool:
        nonlocal highest
        highest = max(highest, process.memory_info().rss)
        return await condition()

    await until(reached, what, 300)
    assert child.running
    print(f"highest resident size: {highest / 2**20:.0f} MiB")  # noqa: T201 - the figure of this proof
    return highest


async def test_3000_records_of_a_megabyte_of_blanks_stay_within_700_mib(harness: ConsumerProcesses) -> None:
    await publish(harness, (webhook("payment.created", f"blank-{number}") for number in range(RECORDS)))
    child = harness.spawn()

    async def all_processed() -> bool:
        return await harness.written() >= RECORDS

    assert await highest_until(child, all_processed, f"{RECORDS} events in the ledger") < RSS_BYTES_MAX
    assert (await harness.tables()).letters == []


async def test_1200_parked_events_of_a_megabyte_are_woken_within_700_mib(harness: ConsumerProcesses) -> None:
    """They wait for one payment: the batch that brings it finds more than a batch may have, and wakes them in parts."""
    refunds = (webhook("refund.succeeded", "p", child=f"r{number}", amount=1) for number in range(WAITING))
    await publish(harness, refunds)
    child = harness.spawn()

    async def all_parked() -> bool:
        return await harness.count("parked_events") >= WAITING

    assert await highest_until(child, all_parked, f"{WAITING} parked events") < RSS_BYTES_MAX
    await harness.publish([webhook("payment.captured", "p", child="c", amount=5000)])

    async def all_woken() -> bool:
        return await harness.count("payment_logs") == WAITING + 1

    assert await highest_until(child, all_woken, f"{WAITING} woken events") < RSS_BYTES_MAX
    assert await harness.pool.fetchval("select refunded from payments") == WAITING
    assert (await harness.count("dead_letters"), await harness.count("parked_events")) == (0, 0)
