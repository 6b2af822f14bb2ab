"""How far the console counts in one look: the oldest come first, and the place reached is behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from plain_rows import MOMENT, add, lying

from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration


async def test_a_look_counts_the_oldest_of_each_table(database: Database) -> None:
    async with lying(database.owner_dsn) as owner:
        for number, xid in ((2, 6), (1, 5), (3, 7)):
            await add(owner, "payment_logs", id=number, relay_xid=xid, recorded_at=MOMENT)
            await add(owner, "dead_letters", id=number, relay_xid=xid, created_at=MOMENT)
            await add(owner, "parked_events", id=number, parked_at=MOMENT)
        for rows, reached in ((1, (5, 1, 5, 1, 1)), (2, (6, 2, 6, 2, 2)), (9, (7, 3, 7, 3, 3))):
            found = await owner.fetch(statement("ops.console", "count_fresh_outcomes"), *[0] * 5, rows)
            assert {tuple(row)[5:] for row in found} == {reached}, rows
            assert {row["events"] for row in found} == {min(rows, 3)}
        (end,) = await owner.fetch(statement("ops.console", "find_ledger_end"))
        assert tuple(end) == (7, 3)
