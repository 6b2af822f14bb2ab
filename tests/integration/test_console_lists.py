"""What the console lists of one payment and of recall, beside the same of another payment and of another fate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from plain_rows import MOMENT, add, lying

from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration


async def test_the_references_of_a_payment_are_its_own_in_their_order(database: Database) -> None:
    async with lying(database.owner_dsn, enable_sort="off") as owner:  # what is made distinct has no order by itself
        one, other = await add(owner, "payments"), await add(owner, "payments")
        for number in range(20):
            for payment, prefix in ((one, "mine"), (other, "another's")):
                row = {"ref": f"{prefix}-{number:02}", "payment_id": payment, "returning": None}
                await add(owner, "reference_payments", **row)
                await add(owner, "payment_refs", **row)
        found = await owner.fetch(statement("ops.console", "list_payment_refs"), one, 30)
        mine = [f"mine-{number:02}" for number in range(20)]
        assert [tuple(row) for row in found] == [
            *(("payment", ref) for ref in mine),
            *(("reference", ref) for ref in mine[:10]),
        ]


async def test_an_event_that_was_lost_is_not_late_where_its_webhook_came_after_all(database: Database) -> None:
    async with lying(database.owner_dsn) as owner:
        fates = [(None, MOMENT)] * 3 + [(MOMENT, MOMENT)] * 2 + [(MOMENT, None)] * 4 + [(None, None)] * 5
        for number, (lost_at, webhook_at) in enumerate(fates):
            row = {"source": "stripe", "event_id": f"{number}", "kind": "k", "occurred_at": MOMENT, "history": False}
            row |= {"first_at": MOMENT, "lost_at": lost_at, "webhook_at": webhook_at}
            await add(owner, "recalled_events", returning=None, **row)
        (window,) = await owner.fetch(statement("ops.console", "list_lost_windows"), 9)
        assert (window["events"], window["lost"], window["late"], window["waiting"]) == (14, 6, 3, 5)
