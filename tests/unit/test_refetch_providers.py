"""What the providers' APIs are asked with, and that their answers fold to the rows that the webhooks give."""

from __future__ import annotations

import base64
import json
from dataclasses import fields
from typing import Any

import pytest
from outside import charge, dispute, euros, intent, mollie_payment, stk_answer
from refetched import fetched, fold, refetch_of

import providers
from providers.core.refetch import Credentials, Denied, Fetched, Later, as_of
from schemas.errors import UninterpretableError
from schemas.facts import FactKind, Meaning, Ref, RefKind
from schemas.payment import DisputeStatus, Projection, RefundStatus, Status

pytestmark = pytest.mark.unit

NOW = 1_790_000_300.0
CREDENTIALS = Credentials("http://api", "key", "hidden", "174379", "passkey", "granted")


def stripe_event(kind: str, thing: dict[str, Any]) -> Meaning:
    return providers.interpret("stripe", kind, json.dumps({"type": kind, "data": {"object": thing}}).encode())


# --- Stripe ------------------------------------------------------------------------------------------------------


def test_stripe_is_asked_for_an_intent_with_its_charge_or_for_a_bare_charge():
    ask = refetch_of("stripe").request
    asked = ask("pi_3Abc", CREDENTIALS, NOW)
    assert asked
    assert (asked.method, asked.body) == ("GET", None)
    assert asked.url == ("http://api/v1/payment_intents/pi_3Abc?expand[]=latest_charge&expand[]=latest_charge.refunds")
    assert asked.headers["Authorization"] == "Bearer key"
    assert "key" not in repr(asked)
    bare = ask("ch_3Abc", CREDENTIALS, NOW)
    assert bare
    assert bare.url == "http://api/v1/charges/ch_3Abc?expand[]=refunds"
    for other in ("re_1", "pi_", "pi_1/../x", "pi_1?x", "PI_1", "pi_1\n", ""):
        assert ask(other, CREDENTIALS, NOW) is None


def test_only_the_object_that_was_asked_for_is_an_answer():
    answer = refetch_of("stripe").answer
    body = json.dumps(intent("pi_1")).encode()
    assert answer("pi_1", 200, body) == Fetched("payment_intent", "pi_1")
    assert answer("pi_2", 200, body) is None
    assert answer("pi_1", 404, body) is None
    assert answer("pi_1", 200, json.dumps({**intent("pi_1"), "object": "charge"}).encode()) is None
    for broken in (b"", b"[]", b"<html>", b"\xff", b'{"id": "pi_1"}'):
        assert answer("pi_1", 200, broken) is None


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        ("requires_payment_method", {}, Status.CREATED),
        ("requires_payment_method", {"last_payment_error": {"charge": "ch_0"}}, Status.FAILED),
        ("requires_confirmation", {}, Status.CREATED),
        ("requires_action", {}, Status.REQUIRES_ACTION),
        ("processing", {}, Status.PROCESSING),
        ("requires_capture", {"amount_capturable": 1000}, Status.AUTHORIZED),
        ("succeeded", {"amount_received": 1000}, Status.CAPTURED),
        ("canceled", {}, Status.CANCELED),
    ],
)
def test_every_status_of_a_stripe_intent_is_read(status: str, more: dict[str, Any], expected: Status):
    assert fold(fetched("stripe", "pi_1", intent("pi_1", status=status, **more))).status is expected


def test_stripe_is_asked_for_the_disputes_of_a_charge_that_says_it_is_disputed():
    paid = intent("pi_1", status="succeeded", amount_received=1000, latest_charge=charge("ch_1", "pi_1", disputed=True))
    assert fetched("stripe", "pi_1", paid).ask == "disputes:pi_1"
    assert fetched("stripe", "ch_9", charge("ch_9", None, disputed=True)).ask == "disputes:ch_9"
    assert fetched("stripe", "ch_9", charge("ch_9", None, disputed=False)).ask is None
    ask = refetch_of("stripe").request
    urls = [one.url for ref in ("disputes:pi_1", "disputes:ch_9") if (one := ask(ref, CREDENTIALS, NOW))]
    assert urls == [
        "http://api/v1/disputes?payment_intent=pi_1&limit=100",
        "http://api/v1/disputes?charge=ch_9&limit=100",
    ]
    assert ask("disputes:dp_1", CREDENTIALS, NOW) is None


def listed(*disputes: dict[str, Any]) -> bytes:
    return json.dumps({"object": "list", "data": list(disputes)}).encode()


def test_a_debit_that_its_bank_returned_is_a_dispute_that_was_lost():
    refetch, body = refetch_of("stripe"), listed(dispute("dp_1", "pi_1"), dispute("dp_2", "pi_1", amount=100))
    answer = refetch.answer("disputes:pi_1", 200, body)
    assert answer == Fetched("disputes", "pi_1")
    for other in ("disputes:pi_2", "disputes:ch_1", "pi_1", "disputes:x"):
        assert refetch.answer(other, 200, body) is None
    assert refetch.answer("disputes:pi_1", 500, body) is None
    found = providers.interpret("stripe", answer.kind, listed(dispute("dp_1", "pi_1")))
    paid = fetched("stripe", "pi_1", intent("pi_1", status="succeeded", amount_received=1000))
    row = fold(paid, found)
    assert (row.status, row.dispute_status, row.disputed) == (Status.CAPTURED, "lost", 1000)
    assert len(providers.interpret("stripe", answer.kind, body).facts) == 4
    assert providers.interpret("stripe", answer.kind, listed()) == Meaning()


def test_a_dispute_that_is_read_again_beats_its_former_events_within_its_stage():
    """The event that it was lost went astray; an inquiry that the API still shows beats no chargeback."""
    created = {"id": "dp_1", "payment_intent": "pi_1", "amount": 1000, "currency": "eur", "status": "needs_response"}
    body = json.dumps({"type": "charge.dispute.created", "created": 1_790_000_000, "data": {"object": created}})
    opened = providers.interpret("stripe", "charge.dispute.created", body.encode())
    for status, expected in (("lost", "lost"), ("warning_under_review", "open")):
        answer = providers.interpret("stripe", "refetch.disputes", listed(dispute("dp_1", "pi_1", status=status)))
        answer = as_of(answer, refetch_of("stripe").timed, 1_790_100_000)
        assert fold(opened, answer).dispute_status == expected


@pytest.mark.parametrize(
    ("types", "days"),
    [
        (["us_bank_account"], 60),
        (["sepa_debit"], 60),
        (["acss_debit"], 90),
        (["card"], 0),
        (["card", "sepa_debit"], 0),
        ([], 0),
        (None, 0),
    ],
)
def test_a_bank_debit_that_stripe_took_may_come_undone(types: list[str] | None, days: int):
    paid = intent("pi_1", status="succeeded", amount_received=1000, payment_method_types=types)
    assert stripe_event("payment_intent.succeeded", paid).undoable_days == days
    assert stripe_event("payment_intent.processing", paid).undoable_days == 0
    details = {"type": types[0]} if types and len(types) == 1 else None
    charged = charge("ch_1", "pi_1", payment_method_details=details)
    assert stripe_event("charge.succeeded", charged).undoable_days == days
    assert fetched("stripe", "pi_1", {**paid, "latest_charge": charged}).undoable_days == days


def test_stripe_answer_says_the_facts_of_its_webhooks():
    paid = charge("ch_1", "pi_1")
    refunded = charge(
        "ch_1",
        "pi_1",
        amount_refunded=400,
        refunds={"data": [{"id": "re_1", "status": "succeeded", "amount": 400}]},
    )
    whole = intent("pi_1", status="succeeded", amount_received=1000, latest_charge=refunded)
    answer = fetched("stripe", "pi_1", whole)
    plain = {**whole, "latest_charge": "ch_1"}
    webhooks = [
        stripe_event("payment_intent.succeeded", plain),
        stripe_event("charge.succeeded", paid),
        stripe_event("charge.refunded", refunded),
        stripe_event(
            "refund.updated",
            {"id": "re_1", "amount": 400, "currency": "eur", "status": "succeeded", "payment_intent": "pi_1"},
        ),
    ]
    assert fold(answer) == fold(*webhooks) == fold(answer, *webhooks)
    assert fold(answer).refund_status is RefundStatus.PARTIAL
    assert set(answer.facts) == {fact for meaning in webhooks for fact in meaning.facts}
    assert answer.refs[:2] == (Ref(RefKind.PAYMENT, "pi_1"), Ref(RefKind.CHARGE, "ch_1"))
    assert answer.opens


def test_a_release_after_an_authorization_reads_as_the_webhooks_do():
    released = charge("ch_1", "pi_1", captured=False, amount_captured=0, amount_refunded=1000)
    answer = fetched("stripe", "pi_1", intent("pi_1", status="canceled", latest_charge=released))
    assert fold(answer) == Projection(status=Status.CANCELED, amount=1000, authorized=1000)


def test_a_bare_charge_is_keyed_by_itself():
    answer = fetched("stripe", "ch_9", charge("ch_9", None))
    assert fold(answer).captured == 1000
    assert {fact.key for fact in answer.facts if fact.kind is FactKind.CAPTURE} == {"ch_9"}
    assert fold(fetched("stripe", "ch_9", charge("ch_9", None, status="failed"))).status is Status.FAILED


@pytest.mark.parametrize(
    "value",
    [
        intent("pi_1", status="brand_new"),
        intent("pi_1", status=None),
        intent("pi_1", status="partially_funded_not"),
        intent("pi_1", status="succeeded", amount_received=1000, latest_charge=charge("ch_1", "pi_1", status="odd")),
        charge("ch_1", None, status=7),
    ],
)
def test_words_that_stripe_does_not_have_are_undecodable(value: dict[str, Any]):
    with pytest.raises(UninterpretableError) as error:
        fetched("stripe", value["id"], value)
    assert error.value.reason == "undecodable"


# --- Mollie ------------------------------------------------------------------------------------------------------


def test_mollie_is_asked_for_a_payment_with_all_that_belongs_to_it():
    ask = refetch_of("mollie").request
    asked = ask("tr_7UhSN1zuXS", CREDENTIALS, NOW)
    assert asked
    assert asked.url == "http://api/v2/payments/tr_7UhSN1zuXS?embed=refunds,captures,chargebacks"
    assert asked.headers["Authorization"] == "Bearer key"
    order = ask("ord_kEn1PlbGa", CREDENTIALS, NOW)
    assert order
    assert order.url == "http://api/v2/orders/ord_kEn1PlbGa?embed=payments,refunds"
    for other in ("re_1", "ord_", "tr_", "tr_1/x", "tr_1\n", "ord_1?x"):
        assert ask(other, CREDENTIALS, NOW) is None


@pytest.mark.parametrize(
    ("status", "more", "expected"),
    [
        ("created", {}, Status.CREATED),
        ("canceled", {}, Status.CANCELED),
        ("expired", {}, Status.EXPIRED),
        ("authorized", {"payments": [mollie_payment("tr_1", "authorized")]}, Status.AUTHORIZED),
        ("created", {"payments": [mollie_payment("tr_1", "expired"), mollie_payment("tr_2", "open")]}, Status.EXPIRED),
        ("paid", {"payments": [mollie_payment("tr_1", "failed"), mollie_payment("tr_2", "paid")]}, Status.CAPTURED),
    ],
)
def test_a_mollie_order_is_one_payment_of_its_tries(status: str, more: dict[str, Any], expected: Status):
    order = {"resource": "order", "id": "ord_1", "amount": euros("10.00"), "status": status, "orderNumber": "7"}
    answer = fetched("mollie", "ord_1", {**order, "profileId": "pfl_1", "mode": "test", "_embedded": more})
    assert fold(answer).status is expected
    assert (answer.opens, answer.provider_ref, answer.amount) == (True, "ord_1", 1000)
    assert (answer.merchant_account, answer.livemode) == ("pfl_1", False)
    assert [ref.ref for ref in answer.refs if ref.kind is RefKind.REFERENCE] == ["7"]


def test_a_mollie_order_with_a_refund_of_an_odd_status_is_undecodable():
    order = {"resource": "order", "id": "ord_1", "amount": euros("10.00"), "status": "paid"}
    with pytest.raises(UninterpretableError):
        fetched("mollie", "ord_1", {**order, "_embedded": {"refunds": [{"id": "re_1", "status": "odd"}]}})


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("open", Status.CREATED),
        ("pending", Status.PROCESSING),
        ("authorized", Status.AUTHORIZED),
        ("paid", Status.CAPTURED),
        ("failed", Status.FAILED),
        ("canceled", Status.CANCELED),
        ("expired", Status.EXPIRED),
    ],
)
def test_every_status_of_a_mollie_payment_folds_as_its_webhook(status: str, expected: Status):
    payment = mollie_payment("tr_1", status)
    answer = fetched("mollie", "tr_1", payment)
    assert fold(answer).status is expected
    if status != "open":
        kind = f"payment.{status}"
        event = {"type": kind, "entityId": "tr_1", "_embedded": {"entity": payment}}
        webhook = providers.interpret("mollie", kind, json.dumps(event).encode())
        assert answer == webhook


def test_mollie_children_fold_as_their_webhooks():
    def child(key: str, **more: Any) -> dict[str, Any]:
        return {"id": key, "paymentId": "tr_1", "amount": euros("2.50")} | more

    refunds = [child("re_1", status="refunded"), child("re_2", status="queued"), child("re_3", status="failed")]
    chargebacks = [child("chb_1", reversedAt=None), child("chb_2", reversedAt="2026-01-01T00:00:00+00:00")]
    payment = mollie_payment(
        "tr_1", "paid", amountCaptured=euros("10.00"), _embedded={"refunds": refunds, "chargebacks": chargebacks}
    )
    answer = fetched("mollie", "tr_1", payment)

    def webhook(kind: str, entity: dict[str, Any]) -> Meaning:
        event = {"type": kind, "entityId": entity["id"], "_embedded": {"entity": entity}}
        return providers.interpret("mollie", kind, json.dumps(event).encode())

    webhooks = [
        webhook("payment.paid", payment),
        webhook("refund.refunded", refunds[0]),
        webhook("refund.queued", refunds[1]),
        webhook("refund.failed", refunds[2]),
        webhook("chargeback.received", chargebacks[0]),
        webhook("chargeback.reversed", chargebacks[1]),
    ]
    row = fold(answer)
    assert row == fold(*webhooks) == fold(*webhooks, answer)
    assert (row.captured, row.refunded, row.disputed) == (1000, 250, 250)
    assert row.dispute_status is DisputeStatus.OPEN


def test_a_part_that_mollie_captured_of_an_authorization_counts():
    answer = fetched("mollie", "tr_1", mollie_payment("tr_1", "authorized", amountCaptured=euros("4.00")))
    assert (fold(answer).status, fold(answer).captured) == (Status.PARTIALLY_CAPTURED, 400)


@pytest.mark.parametrize(
    "more",
    [
        {"status": "odd"},
        {"status": None},
        {"amount": None},
        {"amountCaptured": "4.00"},
        {"_embedded": {"refunds": [{"id": "re_1", "status": "odd", "amount": euros("1.00")}]}},
    ],
)
def test_words_that_mollie_does_not_have_are_undecodable(more: dict[str, Any]):
    with pytest.raises(UninterpretableError) as error:
        fetched("mollie", "tr_1", mollie_payment("tr_1", "paid") | more)
    assert error.value.reason == "undecodable"


# --- M-Pesa ------------------------------------------------------------------------------------------------------

PUSH = "ws_CO_210920261418203047"


def test_mpesa_is_asked_with_a_granted_token_and_a_password_of_nairobi_time():
    refetch = refetch_of("mpesa")
    assert refetch.grant
    grant = refetch.grant.request(CREDENTIALS)
    assert grant.url == "http://api/oauth/v1/generate?grant_type=client_credentials"
    assert grant.headers["Authorization"] == "Basic " + base64.b64encode(b"key:hidden").decode()
    assert refetch.grant.read(b'{"access_token": "t", "expires_in": "3599"}') == ("t", 3599.0)
    for broken in (
        b"",
        b"{}",
        b'{"access_token": "t", "expires_in": "soon"}',
        b'{"access_token": "", "expires_in": 1}',
    ):
        assert refetch.grant.read(broken) is None
    asked = refetch.request(PUSH, CREDENTIALS, NOW)
    assert asked
    assert asked.body
    assert (asked.method, asked.url) == ("POST", "http://api/mpesa/stkpushquery/v1/query")
    assert asked.headers["Authorization"] == "Bearer granted"
    found = json.loads(asked.body)
    assert found["Timestamp"] == "20260921171820"
    assert base64.b64decode(found["Password"]) == b"174379passkey20260921171820"
    assert (found["BusinessShortCode"], found["CheckoutRequestID"]) == ("174379", PUSH)
    for other in ("UIL7RT61SV", "ws_CO_", "ws_CO_1\n"):
        assert refetch.request(other, CREDENTIALS, NOW) is None


def test_mpesa_answers_are_kept_apart():
    answer = refetch_of("mpesa").answer

    def read(status: int, value: dict[str, Any], ref: str = PUSH) -> object:
        return answer(ref, status, json.dumps(value).encode())

    assert read(200, stk_answer(PUSH, "0")) == Fetched("stk", PUSH)
    assert read(200, stk_answer(PUSH, "1032")) == Fetched("stk", PUSH)
    assert read(200, stk_answer(PUSH, "0"), "ws_CO_other") is None
    assert read(500, {"errorCode": "500.001.1001", "errorMessage": "being processed"}) is Later.NOT_NOW
    assert read(500, {"errorCode": "500.001.1001", "errorMessage": "Wrong credentials"}) is Denied.DENIED
    assert read(200, stk_answer(PUSH, "4999")) is Later.NOT_NOW
    codes: list[dict[str, Any]] = [{}, {"ResultCode": None}, {"ResultCode": "none yet"}]
    for code in codes:
        assert read(200, {"CheckoutRequestID": PUSH, "ResponseCode": "0", **code}) is None, "no outcome is no end"
    assert read(404, {"errorCode": "404.001.03", "errorMessage": "Invalid Access Token"}) is Denied.DENIED
    assert read(500, {"errorCode": "500.003.02"}) is None
    assert answer(PUSH, 200, b"<html>") is None


def test_mpesa_outcomes_are_facts_of_the_push():
    paid = fetched("mpesa", PUSH, stk_answer(PUSH, "0"))
    assert paid.opens
    assert [(fact.kind, fact.key, fact.state, fact.amount) for fact in paid.facts] == [
        (FactKind.CAPTURE_TOTAL, PUSH, "succeeded", None),
        (FactKind.ATTEMPT, PUSH, "succeeded", None),
    ]
    canceled = fetched("mpesa", PUSH, stk_answer(PUSH, "1032"))
    assert fold(canceled).status is Status.FAILED
    assert fold(fetched("mpesa", PUSH, stk_answer(PUSH, "1019"))).status is Status.EXPIRED
    assert fold(canceled, paid).status is not Status.FAILED, "a time-out first, then the real result"


def test_mpesa_answer_that_names_receipt_and_amount_is_read_whole():
    items = [{"Name": "Amount", "Value": 1.0}, {"Name": "MpesaReceiptNumber", "Value": "UIL7RT61SV"}]
    answer = fetched("mpesa", PUSH, stk_answer(PUSH, "0") | {"CallbackMetadata": {"Item": items}})
    callback = {"Body": {"stkCallback": stk_answer(PUSH, "0") | {"CallbackMetadata": {"Item": items}}}}
    assert answer == providers.interpret("mpesa", "stkCallback", json.dumps(callback).encode())
    assert fold(answer).captured == 100


# --- all ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stripe", "mollie", "mpesa", "gocardless"])
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'"x"', b"\xff\x00", b"[" * 5000, b'{"id": 1e400}'])
def test_no_body_makes_an_api_half_raise_anything_but_its_own_error(name: str, body: bytes):
    refetch = refetch_of(name)
    assert refetch.answer("pi_1", 200, body) is None
    for kind in (
        "refetch.payment_intent",
        "refetch.payment",
        "refetch.stk",
        "refetch.order",
        "refetch.refunds",
        "refetch.x",
    ):
        with pytest.raises(UninterpretableError):
            providers.interpret(name, kind, body)


def test_no_provider_without_an_api_is_asked():
    assert providers.find("github").refetch is None  # type: ignore[union-attr]
    assert providers.interpret("github", "refetch.x", b"{}") == Meaning()


def test_a_repr_of_credentials_shows_where_and_for_whom_and_no_secret():
    """A traceback shows it; the URL of answers may end in a secret, and the initiator's credential is a password."""
    names = [one.name for one in fields(Credentials)]
    shown = repr(Credentials(**{name: f"value-of-{name}" for name in names}))
    assert {name for name in names if f"value-of-{name}'" in shown} == {"base_url", "merchant", "initiator"}
