"""Deliveries of Stripe's that were read wrongly once, by their ids: what the rows come to, in every order."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any, Final

import pytest
from events import intent, stripe, stripe_charge, stripe_dispute, stripe_intent, stripe_refund
from memory_tables import MemoryTables
from vector_events import made

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

PAID: Final = stripe_intent("succeeded", amount_received=1000)
SESSION: Final[dict[str, Any]] = {
    "id": "cs_1",
    "object": "checkout.session",
    "amount_total": 1000,
    "currency": "eur",
    "payment_intent": "pi_1",
    "payment_status": "paid",
    "client_reference_id": None,
    "metadata": {},
}


def promised(provider_ref: str | None, reference: str = "ORD-1") -> Record:
    return intent(provider="stripe", reference=reference, provider_ref=provider_ref)


def session(kind: str, **changes: Any) -> Record:
    return stripe(f"checkout.session.{kind}", {**SESSION, **changes})


def dispute(kind: str, status: str, *moves: int, currency: str = "eur") -> Record:
    listed = [{"id": f"txn_{at}", "amount": amount, "currency": currency} for at, amount in enumerate(moves)]
    thing = {"id": "du_1", "amount": 1000, "currency": "eur", "payment_intent": "pi_1", "charge": "ch_1"}
    return stripe(f"charge.dispute.{kind}", {**thing, "status": status, "balance_transactions": listed})


OURS: Final = {"client": "shop", "status": "captured", "captured": 1000}
IN_PART: Final = [
    PAID,
    stripe_refund("refund.created", "succeeded", 400),
    dispute("created", "needs_response", -1000),
    dispute("closed", "lost", -1000, 400),
]
LISTED: Final = {"data": [{"id": "re_1", "amount": 400, "status": "succeeded"}]}


def released(key: str = "re_1", amount: int = 400, **more: Any) -> Any:
    """Return a refund; without a balance transaction it may be what Stripe released."""
    thing = {"id": key, "object": "refund", "amount": amount, "currency": "eur", "charge": "ch_1",
             "payment_intent": "pi_1", "status": "succeeded"}  # fmt: skip
    return stripe("refund.created", thing | more)


CASES: Final[dict[str, tuple[list[Record], list[dict[str, Any]]]]] = {
    "U1": (
        [stripe_intent("succeeded", currency="ugx", amount=500_000, amount_received=500_000)],
        [{"currency": "UGX", "amount": 5000, "authorized": 5000, "captured": 5000}],
    ),
    "U1 of MGA": (
        [stripe_intent("succeeded", currency="mga", amount=50, amount_received=50)],
        [{"amount": 5000, "captured": 5000}],
    ),
    "U1 of KWD": (
        [stripe_intent("succeeded", currency="kwd", amount=5120, amount_received=5120)],
        [{"amount": 5120, "captured": 5120}],
    ),
    "U7": ([promised("cs_1"), PAID, session("completed")], [OURS]),
    "U7 without the PaymentIntent's event": ([promised("cs_1"), session("completed")], [OURS]),
    "U7 paid later": (
        [
            promised("cs_1"),
            session("completed", payment_status="unpaid"),
            stripe_intent("processing"),
            session("async_payment_succeeded"),
        ],
        [OURS],
    ),
    "U7 not paid": (
        [
            promised("cs_1"),
            session("completed", payment_status="unpaid"),
            session("async_payment_failed", payment_status="unpaid"),
        ],
        [{"client": "shop", "status": "failed", "captured": 0}],
    ),
    "U7 by reference": (
        [promised(None), PAID, session("completed", client_reference_id="ORD-1")],
        [OURS],
    ),
    "U7 of a subscription": (
        [
            promised("cs_1"),
            session("completed", payment_intent=None, invoice="in_1", subscription="sub_1"),
            stripe(
                "invoice_payment.paid",
                {
                    "id": "inpay_1",
                    "invoice": "in_1",
                    "currency": "eur",
                    "payment": {"payment_intent": "pi_1"},
                },
            ),
            PAID,
        ],
        [OURS],
    ),
    "a session without money": (
        [
            session(
                "completed", payment_intent=None, amount_total=None, currency=None, payment_status="no_payment_required"
            )
        ],
        [],
    ),
    "U14": (
        [
            PAID,
            stripe(
                "charge.dispute.created",
                {
                    "id": "du_1",
                    "amount": 900,
                    "currency": "usd",
                    "charge": "ch_1",
                    "status": "needs_response",
                },
            ),
        ],
        [{"status": "captured", "dispute_status": "open", "disputed": 0}],
    ),
    "S2": (
        [stripe_intent("succeeded", amount_received=1000, metadata={"reference": "x" * 300})],
        [
            {"status": "captured", "reference": None},
        ],
    ),
    "S4": (
        [
            stripe_intent("amount_capturable_updated", amount_capturable=1000),
            stripe_intent("succeeded", amount_received=600),
            released(),
        ],
        [{"status": "partially_captured", "captured": 600, "refunded": 0, "refund_status": "none"}],
    ),
    "S4, and a refund that moved money": (
        [
            stripe_intent("amount_capturable_updated", amount_capturable=1000),
            stripe_intent("succeeded", amount_received=600),
            released(),
            released("re_2", 100, balance_transaction="txn_2"),
        ],
        [{"captured": 600, "refunded": 100, "refund_status": "partial"}],
    ),
    "S4 of a charge that was captured in full": (
        [PAID, released()],
        [{"captured": 1000, "refunded": 400, "refund_status": "partial"}],
    ),
    "S5": ([session("expired", payment_intent=None, payment_status="unpaid", client_reference_id="ORD-9")], []),
    "S6": (
        [
            stripe(
                "refund.created", {"id": "re_1", "amount": 700, "currency": "eur", "charge": None, "status": "pending"}
            )
        ],
        [],
    ),
    "PC12": (IN_PART, [{"dispute_status": "lost", "disputed": 600, "refunded": 400}]),
    "PC12 in the account's currency": (
        [
            PAID,
            dispute("funds_withdrawn", "needs_response", -2000, currency="sek"),
            dispute("closed", "lost", -2000, 800, currency="sek"),
        ],
        [{"dispute_status": "lost", "disputed": 600}],
    ),
    "PC12 of a share that is no whole cent": (
        [
            PAID,
            dispute("funds_withdrawn", "needs_response", -3000, currency="sek"),
            dispute("closed", "lost", -3000, 1000, currency="sek"),
        ],
        [{"dispute_status": "lost", "disputed": 667}],
    ),
    "a dispute that was won": (
        [PAID, dispute("funds_withdrawn", "needs_response", -1000), dispute("closed", "won", -1000, 1000)],
        [{"dispute_status": "won", "disputed": 0}],
    ),
    "a dispute without balance transactions": (
        [PAID, stripe_dispute("funds_withdrawn", "needs_response"), stripe_dispute("funds_reinstated", "won")],
        [{"dispute_status": "won", "disputed": 0}],
    ),
    "PC15": (
        [
            promised("in_1"),
            PAID,
            stripe("invoice.paid", {"id": "in_1", "currency": "eur", "payment_intent": "pi_1", "charge": "ch_1"}),
            stripe(
                "invoice_payment.paid",
                {
                    "id": "inpay_1",
                    "invoice": "in_1",
                    "currency": "eur",
                    "payment": {"payment_intent": "pi_1"},
                },
            ),
        ],
        [OURS],
    ),
    "PC15 reported by the PaymentIntent": (
        [promised("in_1"), stripe_intent("succeeded", amount_received=1000, invoice="in_1")],
        [OURS],
    ),
    "PC20": (
        [
            stripe_intent("created", latest_charge=None),
            stripe_charge("succeeded", payment_method_details={"type": "card", "card": {"amount_authorized": 600}}),
            stripe_intent("amount_capturable_updated", amount_capturable=600),
        ],
        [{"status": "authorized", "amount": 1000, "authorized": 600}],
    ),
    "PC21": (
        [
            PAID,
            stripe_charge("refunded", event_id="evt_21", captured=True, amount_captured=1000, amount_refunded=400),
            stripe_charge(
                "refunded", event_id="evt_21", captured=True, amount_captured=1000, amount_refunded=400, refunds=LISTED
            ),
        ],
        [{"captured": 1000, "refunded": 400}],
    ),
}


@pytest.mark.parametrize(("records", "rows"), CASES.values(), ids=CASES)
def test_case(records: list[Record], rows: list[dict[str, Any]]) -> None:
    for order in permutations(records):
        tables = MemoryTables()
        for one in order:
            tables.process([one])
        assert [{name: shown[name] for name in (rows or [{}])[0]} for shown in tables.counted] == rows
        assert not tables.letters
        assert not tables.parked


def test_an_expired_session_ends_what_was_promised_under_its_reference() -> None:
    tables = MemoryTables()
    tables.process([promised(None)])
    tables.process([session("expired", payment_intent=None, payment_status="unpaid", client_reference_id="ORD-1")])
    assert tables.shown({"client": "", "status": ""}) == [{"client": "shop", "status": "expired"}]


def test_an_expired_session_ends_the_intent_that_names_it() -> None:
    tables = MemoryTables()
    tables.process([promised("cs_1")])
    tables.process([session("expired", payment_intent=None, payment_status="unpaid")])
    assert tables.shown({"client": "", "status": ""}) == [{"client": "shop", "status": "expired"}]


def test_a_thin_event_asks_once_and_the_answer_is_the_payment() -> None:
    related = {"id": "pi_1", "type": "payment_intent", "url": "/v1/payment_intents/pi_1"}
    thin = {"id": "evt_1", "object": "v2.core.event", "type": "v1.payment_intent.succeeded", "related_object": related}
    tables = MemoryTables()
    for _ in range(2):
        tables.process([made("stripe", "v1.payment_intent.succeeded", thin, "evt_1")])
    asked = [(one.provider, one.ref, one.reason) for one in tables.refetches]
    assert (asked, tables.payments, tables.letters) == ([("stripe", "pi_1", "stale")], {}, [])
    answer = {"object": "payment_intent", "id": "pi_1", "amount": 1000, "amount_received": 1000, "currency": "eur"}
    tables.process([made("stripe", "refetch.payment_intent", {**answer, "status": "succeeded"}, "a1")])
    assert (tables.only["status"], tables.only["captured"]) == ("captured", 1000)
