"""M-Pesa (Daraja): nothing is signed; the secret is the end of the path, and the body is only a hint.

Sources: Safaricom's Daraja documentation and public samples of its callbacks. No signature scheme exists.

Proven: that the caller knows the URL. `/webhooks/mpesa[/{account}]/{secret}`; the secret is compared as it stands in
the path, with case, dots not resolved and percent signs not decoded; a query is no place for it. Whoever knows the
path can claim any amount, so the outcome is read again with an STK query. Since nothing vouches for the body, one that
names nothing to read again, or no result code, is refused.

Identity, by shape: an STK callback's `CheckoutRequestID` is event id and reference; a result's `ConversationID` and
`OriginatorConversationID`; a C2B confirmation's `TransID` and `BillRefNumber`, whose kind is its `TransactionType`,
which Safaricom's own sample leaves empty; `responseRefID` of a standing order (Ratiba), `requestId` of a payment
between businesses (B2B Express). A time-out (1037) and the real result that follows carry one id, and all of
it is unsigned. Amounts are shillings, as text or number.

Meaning: what the body claims, for a reader that has reason to trust it; the facts of a hint are dropped. A payment is
an STK push or a C2B confirmation, in Kenyan shillings. Money taken is keyed by the M-Pesa receipt, by which a reversal
names it. A result code other than 0 is a try that failed (1019: expired), which a success that follows outranks. Of a
reversal such a code says nothing: Safaricom's own sample of one has the code 21 and the words of a success. A
validation request has the shape of a confirmation and cannot be told from it.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from http import HTTPStatus
from typing import Any, Final

from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.meaning import maybe_id, need_id, refs_of, undecodable, unknown_kind
from providers.core.payments import (
    attempt,
    captured,
    major_units,
    need_kind,
    need_object,
    read_event,
    reversal,
    terms,
)
from providers.core.proof import live_secrets, need_match
from providers.core.reading import read_json, text_at, to_id, value_at
from providers.core.refetch import (
    Answer,
    ApiRequest,
    Credentials,
    Denied,
    Fetched,
    Grant,
    Later,
    Refetch,
    bearer,
)
from schemas.errors import SignatureRejected
from schemas.facts import Meaning, RefKind

_PATH_END: Final = re.compile(r"/mpesa(?:/[A-Za-z0-9_-]+)?/([^/]*)\Z")
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}\Z")
_CODE: Final = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9._-]{1,40}\Z")
"""A result code: a number, or as some are reported, letters and a number (SFC_IC0003)."""


def verify(request: SignedRequest) -> list[Notification]:
    """Check the secret at the end of the path; return the one hint."""
    secrets = live_secrets(request)
    path = request.url.partition("?")[0]
    if "/mpesa/" not in path:
        raise SignatureRejected("missing_header", "no secret follows /mpesa/ in the path")
    end = _PATH_END.search(path)
    need_match([end[1] if end else ""], secrets)
    return [_hint(request.body)]


def _hint(body: bytes) -> Notification:
    callback = read_json(body)
    event_id, kind, payment_ref = (
        _stk(callback) or _result(callback) or _ratiba(callback) or _express(callback) or _confirmation(callback)
    )
    if event_id is None:
        raise SignatureRejected("malformed_body", "the body names nothing that could be read again")
    return Notification(event_id, kind, payment_ref, body, "hint")


_Identity = tuple[str | None, str | None, str | None]


def _stk(callback: Any) -> _Identity | None:
    checkout_id = text_at(callback, "Body", "stkCallback", "CheckoutRequestID")
    if checkout_id is None or not _is_code(text_at(callback, "Body", "stkCallback", "ResultCode")):
        return None
    return checkout_id, "stkCallback", checkout_id


def _result(callback: Any) -> _Identity | None:
    conversation_id = text_at(callback, "Result", "ConversationID")
    if conversation_id is None or not _is_code(text_at(callback, "Result", "ResultCode")):
        return None
    return conversation_id, "Result", text_at(callback, "Result", "OriginatorConversationID")


def _ratiba(callback: Any) -> _Identity | None:
    """Read the callback of a standing order (M-Pesa Ratiba)."""
    reference = text_at(callback, "responseHeader", "responseRefID")
    if reference is None or not _is_code(text_at(callback, "responseHeader", "responseCode")):
        return None
    return reference, "Ratiba", _ratiba_receipt(callback)


def _ratiba_receipt(callback: Any) -> str | None:
    return to_id(_named(value_at(callback, "responseBody", "responseData"), "name", "TransactionID"))


def _express(callback: Any) -> _Identity | None:
    """Read the callback of a till-to-till payment (B2B Express Checkout)."""
    request_id = text_at(callback, "requestId")
    if request_id is None or not _is_code(text_at(callback, "resultCode")):
        return None
    return request_id, "B2BExpress", text_at(callback, "transactionId")


def _confirmation(callback: Any) -> _Identity:
    return text_at(callback, "TransID"), text_at(callback, "TransactionType"), text_at(callback, "BillRefNumber")


def _named_by(body: bytes) -> str | None:
    """Return what can be asked about: the push, of a reversal the receipt of what it reverses, else the receipt."""
    callback = read_json(body)
    parameters = value_at(callback, "Result", "ResultParameters", "ResultParameter")
    reversed_receipt = _named(parameters, "Key", "OriginalTransactionID")
    return (
        text_at(callback, "Body", "stkCallback", "CheckoutRequestID")
        or (reversed_receipt if isinstance(reversed_receipt, str) else None)
        or text_at(callback, "Result", "TransactionID")
        or text_at(callback, "TransID")
        or text_at(callback, "transactionId")
        or _ratiba_receipt(callback)
    )


def _is_code(code: str | None) -> bool:
    return code is not None and _CODE.match(code) is not None


def _is_number(code: str | None) -> bool:
    return code is not None and _NUMBER.match(code) is not None


_CURRENCY: Final = "KES"
_SUCCESS: Final = "0"
_EXPIRED: Final = "1019"

_CONFIRMATIONS: Final = frozenset({"Pay Bill", "Buy Goods", "CustomerPayBillOnline", "CustomerBuyGoodsOnline"})
"""The transaction types of a customer's payment to a business."""


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what a callback claims; results of other requests than a reversal say nothing."""
    callback = read_event(body)
    if kind == "stkCallback":
        return _stk_meaning(need_object(value_at(callback, "Body", "stkCallback"), "Body.stkCallback"))
    if kind in ("Ratiba", "B2BExpress"):
        return Meaning()  # of a standing order, of a payment between businesses: read at the API alone
    if kind == "Result":
        return _result_meaning(need_object(callback.get("Result"), "Result"))
    need_kind(callback.get("TransactionType"), kind)
    if kind not in _CONFIRMATIONS:
        raise unknown_kind(kind)
    return _confirmation_meaning(callback)


def _result_code(said: dict[str, Any]) -> str:
    code = text_at(said, "ResultCode")
    if code is None or not _is_code(code):
        raise undecodable("ResultCode is no code")
    return code


def _named(items: Any, name: str, wanted: str) -> Any:
    """Return the Value of the item of that name; a list of one item may come as the item itself."""
    listed = items if isinstance(items, list) else [items]
    return next((_value(item) for item in listed if value_at(item, name) == wanted), None)


def _value(item: Any) -> Any:
    """Return the Value of an item, which standing orders write in lower case."""
    upper = value_at(item, "Value")
    return value_at(item, "value") if upper is None else upper


def _stk_meaning(said: dict[str, Any]) -> Meaning:
    key = need_id(said.get("CheckoutRequestID"), "CheckoutRequestID")
    code = _result_code(said)
    if code != _SUCCESS:
        failed = attempt(key, "expired" if code == _EXPIRED else "failed")
        return Meaning(refs=refs_of((RefKind.PAYMENT, key)), facts=(failed,), provider_ref=key)
    items = value_at(said, "CallbackMetadata", "Item")
    receipt = need_id(_named(items, "Name", "MpesaReceiptNumber"), "MpesaReceiptNumber")
    return _paid(key, receipt, major_units(_named(items, "Name", "Amount"), _CURRENCY, "Amount"), None)


def _confirmation_meaning(said: dict[str, Any]) -> Meaning:
    key = need_id(said.get("TransID"), "TransID")
    reference = to_id(said.get("BillRefNumber")) or None
    return _paid(key, key, major_units(said.get("TransAmount"), _CURRENCY, "TransAmount"), reference)


def _paid(key: str, receipt: str, amount: int, reference: str | None) -> Meaning:
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (RefKind.CAPTURE, receipt), (RefKind.REFERENCE, reference)),
        facts=(terms(key, amount), captured(receipt, amount, authorization=key)),
        opens=True,
        currency=_CURRENCY,
        amount=amount,
        provider_ref=key,
    )


def _result_meaning(said: dict[str, Any]) -> Meaning:
    parameters = value_at(said, "ResultParameters", "ResultParameter")
    receipt = maybe_id(_named(parameters, "Key", "OriginalTransactionID"), "OriginalTransactionID")
    if _result_code(said) != _SUCCESS or receipt is None:
        return Meaning()
    amount = major_units(_named(parameters, "Key", "Amount"), _CURRENCY, "Amount")
    return Meaning(
        refs=refs_of((RefKind.CAPTURE, receipt)),
        facts=(reversal(receipt, receipt, amount),),
        currency=_CURRENCY,
        amount=amount,
    )


# --- read again at the API: an STK query, with a token that is granted for an hour --------------------------------

_CHECKOUT_ID: Final = re.compile(r"ws_CO_[A-Za-z0-9_]{1,200}\Z")
_NAIROBI: Final = dt.timezone(dt.timedelta(hours=3))
_PENDING: Final = frozenset({"500.001.1001", "4999"})
"""The error code and the result code of a push that the customer has not answered yet."""
_WRONG: Final = re.compile(r"wrong credentials|merchant does not exist|invalid", re.IGNORECASE)
"""Words that come with the very error code of an open push where short code and pass key don't fit."""
_BAD_TOKEN: Final = "404.001.03"  # noqa: S105 - an error code


def _grant_request(credentials: Credentials) -> ApiRequest:
    basic = base64.b64encode(f"{credentials.key}:{credentials.secret}".encode()).decode()
    url = f"{credentials.base_url}/oauth/v1/generate?grant_type=client_credentials"
    return ApiRequest("GET", url, {"Authorization": f"Basic {basic}"})


def _granted(body: bytes) -> tuple[str, float] | None:
    """Read the token and its seconds, which come as text."""
    answer = read_json(body)
    token, seconds = text_at(answer, "access_token"), text_at(answer, "expires_in")
    return (token, float(seconds)) if token and seconds and _is_number(seconds) else None


def _request(ref: str, credentials: Credentials, now: float) -> ApiRequest | None:
    """Ask for the outcome of an STK push; the password is the pass key, with the time in Nairobi."""
    if not _CHECKOUT_ID.match(ref):
        return None
    timestamp = dt.datetime.fromtimestamp(now, _NAIROBI).strftime("%Y%m%d%H%M%S")
    password = base64.b64encode(f"{credentials.merchant}{credentials.pass_key}{timestamp}".encode()).decode()
    query = {
        "BusinessShortCode": credentials.merchant,
        "Password": password,
        "Timestamp": timestamp,
        "CheckoutRequestID": ref,
    }
    headers = {**bearer(credentials.token), "Content-Type": "application/json"}
    url = f"{credentials.base_url}/mpesa/stkpushquery/v1/query"
    return ApiRequest("POST", url, headers, json.dumps(query).encode())


def _answer(ref: str, status: int, body: bytes) -> Answer:
    """Read an answer; Daraja says with 500 that a push is still open, and with 404 that the token is no good."""
    said = read_json(body)
    if text_at(said, "errorCode") in _PENDING and _WRONG.search(text_at(said, "errorMessage") or ""):
        return Denied.DENIED
    if text_at(said, "errorCode") in _PENDING or text_at(said, "ResultCode") in _PENDING:
        return Later.NOT_NOW
    if text_at(said, "errorCode") == _BAD_TOKEN:
        return Denied.DENIED
    settled = text_at(said, "CheckoutRequestID") == ref and _is_code(text_at(said, "ResultCode"))
    return Fetched("stk", ref) if settled and status == HTTPStatus.OK else None


def _interpret_fetched(_kind: str, body: bytes) -> Meaning:
    """Read the outcome. A success names neither receipt nor amount: what was pushed was taken, whole.

    So the capture is keyed by the push and has no figure of its own; the intent's terms are its figure.
    """
    said = read_event(body)
    if _result_code(said) != _SUCCESS or value_at(said, "CallbackMetadata") is not None:
        return _stk_meaning(said)
    key = need_id(said.get("CheckoutRequestID"), "CheckoutRequestID")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key)),
        facts=(captured(key, None, authorization=key),),
        opens=True,
        currency=_CURRENCY,
        provider_ref=key,
    )


_REFETCH: Final = Refetch(
    "https://api.safaricom.co.ke",
    _request,
    _answer,
    _interpret_fetched,
    needs=("secret", "merchant", "pass_key"),
    grant=Grant(_grant_request, _granted),
)
PROVIDER: Final = Provider(
    "mpesa", verify, interpret, event_id_signed=False, refetch=_REFETCH, named=_named_by, unsigned=True
)
