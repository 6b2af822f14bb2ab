"""Rules of single providers that decide whose money it is, how much, and in which order: one example each."""

from __future__ import annotations

import json
from typing import Any

import pytest
from refetched import fold

import providers
from providers.paypal.recall import GRANT
from schemas.facts import FactKind, Meaning, Ref, RefKind

pytestmark = pytest.mark.unit


def read(provider: str, kind: str, event: dict[str, Any]) -> Meaning:
    return providers.interpret(provider, kind, json.dumps(event).encode())


def named(found: Meaning, kind: RefKind) -> list[str]:
    return [one.ref for one in found.refs if one.kind is kind]


# --- Stripe ------------------------------------------------------------------------------------------------------

EUROS = {"amount": 1000, "currency": "eur"}


def stripe(kind: str, thing: dict[str, Any], created: int = 1_790_000_000) -> Meaning:
    return read("stripe", kind, {"type": kind, "created": created, "data": {"object": thing}})


def session(**more: Any) -> dict[str, Any]:
    return {
        "id": "cs_1",
        "payment_intent": "pi_1",
        "amount_total": 1000,
        "currency": "eur",
        "payment_status": "paid",
    } | more


def test_a_session_that_needs_no_payment_took_none() -> None:
    for status, taken in (("paid", 1000), ("no_payment_required", 0), ("unpaid", 0)):
        assert fold(stripe("checkout.session.completed", session(payment_status=status))).captured == taken


def test_a_session_without_a_total_ties_its_payment_and_one_of_nothing_is_none() -> None:
    assert named(stripe("checkout.session.completed", session(amount_total=None)), RefKind.PAYMENT) == ["pi_1", "cs_1"]
    assert stripe("checkout.session.completed", session(amount_total=0)) == Meaning()


def test_the_total_of_a_session_is_that_of_its_time() -> None:
    """A code lowered it after the intent was made; the intent may be changed once more."""
    made, later = (stripe("payment_intent.created", {"id": "pi_1", **EUROS}, created) for created in (10, 30))
    lowered = stripe("checkout.session.completed", session(amount_total=800, payment_status="unpaid"), 20)
    assert fold(made, lowered).amount == fold(lowered, made).amount == 800
    assert fold(lowered, later).amount == fold(later, lowered).amount == 1000


def test_an_invoice_ties_the_intent_and_not_its_charge() -> None:
    found = stripe("invoice.paid", {"id": "in_1", "charge": "ch_1", "payment_intent": "pi_1", "currency": "eur"})
    assert (found.provider_ref, named(found, RefKind.PAYMENT)) == ("pi_1", ["pi_1", "in_1"])
    assert [fact.key for fact in found.facts] == ["pi_1"]


def test_what_was_released_with_a_part_capture_is_no_refund_though_the_charge_lists_it() -> None:
    listed = [{"id": "re_0", "amount": 400, "status": "succeeded", "balance_transaction": "txn_0"},
              {"id": "re_1", "amount": 100, "status": "succeeded", "balance_transaction": "txn_1"}]  # fmt: skip
    charge = {"id": "ch_1", "payment_intent": "pi_1", "captured": True, "amount_captured": 600, "amount_refunded": 500,
              "refunds": {"data": listed}, **EUROS}  # fmt: skip
    assert fold(stripe("charge.captured", charge), stripe("charge.refunded", charge)).refunded == 100


# --- PayPal ------------------------------------------------------------------------------------------------------


def paypal(kind: str, resource: dict[str, Any]) -> Meaning:
    return read("paypal", kind, {"event_type": kind, "resource": resource})


def test_free_text_of_a_shop_is_no_reference_that_joins_payments() -> None:
    capture = {"id": "C1", "custom_id": "newsletter", "amount": {"currency_code": "EUR", "value": "10.00"}}
    assert not named(paypal("PAYMENT.CAPTURE.COMPLETED", capture), RefKind.REFERENCE)
    found = paypal("PAYMENT.CAPTURE.COMPLETED", capture | {"invoice_id": "ORD-1"})
    assert named(found, RefKind.REFERENCE) == ["ORD-1"]


def test_a_token_of_paypal_lives_as_long_as_it_says() -> None:
    assert GRANT.read(b'{"access_token": "t", "expires_in": 32400}') == ("t", 32400.0)
    assert GRANT.read(b'{"access_token": "t", "expires_in": 32400.5}') == ("t", 32400.5)
    assert GRANT.read(b'{"access_token": "t", "expires_in": "soon"}') is None


def paypal_dispute(**more: Any) -> dict[str, Any]:
    found = {"dispute_id": "PP-1", "disputed_transactions": [{"seller_transaction_id": "C1"}],
             "dispute_amount": {"currency_code": "EUR", "value": "10.00"}, "status": "OPEN"}  # fmt: skip
    return found | more


def test_a_dispute_of_paypal_that_tells_no_stage_is_a_chargeback() -> None:
    """It ranks above the inquiry that came before, however late that is heard of."""
    inquiry = {"dispute_life_cycle_stage": "INQUIRY", "update_time": "2026-11-02T10:00:00Z"}
    asked = paypal("CUSTOMER.DISPUTE.UPDATED", paypal_dispute(**inquiry))
    assert fold(asked).dispute_status == "inquiry"
    for stage in ({}, {"dispute_life_cycle_stage": "OF_TOMORROW"}):
        given = paypal_dispute(update_time="2026-11-01T10:00:00Z", **stage)
        opened = paypal("CUSTOMER.DISPUTE.UPDATED", given)
        assert fold(asked, opened).dispute_status == fold(opened, asked).dispute_status == "open"


def test_the_sum_of_a_dispute_of_several_payments_is_none_of_theirs() -> None:
    several = [{"seller_transaction_id": "C1"}, {"seller_transaction_id": "C2"}]
    assert paypal("CUSTOMER.DISPUTE.CREATED", paypal_dispute()).amount == 1000
    assert paypal("CUSTOMER.DISPUTE.CREATED", paypal_dispute(disputed_transactions=several)).amount is None


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("OPEN", "open"),
        ("WAITING_FOR_BUYER_RESPONSE", "open"),
        ("WAITING_FOR_SELLER_RESPONSE", "open"),
        ("UNDER_REVIEW", "under_review"),
    ],
)
def test_whom_a_dispute_of_paypal_waits_for(status: str, state: str) -> None:
    assert fold(paypal("CUSTOMER.DISPUTE.UPDATED", paypal_dispute(status=status))).dispute_status == state


def answered(provider: str, ref: str, value: dict[str, Any]) -> Meaning:
    """Interpret an API's answer as the consumer does."""
    found, body = providers.find(provider), json.dumps(value).encode()
    assert found is not None
    assert found.refetch is not None
    answer: Any = found.refetch.answer(ref, 200, body)
    return providers.interpret(provider, answer.kind, body)


def ten(own: str, status: str, **more: Any) -> dict[str, Any]:
    return {"id": own, "status": status, "amount": {"currency_code": "EUR", "value": "10.00"}} | more


@pytest.mark.parametrize(("status", "reserved"), [("CREATED", 1000), ("PARTIALLY_CAPTURED", 1000), ("DENIED", 0)])
def test_an_authorization_of_paypal_that_was_denied_reserved_nothing(status: str, reserved: int) -> None:
    assert fold(answered("paypal", "charge:A1", ten("A1", status))).authorized == reserved


@pytest.mark.parametrize("status", ["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"])
def test_a_capture_of_paypal_that_was_given_back_was_taken(status: str) -> None:
    assert fold(answered("paypal", "capture:C1", ten("C1", status))).captured == 1000


@pytest.mark.parametrize(("status", "state"), [("PENDING", "processing"), ("DECLINED", "failed"), ("FAILED", "failed")])
def test_an_order_of_paypal_tells_of_a_capture_that_took_nothing(status: str, state: str) -> None:
    unit = {"amount": ten("x", "y")["amount"], "payments": {"captures": [ten("C1", status)]}}
    row = fold(answered("paypal", "O1", {"id": "O1", "status": "COMPLETED", "purchase_units": [unit]}))
    assert (row.status, row.captured) == (state, 0)


def paypal_payment(*transactions: dict[str, Any]) -> dict[str, Any]:
    return {"id": "PAYID-1", "state": "approved", "transactions": list(transactions)}


def test_a_payment_of_paypal_in_two_currencies_has_no_sum() -> None:
    two = [{"amount": {"total": "10.00", "currency": code}} for code in ("EUR", "USD")]
    found = answered("paypal", "PAYID-1", paypal_payment(*two))
    assert (found.currency, found.amount, {fact.kind for fact in found.facts}) == (None, None, {FactKind.ATTEMPT})


@pytest.mark.parametrize(("state", "status"), [("voided", "canceled"), ("expired", "expired")])
def test_what_an_authorization_of_version_1_had_reserved_stays_known(state: str, status: str) -> None:
    money = {"total": "10.00", "currency": "EUR"}
    held = {"id": "A1", "state": state, "amount": money, "valid_until": "2026-11-01T10:00:00Z"}
    row = fold(
        answered("paypal", "PAYID-1", paypal_payment({"amount": money, "related_resources": [{"authorization": held}]}))
    )
    assert (row.status, row.authorized) == (status, 1000)


def test_what_a_payment_of_version_1_lists_is_of_it_though_it_does_not_say_so() -> None:
    money = {"total": "10.00", "currency": "EUR"}
    sale = {"id": "S1", "state": "completed", "amount": money}
    found = answered("paypal", "PAYID-1", paypal_payment({"amount": money, "related_resources": [{"sale": sale}]}))
    assert named(found, RefKind.PAYMENT) == ["PAYID-1"]
    assert fold(found).captured == 1000


@pytest.mark.parametrize("status", ["CREATED", "CAPTURED", "PARTIALLY_CAPTURED"])
def test_an_order_of_paypal_counts_what_its_authorization_reserved(status: str) -> None:
    unit = {"amount": ten("x", "y")["amount"], "payments": {"authorizations": [ten("A1", status)]}}
    shown = {"id": "O1", "status": "COMPLETED", "purchase_units": [unit]}
    assert fold(answered("paypal", "O1", shown)).authorized == 1000


def test_an_order_of_several_payees_that_is_read_again_names_none_of_them_by_itself() -> None:
    """What it lists of refunds and voids names the order, and would join the two payees' money."""
    void = {"authorizations": [ten("A1", "VOIDED")]}
    units = [{"reference_id": one, "amount": ten("x", "y")["amount"], "payee": {"merchant_id": one}, "payments": void}
             for one in ("M1", "M2")]  # fmt: skip
    found = answered("paypal", "O1", {"id": "O1", "status": "COMPLETED", "purchase_units": units})
    assert Ref(RefKind.SESSION, "O1") not in found.refs
    assert Ref(RefKind.SESSION, "O1:M1") in found.refs


def test_an_order_one_of_whose_units_tells_no_sum_has_none() -> None:
    units = [{"reference_id": "a", "amount": ten("x", "y")["amount"]}, {"reference_id": "b"}]
    found = paypal("CHECKOUT.ORDER.APPROVED", {"id": "O1", "purchase_units": units})
    assert (found.currency, found.amount) == (None, None)


# --- Mollie ------------------------------------------------------------------------------------------------------


def mollie(key: str, status: str, **more: Any) -> dict[str, Any]:
    return {"resource": "payment", "id": key, "status": status, "amount": {"value": "10.00", "currency": "EUR"}} | more


def mollie_order(status: str, embedded: dict[str, Any] | None = None, **more: Any) -> Meaning:
    order = mollie("ord_1", status) | {"resource": "order", "orderNumber": "7", "_embedded": embedded or {}}
    return answered("mollie", "ord_1", order | more)


def test_an_order_of_mollie_asks_for_its_whole_amount_whatever_was_captured() -> None:
    part = {"amountCaptured": {"value": "4.00", "currency": "EUR"}}
    assert fold(mollie_order("created")).amount == fold(mollie_order("authorized", **part)).amount == 1000


def test_a_try_that_the_order_lists_is_no_end_of_the_order() -> None:
    found = mollie_order("created", {"payments": [mollie("tr_1", "canceled"), mollie("tr_2", "open")]})
    assert FactKind.END not in {fact.kind for fact in found.facts}
    ended = mollie_order("canceled", {"payments": [mollie("tr_1", "canceled")]})
    assert [fact.key for fact in ended.facts if fact.kind is FactKind.END] == ["ord_1"]


def test_a_refund_that_the_order_lists_is_of_the_payment_that_it_names() -> None:
    refund = mollie("re_1", "refunded", paymentId="tr_2")
    found = mollie_order("paid", {"payments": [mollie("tr_2", "paid")], "refunds": [refund]})
    assert [fact.parent for fact in found.facts if fact.kind is FactKind.REFUND] == ["tr_2"]
    assert (fold(found).captured, fold(found).refunded) == (1000, 1000)


def test_an_order_of_mollie_goes_by_the_shops_own_reference_before_its_number() -> None:
    assert named(mollie_order("paid"), RefKind.REFERENCE) == ["7"]
    assert named(mollie_order("paid", metadata={"order_id": "ORD-1"}), RefKind.REFERENCE) == ["ORD-1"]


def test_a_debit_of_mollie_may_be_taken_back_once_it_was_paid() -> None:
    shown = [mollie("tr_1", status, method=method) for status, method in
             (("paid", "directdebit"), ("pending", "directdebit"), ("paid", "ideal"))]  # fmt: skip
    assert [answered("mollie", "tr_1", one).undoable_days for one in shown] == [60, 0, 0]


# --- Razorpay ----------------------------------------------------------------------------------------------------


def razorpay(status: str, **more: Any) -> dict[str, Any]:
    return {"id": "pay_1", "entity": "payment", "amount": 1000, "currency": "INR", "status": status} | more


def razorpay_event(kind: str, created: int = 1_790_000_000, **payload: dict[str, Any]) -> Meaning:
    entities = {name: {"entity": entity} for name, entity in payload.items()}
    return read("razorpay", kind, {"event": kind, "created_at": created, "payload": entities})


def test_a_hold_that_razorpay_gave_back_had_reserved_its_amount() -> None:
    row = fold(answered("razorpay", "pay_1", razorpay("refunded", captured=False)))
    assert (row.status, row.authorized, row.captured) == ("canceled", 1000, 0)


def test_a_refunded_payment_that_does_not_tell_whether_it_was_captured_was() -> None:
    listed = providers.interpret("razorpay", "recall.payment", json.dumps(razorpay("refunded")).encode())
    assert fold(listed).captured == fold(answered("razorpay", "pay_1", razorpay("refunded"))).captured == 1000


def test_what_an_order_asks_for_in_another_currency_is_no_sum_of_the_payment() -> None:
    paid = razorpay("captured", order_id="order_1")
    for code, keys in (("INR", ["pay_1", "order_1"]), ("USD", ["pay_1"])):
        found = razorpay_event("order.paid", payment=paid, order={"id": "order_1", "amount": 2000, "currency": code})
        assert [fact.key for fact in found.facts if fact.kind is FactKind.TERMS] == keys


@pytest.mark.parametrize(("kind", "taken"), [("lost", [1000]), ("won", []), ("under_review", [])])
def test_a_dispute_of_razorpay_took_money_where_it_was_lost_alone(kind: str, taken: list[int]) -> None:
    dispute = {"id": "disp_1", "payment_id": "pay_1", "phase": "chargeback", "amount": 1000, "currency": "INR",
               "amount_deducted": 1000}  # fmt: skip
    found = razorpay_event(f"payment.dispute.{kind}", dispute=dispute)
    assert [fact.amount for fact in found.facts if fact.kind is FactKind.DISPUTE_OUT] == taken


def test_a_link_that_nobody_paid_is_the_payment_of_its_order() -> None:
    link = {"id": "plink_1", "amount": 1000, "currency": "INR"}
    assert razorpay_event("payment_link.expired", payment_link=link).provider_ref == "plink_1"
    of_order = razorpay_event("payment_link.expired", payment_link=link | {"order_id": "order_1"})
    assert (of_order.provider_ref, named(of_order, RefKind.PAYMENT)) == ("order_1", ["order_1"])


# --- GoCardless --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("created", "pending"),
        ("submitted", "pending"),
        ("paid", "succeeded"),
        ("cancelled", "canceled"),
        ("bounced", "failed"),
        ("funds_returned", "reversed"),
    ],
)
def test_where_a_refund_of_gocardless_stands(status: str, state: str) -> None:
    refund = {"id": "RF1", "amount": 400, "currency": "EUR", "status": status, "links": {"payment": "PM1"}}
    assert [fact.state for fact in answered("gocardless", "RF1", {"refunds": refund}).facts] == [state]


@pytest.mark.parametrize(("status", "days"), [("confirmed", 60), ("paid_out", 60), ("submitted", 0), ("failed", 0)])
def test_a_debit_of_gocardless_may_be_taken_back_once_it_was_collected(status: str, days: int) -> None:
    debit = {"id": "PM1", "amount": 1000, "currency": "EUR", "status": status}
    assert answered("gocardless", "PM1", {"payments": debit}).undoable_days == days


def test_a_payment_of_gocardless_goes_by_its_id_its_metadata_and_what_it_shares() -> None:
    """`reference` is what stands on the bank's statement, `metadata` here is the payment's own."""
    shown = {"id": "PM1", "amount": 1000, "currency": "EUR", "status": "submitted", "reference": "SHOP",
             "metadata": {"order_id": "ORD-1"}, "links": {"mandate": "MD1", "subscription": "SB1"}}  # fmt: skip
    found = answered("gocardless", "PM1", {"payments": shown})
    assert (found.provider_ref, named(found, RefKind.PAYMENT)) == ("PM1", ["PM1"])
    assert (named(found, RefKind.REFERENCE), sorted(named(found, RefKind.SHARED))) == (["ORD-1"], ["MD1", "SB1"])


# --- Checkout.com ------------------------------------------------------------------------------------------------


def checkout(status: str, currency: str = "EUR", **balances: int) -> Meaning:
    held = {f"total_{name}": amount for name, amount in balances.items()}
    shown = {"id": "pay_1", "status": status, "amount": 1000, "currency": currency, "balances": held}
    return answered("checkout", "pay_1", shown)


def test_what_checkout_shows_as_given_back_is_not_added_to_its_refunds() -> None:
    data = {"id": "pay_1", "action_id": "act_1", "amount": 400, "currency": "EUR"}
    refunded = read("checkout", "payment_refunded", {"type": "payment_refunded", "data": data})
    shown = checkout("Partially Refunded", authorized=1000, captured=1000, refunded=600)
    assert fold(refunded, shown).refunded == fold(shown, refunded).refunded == 600


@pytest.mark.parametrize(
    ("status", "expected"),
    [("Pending", "processing"), ("Requested", "processing"), ("Active", "processing"), ("Expired", "expired")],
)
def test_a_payment_of_checkout_that_reserved_nothing_stands_where_its_status_says(status: str, expected: str) -> None:
    assert fold(checkout(status)).status == expected


@pytest.mark.parametrize("currency", ["ISK", "JPY", "KRW", "UGX"])
def test_checkout_writes_currencies_without_decimals_as_iso_4217_does(currency: str) -> None:
    assert fold(checkout("Captured", currency, authorized=1000, captured=1000)).captured == 1000


def test_a_dispute_of_checkout_that_is_read_again_is_of_its_payment_and_its_entity() -> None:
    shown = {"id": "dsp_1", "status": "lost", "amount": 1000, "currency": "EUR", "payment": {"id": "pay_1"},
             "entity_id": "ent_1"}  # fmt: skip
    provider = providers.find("checkout")
    assert provider is not None
    assert provider.refetch is not None
    answer: Any = provider.refetch.answer("dispute:dsp_1", 200, json.dumps(shown).encode())
    found = answered("checkout", "dispute:dsp_1", shown)
    assert (answer.ref, found.provider_ref, found.merchant_account) == ("pay_1", "pay_1", "ent_1")


def test_arbitration_of_checkout_outranks_the_loss_before_it() -> None:
    lost, again = (
        answered("checkout", "dispute:dsp_1", {"id": "dsp_1", "status": status, "amount": 1000, "currency": "EUR",
                                               "payment": {"id": "pay_1"}})
        for status in ("lost", "arbitration_under_review")
    )  # fmt: skip
    assert fold(lost, again).dispute_status == fold(again, lost).dispute_status == "under_review"


# --- Square ------------------------------------------------------------------------------------------------------


def test_what_a_seller_lowered_before_it_was_taken_is_lower_in_every_figure() -> None:
    def payment(status: str, amount: int, minute: int) -> Meaning:
        money = {"amount": amount, "currency": "EUR"}
        shown = {"id": "p1", "status": status, "total_money": money, "updated_at": f"2026-11-01T10:{minute:02}:00Z"}
        return answered("square", "p1", {"payment": shown})

    before, after = payment("APPROVED", 1000, 0), payment("COMPLETED", 900, 5)
    row = fold(before, after)
    assert row == fold(after, before)
    assert (row.amount, row.authorized, row.captured) == (900, 900, 900)


# --- Paystack ----------------------------------------------------------------------------------------------------


def paystack(kind: str, **data: Any) -> Meaning:
    return read(
        "paystack", kind, {"event": kind, "data": {"amount": 1000, "currency": "ZAR", "reference": "pre1"} | data}
    )


def test_the_capture_of_a_hold_is_that_of_its_transaction() -> None:
    """The transaction is read at the API too, and is no second capture beside it."""
    taken = paystack("preauthorization.capture.success", captured_amount=600, transaction={"reference": "T1"})
    shown = {"reference": "T1", "status": "success", "amount": 600, "currency": "ZAR", "domain": "live"}
    read_again = answered("paystack", "T1", {"status": True, "data": shown})
    assert fold(taken, read_again).captured == fold(read_again, taken).captured == fold(taken).captured == 600


@pytest.mark.parametrize(
    ("ended", "status"), [("09:59:59", "canceled"), ("10:00:00", "expired"), ("10:00:01", "expired")]
)
def test_a_hold_whose_time_was_up_expired(ended: str, status: str) -> None:
    times = {"expired_at": f"2026-11-01T{ended}.000Z", "expiry_date": "2026-11-01T10:00:00.000Z"}
    assert fold(paystack("preauthorization.release.success", **times)).status == status


@pytest.mark.parametrize(
    ("status", "state"),
    [("awaiting-merchant-feedback", "open"), ("awaiting-bank-feedback", "under_review"), ("pending", "under_review")],
)
def test_whose_answer_a_dispute_of_paystack_waits_for(status: str, state: str) -> None:
    found = paystack("charge.dispute.remind", id=1, status=status, transaction={"reference": "T1"})
    assert fold(found).dispute_status == state


@pytest.mark.parametrize("status", ["success", "failed", "abandoned", "ongoing"])
@pytest.mark.parametrize(("domain", "live"), [("test", False), ("live", True)])
def test_a_transaction_of_paystack_is_in_its_mode_however_it_stands(status: str, domain: str, *, live: bool) -> None:
    shown = {"reference": "T1", "status": status, "amount": 600, "currency": "ZAR", "domain": domain}
    assert answered("paystack", "T1", {"status": True, "data": shown}).livemode is live


# --- Braintree ---------------------------------------------------------------------------------------------------


def braintree(ref: str, document: str) -> Meaning:
    provider = providers.find("braintree")
    assert provider is not None
    assert provider.refetch is not None
    answer: Any = provider.refetch.answer(ref, 200, document.encode())
    return providers.interpret("braintree", answer.kind, document.encode())


def test_a_dispute_of_braintree_is_about_what_is_disputed() -> None:
    document = ("<dispute><id>d1</id><status>open</status><amount>10.00</amount><amount-disputed>4.00</amount-disputed>"
                "<currency-iso-code>EUR</currency-iso-code><transaction><id>t1</id></transaction>"
                "</dispute>")  # fmt: skip
    found = braintree("dispute:d1", document)
    assert [fact.amount for fact in found.facts if fact.kind is FactKind.DISPUTE_OUT] == [400]


@pytest.mark.parametrize(
    ("kind", "taken", "status"),
    [("chargeback", [1000], "lost"), ("pre_arbitration", [1000], "lost"), ("retrieval", [], "prevented")],
)
def test_a_question_of_braintree_takes_nothing_and_every_other_dispute_does(
    kind: str, taken: list[int], status: str
) -> None:
    document = (f"<dispute><id>d1</id><kind>{kind}</kind><status>lost</status><amount>10.00</amount>"
                "<currency-iso-code>EUR</currency-iso-code><transaction><id>t1</id></transaction>"
                "</dispute>")  # fmt: skip
    found = braintree("dispute:d1", document)
    assert [fact.amount for fact in found.facts if fact.kind is FactKind.DISPUTE_OUT] == taken
    assert fold(found).dispute_status == status


def test_a_refund_of_braintree_whose_authorization_ran_out_gave_nothing_back() -> None:
    document = ("<transaction><id>t2</id><type>credit</type><amount>4.00</amount><status>authorization_expired</status>"
                "<refunded-transaction-id>t1</refunded-transaction-id><currency-iso-code>EUR</currency-iso-code>"
                "</transaction>")  # fmt: skip
    assert [fact.state for fact in braintree("refund:t2", document).facts] == ["failed"]


# --- Shopify -----------------------------------------------------------------------------------------------------


def shop(topic: str, **body: Any) -> Meaning:
    return read(
        "shopify", topic, {"id": 7, "currency": "EUR", "total_price": "10.00", "financial_status": "pending"} | body
    )


@pytest.mark.parametrize("status", ["pending", "authorized", "paid", "partially_refunded", "refunded", "voided"])
def test_an_order_of_a_shop_is_asked_about_its_transactions_however_it_stands(status: str) -> None:
    order = {"id": 7, "currency": "EUR", "total_price": "10.00", "financial_status": status}
    assert answered("shopify", "7", {"order": order}).ask == "transactions:7"


def test_an_order_that_was_canceled_asks_for_what_an_edit_had_left_of_it() -> None:
    edited = shop("orders/updated", current_total_price="9.00", updated_at="2026-11-01T10:00:00Z")
    canceled = shop("orders/cancelled", current_total_price="0.00", updated_at="2026-11-02T10:00:00Z",
                    cancelled_at="2026-11-02T10:00:00Z")  # fmt: skip
    assert fold(edited, canceled).amount == fold(canceled, edited).amount == 900


def test_a_dispute_of_a_shop_that_tells_no_type_took_its_money() -> None:
    dispute = {"id": 9, "order_id": 7, "status": "needs_response", "amount": "10.00", "currency": "EUR"}
    for given, taken in (({}, 1), ({"type": "chargeback"}, 1), ({"type": "inquiry"}, 0)):
        found = read("shopify", "disputes/create", dispute | given)
        assert [fact.kind for fact in found.facts].count(FactKind.DISPUTE_OUT) == taken


# --- Adyen -------------------------------------------------------------------------------------------------------


def adyen(code: str, psp: str, original: str | None = None, value: int = 1000) -> Meaning:
    item = {"eventCode": code, "success": "true", "pspReference": psp, "originalReference": original,
            "merchantAccountCode": "M1", "amount": {"value": value, "currency": "EUR"}}  # fmt: skip
    return read("adyen", code, item)


@pytest.mark.parametrize(("end", "status"), [("WON", "won"), ("LOST", "lost")])
def test_the_scheme_s_arbitration_ends_what_it_began(end: str, status: str) -> None:
    began, ended = adyen("SCHEME_ARBITRATION", "D1", "P1"), adyen(f"SCHEME_ARBITRATION_{end}", "D1", "P1")
    assert fold(began, ended).dispute_status == fold(ended, began).dispute_status == status


def test_a_second_chargeback_that_the_issuer_withdrew_gives_its_money_back() -> None:
    second, withdrawn = adyen("SECOND_CHARGEBACK", "D1", "P1"), adyen("PREARBITRATION_ISSUER_WITHDRAWN", "D1", "P1")
    taken = adyen("CAPTURE", "C1", "P1")
    assert fold(taken, second).disputed == 1000
    row = fold(taken, second, withdrawn)
    assert (row.disputed, row.dispute_status) == (0, "won")


def test_an_issuer_that_does_not_answer_in_time_has_lost() -> None:
    asked, silent = (
        adyen("NOTIFICATION_OF_CHARGEBACK", "D1", "P1"),
        adyen("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "D1", "P1"),
    )
    assert fold(asked, silent).dispute_status == "won"


@pytest.mark.parametrize("code", ["REFUND", "REFUND_WITH_DATA", "REFUND_FAILED"])
def test_a_refund_that_adyen_refused_failed(code: str) -> None:
    item = {"eventCode": code, "success": "false", "pspReference": "R1", "originalReference": "P1",
            "merchantAccountCode": "M1", "amount": {"value": 400, "currency": "EUR"}}  # fmt: skip
    assert [(fact.key, fact.state, fact.amount) for fact in read("adyen", code, item).facts] == [("R1", "failed", 400)]


# --- Standard Webhooks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("currency", ["ISK", "UGX", "MGA"])
def test_only_polar_has_units_of_its_own(currency: str) -> None:
    paid = {"payment_id": "pay_1", "total_amount": 1000, "currency": currency}
    found = read("standard_webhooks", "payment.succeeded", {"type": "payment.succeeded", "data": paid})
    assert (found.amount, {fact.amount for fact in found.facts}) == (1000, {1000})


def test_a_dispute_of_dodo_that_tells_no_stage_is_past_the_question() -> None:
    def dispute(kind: str, **more: Any) -> Meaning:
        data = {
            "payment_id": "pay_1",
            "dispute_id": "dis_1",
            "dispute_status": "x",
            "amount": "1000",
            "currency": "EUR",
        }
        return read("standard_webhooks", kind, {"type": kind, "data": data | more})

    asked = dispute("dispute.opened", dispute_stage="pre_dispute")
    for stage in ({}, {"dispute_stage": "of_tomorrow"}):
        lost = dispute("dispute.lost", **stage)
        assert fold(asked, lost).dispute_status == fold(lost, asked).dispute_status == "lost"
        assert [fact.version >> 53 for fact in lost.facts if fact.kind is FactKind.DISPUTE] == [1]


# --- Twilio ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kept"), [("delivered", True), ("sent", True), ("queued", False), ("sending", False)]
)
def test_a_step_on_the_way_is_no_delivery_report(status: str, *, kept: bool) -> None:
    found = providers.interpret("twilio", status, f"MessageSid=SM1&MessageStatus={status}".encode())
    assert (found.delivery_report is not None) is kept
