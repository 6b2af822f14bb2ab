"""What M-Pesa's callbacks report, as facts; the consumer drops the facts of hints."""

from __future__ import annotations

import json
from typing import Any

import pytest
from refetched import fold
from vector_events import (
    body_of,
    changed,
    check_every_order,
    event,
    facts,
    genuine,
    interpreted,
    made,
    meaning,
    refs,
    refused,
)

import providers
from providers.core.refetch import Credentials, Denied, Later
from schemas.errors import SignatureRejected
from schemas.facts import Meaning

pytestmark = pytest.mark.unit

KEY, RECEIPT = "ws_CO_21092026141820304796440427", "UIL7RT61SV"
STK = "Body.stkCallback"
PAID = {
    ("terms", KEY, "asked", "100"),
    ("capture", RECEIPT, "succeeded", "100"),
}


def test_real_bodies() -> None:
    found = meaning("mpesa", "event_stk_success")
    assert facts(found) == PAID
    assert refs(found) == [("payment", KEY), ("capture", RECEIPT)]
    assert (found.opens, found.currency, found.amount, found.provider_ref) == (True, "KES", 100, KEY)
    for case in ("event_stk_cancelled", "event_stk_timeout", "event_stk_insufficient"):
        assert facts(meaning("mpesa", case)) == {("attempt", KEY, "failed")}
        assert meaning("mpesa", case).opens, "a push that nobody announced is a payment that failed"
    confirmed = meaning("mpesa", "event_c2b_confirmation")
    assert facts(confirmed) == {
        ("terms", "RKTQDM7W6S", "asked", "1000"),
        ("capture", "RKTQDM7W6S", "succeeded", "1000"),
    }
    assert refs(confirmed) == [("payment", "RKTQDM7W6S"), ("capture", "RKTQDM7W6S"), ("reference", "invoice008")]
    assert meaning("mpesa", "event_reversal_result") == Meaning(), "code 21 leaves open what happened"
    assert event("mpesa", "forged_amount_passes").trust == "hint"


def test_an_expired_push() -> None:
    body = changed(body_of("mpesa", "event_stk_timeout"), f"{STK}.ResultCode", "1019")
    assert facts(interpreted("mpesa", "stkCallback", body)) == {("attempt", KEY, "expired")}


def reversal(code: Any = 0, parameters: Any = ...) -> dict[str, Any]:
    if parameters is ...:
        parameters = [{"Key": "Amount", "Value": "1.00"}, {"Key": "OriginalTransactionID", "Value": RECEIPT}]
    body = changed(body_of("mpesa", "event_reversal_result"), "Result.ResultCode", code)
    return changed(body, "Result.ResultParameters.ResultParameter", parameters)


def test_a_reversal_that_worked_names_the_receipt() -> None:
    found = interpreted("mpesa", "Result", reversal())
    assert facts(found) == {("reversal", RECEIPT, "done", "100")}
    assert refs(found) == [("capture", RECEIPT)]


@pytest.mark.parametrize(
    ("changes", "query", "receipt"),
    [
        ({}, "AG_20180223_0000493344ae97d86f75", "MBN0000000"),
        ({"ConversationID": None}, None, None),
        ({"ConversationID": "AG\x1b[2J"}, None, None),
        ({"ResultCode": 2001}, "AG_20180223_0000493344ae97d86f75", None),
        ({"ResultCode": "no code"}, None, None),
        ({"ResultParameters.ResultParameter.0.Value": "MBN\x1b[2J"}, None, None),
    ],
)
def test_the_answer_to_a_query_names_it_and_its_receipt(
    changes: dict[str, Any], query: str | None, receipt: str | None
) -> None:
    """Daraja's sample of the transaction status result; a body that names no query, or no plain one, answers none."""
    listed = [{"Key": "ReceiptNo", "Value": "MBN0000000"}, {"Key": "TransactionStatus", "Value": "Completed"}]
    body: dict[str, Any] = {
        "Result": {
            "ConversationID": "AG_20180223_0000493344ae97d86f75",
            "OriginatorConversationID": "3213-416199-2",
            "ResultCode": 0,
            "ResultDesc": "The service request is processed successfully.",
            "ResultParameters": {"ResultParameter": listed},
            "ResultType": 0,
            "TransactionID": "MBN0000000",
        }
    }
    for path, value in changes.items():
        body = changed(body, f"Result.{path}", value)
    found = providers.answer_to_query("mpesa", json.dumps(body).encode())
    assert (found.query if found else None) == query
    assert (found.fetched.ref if found and found.fetched else None) == receipt


@pytest.mark.parametrize("parameters", [None, [], {"Key": "TransactionStatus", "Value": "Completed"}])
def test_other_results_say_nothing(parameters: Any) -> None:
    assert interpreted("mpesa", "Result", reversal(0, parameters)) == Meaning()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("stkCallback", b""),
        ("stkCallback", {"Body": []}),
        ("stkCallback", changed(body_of("mpesa", "event_stk_success"), f"{STK}.ResultCode", "ok")),
        ("stkCallback", changed(body_of("mpesa", "event_stk_success"), f"{STK}.ResultCode", None)),
        ("stkCallback", changed(body_of("mpesa", "event_stk_success"), f"{STK}.CallbackMetadata", None)),
        ("stkCallback", changed(body_of("mpesa", "event_stk_success"), f"{STK}.CheckoutRequestID", "")),
        ("stkCallback", changed(body_of("mpesa", "event_stk_success"), f"{STK}.CallbackMetadata.Item.0.Value", 0.001)),
        ("Result", {"Result": 7}),
        ("Result", reversal("x")),
        ("Result", reversal(0, {"Key": "OriginalTransactionID", "Value": RECEIPT})),
        ("Pay Bill", changed(body_of("mpesa", "event_c2b_confirmation"), "TransID", None)),
        ("Pay Bill", changed(body_of("mpesa", "event_c2b_confirmation"), "TransAmount", "ten")),
        ("Pay Bill", body_of("mpesa", "event_stk_success")),
        ("", body_of("mpesa", "event_stk_success")),
    ],
    ids=range(14),
)
def test_undecodable(kind: str, body: Any) -> None:
    assert refused("mpesa", kind, body) == "undecodable"


def test_unknown_kind() -> None:
    body = changed(body_of("mpesa", "event_c2b_confirmation"), "TransactionType", "Organization Settlement")
    assert refused("mpesa", "Organization Settlement", body) == "unknown_kind"


def test_every_order_of_a_time_out_the_real_result_and_its_reversal() -> None:
    """A hint under one id has as many bodies as were sent; the ingress tells them apart, as do these ids."""
    timeout = made("mpesa", "stkCallback", body_of("mpesa", "event_stk_timeout"), "e1")
    life = [timeout, genuine("mpesa", "event_stk_success")]
    check_every_order(life, provider_ref=KEY, status="captured", currency="KES", captured=100, authorized=100)
    back = made("mpesa", "Result", reversal(), "e2")
    check_every_order([*life, back], status="failed", captured=0, authorized=100)


# --- what is named to be read again ------------------------------------------------------------------------------

C2B: dict[str, Any] = {
    "TransactionType": "Pay Bill",
    "TransID": "RKX0000001",
    "TransTime": "20260921141820",
    "TransAmount": "1500.00",
    "BusinessShortCode": "600000",
    "BillRefNumber": "INV-1",
}
EXPRESS: dict[str, Any] = {
    "resultCode": "0",
    "resultDesc": "ok",
    "amount": "71.0",
    "requestId": "r1",
    "conversationID": "AG_1",
    "transactionId": "RKX0000003",
    "status": "SUCCESS",
}
RATIBA: dict[str, Any] = {
    "responseHeader": {"responseRefID": "0acc0239", "responseCode": "0", "responseDescription": "ok"},
    "responseBody": {"responseData": [{"name": "TransactionID", "value": "RKX0000004"}]},
}
BILL: dict[str, Any] = {
    "transactionId": "RKX0000005",
    "paidAmount": 5000,
    "msisdn": "254700000000",
    "dateCreated": "2026-09-21",
    "accountReference": "INV-1",
    "shortCode": 600000,
}
CODED = changed(body_of("mpesa", "event_stk_timeout"), f"{STK}.ResultCode", "SFC_IC0003")


@pytest.mark.parametrize(
    ("body", "identity", "named"),
    [
        (C2B, ("RKX0000001", "Pay Bill", "INV-1"), "RKX0000001"),
        ({**C2B, "TransactionType": ""}, ("RKX0000001", None, "INV-1"), "RKX0000001"),
        (EXPRESS, ("r1", "B2BExpress", "RKX0000003"), "RKX0000003"),
        (RATIBA, ("0acc0239", "Ratiba", "RKX0000004"), "RKX0000004"),
        (BILL, ("RKX0000005", "BillManager", "RKX0000005"), "RKX0000005"),
        ({**BILL, "paidAmount": "5000.00"}, ("RKX0000005", "BillManager", "RKX0000005"), "RKX0000005"),
        (CODED, (KEY, "stkCallback", KEY), KEY),
    ],
    ids=["M1", "M3", "PB23", "PB23 Ratiba", "an invoice", "an invoice's amount as text", "a code with letters"],
)
def test_a_callback_under_the_right_path_is_taken(body: Any, identity: tuple[Any, Any], named: str) -> None:
    raw = json.dumps(body).encode()
    found = providers.verify(
        "mpesa", headers={}, body=raw, url="https://x.test/webhooks/mpesa/s3cret", secrets=["s3cret"], now=0
    )
    assert [(one.event_id, one.kind, one.payment_ref, one.trust) for one in found] == [(*identity, "hint")]
    assert providers.named_by_hint("mpesa", raw) == named


@pytest.mark.parametrize(("kind", "body"), [("B2BExpress", EXPRESS), ("Ratiba", RATIBA), ("BillManager", BILL)])
def test_other_products_say_nothing(kind: str, body: Any) -> None:
    assert interpreted("mpesa", kind, body) == Meaning()


def test_a_code_with_letters_is_a_failure_and_a_long_reference_is_left_out() -> None:
    assert facts(interpreted("mpesa", "stkCallback", CODED)) == {("attempt", KEY, "failed")}
    found = interpreted("mpesa", "Pay Bill", {**C2B, "BillRefNumber": "x" * 300})
    assert refs(found) == [("payment", "RKX0000001"), ("capture", "RKX0000001")]


# --- what the API says of a receipt ------------------------------------------------------------------------------


def transaction(occasion: str = "", **changes: str) -> dict[str, Any]:
    parameters = {
        "DebitPartyName": "254708374149 - John Doe",
        "ReasonType": "Pay Bill Online",
        "TransactionStatus": "Completed",
        "Amount": "150.00",
        "ReceiptNo": RECEIPT,
    } | changes
    listed = [{"Key": key, "Value": value} for key, value in parameters.items() if value]
    about = {"ReferenceItem": {"Key": "Occasion", "Value": occasion}}
    return {"Result": {"ResultCode": 0, "ResultParameters": {"ResultParameter": listed}, "ReferenceData": about}}


@pytest.mark.parametrize(
    ("status", "state"),
    [("Cancelled", "canceled"), ("Declined", "failed"), ("Expired", "expired")],
)
def test_a_transaction_that_ended_without_money_is_a_try(status: str, state: str) -> None:
    found = interpreted("mpesa", "refetch.transaction", transaction(KEY, TransactionStatus=status))
    assert facts(found) == {("attempt", RECEIPT, state)}
    assert refs(found) == [("payment", KEY)]
    alone = interpreted("mpesa", "refetch.transaction", transaction(TransactionStatus=status))
    assert refs(alone) == [("payment", RECEIPT)]


@pytest.mark.parametrize(
    "changes",
    [
        {"DebitPartyName": "174379 - Shop"},
        {"DebitPartyName": "", "ReasonType": "Business Payment to Customer via API"},
    ],
)
def test_money_that_leaves_the_till_is_no_payment(changes: dict[str, str]) -> None:
    assert interpreted("mpesa", "refetch.transaction", transaction(**changes)) == Meaning()


def test_a_transaction_without_parties_is_a_payment() -> None:
    found = interpreted("mpesa", "refetch.transaction", transaction(DebitPartyName="", ReasonType=""))
    assert ("capture", RECEIPT, "succeeded", "15000") in facts(found)


def test_a_reversal_that_tells_nothing_of_its_original_is_a_letter() -> None:
    changes = {"DebitPartyName": "174379 - Shop", "ReasonType": "Organization Reversal of Customer Payment"}
    assert refused("mpesa", "refetch.transaction", transaction(**changes)) == "undecodable"


def test_the_payer_of_a_reversal_is_who_gets_the_money_under_either_name_of_a_party() -> None:
    """Safaricom's sample writes DebitPartyName for both parties: the second one is credited."""
    shop, payer = "174379 - Shop", "254708374149 - John Doe"
    changes = {"DebitPartyName": shop, "ReasonType": "Organization Reversal of Customer Payment"}
    named = transaction(RECEIPT, ReceiptNo="RKX0000009", CreditPartyName=payer, **changes)
    sample = transaction(RECEIPT, ReceiptNo="RKX0000009", **changes)
    sample["Result"]["ResultParameters"]["ResultParameter"].append({"Key": "DebitPartyName", "Value": payer})
    for body in (named, sample):
        tie = interpreted("mpesa", "refetch.transaction", body).tie
        assert tie is not None
        assert (tie.payer, tie.capture, tie.reversal) == ("254708374149", RECEIPT, True)


def test_nothing_is_asked_about_what_is_no_receipt() -> None:
    known = providers.find("mpesa")
    assert known is not None
    assert known.refetch is not None
    assert known.refetch.query is not None
    till = Credentials("https://api.example", "token", merchant="174379", initiator="ops", initiator_credential="x")
    assert known.refetch.query.request("no receipt", None, till) is None
    assert known.refetch.query.request(RECEIPT, None, till) is not None


TILL = Credentials(
    "https://api.example", "key", merchant="174379", token="granted", initiator="ops", initiator_credential="x",
    answers_url="https://shop.example/webhooks/mpesa/secret",
)  # fmt: skip


def api() -> Any:
    known = providers.find("mpesa")
    assert known is not None
    return known.refetch


def test_a_receipt_is_asked_about_with_what_it_belongs_to_and_every_answer_comes_to_us() -> None:
    asked = api().query.request(RECEIPT, KEY, TILL)
    assert (asked.method, asked.url) == ("POST", "https://api.example/mpesa/transactionstatus/v1/query")
    assert asked.headers["Authorization"] == "Bearer granted"
    sent = json.loads(asked.body)
    assert (sent["TransactionID"], sent["Occasion"], sent["PartyA"]) == (RECEIPT, KEY, "174379")
    assert (sent["CommandID"], sent["IdentifierType"]) == ("TransactionStatusQuery", "4"), "4 is a short code"
    assert (sent["Initiator"], sent["SecurityCredential"]) == ("ops", "x")
    assert sent["ResultURL"] == sent["QueueTimeOutURL"] == TILL.answers_url
    assert json.loads(api().query.request(RECEIPT, None, TILL).body)["Occasion"] == ""


def test_a_query_is_taken_by_an_answer_of_200_with_the_code_of_success() -> None:
    body = json.dumps({"ConversationID": "AG_1", "ResponseCode": "0"}).encode()
    assert [api().query.accepted(status, body) for status in (200, 500)] == ["AG_1", None]
    assert api().query.accepted(200, body.replace(b'"0"', b'"1"')) is None


def answer_to_a_query(**changes: str) -> bytes:
    body = transaction(**changes)
    body["Result"]["ConversationID"] = "AG_1"
    return json.dumps(body).encode()


@pytest.mark.parametrize("status", ["", "Pending", "Authorized"])
def test_a_transaction_that_has_no_end_yet_is_asked_about_again(status: str) -> None:
    called = api().query.answered(answer_to_a_query(TransactionStatus=status))
    assert (called.query, called.fetched) == ("AG_1", None)
    assert api().query.answered(answer_to_a_query()).fetched.ref == RECEIPT


def test_a_transaction_that_was_reversed_took_nothing_in_the_end() -> None:
    found = interpreted("mpesa", "refetch.transaction", transaction(TransactionStatus="Reversed"))
    assert {("capture", RECEIPT, "succeeded", "15000"), ("reversal", RECEIPT, "done", "15000")} <= facts(found)


@pytest.mark.parametrize("status", ["Cancelled", "Declined", "Expired", "Pending"])
def test_a_reversal_that_did_not_happen_takes_nothing_back(status: str) -> None:
    changes = {"DebitPartyName": "174379 - Shop", "ReasonType": "Organization Reversal of Customer Payment"}
    assert (
        interpreted("mpesa", "refetch.transaction", transaction(RECEIPT, TransactionStatus=status, **changes))
        == Meaning()
    )


def test_a_receipt_pays_a_push_where_sum_and_payer_fit_and_else_itself() -> None:
    tied = interpreted("mpesa", "refetch.transaction", transaction(KEY))
    alone = interpreted("mpesa", "refetch.transaction", transaction())
    assert tied.tie is not None
    assert (tied.tie.amount, tied.tie.capture, tied.tie.payer, tied.tie.reversal) == (
        15000,
        RECEIPT,
        "254708374149",
        False,
    )
    assert tied.tie.otherwise == alone
    assert interpreted("mpesa", "refetch.transaction", transaction(RECEIPT)) == alone, "no push, but itself"
    assert alone.tie is None


@pytest.mark.parametrize(
    "reason",
    ["Business Payment", "Promotion Payment", "Salary Payment", "Pay to Customer", "Business to Business Transfer",
     "Business To Customer"],
)  # fmt: skip
def test_a_reason_alone_tells_that_money_leaves_the_till(reason: str) -> None:
    found = interpreted("mpesa", "refetch.transaction", transaction(DebitPartyName="", ReasonType=reason))
    assert found == Meaning()


def test_a_push_that_was_paid_is_in_shillings_and_an_answer_of_another_status_is_none() -> None:
    body = json.dumps({"CheckoutRequestID": KEY, "ResultCode": "0"}).encode()
    assert api().answer(KEY, 500, body) is None
    assert interpreted("mpesa", "refetch.stk", body).currency == "KES"
    assert api().request(KEY, TILL, 1_790_000_000.0) is None, "a till without a pass key has no password"


def test_a_reversals_result_names_the_receipt_that_it_reverses_before_its_own() -> None:
    listed = [{"Key": "ReceiptNo", "Value": "RKX0000009"}, {"Key": "OriginalTransactionID", "Value": RECEIPT}]
    body = {"Result": {"ResultParameters": {"ResultParameter": listed}, "TransactionID": "RKX0000009"}}
    assert providers.named_by_hint("mpesa", json.dumps(body).encode()) == RECEIPT


def result(code: Any = 0, own: str = "RKX0000009", **parameters: str) -> dict[str, Any]:
    listed = [{"Key": key, "Value": value} for key, value in parameters.items()]
    return {"Result": {"ConversationID": "AG_1", "ResultCode": code, "TransactionID": own,
                       "ResultParameters": {"ResultParameter": listed}}}  # fmt: skip


def pushed(receipt: str | None) -> dict[str, Any]:
    items = [{"Name": "Amount", "Value": 1}, *([{"Name": "MpesaReceiptNumber", "Value": receipt}] if receipt else [])]
    found = {"CheckoutRequestID": KEY, "ResultCode": 0, "CallbackMetadata": {"Item": items}}
    return {"Body": {"stkCallback": found}}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (pushed(RECEIPT), ((KEY, None), (RECEIPT, KEY))),
        (pushed(None), ((KEY, None),)),
        (pushed(KEY), ((KEY, None),)),
        (result(ReceiptNo=RECEIPT), ((RECEIPT, None),)),
        (result(), (("RKX0000009", None),)),
        (result(OriginalTransactionID=RECEIPT), ((RECEIPT, None), ("RKX0000009", RECEIPT))),
        (result(own=RECEIPT, OriginalTransactionID=RECEIPT), ((RECEIPT, None),)),
        (C2B, (("RKX0000001", None),)),
    ],
    ids=["a push", "without a receipt", "its own receipt", "a query", "no receipt", "a reversal", "of itself", "C2B"],
)
def test_what_a_callback_names_to_be_asked_about_and_what_that_belongs_to(body: Any, named: Any) -> None:
    """A query of a status has an id of its own; what it asked about is the receipt in its parameters."""
    assert providers.all_named_by_hint("mpesa", json.dumps(body).encode()) == named


@pytest.mark.parametrize(
    "body",
    [
        {name: value for name, value in BILL.items() if name != "paidAmount"},
        {name: value for name, value in EXPRESS.items() if name not in ("resultCode", "transactionId")},
        {name: value for name, value in C2B.items() if name != "TransID"},
        {"responseHeader": {"responseRefID": "0acc0239"}},
        {"Result": {"ConversationID": "AG_1"}},
    ],
    ids=["an invoice unpaid", "no code", "no receipt", "no code of a Ratiba", "no code of a result"],
)
def test_a_callback_that_names_no_outcome_is_refused(body: Any) -> None:
    """Nothing vouches for it, so it must at least look like one."""
    with pytest.raises(SignatureRejected, match="malformed_body"):
        providers.verify(
            "mpesa", headers={}, body=json.dumps(body).encode(), url="https://x.test/mpesa/s3", secrets=["s3"], now=0
        )


@pytest.mark.parametrize(
    ("debited", "leaves"),
    [
        ("12345 - Shop", True),
        ("174379 - Shop", True),
        ("1234567 - Shop", True),
        (" 1234567", True),
        ("12345678 - John Doe", False),
        ("254708374149 - John Doe", False),
        ("2547****149 - John Doe", False),
    ],
)
def test_a_short_code_of_five_to_seven_digits_is_a_business(debited: str, leaves: bool) -> None:  # noqa: FBT001
    """What a business is debited leaves the till, and is no payment of a customer's."""
    found = interpreted("mpesa", "refetch.transaction", transaction(DebitPartyName=debited))
    assert (found == Meaning()) == leaves


@pytest.mark.parametrize(
    ("shown", "payer"),
    [
        ("254708374149 - John Doe", "254708374149"),
        ("2547****149 - John Doe", "2547****149"),
        ("John Doe", ""),
        ("12345678 - John Doe", ""),
    ],
)
def test_a_payer_s_number_is_read_as_far_as_it_is_shown(shown: str, payer: str) -> None:
    tie = interpreted("mpesa", "refetch.transaction", transaction(KEY, DebitPartyName=shown)).tie
    assert tie is not None
    assert tie.payer == payer


def test_who_was_debited_is_named_first_where_both_parties_have_one_name() -> None:
    """As in Safaricom's sample. By the second one, the shop, every payment would be money that leaves it."""
    shop, payer = "174379 - Shop", "254708374149 - John Doe"
    for first, second, leaves in ((payer, shop, False), (shop, payer, True)):
        body = transaction(DebitPartyName=first)
        body["Result"]["ResultParameters"]["ResultParameter"].append({"Key": "DebitPartyName", "Value": second})
        assert (interpreted("mpesa", "refetch.transaction", body) == Meaning()) == leaves


def test_two_reversals_of_one_receipt_both_take_their_part_back() -> None:
    changes = {"DebitPartyName": "174379 - Shop", "ReasonType": "Organization Reversal of Customer Payment"}
    parts = [transaction(RECEIPT, ReceiptNo=own, Amount="50.00", **changes) for own in ("RKX0000001", "RKX0000002")]
    found = [interpreted("mpesa", "refetch.transaction", part) for part in parts]
    assert [facts(one) for one in found] == [
        {("reversal", "RKX0000001", "done", "5000")},
        {("reversal", "RKX0000002", "done", "5000")},
    ]
    assert fold(interpreted("mpesa", "refetch.transaction", transaction()), *found).captured == 5000


@pytest.mark.parametrize("words", ["Wrong credentials", "Merchant does not exist", "Invalid BusinessShortCode"])
def test_credentials_that_do_not_fit_are_not_a_push_that_is_open(words: str) -> None:
    """Both come with the code of an open push; the one is asked again for a day, the other is for its owner to mend."""
    answer = {"errorCode": "500.001.1001", "errorMessage": words}
    assert api().answer(KEY, 500, json.dumps(answer).encode()) is Denied.DENIED
    answer["errorMessage"] = "The transaction is being processed"
    assert api().answer(KEY, 500, json.dumps(answer).encode()) is Later.NOT_NOW
