"""A consumer that is killed between the payment of an orphan and the orphan's effect: the next one applies it, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from consumer_harness import broken_chains, until, webhook

if TYPE_CHECKING:
    from consumer_processes import ConsumerProcesses

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

SHORT = {"deadline_seconds": 2, "standstill_seconds_min": 1, "sweep_interval_seconds": 0.2}
REFUNDS = 5


async def statuses(harness: ConsumerProcesses) -> list[str]:
    return [row["status"] for row in (await harness.tables()).letters]


@pytest.mark.parametrize("moment", ["before", "within"])
async def test_a_kill_between_an_orphans_payment_and_its_effect(harness: ConsumerProcesses, moment: str) -> None:
    first = harness.spawn(parking=SHORT)
    await harness.publish([webhook("refund.succeeded", "p", child=f"r{n}", amount=100) for n in range(REFUNDS)])

    async def buried() -> bool:
        return await statuses(harness) == ["open"] * REFUNDS

    await until(buried, "the refunds are dead letters")
    assert await first.terminate() == 0
    killed = harness.spawn(parking=SHORT, apply=moment)
    await harness.publish([webhook("payment.captured", "p", child="c")])

    async def gone() -> bool:
        return not killed.running

    await until(gone, "the consumer is killed where it applies them")
    assert killed.process.returncode == -9
    tables = await harness.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 0)]
    assert await buried(), "none has its effect by half"
    assert await harness.count("wake_marks") == 1, "the batch that brought the payment left word"
    await harness.bury_the_dead()
    harness.spawn(parking=SHORT)

    async def applied() -> bool:
        return await statuses(harness) == ["applied"] * REFUNDS

    await until(applied, "the dead letters are applied")
    tables = await harness.tables()
    assert [(row["captured"], row["refunded"]) for row in tables.payments] == [(1000, 100 * REFUNDS)]
    assert (len(tables.ledger), broken_chains(tables)) == (REFUNDS + 1, [])
    assert (await harness.count("wake_marks"), await harness.count("orphan_refs")) == (0, 0)
