"""What M-Pesa's callbacks and its API's answers mean.

Nobody signs a callback, so it is a hint: the consumer drops its facts, and only the API's answers move money. A payment
is an STK push or a C2B confirmation, in Kenyan shillings. Money taken is keyed by the M-Pesa receipt, by which a
reversal names it. A result code other than 0 is a try that failed (1019: expired), which a success that follows
outranks. Of a reversal such a code says nothing: Safaricom's own sample of one has the code 21 and the words of a
success. A validation request has the shape of a confirmation, and nothing in it says which it is.
"""

from __future__ import annotations

from typing import Any, Final

from providers.core.meaning import maybe_id, need_id, refs_of, undecodable, unknown_kind
from providers.core.payments import attempt, captured, major_units, need_kind, need_object, read_event, reversal, terms
from providers.core.reading import text_at, to_id, value_at
from providers.mpesa.callbacks import is_code, named
from schemas.facts import Meaning, RefKind

CURRENCY: Final = "KES"
SUCCESS: Final = "0"
_EXPIRED: Final = "1019"

_CONFIRMATIONS: Final = frozenset({"Pay Bill", "Buy Goods", "CustomerPayBillOnline", "CustomerBuyGoodsOnline"})
"""The transaction types of a customer's payment to a business."""


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what a callback reports; results of other requests than a reversal say nothing."""
    callback = read_event(body)
    if kind == "stkCallback":
        return stk_meaning(need_object(value_at(callback, "Body", "stkCallback"), "Body.stkCallback"))
    if kind in ("Ratiba", "B2BExpress", "BillManager"):
        return Meaning()  # of a standing order, a payment between businesses, an invoice: read at the API alone
    if kind == "Result":
        return _result_meaning(need_object(callback.get("Result"), "Result"))
    need_kind(callback.get("TransactionType"), kind)
    if kind not in _CONFIRMATIONS:
        raise unknown_kind(kind)
    return _confirmation_meaning(callback)


def result_code(answer: dict[str, Any]) -> str:
    """Return the result code of a callback or an answer."""
    code = text_at(answer, "ResultCode")
    if code is None or not is_code(code):
        raise undecodable("ResultCode is no code")
    return code


def stk_meaning(answer: dict[str, Any]) -> Meaning:
    """Return what the outcome of a push says."""
    key = need_id(answer.get("CheckoutRequestID"), "CheckoutRequestID")
    code = result_code(answer)
    if code != SUCCESS:
        failed = attempt(key, "expired" if code == _EXPIRED else "failed")
        return Meaning(refs=refs_of((RefKind.PAYMENT, key)), facts=(failed,), opens=True, provider_ref=key)
    items = value_at(answer, "CallbackMetadata", "Item")
    receipt = need_id(named(items, "Name", "MpesaReceiptNumber"), "MpesaReceiptNumber")
    return _paid(key, receipt, major_units(named(items, "Name", "Amount"), CURRENCY, "Amount"), None)


def _confirmation_meaning(answer: dict[str, Any]) -> Meaning:
    key = need_id(answer.get("TransID"), "TransID")
    reference = to_id(answer.get("BillRefNumber")) or None
    return _paid(key, key, major_units(answer.get("TransAmount"), CURRENCY, "TransAmount"), reference)


def _paid(key: str, receipt: str, amount: int, reference: str | None) -> Meaning:
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (RefKind.CAPTURE, receipt), (RefKind.REFERENCE, reference)),
        facts=(terms(key, amount), captured(receipt, amount, authorization=key)),
        opens=True,
        currency=CURRENCY,
        amount=amount,
        provider_ref=key,
    )


def _result_meaning(answer: dict[str, Any]) -> Meaning:
    parameters = value_at(answer, "ResultParameters", "ResultParameter")
    receipt = maybe_id(named(parameters, "Key", "OriginalTransactionID"), "OriginalTransactionID")
    if result_code(answer) != SUCCESS or receipt is None:
        return Meaning()
    amount = major_units(named(parameters, "Key", "Amount"), CURRENCY, "Amount")
    return Meaning(
        refs=refs_of((RefKind.CAPTURE, receipt)),
        facts=(reversal(receipt, receipt, amount),),
        currency=CURRENCY,
        amount=amount,
    )
