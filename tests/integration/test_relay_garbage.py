"""What the relay carries is gone with its batch: no cycle of garbage, and nothing that stays.

Roles look for cycles seldom (`runtime.gc_tuning`), so what a batch leaves would be there for hours.
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import asyncpg
import pytest
from relay_rows import add_payment, change, relaying, settings_for
from waiting import until

if TYPE_CHECKING:
    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

BATCHES = 40
"""Of one row each. A leak of one object a batch is more than what else happens in the process leaves."""
TRIES = 3


async def test_a_batch_leaves_nothing_behind(stack: Endpoints, database: Database) -> None:
    connection = await asyncpg.connect(database.dsn)
    payment = await add_payment(connection)
    done = 0
    try:
        async with relaying(settings_for(stack, database.dsn, batch_records_max=1)) as probe:

            async def carry() -> None:
                nonlocal done
                await change(connection, payment, versions=BATCHES)
                done += BATCHES
                await until(lambda: probe.facts.get("published", {}).get("changes") == done)
                await asyncio.sleep(0.2)  # the answer of the last batch is let go of

            await carry()
            for _ in range(TRIES):  # a leak grows each time, a look beside the batches once
                gc.collect()
                before = len(gc.get_objects())
                gc.disable()
                try:
                    await carry()
                    assert gc.collect() < BATCHES
                    grown = len(gc.get_objects()) - before
                finally:
                    gc.enable()
                if grown < BATCHES:
                    break
            assert grown < BATCHES
    finally:
        await connection.close()
