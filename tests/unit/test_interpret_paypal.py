"""What PayPal's kinds come to as facts: the real bodies of the vectors, and lives made of their shapes."""

from __future__ import annotations

import json
from itertools import islice, permutations
from typing import TYPE_CHECKING, Any

import pytest
from memory_tables import MemoryTables
from vector_events import body_of, changed, check_every_order, facts, interpreted, made, meaning, refs, refused

from providers.core.proof import body_digest
from providers.paypal import signature
from schemas.facts import Meaning

if TYPE_CHECKING:
    from providers.core.contract import Notification

pytestmark = pytest.mark.unit

ORDER, RESERVE, CAPTURE = "X9PJ2UP5ZYK2VTM7K", "QWDE3UH35GC4T7U9T", "VU2NDUXW993BWSJ37"
CASES: dict[str, set[tuple[str, ...]]] = {
    "event_checkout_order_approved": {("terms", ORDER, "asked", "48922"), ("attempt", ORDER, "created")},
    "event_payment_authorization_created": {
        ("authorization", RESERVE, "authorized", "48922"),
    },
    "event_payment_capture_completed": {
        ("capture", CAPTURE, "succeeded", "18455"),
    },
    "event_payment_capture_pending": {
        ("attempt", "Q32NSYYBRGDZUUDF9", "processing", "11134"),
        ("capture", "Q32NSYYBRGDZUUDF9", "pending", "11134"),
    },
    "event_payment_capture_denied": {
        ("attempt", "4287PWYNDFXVAEVA8", "failed", "193430"),
        ("capture", "4287PWYNDFXVAEVA8", "pending", "193430"),
        ("reversal", "4287PWYNDFXVAEVA8", "failed", "193430"),
    },
    "event_payment_capture_refunded": {("refund", "H32LCHQJXUZRRQG9Q", "succeeded", "215600")},
    "event_payment_authorization_voided": {("void", "7P2ZV68ALCMM49Y9T", "canceled")},
    "event_customer_dispute_created": {("dispute", "PP-D-512331", "open")},
    "event_customer_dispute_resolved": {("dispute", "PP-D-512331", "lost")},
    "event_capture_in_yen": {
        ("capture", "ZWHH6V36W663V4U9D", "succeeded", "40498"),
    },
}


@pytest.mark.parametrize("case", CASES)
def test_real_bodies(case: str) -> None:
    found = meaning("paypal", case)
    assert facts(found) == CASES[case]
    assert found.opens == ("refunded" not in case and "dispute" not in case)
    assert found.currency in ("EUR", "USD", "JPY")
    assert found.occurred_at


def test_kinds_about_no_payment() -> None:
    assert meaning("paypal", "official_java_sdk") == Meaning()


def test_references() -> None:
    order, reference = [("payment", ORDER), ("session", ORDER)], ("reference", "ORD-MDPWTRY9SA")
    assert refs(meaning("paypal", "event_checkout_order_approved")) == [*order, reference]
    reserved = meaning("paypal", "event_payment_authorization_created")
    assert refs(reserved) == [*order, ("charge", RESERVE), reference]
    taken = meaning("paypal", "event_payment_capture_completed")
    assert refs(taken) == [*order, ("capture", CAPTURE), ("charge", RESERVE), reference]
    assert taken.provider_ref == reserved.provider_ref == ORDER
    given_back = meaning("paypal", "event_payment_capture_refunded")
    assert refs(given_back) == [("capture", "SBAUZDZH56DNV5XZX"), ("refund", "H32LCHQJXUZRRQG9Q")]
    assert given_back.provider_ref is None
    disputed = meaning("paypal", "event_customer_dispute_created")
    assert refs(disputed) == [("capture", "HNYTMGDZQGTM9GNCP"), ("dispute", "PP-D-512331")]


def event(kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"id": "WH-1", "event_type": kind, "create_time": "2026-09-21T15:08:23.190Z", "resource": resource}


def money(value: str, currency: str = "EUR") -> dict[str, str]:
    return {"value": value, "currency_code": currency}


def up(collection: str, own: str, relation: str = "up") -> list[dict[str, str]]:
    return [{"rel": relation, "href": f"https://api.paypal.com/v2/payments/{collection}/{own}", "method": "GET"}]


def order(kind: str, *units: dict[str, Any]) -> dict[str, Any]:
    return event(kind, {"id": "O1", "purchase_units": list(units)})


def unit(value: str, captures: Any = None, authorizations: Any = None, **more: Any) -> dict[str, Any]:
    return {"amount": money(value), "payments": {"captures": captures, "authorizations": authorizations}, **more}


def part(own: str, value: str, status: str = "COMPLETED", links: Any = None) -> dict[str, Any]:
    return {"id": own, "status": status, "amount": money(value), "links": links}


def refund_of(value: str, **more: Any) -> dict[str, Any]:
    return {"id": "R1", "status": "COMPLETED", "amount": money(value), "links": up("captures", "C1"), **more}


def dispute_of(**more: Any) -> dict[str, Any]:
    body = {"dispute_id": "D1", "dispute_amount": money("5.00"), "status": "OPEN"}
    return {**body, "disputed_transactions": [{"seller_transaction_id": "C1"}], **more}


def states(found: Meaning) -> list[str]:
    return [one.state for one in found.facts]


def test_a_completed_order_lists_its_captures_under_their_own_keys() -> None:
    listed = order(
        "CHECKOUT.ORDER.COMPLETED",
        unit("10.00", [part("C1", "10.00"), part("C0", "1.00", "DECLINED")], invoice_id="ORD-1"),
    )
    found = interpreted("paypal", "CHECKOUT.ORDER.COMPLETED", listed)
    assert facts(found) == {
        ("terms", "O1", "asked", "1000"),
        ("capture", "C1", "succeeded", "1000"),
    }
    assert ("capture", "C1") in refs(found)
    assert ("reference", "ORD-1") in refs(found)


@pytest.mark.parametrize(("links", "implied"), [(None, "1000"), (up("authorizations", "A1"), "1000")])
def test_a_completed_order_with_authorizations(links: Any, implied: str) -> None:
    reserved = [part("A1", "10.00", "CAPTURED"), part("A2", "9.00", "VOIDED")]
    listed = order("CHECKOUT.ORDER.COMPLETED", unit("10.00", [part("C1", "4.00", links=links)], reserved))
    whole = interpreted("paypal", "CHECKOUT.ORDER.COMPLETED", listed)
    (taken,) = [one for one in whole.facts if one.kind == "capture"]
    assert taken.parent == ("A1" if links else None), "the order's own money is not reserved a second time"
    found = facts(whole)
    assert ("authorization", "A1", "authorized", implied) in found
    assert ("capture", "C1", "succeeded", "400") in found
    assert not any("A2" in one or one[:2] == ("authorization", "C1") for one in found)


def test_a_completed_order_that_lists_nothing_moves_no_money() -> None:
    units = ({"amount": money("10.00"), "invoice_id": "A"}, {"amount": money("2.50"), "invoice_id": "B"})
    found = interpreted("paypal", "CHECKOUT.ORDER.COMPLETED", order("CHECKOUT.ORDER.COMPLETED", *units))
    assert facts(found) == {("terms", "O1", "asked", "1250"), ("attempt", "O1", "processing")}
    assert refs(found) == [("payment", "O1"), ("session", "O1")]


def test_an_approval_that_was_not_captured_in_time() -> None:
    kind = "CHECKOUT.PAYMENT-APPROVAL.REVERSED"
    assert facts(interpreted("paypal", kind, event(kind, {"order_id": "O1"}))) == {("end", "O1", "canceled")}


def test_an_approval_that_was_reversed_goes_the_way_of_its_order() -> None:
    """PayPal's sample in "Handle uncaptured payments" has no id of its own but `order_id`: key of all its siblings."""
    sample = {
        "id": "WH-COC11055RA711503B-4YM959094A144403T",
        "event_type": "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
        "resource": {"order_id": "5O190127TN364715T", "purchase_units": [{"reference_id": "a"}, {"reference_id": "b"}]},
    }
    approved = {"event_type": "CHECKOUT.ORDER.APPROVED", "resource": {"id": "5O190127TN364715T"}}
    related = {"supplementary_data": {"related_ids": {"order_id": "5O190127TN364715T"}}}
    captured = {"event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"id": "C1", **related}}
    found = [
        one for body in (sample, approved, captured) for one in signature.notifications_of(json.dumps(body).encode())
    ]
    assert [one.payment_ref for one in found] == ["5O190127TN364715T"] * 4


@pytest.mark.parametrize(("voided", "state"), [("2026-10-20T16:31:05Z", "expired"), (None, "canceled")])
def test_an_authorization_whose_time_is_over(voided: str | None, state: str) -> None:
    body = changed(body_of("paypal", "event_payment_authorization_voided"), "resource.update_time", voided)
    assert ("void", "7P2ZV68ALCMM49Y9T", state) in facts(interpreted("paypal", "PAYMENT.AUTHORIZATION.VOIDED", body))


@pytest.mark.parametrize(
    ("kind", "status", "state"),
    [
        ("PAYMENT.CAPTURE.REFUNDED", "PENDING", "pending"),
        ("PAYMENT.CAPTURE.REFUNDED", "FAILED", "failed"),
        ("PAYMENT.CAPTURE.REFUNDED", "CANCELLED", "canceled"),
        ("PAYMENT.REFUND.PENDING", "PENDING", "pending"),
        ("PAYMENT.REFUND.FAILED", "FAILED", "failed"),
    ],
)
def test_refunds(kind: str, status: str, state: str) -> None:
    assert states(interpreted("paypal", kind, event(kind, refund_of("4.00", status=status)))) == [state]


@pytest.mark.parametrize(
    "resource",
    [
        refund_of("10.00"),
        refund_of("10.00", links=None, supplementary_data={"related_ids": {"capture_id": "C1", "order_id": "O1"}}),
        {"id": "C1", "amount": money("10.00"), "links": up("captures", "C1", "self")},
    ],
)
def test_a_reversed_capture(resource: dict[str, Any]) -> None:
    found = interpreted("paypal", "PAYMENT.CAPTURE.REVERSED", event("PAYMENT.CAPTURE.REVERSED", resource))
    assert facts(found) == {("reversal", resource["id"], "done", "1000")}
    assert [fact.parent for fact in found.facts] == ["C1"]
    assert ("capture", "C1") in refs(found)


@pytest.mark.parametrize(
    ("kind", "more", "state"),
    [
        ("CREATED", {"dispute_life_cycle_stage": "INQUIRY"}, "inquiry"),
        ("UPDATED", {"dispute_life_cycle_stage": "CHARGEBACK", "status": "WAITING_FOR_SELLER_RESPONSE"}, "open"),
        ("UPDATED", {"dispute_life_cycle_stage": "INQUIRY", "status": "OPEN"}, "inquiry"),
        ("UPDATED", {"status": "UNDER_REVIEW"}, "under_review"),
        ("UPDATED", {"status": "RESOLVED", "dispute_outcome": {"outcome_code": "ACCEPTED"}}, "lost"),
        ("RESOLVED", {"dispute_outcome": {"outcome_code": "RESOLVED_SELLER_FAVOUR"}}, "won"),
        ("RESOLVED", {"dispute_outcome": {"outcome_code": "CANCELED_BY_BUYER"}}, "won"),
        ("RESOLVED", {"dispute_outcome": {"outcome_code": "RESOLVED_WITH_PAYOUT"}}, "won"),
        ("RESOLVED", {"dispute_outcome": {"outcome_code": "NONE"}}, "prevented"),
        ("RESOLVED", {"dispute_life_cycle_stage": 7}, "prevented"),
        ("CREATED", {"disputed_transactions": [], "dispute_amount": None}, "open"),
    ],
)
def test_disputes(kind: str, more: dict[str, Any], state: str) -> None:
    kind = f"CUSTOMER.DISPUTE.{kind}"
    assert states(interpreted("paypal", kind, event(kind, dispute_of(**more)))) == [state]


@pytest.mark.parametrize(
    ("first", "later", "shown"),
    [
        (("CHARGEBACK", "RESOLVED_SELLER_FAVOUR", 10), ("CHARGEBACK", "RESOLVED_BUYER_FAVOUR", 11), "lost"),
        (("CHARGEBACK", "RESOLVED_BUYER_FAVOUR", 10), ("CHARGEBACK", "RESOLVED_SELLER_FAVOUR", 11), "won"),
        (("INQUIRY", "RESOLVED_SELLER_FAVOUR", 11), ("CHARGEBACK", "RESOLVED_BUYER_FAVOUR", 10), "lost"),
    ],
)
def test_the_later_outcome_of_the_later_stage_of_a_dispute_stands(
    first: tuple[str, str, int], later: tuple[str, str, int], shown: str
) -> None:
    """An appeal turns an outcome round: the stage counts, then `update_time`."""
    kind = "CUSTOMER.DISPUTE.RESOLVED"
    outcomes = [
        dispute_of(
            dispute_life_cycle_stage=stage,
            dispute_outcome={"outcome_code": code},
            update_time=f"2026-09-21T{hour}:00:00Z",
        )
        for stage, code, hour in (first, later)
    ]
    events = [made("paypal", kind, event(kind, one), f"d{place}") for place, one in enumerate(outcomes)]
    check_every_order([FIRST, *events], dispute_status=shown)


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        ("CUSTOMER.DISPUTE.RESOLVED", dispute_of(dispute_outcome={"outcome_code": "TOSSED"})),
        ("CUSTOMER.DISPUTE.CREATED", dispute_of(dispute_id=None)),
        ("PAYMENT.CAPTURE.REFUNDED", refund_of("4.00", status="NEW")),
        ("PAYMENT.CAPTURE.REFUNDED", refund_of("4.00", links=[{"rel": "up", "href": "https://x/orders/O1"}, 7])),
        ("PAYMENT.CAPTURE.REFUNDED", refund_of("4.001")),
        ("PAYMENT.CAPTURE.COMPLETED", {"id": "C1", "amount": money("-4.00")}),
        ("PAYMENT.CAPTURE.REVERSED", {"id": "C1", "amount": money("1.00"), "links": up("captures", "C2", "self")}),
        ("PAYMENT.SALE.REVERSED", {"id": "R1", "amount": {"total": "-1.00", "currency": "EUR"}}),
        ("PAYMENT.CAPTURE.COMPLETED", []),
        ("CHECKOUT.ORDER.APPROVED", {"id": "O1", "purchase_units": []}),
        ("CHECKOUT.ORDER.APPROVED", {"id": "O1", "purchase_units": "none"}),
        ("CHECKOUT.ORDER.APPROVED", {"id": "O1", "purchase_units": [unit("1.00"), {"amount": money("1", "JPY")}]}),
        ("CHECKOUT.ORDER.COMPLETED", {"id": "O1", "purchase_units": [unit("1.00", [{"status": "COMPLETED"}])]}),
        ("CHECKOUT.PAYMENT-APPROVAL.REVERSED", {}),
    ],
    ids=range(14),
)
def test_undecodable(kind: str, resource: Any) -> None:
    assert refused("paypal", kind, event(kind, resource)) == "undecodable"


@pytest.mark.parametrize("kind", ["PAYMENT.SALE.LOST", "CHECKOUT.ORDER.TELEPORTED", "CUSTOMER.DISPUTE.NEW"])
def test_unknown_kind(kind: str) -> None:
    assert refused("paypal", kind, event(kind, {})) == "unknown_kind"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", {"event_type": "CHECKOUT.ORDER.APPROVED"}])
def test_a_body_that_is_not_of_its_kind(body: Any) -> None:
    assert refused("paypal", "PAYMENT.CAPTURE.COMPLETED", body) == "undecodable"
    assert refused("paypal", "", body) == "undecodable"


def old(value: str) -> dict[str, str]:
    return {"total": value, "currency": "EUR"}


def test_a_subscription_s_payment_and_what_becomes_of_it() -> None:
    sale = {"id": "S1", "amount": old("9.99"), "billing_agreement_id": "I-1", "parent_payment": "PAY-1"}
    paid = interpreted(
        "paypal", "PAYMENT.SALE.COMPLETED", event("PAYMENT.SALE.COMPLETED", {**sale, "invoice_number": "N1"})
    )
    assert refs(paid) == [("payment", "S1"), ("capture", "S1"), ("shared", "I-1"), ("reference", "N1")]
    assert (paid.amount, paid.currency) == (999, "EUR")
    back = {"id": "R1", "sale_id": "S1", "state": "completed", "amount": old("-4.00")}
    for kind, fact in (
        ("REFUNDED", ("refund", "R1", "succeeded", "400")),
        ("REVERSED", ("reversal", "R1", "done", "400")),
    ):
        found = interpreted("paypal", f"PAYMENT.SALE.{kind}", event(f"PAYMENT.SALE.{kind}", back))
        assert facts(found) == {fact}
        assert ("capture", "S1") in refs(found)


def test_a_capture_of_version_1_takes_from_any_authorization_of_its_payment() -> None:
    reserved = {"id": "A1", "amount": old("5.00"), "parent_payment": "PAY-1"}
    taken = {"id": "C1", "amount": old("5.00"), "parent_payment": "PAY-1"}
    back = {"id": "R1", "amount": old("-5.00"), "capture_id": "C1", "parent_payment": "PAY-1", "state": "completed"}
    check_every_order(
        [
            made("paypal", kind, event(kind, resource), f"e{place}")
            for place, (kind, resource) in enumerate(
                [
                    ("PAYMENT.AUTHORIZATION.CREATED", reserved),
                    ("PAYMENT.CAPTURE.COMPLETED", taken),
                    ("PAYMENT.CAPTURE.REFUNDED", back),
                ]
            )
        ],
        provider_ref="PAY-1",
        status="captured",
        authorized=500,
        captured=500,
        refunded=500,
    )


@pytest.mark.parametrize("kind", ["PAYMENT.ORDER.CREATED", "CHECKOUT.ORDER.PROCESSED", "BILLING.PLAN.CREATED"])
def test_steps_that_say_nothing(kind: str) -> None:
    assert interpreted("paypal", kind, event(kind, {"id": "O-1"})) == Meaning()


def captured(own: str, value: str, **related: str) -> dict[str, Any]:
    related_ids = {"order_id": "O1", "authorization_id": "A1", **related}
    resource = {"id": own, "amount": money(value), "supplementary_data": {"related_ids": related_ids}}
    return event("PAYMENT.CAPTURE.COMPLETED", resource)


APPROVED = made("paypal", "CHECKOUT.ORDER.APPROVED", order("CHECKOUT.ORDER.APPROVED", unit("10.00")), "e1")
RESERVED = made(
    "paypal",
    "PAYMENT.AUTHORIZATION.CREATED",
    event(
        "PAYMENT.AUTHORIZATION.CREATED",
        {"id": "A1", "amount": money("10.00"), "supplementary_data": {"related_ids": {"order_id": "O1"}}},
    ),
    "e2",
)
FIRST = made("paypal", "PAYMENT.CAPTURE.COMPLETED", captured("C1", "4.00"), "e3")
SECOND = made("paypal", "PAYMENT.CAPTURE.COMPLETED", captured("C2", "6.00"), "e4")
REFUNDED = made(
    "paypal",
    "PAYMENT.CAPTURE.REFUNDED",
    event("PAYMENT.CAPTURE.REFUNDED", refund_of("4.00", links=up("captures", "C1"))),
    "e5",
)


def test_every_order_of_a_life() -> None:
    row = {"provider_ref": "O1", "currency": "EUR", "amount": 1000, "authorized": 1000}
    check_every_order(
        [APPROVED, RESERVED, FIRST, REFUNDED],
        status="partially_captured",
        refund_status="full",
        captured=400,
        refunded=400,
        **row,
    )
    check_every_order([APPROVED, RESERVED, FIRST, SECOND], status="captured", captured=1000, refunded=0, **row)


@pytest.mark.parametrize("ids", [("A1", "A2"), ("A2", "A1")])
def test_a_reauthorization_takes_the_place_of_the_one_before(ids: tuple[str, str]) -> None:
    kind = "PAYMENT.AUTHORIZATION.CREATED"

    def reserved(own: str, value: str, day: int) -> Notification:
        related = {"related_ids": {"order_id": "O1"}}
        created = f"2026-09-{day}T15:08:23Z"
        resource = {"id": own, "amount": money(value), "create_time": created, "supplementary_data": related}
        return made("paypal", kind, event(kind, resource), own)

    check_every_order([APPROVED, reserved(ids[0], "10.00", 21), reserved(ids[1], "11.00", 25)], authorized=1100)


def test_every_order_of_a_direct_capture_and_its_reversal() -> None:
    completed = order("CHECKOUT.ORDER.COMPLETED", unit("10.00", [part("C1", "10.00")]))
    taken = captured("C1", "10.00")
    del taken["resource"]["supplementary_data"]["related_ids"]["authorization_id"]
    dispute = event("CUSTOMER.DISPUTE.CREATED", dispute_of())
    life = [
        made("paypal", "CHECKOUT.ORDER.COMPLETED", completed, "e1"),
        made("paypal", "PAYMENT.CAPTURE.COMPLETED", taken, "e2"),
        made("paypal", "CUSTOMER.DISPUTE.CREATED", dispute, "e3"),
    ]
    check_every_order(life, status="captured", captured=1000, authorized=1000, dispute_status="open", provider_ref="O1")
    kind = "PAYMENT.CAPTURE.REVERSED"
    back = made("paypal", kind, event(kind, refund_of("10.00")), "e4")
    check_every_order([*life, back], status="failed", captured=0, authorized=1000, dispute_status="open")


# --- a dispute of several transactions ---------------------------------------------------------------------------

SEVERAL = dispute_of(disputed_transactions=[{"seller_transaction_id": one} for one in ("C1", "C2", "C1")])


def split(body: dict[str, Any]) -> list[Notification]:
    return signature.notifications_of(json.dumps(body).encode())


def paid(capture: str, order_id: str) -> dict[str, Any]:
    return event(
        "PAYMENT.CAPTURE.COMPLETED",
        {"id": capture, "amount": money("10.00"), "supplementary_data": {"related_ids": {"order_id": order_id}}},
    )


def test_a_dispute_of_several_transactions_is_an_event_for_each() -> None:
    body = event("CUSTOMER.DISPUTE.CREATED", SEVERAL) | {"id": "WH-1"}
    parts = split(body)
    assert [(one.event_id, one.payment_ref) for one in parts] == [("WH-1", "C1"), ("WH-1:C2", "C2")]
    assert {one.body for one in parts} == {json.dumps(body).encode()}
    assert [one.payment_ref for one in split(event("PAYMENT.CAPTURE.COMPLETED", SEVERAL) | {"id": "WH-2"})] == ["C1"]
    nameless = {name: value for name, value in body.items() if name != "id"}
    first, second = split(nameless)
    assert (first.event_id, second.event_id) == (None, f"{body_digest(json.dumps(nameless).encode())}:C2")


def test_a_dispute_reaches_every_payment_that_it_names_and_joins_none() -> None:
    """In every order, also where one of the payments is reported later than the dispute."""
    events = [
        made("paypal", one.kind or "", one.body, one.event_id or "")
        for kind, at, more in (
            ("CREATED", "2026-09-21T14:00:00Z", {}),
            ("RESOLVED", "2026-09-25T14:00:00Z", {"dispute_outcome": {"outcome_code": "RESOLVED_BUYER_FAVOUR"}}),
        )
        for one in split(
            event(f"CUSTOMER.DISPUTE.{kind}", {**SEVERAL, "update_time": at, **more}) | {"id": f"WH-{kind}"}
        )
    ]
    taken = [made("paypal", "PAYMENT.CAPTURE.COMPLETED", paid(f"C{n}", f"O{n}"), f"e{n}") for n in (1, 2)]
    for order in islice(permutations([*events, *taken]), 0, None, 13):
        tables = MemoryTables()
        for one in (*order, *order):
            tables.process([one])
        rows = sorted(tables.counted, key=lambda row: str(row["provider_ref"]))
        assert [(row["provider_ref"], row["captured"], row["dispute_status"]) for row in rows] == [
            ("O1", 1000, "lost"),
            ("O2", 1000, "lost"),
        ]
        assert not tables.letters
        assert not tables.parked


def test_a_dispute_of_more_transactions_than_can_be_copied_is_a_dead_letter() -> None:
    many = [{"seller_transaction_id": f"C{n}", "pad": "x" * 600} for n in range(200)]
    body = event("CUSTOMER.DISPUTE.CREATED", dispute_of(disputed_transactions=many)) | {"id": "WH-1"}
    assert len(split(body)) == 1
    assert refused("paypal", "CUSTOMER.DISPUTE.CREATED", body) == "undecodable"
