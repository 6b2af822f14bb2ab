"""M-Pesa (Daraja): nothing is signed; the secret is the end of the path, and the body is only a hint.

Sources: Safaricom's Daraja documentation and public samples of its callbacks. No signature scheme exists.

Proven: that the caller knows the URL. `/webhooks/mpesa[/{account}]/{secret}`; the secret is compared as it stands in
the path, with case, dots not resolved and percent signs not decoded; a query is no place for it. Whoever knows the
path can report any amount, so the outcome is read again at the API. Since nothing vouches for the body, one that
names nothing to read again, or no result code, is refused.

Identity, by shape: an STK callback's `CheckoutRequestID` is event id and reference; a result's `ConversationID` and
`OriginatorConversationID`; a C2B confirmation's `TransID` and `BillRefNumber`, whose kind is its `TransactionType`,
which Safaricom's own sample leaves empty; `responseRefID` of a standing order (Ratiba), `requestId` of a payment
between businesses (B2B Express), `transactionId` of an invoice's payment (Bill Manager). A time-out (1037) and the real
result that follows carry one id, and all of it is unsigned. Amounts are shillings, as text or number.
"""

from __future__ import annotations

import re
from typing import Any, Final

from providers.core.contract import Notification, SignedRequest
from providers.core.proof import live_secrets, need_match
from providers.core.reading import read_json, text_at, to_id, value_at
from schemas.errors import SignatureRejected

_PATH_END: Final = re.compile(r"/mpesa(?:/[A-Za-z0-9_-]+)?/([^/]*)\Z")
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
        _stk(callback)
        or _result(callback)
        or _ratiba(callback)
        or _express(callback)
        or _bill(callback)
        or _confirmation(callback)
    )
    if event_id is None:
        raise SignatureRejected("malformed_body", "the body names nothing that could be read again")
    return Notification(event_id, kind, payment_ref, body, "hint")


_Identity = tuple[str | None, str | None, str | None]


def _stk(callback: Any) -> _Identity | None:
    checkout_id = text_at(callback, "Body", "stkCallback", "CheckoutRequestID")
    if checkout_id is None or not is_code(text_at(callback, "Body", "stkCallback", "ResultCode")):
        return None
    return checkout_id, "stkCallback", checkout_id


def _result(callback: Any) -> _Identity | None:
    conversation_id = text_at(callback, "Result", "ConversationID")
    if conversation_id is None or not is_code(text_at(callback, "Result", "ResultCode")):
        return None
    return conversation_id, "Result", text_at(callback, "Result", "OriginatorConversationID")


def _ratiba(callback: Any) -> _Identity | None:
    """Read the callback of a standing order (M-Pesa Ratiba)."""
    reference = text_at(callback, "responseHeader", "responseRefID")
    if reference is None or not is_code(text_at(callback, "responseHeader", "responseCode")):
        return None
    return reference, "Ratiba", _ratiba_receipt(callback)


def _ratiba_receipt(callback: Any) -> str | None:
    return to_id(named(value_at(callback, "responseBody", "responseData"), "name", "TransactionID"))


def _express(callback: Any) -> _Identity | None:
    """Read the callback of a till-to-till payment (B2B Express Checkout)."""
    request_id = text_at(callback, "requestId")
    if request_id is None or not is_code(text_at(callback, "resultCode")):
        return None
    return request_id, "B2BExpress", text_at(callback, "transactionId")


def _bill(callback: Any) -> _Identity | None:
    """Read the payment notification of an invoice (Bill Manager)."""
    receipt = text_at(callback, "transactionId")
    if receipt is None or text_at(callback, "paidAmount") is None:
        return None
    return receipt, "BillManager", receipt


def _confirmation(callback: Any) -> _Identity:
    return text_at(callback, "TransID"), text_at(callback, "TransactionType"), text_at(callback, "BillRefNumber")


def named_by(body: bytes) -> str | None:
    """Return what can be asked about: the push, of a reversal the receipt of what it reverses, else the receipt."""
    callback = read_json(body)
    return (
        text_at(callback, "Body", "stkCallback", "CheckoutRequestID")
        or to_id(_parameter(callback, "OriginalTransactionID"))
        or to_id(_parameter(callback, "ReceiptNo"))
        or text_at(callback, "Result", "TransactionID")
        or text_at(callback, "TransID")
        or text_at(callback, "transactionId")
        or _ratiba_receipt(callback)
    )


def also_named_by(body: bytes) -> tuple[str, str] | None:
    """Return what else can be asked about, and what it belongs to: a push's receipt, a reversal's own."""
    callback = read_json(body)
    push = text_at(callback, "Body", "stkCallback", "CheckoutRequestID")
    items = value_at(callback, "Body", "stkCallback", "CallbackMetadata", "Item")
    own, about = to_id(named(items, "Name", "MpesaReceiptNumber")), push
    if push is None:
        own, about = text_at(callback, "Result", "TransactionID"), to_id(_parameter(callback, "OriginalTransactionID"))
    return None if own is None or about is None or own == about else (own, about)


def _parameter(callback: Any, key: str) -> Any:
    return named(value_at(callback, "Result", "ResultParameters", "ResultParameter"), "Key", key)


def is_code(code: str | None) -> bool:
    """Tell whether a text is a result code."""
    return code is not None and _CODE.match(code) is not None


def named(items: Any, name: str, wanted: str) -> Any:
    """Return the Value of the item of that name; a list of one item may come as the item itself."""
    return next(iter(all_named(items, name, wanted)), None)


def all_named(items: Any, name: str, wanted: str) -> list[Any]:
    """Return the Values of all items of that name: Safaricom's sample has one name twice."""
    listed = items if isinstance(items, list) else [items]
    return [_value(item) for item in listed if value_at(item, name) == wanted]


def _value(item: Any) -> Any:
    """Return the Value of an item, which standing orders write in lower case."""
    upper = value_at(item, "Value")
    return value_at(item, "value") if upper is None else upper
