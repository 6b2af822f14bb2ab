"""What each callback and each answer of M-Pesa's says as a whole: references, what a fact belongs to, the payer.

A capture that names no push counts beside it; a reversal that names no receipt takes nothing back.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from refetched import fetched, refetch_of

import providers
from providers.core.refetch import Later
from schemas.facts import Fact, FactKind, Meaning, Ref, RefKind, Tie

pytestmark = pytest.mark.unit

PUSH, RECEIPT, BACK = "ws_CO_21092026141820304796440427", "UIL7RT61SV", "UIL7RT61SX"
SHOP, PAYER = "174379 - Shop", "254708374149 - John Doe"
SHILLINGS: dict[str, Any] = {"currency": "KES", "amount": 15000}


def refs(*pairs: tuple[str, str]) -> tuple[Ref, ...]:
    return tuple(Ref(RefKind(kind), ref) for kind, ref in pairs)


def mpesa(kind: str, body: dict[str, Any]) -> Meaning:
    return providers.interpret("mpesa", kind, json.dumps(body).encode())


def paid(key: str, *, receipt: str = RECEIPT, reference: str | None = None, **more: Any) -> Meaning:
    """Return what money says that was taken: it names the payment that it is of."""
    return Meaning(
        refs=refs(("payment", key), ("capture", receipt), *((("reference", reference),) if reference else ())),
        facts=(
            Fact(FactKind.TERMS, key, "asked", 15000),
            Fact(FactKind.CAPTURE, receipt, "succeeded", 15000, key),
            *more.pop("facts", ()),
        ),
        opens=True,
        provider_ref=key,
        **SHILLINGS,
        **more,
    )


def ended(key: str, state: str, *, of: str | None = None, try_key: str | None = None) -> Meaning:
    return Meaning(
        refs=refs(("payment", key)),
        facts=(Fact(FactKind.ATTEMPT, try_key or key, state, None, of),),
        opens=True,
        provider_ref=key,
    )


# --- callbacks ---------------------------------------------------------------------------------------------------


def pushed(code: Any, **items: Any) -> dict[str, Any]:
    listed = [{"Name": name, "Value": value} for name, value in items.items()]
    found = {"MerchantRequestID": "29115-1", "CheckoutRequestID": PUSH, "ResultCode": code}
    return found | ({"CallbackMetadata": {"Item": listed}} if listed else {})


WHAT_WAS_PAID = {"Amount": 150.0, "MpesaReceiptNumber": RECEIPT, "Balance": 7, "PhoneNumber": 254708374149}
CODES: list[tuple[Any, str]] = [
    (1, "failed"),  # too little money
    (17, "failed"),
    (26, "failed"),
    (1001, "failed"),  # another push is open
    (1019, "expired"),
    (1025, "failed"),
    (1032, "failed"),  # the customer canceled
    (1037, "failed"),  # the phone was not reached
    (2001, "failed"),  # a wrong PIN
    (9999, "failed"),
    ("SFC_IC0003", "failed"),
]


@pytest.mark.parametrize(("code", "state"), CODES)
def test_a_push_that_was_not_paid(code: Any, state: str) -> None:
    for given in (code, str(code)):
        assert mpesa("stkCallback", {"Body": {"stkCallback": pushed(given)}}) == ended(PUSH, state)
        assert fetched("mpesa", PUSH, {"ResponseCode": "0"} | pushed(given)) == ended(PUSH, state)


@pytest.mark.parametrize("code", [0, "0"], ids=["number", "text"])
def test_a_push_that_was_paid(code: Any) -> None:
    """The API names neither receipt nor amount: all that was pushed, and counted with the receipt's no second time."""
    body = {"Body": {"stkCallback": pushed(code, **WHAT_WAS_PAID)}}
    assert mpesa("stkCallback", body) == paid(PUSH)
    assert fetched("mpesa", PUSH, {"ResponseCode": "0"} | pushed(code)) == Meaning(
        refs=refs(("payment", PUSH)),
        facts=(
            Fact(FactKind.CAPTURE_TOTAL, PUSH, "succeeded"),
            Fact(FactKind.ATTEMPT, PUSH, "succeeded"),
        ),
        opens=True,
        currency="KES",
        provider_ref=PUSH,
    )


@pytest.mark.parametrize(
    "answer",
    [
        {"errorCode": "500.001.1001", "errorMessage": "The transaction is being processed"},
        {"CheckoutRequestID": PUSH, "ResponseCode": "0", "ResultCode": "4999"},
        {"CheckoutRequestID": PUSH, "ResponseCode": "0", "ResultCode": 4999},
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_a_push_that_the_customer_has_not_answered_is_no_failure(answer: dict[str, Any], status: int) -> None:
    """Daraja's words for it are an error under an HTTP status of 500, or the result code 4999."""
    assert refetch_of("mpesa").answer(PUSH, status, json.dumps(answer).encode()) is Later.NOT_NOW


@pytest.mark.parametrize("kind", ["Pay Bill", "Buy Goods", "CustomerPayBillOnline", "CustomerBuyGoodsOnline"])
@pytest.mark.parametrize("reference", ["ORD-1", ""])
def test_a_confirmation(kind: str, reference: str) -> None:
    body = {"TransactionType": kind, "TransID": RECEIPT, "TransAmount": "150.00", "BillRefNumber": reference,
            "BusinessShortCode": "600638", "OrgAccountBalance": "9999.00", "InvoiceNumber": "INV"}  # fmt: skip
    assert mpesa(kind, body) == paid(RECEIPT, reference=reference or None)


@pytest.mark.parametrize(
    ("code", "known", "worked"),
    [(0, True, True), ("0", True, True), (21, True, False), (2001, True, False), (0, False, False)],
    ids=["worked", "worked, as text", "21", "2001", "of no receipt"],
)
def test_a_result_takes_money_back_only_of_a_reversal_that_worked(code: Any, *, known: bool, worked: bool) -> None:
    parameters = [{"Key": "Amount", "Value": "150.00"}, {"Key": "Charge", "Value": "1.00"}]
    parameters += [{"Key": "OriginalTransactionID", "Value": RECEIPT}] if known else []
    body = {"Result": {"ResultCode": code, "ConversationID": "AG_1", "TransactionID": BACK,
                       "ResultParameters": {"ResultParameter": parameters}}}  # fmt: skip
    back = Meaning(
        refs=refs(("capture", RECEIPT)),
        facts=(Fact(FactKind.REVERSAL, RECEIPT, "done", 15000, RECEIPT),),
        **SHILLINGS,
    )
    assert mpesa("Result", body) == (back if worked else Meaning())


# --- what the API says of a receipt ------------------------------------------------------------------------------


def transaction(status: str, occasion: str | None = None, receipt: str = RECEIPT, **more: Any) -> Meaning:
    parameters = {
        "DebitPartyName": PAYER,
        "CreditPartyName": SHOP,
        "ReasonType": "Pay Bill Online",
        "TransactionStatus": status,
        "Amount": "150.00",
        "ReceiptNo": receipt,
        "DebitPartyCharges": "5.00",
    } | more
    listed = [{"Key": key, "Value": value} for key, value in parameters.items() if value]
    about = {"ReferenceItem": {"Key": "Occasion", "Value": occasion or ""}}
    result = {"ResultCode": 0, "ResultParameters": {"ResultParameter": listed}, "ReferenceData": about}
    return mpesa("refetch.transaction", {"Result": result})


UNDONE = (Fact(FactKind.REVERSAL, RECEIPT, "done", 15000, RECEIPT),)


@pytest.mark.parametrize(("status", "facts"), [("Completed", ()), ("COMPLETED", ()), ("Reversed", UNDONE)])
@pytest.mark.parametrize("occasion", [None, RECEIPT])
def test_a_receipt_by_itself(status: str, facts: tuple[Fact, ...], occasion: str | None) -> None:
    assert transaction(status, occasion) == paid(RECEIPT, facts=facts)


@pytest.mark.parametrize(("status", "facts"), [("Completed", ()), ("Reversed", UNDONE)])
def test_a_receipt_of_a_push(status: str, facts: tuple[Fact, ...]) -> None:
    """It is tied by what only an unsigned callback says: where it does not fit it pays for itself."""
    tie = Tie(15000, RECEIPT, payer="254708374149", otherwise=paid(RECEIPT, facts=facts))
    assert transaction(status, PUSH) == paid(PUSH, facts=facts, tie=tie)
    hidden = transaction(status, PUSH, DebitPartyName="John Doe").tie
    assert hidden == Tie(15000, RECEIPT, payer="", otherwise=paid(RECEIPT, facts=facts))


ENDED = [("Cancelled", "canceled"), ("Canceled", "canceled"), ("CANCELLED", "canceled"), ("Declined", "failed"),
         ("Expired", "expired")]  # fmt: skip


@pytest.mark.parametrize(("status", "state"), ENDED)
def test_a_receipt_that_ended_without_money(status: str, state: str) -> None:
    """One try of the push: another may have paid it."""
    assert transaction(status, PUSH) == ended(PUSH, state, of=PUSH, try_key=RECEIPT)
    assert transaction(status) == ended(RECEIPT, state, of=RECEIPT)


REASONS = ["Organization Reversal of Customer Payment", "Transaction Reversal", "REVERSAL VIA API"]


@pytest.mark.parametrize("reason", REASONS)
def test_a_reversal_takes_its_own_sum_off_its_receipt(reason: str) -> None:
    """Its payer is who gets the money; a part of a receipt may be taken back, and another later."""
    parties = {"DebitPartyName": SHOP, "CreditPartyName": PAYER, "ReasonType": reason}
    back = Meaning(
        refs=refs(("capture", RECEIPT)),
        facts=(Fact(FactKind.REVERSAL, BACK, "done", 15000, RECEIPT),),
        tie=Tie(15000, RECEIPT, reversal=True, payer="254708374149"),
        **SHILLINGS,
    )
    for status in ("Completed", "Reversed"):
        assert transaction(status, RECEIPT, BACK, **parties) == back
    for status in ("Cancelled", "Declined", "Expired", "Pending", ""):
        assert transaction(status, RECEIPT, BACK, **parties) == Meaning()


@pytest.mark.parametrize("status", ["Completed", "Reversed", "Declined"])
def test_money_that_leaves_the_till(status: str) -> None:
    for occasion in (None, PUSH):
        assert transaction(status, occasion, DebitPartyName=SHOP, ReasonType="Business Payment") == Meaning()
    assert transaction(status, DebitPartyName="", ReasonType="Business Payment to Customer") == Meaning()


@pytest.mark.parametrize("status", ["Completed", "Cancelled", "Canceled", "Declined", "Expired", "Reversed"])
def test_an_answer_that_is_final(status: str) -> None:
    """A status that is not read as final is asked about for ever."""
    listed = [{"Key": "ReceiptNo", "Value": RECEIPT}, {"Key": "TransactionStatus", "Value": status}]
    result = {"ResultCode": 0, "ConversationID": "AG_1", "ResultParameters": {"ResultParameter": listed}}
    query = refetch_of("mpesa").query
    assert query is not None
    found = query.answered(json.dumps({"Result": result}).encode())
    assert found is not None
    assert found.fetched is not None
    assert (found.query, found.fetched.ref) == ("AG_1", RECEIPT)


def test_a_push_is_asked_about_while_it_is_open() -> None:
    """An intent announced it, or a callback reported that it is under way: its own may never come."""
    assert {state for watch in refetch_of("mpesa").watches for state in watch.statuses} == {"created", "processing"}
