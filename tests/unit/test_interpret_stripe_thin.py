"""Stripe's thin events: they name an object, and make us ask the API about it."""

from __future__ import annotations

import json
from typing import Any

import pytest

import providers
from consumer.fold import newer, project
from providers.core.refetch import Credentials, Fetched
from providers.stripe.kinds import KINDS
from providers.stripe.refetch import REFETCH
from providers.stripe.signature import notification_of
from schemas.errors import UninterpretableError
from schemas.facts import Meaning

pytestmark = pytest.mark.unit

CREDENTIALS = Credentials("http://api", "key")


def thin(kind: str, own: str, type_: str) -> bytes:
    """Return a thin event (docs.stripe.com/api/v2/core/event-destinations/event-types has its fields)."""
    related = {"id": own, "type": type_, "url": f"/v1/things/{own}"}
    event = {"id": "evt_1", "object": "v2.core.event", "type": kind, "livemode": True, "context": None}
    return json.dumps({**event, "created": "2026-09-21T14:18:20.000Z", "related_object": related}).encode()


NAMED = [
    ("v1.payment_intent.succeeded", "pi_1", "payment_intent", "pi_1", "/v1/payment_intents/pi_1"),
    ("v1.charge.refunded", "ch_1", "charge", "ch_1", "/v1/charges/ch_1"),
    ("v1.refund.failed", "re_1", "refund", "refund:re_1", "/v1/refunds/re_1"),
    ("v1.charge.dispute.closed", "du_1", "dispute", "dispute:du_1", "/v1/disputes/du_1"),
    ("v1.checkout.session.completed", "cs_1", "checkout.session", "session:cs_1", "/v1/checkout/sessions/cs_1"),
]


@pytest.mark.parametrize(("kind", "own", "type_", "ref", "path"), NAMED)
def test_what_a_thin_event_names_is_asked_about(kind: str, own: str, type_: str, ref: str, path: str) -> None:
    assert providers.interpret("stripe", kind, thin(kind, own, type_)) == Meaning(ask=ref)
    asked = REFETCH.request(ref, CREDENTIALS, 0)
    assert asked
    assert asked.url.split("?")[0] == f"http://api{path}"
    assert notification_of(thin(kind, own, type_)).payment_ref == own


@pytest.mark.parametrize("kind", [kind for kind, one in KINDS.items() if one.decision == "money"])
def test_no_thin_event_of_money_is_passed_over(kind: str) -> None:
    body = thin(f"v1.{kind}", "pi_1", "payment_intent")
    meaning = providers.interpret("stripe", f"v1.{kind}", body)
    assert meaning.ask == (None if kind.startswith("invoice") else "pi_1")


@pytest.mark.parametrize(
    ("kind", "own", "type_", "reason"),
    [
        ("v1.charge.teleported", "ch_1", "charge", "unknown_kind"),
        ("v1.payment_intent.succeeded", "cus_1", "customer", "undecodable"),
        ("v1.payment_intent.succeeded", "", "payment_intent", "undecodable"),
        ("v1.payment_intent.succeeded", "pi_1", None, "undecodable"),
    ],
)
def test_a_thin_event_that_names_nothing_is_refused(kind: str, own: str, type_: Any, reason: str) -> None:
    with pytest.raises(UninterpretableError) as error:
        providers.interpret("stripe", kind, thin(kind, own, type_))
    assert error.value.reason == reason


def test_a_thin_event_under_another_kind_or_without_its_object_is_refused() -> None:
    for body in (thin("v1.charge.failed", "ch_1", "charge"), b'{"type": "v1.charge.captured"}'):
        with pytest.raises(UninterpretableError):
            providers.interpret("stripe", "v1.charge.captured", body)


def test_thin_events_of_other_objects_say_nothing() -> None:
    for kind, type_ in (("v1.customer.created", "customer"), ("v2.core.event_destination.ping", "v2.core.thing")):
        assert providers.interpret("stripe", kind, thin(kind, "x_1", type_)) == Meaning()


REFUND = {"object": "refund", "id": "re_1", "amount": 400, "currency": "eur", "payment_intent": "pi_1",
          "charge": "ch_1", "status": "succeeded", "balance_transaction": "txn_1"}  # fmt: skip
MOVED = {"amount": -1000, "currency": "eur"}
DISPUTE = {"object": "dispute", "id": "du_1", "amount": 1000, "currency": "eur", "payment_intent": "pi_1",
           "charge": "ch_1", "status": "lost", "balance_transactions": [MOVED]}  # fmt: skip
SESSION = {"object": "checkout.session", "id": "cs_1", "payment_intent": "pi_1", "amount_total": 1000,
           "currency": "eur", "payment_status": "paid", "status": "complete"}  # fmt: skip
ANSWERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("refund:re_1", REFUND, {"refunded": 400}),
    ("dispute:du_1", DISPUTE, {"dispute_status": "lost", "disputed": 1000}),
    ("session:cs_1", SESSION, {"status": "captured", "captured": 1000}),
    ("session:cs_1", {**SESSION, "status": "expired", "payment_status": "unpaid"}, {"status": "expired"}),
    ("session:cs_1", {**SESSION, "status": "open", "payment_status": "unpaid"}, {"status": "created"}),
]


@pytest.mark.parametrize(("ref", "answer", "row"), ANSWERS, ids=range(len(ANSWERS)))
def test_what_the_api_answers_about_it_is_read(ref: str, answer: dict[str, Any], row: dict[str, Any]) -> None:
    body = json.dumps(answer).encode()
    fetched = REFETCH.answer(ref, 200, body)
    assert isinstance(fetched, Fetched)
    assert fetched.ref == "pi_1"
    projection = project(newer({}, providers.interpret("stripe", fetched.kind, body).facts))
    assert {name: getattr(projection, name) for name in row} == row
    assert REFETCH.answer(ref, 200, json.dumps({**answer, "object": "list"}).encode()) is None
