"""The history of a payment beside payments that were merged into another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from plain_rows import add, lying

from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration


async def test_a_history_has_what_became_the_payment_and_not_what_became_another(database: Database) -> None:
    async with lying(database.owner_dsn) as owner:
        rows = []
        for _ in range(2):
            last = await add(owner, "payments")
            way = await add(owner, "payments", merged_into=last)
            first = await add(owner, "payments", merged_into=way)
            rows.append([last, [await add(owner, "payment_logs", payment_id=one) for one in (first, way, last)]])
        for payment, wanted in rows:
            found = await owner.fetch(statement("ops", "read_timeline"), payment, 9)
            assert [row["id"] for row in found] == wanted
