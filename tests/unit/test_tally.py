"""What batches came to, added up over their transactions, and the labels that metrics may have."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

import pytest
from events import standard, understood

from consumer.ledger import LedgerEntry
from consumer.plan import Letter, Parking, Plan
from consumer.tally import source_label, tally
from consumer.verdict import Waits
from schemas.dead_letter import Reason
from schemas.payment import Outcome

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 9, 21, tzinfo=dt.UTC)
EVENT = understood(standard("payment.captured"))


def row(source: str, outcome: Outcome) -> LedgerEntry:
    return LedgerEntry(None, source, "e", "k", outcome, None, None, None, None, "[]", "", 0, 0, None, NOW, relay_xid=1)


def test_transactions_of_a_batch_add_up() -> None:
    """A figure that is that of the last one alone hides what the others did."""
    first = Plan(
        rows=[row("stripe", Outcome.APPLIED), row("adyen", Outcome.LATE)],
        parkings=[Parking(EVENT, "[]", Waits(Reason.ORPHAN, ""))],
        woken=[1, 2],
        applied=[3],
        merges=[(UUID(int=1), UUID(int=2))],
        letters=[Letter(EVENT.record, Reason.CONFLICT, ""), Letter(EVENT.record, Reason.ORPHAN, "")],
        duplicates=4,
    )
    second = Plan(rows=[row("stripe", Outcome.APPLIED)], woken=[5], letters=[Letter(EVENT.record, Reason.CONFLICT, "")])
    for plans in ([first, second], [second, first]):
        found = tally(plans)
        assert (found.transactions, found.duplicates, found.parked, found.woken) == (2, 4, 1, 3)
        assert (found.applied_letters, found.merges, found.dead_letters) == (1, 1, 3)
        assert found.reasons == {"conflict": 2, "orphan": 1}
        assert found.rows == {("stripe", "applied"): 2, ("adyen", "late"): 1}
        assert found.outcomes() == {"applied": 2, "late": 1}
    assert tally([]).dead_letters == 0


@pytest.mark.parametrize(
    ("source", "label"),
    [
        ("stripe", "stripe"),
        ("stripe/acme", "stripe"),
        ("intents/shop", "intents"),
        ("events/billing", "events"),
        ("Stripe", "other"),
        ("made-up", "other"),
        ("", "other"),
    ],
)
def test_a_name_that_a_publisher_made_up_makes_no_series(source: str, label: str) -> None:
    assert source_label(source) == label
