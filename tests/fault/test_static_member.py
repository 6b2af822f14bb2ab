"""A consumer with an instance id: back at once after a kill, and never two of one id."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from consumer_harness import until, webhook
from consumer_processes import ConsumerProcesses, consumer_processes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

LONG_SESSION_SECONDS = 90.0
"""So long that only a static member can have its partitions back within the test."""


@pytest.fixture
async def harness(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    async with consumer_processes(stack.kafka, database, tmp_path) as made:
        yield made


async def test_a_killed_consumer_gets_its_partitions_back_at_once(harness: ConsumerProcesses) -> None:
    limits = {"instance_id": "slot-1", "session_timeout_seconds": LONG_SESSION_SECONDS}
    first = harness.spawn(limits=limits)
    await harness.publish([webhook("payment.created", "before")])
    await harness.until_written(1)
    first.kill()
    began = time.monotonic()
    second = harness.spawn(limits=limits)
    await harness.publish([webhook("payment.created", "after")])
    await harness.until_written(2, within_seconds=LONG_SESSION_SECONDS / 2)
    assert time.monotonic() - began < LONG_SESSION_SECONDS / 2
    assert len(second.lines("partitions_assigned")) == 1
    await harness.until_no_lag()


@pytest.mark.slow
async def test_a_second_consumer_of_the_same_id_is_refused_and_disturbs_nobody(harness: ConsumerProcesses) -> None:
    first = harness.spawn(limits={"instance_id": "slot-2"})
    await harness.publish([webhook("payment.created", "one")])
    await harness.until_written(1)
    second = harness.spawn(limits={"instance_id": "slot-2"})

    async def refused() -> bool:
        return not second.running

    await until(refused, "the second one ends", 60)
    assert second.process.returncode == 2
    assert "INSTANCE_ID=slot-2 is in use by another consumer" in second.lines("role_failed")[0]["error"]
    assert not second.lines("partitions_assigned"), "it never joined the group"
    await harness.publish([webhook("payment.created", "two")])
    await harness.until_written(2)
    assert first.running
    assert len(first.lines("partitions_assigned")) == 1, "and the first one never lost its place"
