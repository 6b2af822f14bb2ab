"""What is easily lost where a payment is read again at its provider's API: which version, which id, as of when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from outside import charge, dispute, euros, intent, mollie_payment
from refetched import fetched, fold, refetch_of

import providers
from consumer.decode import reads_unknown
from providers.core import money, payments, reading, slices
from providers.core.meaning import need_amount
from providers.core.recall import raw_member
from providers.core.refetch import Credentials, Fetched, as_of, merged
from schemas.facts import REF_LENGTH_MAX, FactKind, Meaning

pytestmark = pytest.mark.unit

NOW = 1_790_000_300.0
CREDENTIALS = Credentials("http://api", "key", "hidden", "m/1", pass_key="pass", token="granted")


def asked_at(provider: str, seconds: float, meaning: Meaning) -> Meaning:
    """Return an answer as the consumer takes it that asked the API then."""
    refetch = refetch_of(provider)
    return as_of(meaning, refetch.timed, int(seconds * refetch.ticks_per_second))


def event(provider: str, name: str, kind: str, value: dict[str, Any]) -> Meaning:
    return providers.interpret(provider, kind, json.dumps({name: kind, **value}).encode())


# --- how it is asked ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "ref", "header", "version"),
    [
        ("stripe", "pi_1", "Stripe-Version", "2024-06-20"),
        ("gocardless", "PM1", "GoCardless-Version", "2015-07-06"),
        ("braintree", "t1", "X-ApiVersion", "6"),
    ],
)
def test_an_api_answers_in_the_version_that_we_read(provider: str, ref: str, header: str, version: str) -> None:
    """Without the header the account's own version counts, whose objects have another shape."""
    asked = refetch_of(provider).request(ref, CREDENTIALS, NOW)
    assert asked is not None
    assert asked.headers[header] == version


def test_every_kind_of_id_that_stripe_makes_is_asked_about() -> None:
    ask = refetch_of("stripe").request
    for ref in ("ch_1", "py_1", "disputes:py_1", "refund:re_1", "refund:pyr_1", "dispute:dp_1", "dispute:du_1",
                "dispute:pdp_1", "session:cs_test_1"):  # fmt: skip
        assert ask(ref, CREDENTIALS, NOW), ref


def test_a_merchant_s_id_is_one_part_of_a_path() -> None:
    asked = refetch_of("braintree").request("t1", CREDENTIALS, NOW)
    assert asked is not None
    assert asked.url == "http://api/merchants/m%2F1/transactions/t1"


def test_whose_payments_begin_without_an_event() -> None:
    assert [name for name in providers.paying() if reads_unknown(name)] == ["gocardless"]


# --- as of when --------------------------------------------------------------------------------------------------


def collected(status: str) -> Meaning:
    return fetched(
        "gocardless", "PM1", {"payments": {"id": "PM1", "amount": 1000, "currency": "EUR", "status": status}}
    )


def of_gocardless(action: str, second: int) -> Meaning:
    at = f"2026-09-21T14:15:{second:02}.000Z"
    found = {"resource_type": "payments", "action": action, "links": {"payment": "PM1"}, "created_at": at}
    return event("gocardless", "kind", f"payments.{action}", found)


@pytest.mark.parametrize(("status", "action", "taken"), [("paid_out", "failed", 1000), ("failed", "confirmed", 0)])
def test_an_answer_beats_the_events_before_it_and_no_event_after_it(status: str, action: str, taken: int) -> None:
    """Of a debit that failed late, or was collected by another try: seconds against the microseconds of events."""
    terms = collected("pending_submission")
    answer = asked_at("gocardless", 1_790_000_100 + 30, collected(status))
    before, after = of_gocardless(action, 10), of_gocardless(action, 50)
    assert fold(terms, before, answer).captured == fold(terms, answer, before).captured == taken
    assert fold(terms, answer, after).captured == fold(terms, after, answer).captured == 1000 - taken


def stripe_event(kind: str, created: int, thing: dict[str, Any]) -> Meaning:
    return event("stripe", "type", kind, {"created": created, "data": {"object": thing}})


def test_what_stripe_shows_now_beats_the_try_and_the_sum_of_before() -> None:
    """The customer acted, and the sum was lowered; both events went astray."""
    before = stripe_event("payment_intent.requires_action", 1_790_000_000, intent("pi_1", payment_method="pm_1"))
    shown = intent("pi_1", amount=700, status="processing", payment_method="pm_1")
    row = fold(before, asked_at("stripe", 1_790_000_100, fetched("stripe", "pi_1", shown)))
    assert (row.status, row.amount) == ("processing", 700)
    later = stripe_event("payment_intent.requires_action", 1_790_000_200, intent("pi_1", payment_method="pm_1"))
    row = fold(later, asked_at("stripe", 1_790_000_100, fetched("stripe", "pi_1", shown)))
    assert (row.status, row.amount) == ("requires_action", 1000)


def razorpay_dispute(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "disp_1", "entity": "dispute", "payment_id": "pay_1", "status": status, "phase": "chargeback",
            "amount": 1000, "currency": "INR", "amount_deducted": 0} | more  # fmt: skip


def test_what_razorpay_shows_of_a_dispute_beats_its_events_of_before() -> None:
    def reported(kind: str, second: int) -> Meaning:
        value = {"payload": {"dispute": {"entity": razorpay_dispute("x")}}, "created_at": second}
        return event("razorpay", "event", f"payment.dispute.{kind}", value)

    won = asked_at(
        "razorpay", 1_790_000_100, fetched("razorpay", "dispute:disp_1", razorpay_dispute("won"), about="pay_1")
    )
    assert fold(reported("under_review", 1_790_000_000), won).dispute_status == "won"
    assert fold(won, reported("under_review", 1_790_000_200)).dispute_status == "under_review"


def of_razorpay(kind: str, **more: Any) -> Meaning:
    entity = {"payload": {"dispute": {"entity": razorpay_dispute("x", **more)}}}
    return event("razorpay", "event", f"payment.dispute.{kind}", entity | {"created_at": 1_790_000_000})


def test_a_dispute_of_razorpay_took_what_was_deducted_and_not_what_was_disputed() -> None:
    for kind, deducted, taken in (("lost", 400, [400]), ("lost", 0, []), ("closed", 400, [400]), ("won", 400, [])):
        found = of_razorpay(kind, amount_deducted=deducted)
        assert [fact.amount for fact in found.facts if fact.kind is FactKind.DISPUTE_OUT] == taken, kind


def test_a_dispute_of_razorpay_in_a_phase_that_nobody_knows_is_a_chargeback() -> None:
    """It ranks above the question that came before."""
    asked = of_razorpay("created", phase="retrieval")
    assert fold(asked).dispute_status == "inquiry"
    for phase in ("of_tomorrow", None):
        opened = of_razorpay("created", phase=phase)
        assert fold(asked, opened).dispute_status == fold(opened, asked).dispute_status == "open"


def test_what_is_pending_has_no_version_in_an_answer_either() -> None:
    pending, failed = payments.capture_failed("c1", 5)
    found = as_of(Meaning(facts=(pending, failed)), frozenset({FactKind.CAPTURE, FactKind.REVERSAL}), 7)
    assert [fact.version for fact in found.facts] == [0, 7]


# --- several answers in one --------------------------------------------------------------------------------------


def test_one_of_several_meanings_is_enough() -> None:
    first, second = Meaning(currency="EUR"), Meaning(opens=True, undoable_days=60, ask="disputes:pi_1")
    assert merged(first, second) == Meaning(currency="EUR", opens=True, undoable_days=60, ask="disputes:pi_1")


def test_a_debit_that_pays_an_order_of_mollie_may_come_undone() -> None:
    tried = mollie_payment("tr_1", "paid", method="directdebit")
    order = {"resource": "order", "id": "ord_1", "amount": euros("10.00"), "status": "paid"}
    assert fetched("mollie", "ord_1", order | {"_embedded": {"payments": [tried]}}).undoable_days == 60


def test_a_shop_s_transactions_open_a_payment_whatever_the_first_one_is() -> None:
    money = {"order_id": 7, "amount": "10.00", "currency": "EUR"}
    listed = [{"id": 1, "kind": "capture", "status": "failure", **money}, {"id": 2, "kind": "sale", "status": "success",
              **money}]  # fmt: skip
    assert fetched("shopify", "transactions:7", {"transactions": listed}, about="7").opens


# --- Stripe ------------------------------------------------------------------------------------------------------


def test_a_try_under_way_is_none_that_failed_though_the_one_before_did() -> None:
    shown = intent("pi_1", last_payment_error={"charge": "ch_0"}, latest_charge=None)
    assert fold(fetched("stripe", "pi_1", shown | {"status": "processing"})).status == "processing"
    taken = shown | {"status": "succeeded", "amount_received": 1000}
    assert fold(fetched("stripe", "pi_1", taken)).captured == 1000


def test_a_charge_is_asked_about_its_disputes_however_it_stands() -> None:
    assert fetched("stripe", "py_1", charge("py_1", None, status="failed", disputed=True)).ask == "disputes:py_1"


def test_a_checkout_session_that_is_open_became_nothing_yet() -> None:
    shown = {"id": "cs_1", "object": "checkout.session", "status": "open", "payment_status": "unpaid",
             "amount_total": 1000, "currency": "eur", "payment_intent": "pi_1"}  # fmt: skip
    assert fetched("stripe", "session:cs_1", shown, about="pi_1") == Meaning()


def test_a_child_of_stripe_s_is_keyed_by_its_payment() -> None:
    answer = refetch_of("stripe").answer("dispute:dp_1", 200, json.dumps(dispute("dp_1", "pi_1")).encode())
    assert answer == Fetched("dispute", "pi_1")


# --- Paystack ----------------------------------------------------------------------------------------------------


def paystack(status: str, **more: Any) -> dict[str, Any]:
    return {"data": {"reference": "ord1", "amount": 1000, "currency": "NGN", "status": status} | more}


@pytest.mark.parametrize(
    ("status", "captured", "row"),
    [
        ("success", 1000, "captured"),
        ("reversed", 1000, "captured"),
        ("failed", 0, "failed"),
        ("abandoned", 0, "created"),
        ("ongoing", 0, "processing"),
        ("queued", 0, "processing"),
    ],
)
def test_a_transaction_of_paystack_that_was_reversed_had_taken_its_money(status: str, captured: int, row: str) -> None:
    """Its refund, or its dispute, tells that it was given back; one that nobody paid may be paid still."""
    found = fold(fetched("paystack", "ord1", paystack(status)))
    assert (found.captured, found.status) == (captured, row)


@pytest.mark.parametrize(
    ("status", "released_at", "row"),
    [
        ("authorized", None, "authorized"),
        ("release_failed", None, "authorized"),
        ("capture_failed", None, "authorized"),
        ("released", "2026-11-02T10:00:00Z", "canceled"),
        ("released", "2026-11-09T10:00:00Z", "expired"),
        ("failed", None, "failed"),
    ],
)
def test_how_a_hold_of_paystack_stands(status: str, released_at: str | None, row: str) -> None:
    shown = paystack(status, released_at=released_at, expiry_date="2026-11-09T10:00:00Z")
    assert fold(fetched("paystack", "charge:ord1", shown, about="ord1")).status == row


# --- the readers beneath -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("theirs", "ours"), [(150, 2), (250, 2), (199, 2), (149, 1), (0, 0)])
def test_what_nobody_can_pay_is_rounded_half_to_even(theirs: int, ours: int) -> None:
    assert money.in_iso_units(theirs, "ISK", {"ISK": 2}) == ours


def test_a_sum_of_nothing_is_a_sum() -> None:
    assert payments.amount_if_given(lambda: need_amount(0, "it"), 0) == 0
    assert payments.if_given(lambda: (need_amount(0, "it"), "EUR"), 0, "EUR") == (0, "EUR")


def test_an_id_may_be_as_long_as_its_column() -> None:
    assert reading.storable("x" * REF_LENGTH_MAX)
    assert not reading.storable("x" * (REF_LENGTH_MAX + 1))


def test_an_item_s_own_bytes_are_not_those_of_a_like_one_inside_its_neighbour() -> None:
    body = b'[{"x":{"n":"\xff"}},{"n":"\xfe"}]'
    items = [b'{"x":{"n":"\x7f"}}', b'{"n":"\x7f"}']
    assert slices.own_slices(body, items) == [b'{"x":{"n":"\xff"}}', b'{"n":"\xfe"}']


def test_a_name_that_is_broken_hides_no_list() -> None:
    assert raw_member(b'{"na\xffme":1,"data":[{"a":1}]}', "data") == [b'{"a":1}']


NEEDS = {
    "braintree": {"secret", "merchant"},
    "mpesa": {"secret", "merchant"},
    "paypal": {"secret"},
    "razorpay": {"secret"},
    "shopify": {"base_url"},
}
"""What an API is asked with beside its key; what is missing is shown at the start, and not by each answer."""


def test_what_an_api_needs_is_known_before_it_is_asked() -> None:
    for name in providers.names():
        found = providers.find(name)
        assert found is not None
        if found.refetch is not None:
            assert set(found.refetch.needs) == NEEDS.get(name, set()), name
    query = refetch_of("mpesa").query
    assert query is not None
    assert set(query.needs) == {"initiator", "initiator_credential", "answers_url"}


GENUINE = {
    "checkout": ("pay_mbabizu24mvu3mela5njyhpit4", "dispute:dsp_bc94ebda8d275i461229"),
    "flutterwave": ("285959875",),
    "gocardless": ("PM000AJKSY6Y6Q",),
    "mollie": ("tr_5B8cwPMGnU6qLbRvo7qEZo", "ord_kEn1PlbGa"),
    "mpesa": ("ws_CO_21092026141820304796440427",),
    "paypal": ("5O190127TN364715T", "capture:3C679366HH908993F", "charge:0VF52814937998046", "refund:1JU08902781691411",
               "dispute:PP-000-042-663-135", "PAY-1B56960729604235TKQQIYVY", "PAYID-LWF2ZZQ1VT24434XH4474314"),
    "paystack": ("T685312322670591", "dispute:2867"),
    "razorpay": ("pay_HuPfEJOHDwELTn", "order_uXQwcqK7TPCjPe", "refund:rfnd_gXC6A0oXXv4En5",
                 "dispute:disp_jb1kAE5ESiBcSc"),
    "square": ("hYy9pRFVxpDsO1FB05SunFWUe9JZY",),
    "standard_webhooks": ("pay_2IjeQm4hqU6RA4Z4kwDee",),
    "stripe": ("pi_3MtwBwLkdIwHu7ix28a3tqPa", "ch_3MmlLrLkdIwHu7ix0snN0B15", "refund:re_1Nispe2eZvKYlo2Cd31jOCgZ",
               "session:cs_test_a11YYufWQzNY63zpQ6QSNRQhkUpVph4WRmzW0zWJO2znZKdVujZ0N0S22u"),
}  # fmt: skip
"""Ids as the providers' documents show them: those of other tests are shorter."""


@pytest.mark.parametrize("name", GENUINE)
def test_an_id_as_its_provider_makes_it_is_asked_about(name: str) -> None:
    for ref in GENUINE[name]:
        assert refetch_of(name).request(ref, CREDENTIALS, NOW), ref


def test_an_id_that_is_not_dodo_s_is_not_asked_about_at_dodo() -> None:
    assert refetch_of("standard_webhooks").request("order_1", CREDENTIALS, NOW) is None


def test_no_api_is_one_for_trying_where_nothing_is_configured() -> None:
    for name in providers.names():
        found = providers.find(name)
        assert found is not None
        bases = [one.base_url for one in (found.refetch, found.recall) if one is not None]
        assert not [base for base in bases if "sandbox" in base or "test" in base], name
