"""What an unsigned callback ties together: believed where amount and payer fit, else each is by itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from events import INTENT_ID, intent, record, understood
from memory_tables import NOW, MemoryTables
from msgspec.structs import replace

from consumer.facts_json import dump_reported
from consumer.fold import newer, project
from consumer.plan import OrphanLetter
from consumer.planner import Planner
from providers.core.payments import attempt, captured, captured_in_all, terms
from schemas.dead_letter import Reason
from schemas.facts import INTENT, Fact, FactKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.ledger import LedgerEntry
    from schemas.record import Record

pytestmark = pytest.mark.unit

PUSH, RECEIPT, OTHER, BACK = "ws_CO_1", "RKX0000001", "RKX0000003", "RKX0000002"
PAID = {"CheckoutRequestID": PUSH, "ResultCode": "0", "ResultDesc": "x", "ResponseCode": "0"}


def pushed(phone: str | None = "+254708374149") -> Record:
    more = {"phone": phone} if phone else {}
    return intent(INTENT_ID, provider="mpesa", provider_ref=PUSH, amount=15_000, currency="KES", **more)


def stk() -> Record:
    return record("mpesa", "e1", "refetch.stk", PAID)


def status(receipt: str = RECEIPT, amount: str = "150.00", about: str = PUSH, **changes: str) -> Record:
    parameters = {
        "DebitPartyName": "254708374149 - John Doe",
        "CreditPartyName": "174379 - Shop",
        "ReasonType": "Pay Bill Online",
        "TransactionStatus": "Completed",
        "Amount": amount,
        "ReceiptNo": receipt,
    } | changes
    reported = {
        "ResultCode": 0,
        "ConversationID": "AG_1",
        "ResultParameters": {"ResultParameter": [{"Key": key, "Value": value} for key, value in parameters.items()]},
        "ReferenceData": {"ReferenceItem": {"Key": "Occasion", "Value": about}},
    }
    return record("mpesa", f"{receipt} {about} {json.dumps(changes)}", "refetch.transaction", {"Result": reported})


def reversed_by(amount: str, **changes: str) -> Record:
    parties = {"DebitPartyName": "174379 - Shop", "CreditPartyName": "254708374149 - John Doe"}
    reason = "Organization Reversal of Customer Payment"
    return status(BACK, amount, RECEIPT, **{**parties, "ReasonType": reason, **changes})


def rows(tables: MemoryTables) -> dict[str, int]:
    return {row["provider_ref"]: row["captured"] for row in tables.counted}


def processed(*records: Record) -> MemoryTables:
    tables = MemoryTables()
    for one in records:
        tables.process([one])
    return tables


@pytest.mark.parametrize("payer", ["254708374149 - John Doe", "2547*****149 - JOHN", "0708374149", "John Doe", ""])
@pytest.mark.parametrize("own_first", [False, True])
def test_a_receipt_that_fits_its_push_is_the_same_money(payer: str, *, own_first: bool) -> None:
    own = [status(about="")] if own_first else []
    assert list(rows(processed(pushed(), stk(), *own, status(DebitPartyName=payer))).values()) == [15_000]


@pytest.mark.parametrize(
    "receipt",
    [
        status(amount="1500.00"),
        status(amount="149.00"),
        status(DebitPartyName="254711111111 - Somebody Else"),
        status(DebitPartyName="2547*****111 - S"),
    ],
)
@pytest.mark.parametrize("own_first", [False, True])
def test_a_strangers_receipt_stays_a_payment_by_itself(receipt: Record, *, own_first: bool) -> None:
    tables = processed(
        pushed(), stk(), *([replace(receipt, headers=status(about="").headers)] if own_first else []), receipt
    )
    assert rows(tables)[PUSH] == 15_000
    assert len(rows(tables)) == 2
    assert not tables.letters


def test_a_push_has_one_receipt() -> None:
    tables = processed(pushed(None), stk(), status(), status(OTHER))
    assert rows(tables) == {PUSH: 15_000, OTHER: 15_000}


def test_a_push_that_nobody_announced_takes_its_amount_from_the_receipt() -> None:
    assert rows(processed(stk(), status(), status(OTHER))) == {PUSH: 15_000, OTHER: 15_000}


def test_a_reversal_takes_back_no_more_than_its_receipt_and_only_from_its_payer() -> None:
    paid = [pushed(), stk(), status()]
    assert rows(processed(*paid, reversed_by("50.00"))) == {PUSH: 10_000}
    for forged in (reversed_by("151.00"), reversed_by("150.00", CreditPartyName="254711111111 - Somebody Else")):
        tables = processed(*paid, forged)
        assert rows(tables) == {PUSH: 15_000}
        assert [one.reason for one in tables.letters] == [Reason.CONFLICT]


def test_a_reversal_waits_for_its_receipt_and_must_fit_then() -> None:
    tables = processed(pushed(), stk(), reversed_by("150.00"))
    assert (rows(tables), tables.letters) == ({PUSH: 15_000}, [])
    tables.process([status()])
    assert (rows(tables), tables.parked, tables.letters) == ({PUSH: 0}, {}, [])
    tables = processed(pushed(), stk(), reversed_by("151.00"), status())
    assert (rows(tables), tables.parked) == ({PUSH: 15_000}, {})
    assert [one.reason for one in tables.letters] == [Reason.CONFLICT]


@pytest.mark.parametrize(("amount", "applied", "captured"), [("150.00", [7], 0), ("151.00", [], 15_000)])
def test_a_reversal_that_became_an_orphan_must_fit_too(amount: str, applied: list[int], captured: int) -> None:
    tables = processed(pushed(), stk(), status())
    event = understood(reversed_by(amount))
    known = tables._read([event])
    known.orphans.append(OrphanLetter(7, event))
    plan = Planner(known, now=NOW, xid=9, facts_max=tables.facts_max).plan([])
    assert (plan.applied, len(plan.rows)) == (applied, len(applied))
    (push,) = [one for one in known.payments.values() if one.provider_ref == PUSH]
    assert push.projection.captured == captured


def test_an_answer_that_comes_again_is_what_it_was_taken_for_first() -> None:
    """A receipt whose push was not known yet stays a payment by itself, whatever is known by then."""
    tables = processed(status(), stk(), status())
    assert (tables.duplicates, tables.letters) == (1, [])


# --- ledgers from before -----------------------------------------------------------------------------------------

FORMER = captured(PUSH, None, authorization=PUSH)
"""What a push that was read at the API reported before its receipt was asked about."""


@pytest.mark.parametrize(
    "expected",
    [[FORMER], [FORMER, captured_in_all(PUSH, None)], [FORMER, captured(RECEIPT, 15_000, authorization=PUSH)]],
)
def test_a_capture_of_the_former_meaning_does_not_count_twice(expected: Sequence[Fact]) -> None:
    receipt = (terms(PUSH, 15_000), captured(RECEIPT, 15_000, authorization=PUSH))
    asked = Fact(FactKind.TERMS, INTENT, "asked", 15_000)
    facts: dict[Any, Any] = {}
    for fact in (asked, *expected, captured_in_all(PUSH, None), attempt(PUSH, "succeeded"), *receipt):
        facts |= newer(facts, [fact])
        if fact is not asked:
            assert project(facts).captured == 15_000
    assert project(facts).status == "captured"


def test_facts_that_another_version_of_the_meaning_read_are_not_compared() -> None:
    """The same event, read to other facts than the ledger has: a duplicate, and no conflict."""
    for version, letters in ((1, 0), (2, 1)):
        tables = processed(pushed(), stk())
        tables.ledger = [_as_former(row, version) if row.source == "mpesa" else row for row in tables.ledger]
        tables.check = lambda: None  # type: ignore[method-assign] - the chain of a row that was altered
        tables.process([stk()])
        assert len(tables.letters) == letters
        assert tables.duplicates == 1 - letters


def _as_former(row: LedgerEntry, version: int) -> LedgerEntry:
    return replace(row, facts=dump_reported([FORMER]), meaning=version)
