"""A backlog of records that a codec made small must not fill the consumer's memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psutil
import pytest
from aiokafka import AIOKafkaProducer
from consumer_stage import PARTITIONS
from settling import until, webhook

from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from consumer_stage import Stage

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

RECORDS = 3000
BLANKS = 1_000_000
RSS_BYTES_MAX = 700 * 1024 * 1024
"""What a container of 1 GiB leaves with some room."""


async def test_3000_records_of_a_megabyte_of_blanks_stay_within_700_mib(scene: Stage) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=scene.kafka, compression_type="zstd", max_request_size=2 * BLANKS, max_batch_size=2 * BLANKS
    )
    await producer.start()
    try:
        for first in range(0, RECORDS, 50):
            sent = []
            for number in range(first, first + 50):
                event = webhook("payment.created", f"blank-{number}")
                value = event.value[:-1] + b" " * BLANKS + b"}"
                sent.append(
                    await producer.send(
                        WEBHOOKS.name, value, key=event.key, headers=list(event.headers), partition=number % PARTITIONS
                    )
                )
            await asyncio.gather(*sent)
    finally:
        await producer.stop()
    child = scene.spawn()
    process = psutil.Process(child.process.pid)
    highest = 0

    async def all_settled() -> bool:
        nonlocal highest
        highest = max(highest, process.memory_info().rss)
        return await scene.settled() >= RECORDS

    await until(all_settled, f"{RECORDS} events in the books", 300)
    books = await scene.books()
    assert books.letters == []
    assert child.running
    print(f"highest resident size: {highest / 2**20:.0f} MiB")  # noqa: T201 - the figure of this proof
    assert highest < RSS_BYTES_MAX
