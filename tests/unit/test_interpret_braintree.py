"""What Braintree's kinds come to as facts; the documents are those of the vectors, and of the SDK's test gateway."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

import pytest
from vector_events import check_every_order, event, facts, genuine, interpreted, made, meaning, refs, refused

import providers
from providers.braintree import signature
from providers.core.refetch import Credentials
from schemas.facts import Meaning

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

KEY, DISPUTE = "8k2m9qxp", "9qde5qgp"
TERMS = ("terms", KEY, "asked", "12590")
CAPTURED = ("capture", KEY, "succeeded", "12590")


def form(document: str) -> bytes:
    return urlencode({"bt_signature": "p|x", "bt_payload": base64.encodebytes(document.encode()).decode()}).encode()


def notification(kind: str, subject: str) -> bytes:
    time = '<timestamp type="datetime">2026-09-21T14:18:20Z</timestamp>'
    return form(f"<notification>{time}<kind>{kind}</kind><subject>{subject}</subject></notification>")


def transaction(kind: str, more: str = "", *, own: str = KEY, type_: str = "sale", amount: str = "125.90") -> bytes:
    money = f"<amount>{amount}</amount><currency-iso-code>EUR</currency-iso-code>"
    return notification(kind, f"<transaction><id>{own}</id><type>{type_}</type>{money}{more}</transaction>")


def dispute(kind: str, more: str = "") -> bytes:
    money = "<amount>125.90</amount><currency-iso-code>EUR</currency-iso-code>"
    inside = f"<id>{DISPUTE}</id>{money}{more}<transaction><id>{KEY}</id></transaction>"
    return notification(kind, f"<dispute>{inside}</dispute>")


GONE = ("dispute_out", DISPUTE, "withdrawn", "12590")
BACK = ("dispute_in", DISPUTE, "reinstated", "12590")
CREDIT = f"<refunded-transaction-id>{KEY}</refunded-transaction-id>"


def test_real_bodies() -> None:
    found = meaning("braintree", "event_transaction_settled")
    assert facts(found) == {TERMS, CAPTURED}
    assert refs(found) == [("payment", KEY), ("reference", "ORD-1")]
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "EUR", 12590, KEY)
    assert found.occurred_at == 1790000300.0
    undone = {("capture", KEY, "pending", "12590"), ("reversal", KEY, "failed", "12590")}
    assert facts(meaning("braintree", "event_settlement_declined")) == {TERMS, ("attempt", KEY, "failed"), *undone}
    opened = meaning("braintree", "event_dispute_opened")
    assert facts(opened) == {("dispute", DISPUTE, "open"), GONE}
    assert refs(opened) == [("payment", KEY), ("dispute", DISPUTE)]
    assert opened.opens
    assert facts(meaning("braintree", "event_dispute_won")) == {("dispute", DISPUTE, "won"), GONE, BACK}
    assert facts(meaning("braintree", "event_dispute_lost")) == {("dispute", DISPUTE, "lost"), GONE}
    sample = meaning("braintree", "sdk_sample_notification")
    assert ("capture", "sample01", "succeeded", "10000") in facts(sample)


def test_the_first_refund_that_a_sale_lists_is_asked_about() -> None:
    """Of a card's refund no webhook tells."""
    listed = '<refund-ids type="array"><item>refund1</item><item>refund2</item></refund-ids>'
    kind = "transaction_settled"
    bodies = [transaction(kind, more) for more in (listed, '<refund-ids type="array"/>', "")]
    asked = [providers.interpret("braintree", kind, body).ask for body in bodies]
    assert asked == ["refund:refund1", None, None]
    found = providers.find("braintree")
    assert found is not None
    assert found.refetch is not None
    asker = Credentials("https://api.test", "key", "secret", "m")
    request = found.refetch.request("refund:refund1", asker, 0.0)
    assert request is not None
    assert request.url == "https://api.test/merchants/m/transactions/refund1"


def test_one_fact_of_two_names() -> None:
    settled, disbursed = (meaning("braintree", f"event_transaction_{name}") for name in ("settled", "disbursed"))
    assert settled == disbursed


def test_a_credit_is_the_refund_of_its_sale() -> None:
    found = interpreted(
        "braintree", "transaction_settled", transaction("transaction_settled", CREDIT, own="cr1", type_="credit")
    )
    assert facts(found) == {("refund", "cr1", "succeeded", "12590")}
    assert refs(found) == [("payment", KEY), ("refund", "cr1")]
    kind = "transaction_settlement_declined"
    found = interpreted("braintree", kind, transaction(kind, CREDIT, own="cr1", type_="credit"))
    assert facts(found) == {("refund", "cr1", "failed", "12590")}
    assert interpreted("braintree", kind, transaction(kind, own="cr1", type_="credit")) == Meaning()
    kind = "transaction_retried"  # its own status tells
    found = interpreted(
        "braintree", kind, transaction(kind, CREDIT + "<status>unheard_of</status>", own="cr1", type_="credit")
    )
    assert facts(found) == set()


@pytest.mark.parametrize(
    ("kind", "more", "state"),
    [
        ("dispute_opened", "<kind>retrieval</kind>", "inquiry"),
        ("dispute_disputed", "", "under_review"),
        ("dispute_under_review", "", "under_review"),
        ("dispute_accepted", "", "lost"),
        ("dispute_auto_accepted", "", "lost"),
        ("dispute_expired", "", "lost"),
    ],
)
def test_disputes(kind: str, more: str, state: str) -> None:
    gone = set() if "retrieval" in more else {GONE}
    assert facts(interpreted("braintree", kind, dispute(kind, more))) == {("dispute", DISPUTE, state), *gone}


@pytest.mark.parametrize(("won", "back"), [("100.00", 10000), ("0.00", 12590), ("", 12590), ("odd", 12590)])
def test_a_dispute_that_was_won_gives_back_what_was_awarded(won: str, back: int) -> None:
    """GraphQL reference, Dispute: `amountDisputed` is debited and held until it is resolved, `amountWon` awarded."""
    found = facts(interpreted("braintree", "dispute_won", dispute("dispute_won", f"<amount-won>{won}</amount-won>")))
    assert found == {("dispute", DISPUTE, "won"), GONE, ("dispute_in", DISPUTE, "reinstated", str(back))}
    body = dispute("dispute_lost", f"<amount-won>{won}</amount-won>")
    assert facts(interpreted("braintree", "dispute_lost", body)) == {("dispute", DISPUTE, "lost"), GONE}


@pytest.mark.parametrize("kind", ["transaction_teleported", "dispute_new", "refund_new", "local_payment_new"])
def test_unknown_kind(kind: str) -> None:
    assert refused("braintree", kind, notification(kind, "")) == "unknown_kind"


@pytest.mark.parametrize("kind", ["check", "subscription_canceled", "local_payment_reversed", "transaction_reviewed"])
def test_kinds_that_say_nothing(kind: str) -> None:
    assert interpreted("braintree", kind, notification(kind, "")) == Meaning()


BOMB = '<!DOCTYPE n [<!ENTITY a "transaction_settled">]><notification><kind>&a;</kind></notification>'
KIND = "transaction_settled"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"bt_payload=",
        b"bt_payload=%%%",
        b"bt_payload=YQ&bt_payload=YQ",
        b"a&" * 2000,
        form("<notification>"),
        form(BOMB),
        form('<?xml version="1.0" encoding="ITF-8"?><notification/>'),
        transaction("transaction_disbursed"),
        transaction(KIND, own=""),
        transaction(KIND, type_="gift"),
        transaction(KIND, amount="125.901"),
        transaction(KIND, amount=""),
        notification(KIND, f"<transaction><id>{KEY}</id><type>sale</type><amount>1</amount></transaction>"),
    ],
    ids=range(15),
)
def test_undecodable(body: bytes) -> None:
    assert refused("braintree", KIND, body) == "undecodable"


def test_a_dispute_without_its_transaction_is_found_by_its_own_id() -> None:
    found = interpreted(
        "braintree", "dispute_won", notification("dispute_won", f"<dispute><id>{DISPUTE}</id></dispute>")
    )
    assert facts(found) == {
        ("dispute", DISPUTE, "won"),
        ("dispute_out", DISPUTE, "withdrawn"),
        ("dispute_in", DISPUTE, "reinstated"),
    }
    assert refs(found) == [("dispute", DISPUTE)]
    assert not found.opens


def test_a_transaction_without_a_type_is_a_sale_unless_it_gives_back() -> None:
    money = "<amount>125.90</amount><currency-iso-code>EUR</currency-iso-code>"
    bare = f"<transaction><id>cr1</id>{money}</transaction>"
    assert ("capture", "cr1", "succeeded", "12590") in facts(interpreted("braintree", KIND, notification(KIND, bare)))
    back = notification(KIND, f"<transaction><id>cr1</id>{money}{CREDIT}</transaction>")
    assert facts(interpreted("braintree", KIND, back)) == {("refund", "cr1", "succeeded", "12590")}


def inside(own: str, status: str, more: str = "") -> str:
    money = "<amount>10.00</amount><currency-iso-code>USD</currency-iso-code>"
    return f"<transaction><id>{own}</id><status>{status}</status>{money}{more}</transaction>"


def subscription(kind: str, *transactions: str, own: str = "s1") -> bytes:
    listed = f'<transactions type="array">{"".join(transactions)}</transactions>'
    return notification(kind, f"<subscription><id>{own}</id>{listed}</subscription>")


def test_a_subscription_s_charge_is_its_newest_transaction() -> None:
    kind = "subscription_charged_successfully"
    older = inside("t8", "settled", "<order-id>ORD-8</order-id>")
    found = interpreted("braintree", kind, subscription(kind, inside("t9", "submitted_for_settlement"), older))
    assert facts(found) == {("terms", "t9", "asked", "1000"), ("capture", "t9", "succeeded", "1000")}
    assert refs(found) == [("payment", "t9"), ("shared", "s1")]
    assert interpreted("braintree", kind, subscription(kind)) == Meaning()
    long = interpreted(
        "braintree", kind, subscription(kind, inside("t9", "submitted_for_settlement"), older, own="s" * 300)
    )
    assert (long.facts, refs(long)) == (found.facts, [("payment", "t9")])
    kind = "subscription_charged_unsuccessfully"
    found = interpreted("braintree", kind, subscription(kind, inside("t9", "processor_declined")))
    assert facts(found) == {("terms", "t9", "asked", "1000"), ("attempt", "t9", "failed")}


@pytest.mark.parametrize("kind", ["subscription_charged_successfully", "subscription_charged_unsuccessfully"])
def test_each_charge_of_a_subscription_is_an_event_of_its_own(kind: str) -> None:
    """By the subscription alone a later charge would be taken for the first one's repetition."""
    for own in ("t1", "t2"):
        document = f"<notification><kind>{kind}</kind><subject>{{}}</subject></notification>"
        charge = f"<subscription><id>s1</id><transactions>{inside(own, 'failed')}</transactions></subscription>"
        payload = document.format(charge).encode()
        assert signature._notification(base64.encodebytes(payload), payload).event_id == f"{kind}:s1:{own}"


@pytest.mark.parametrize(
    ("status", "states"),
    [
        ("authorizing", ["asked", "processing"]),
        ("authorized", ["asked", "authorized"]),
        ("settlement_pending", ["asked", "processing", "pending"]),
        ("settlement_declined", ["asked", "failed", "pending", "failed"]),
        ("voided", ["asked", "authorized", "canceled"]),
        ("authorization_expired", ["asked", "authorized", "expired"]),
        ("made_up", ["asked"]),
    ],
)
def test_where_a_transaction_stands(status: str, states: list[str]) -> None:
    kind = "transaction_retried"
    retried = "<retried-transaction-id>t0</retried-transaction-id>"
    found = interpreted("braintree", kind, notification(kind, inside("t1", status, f"<type>sale</type>{retried}")))
    assert [one.state for one in found.facts] == states
    assert refs(found) == [("payment", "t1"), ("payment", "t0")]


@pytest.mark.parametrize(("status", "fact"), [("settled", ("capture", "t1", "succeeded")), ("authorizing", None)])
def test_a_local_payment_becomes_its_transaction(status: str, fact: tuple[str, ...] | None) -> None:
    kind = "local_payment_funded"
    paid = f"<transaction><id>t1</id><status>{status}</status><amount>10.00</amount></transaction>"
    found = interpreted(
        "braintree",
        kind,
        notification(kind, f"<local-payment-funded><payment-id>p1</payment-id>{paid}</local-payment-funded>"),
    )
    assert facts(found) == {fact or ("attempt", "t1", "processing")}
    assert refs(found) == [("payment", "t1"), ("session", "p1")]


@pytest.mark.parametrize(("status", "end"), [("voided", "canceled"), ("authorization_expired", "expired")])
@pytest.mark.parametrize("kind", ["transaction_retried", "local_payment_funded"])
def test_a_sale_that_was_released_needs_no_currency(kind: str, status: str, end: str) -> None:
    inner = f"<transaction><id>t1</id><status>{status}</status><amount>10.00</amount></transaction>"
    subject = inner if kind == "transaction_retried" else f"<local-payment-funded>{inner}</local-payment-funded>"
    found = interpreted("braintree", kind, notification(kind, subject))
    assert facts(found) == {("attempt", "t1", end), ("void", "t1", end)}
    assert found.opens


def test_a_settlement_that_was_declined_takes_a_sum_back_that_nothing_reported() -> None:
    kind = "local_payment_funded"

    def paid(status: str, event_id: str) -> Record:
        inner = f"<transaction><id>t1</id><status>{status}</status><amount>10.00</amount></transaction>"
        body = notification(kind, f"<local-payment-funded>{inner}</local-payment-funded>")
        return made("braintree", kind, body, event_id)

    records = [paid("settled", "e1"), paid("settlement_declined", "e2")]
    check_every_order(records, status="failed", captured=0)


def test_a_refund_that_failed_is_found_by_its_own_id() -> None:
    kind = "refund_failed"
    found = interpreted(
        "braintree", kind, notification(kind, "<transaction><id>r1</id><amount>100</amount></transaction>")
    )
    assert facts(found) == {("refund", "r1", "failed")}
    assert refs(found) == [("refund", "r1")]
    assert not found.opens


def test_events_of_a_subscription_differ_by_their_transaction() -> None:
    key = "k|s"
    ids = set()
    for own in ("t1", "t2"):
        kind = "subscription_charged_successfully"
        payload = parse_qs(subscription(kind, inside(own, "settled")).decode())["bt_payload"][0]
        mac = hmac.new(hashlib.sha1(b"s").digest(), payload.encode(), "sha1").hexdigest()
        body = urlencode({"bt_signature": f"k|{mac}", "bt_payload": payload}).encode()
        (one,) = providers.verify("braintree", headers={}, body=body, url="", secrets=[key], now=0)
        ids.add(one.event_id)
        assert one.payment_ref == own
    assert ids == {"subscription_charged_successfully:s1:t1", "subscription_charged_successfully:s1:t2"}


def test_a_part_of_an_authorization_does_not_tell_what_was_asked() -> None:
    kind = "transaction_settled"
    of_whole = "<authorized-transaction-id>t0</authorized-transaction-id>"
    found = interpreted("braintree", kind, notification(kind, inside("t1", "settled", f"<type>sale</type>{of_whole}")))
    assert [one.state for one in found.facts] == ["succeeded"]
    assert refs(found) == [("payment", "t0"), ("payment", "t1")]


def test_every_order_of_a_life() -> None:
    refund: Any = transaction("transaction_disbursed", CREDIT, own="cr1", type_="credit", amount="25.90")
    check_every_order(
        [
            genuine("braintree", "event_transaction_settled"),
            genuine("braintree", "event_transaction_disbursed"),
            made("braintree", "transaction_disbursed", refund, "e1"),
            genuine("braintree", "event_dispute_opened"),
            genuine("braintree", "event_dispute_won"),
        ],
        provider_ref=KEY,
        status="captured",
        refund_status="partial",
        dispute_status="won",
        currency="EUR",
        amount=12590,
        authorized=12590,
        captured=12590,
        refunded=2590,
    )


def test_every_order_of_a_settlement_that_was_declined_later() -> None:
    names = ("event_transaction_settled", "event_settlement_declined")
    check_every_order([genuine("braintree", name) for name in names], captured=0, authorized=12590)
    assert event("braintree", names[1]).payment_ref == KEY
