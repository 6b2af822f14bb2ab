"""M-Pesa (Daraja): nothing is signed; the secret is the end of the path, and the body is only a hint.

Sources: Safaricom's Daraja documentation and public samples of its callbacks. No signature scheme exists.

Proven: that the caller knows the URL. `/webhooks/mpesa[/{account}]/{secret}`; the secret is compared as it stands in
the path, with case, dots not resolved and percent signs not decoded; a query is no place for it. Whoever knows the
path can claim any amount, so the outcome is read again with an STK query or a transaction status query. Since nothing
vouches for the body, one that names nothing to read again, or no numeric result, is refused.

Identity, by shape: an STK callback's `CheckoutRequestID` is event id and reference; a result's `ConversationID` and
`OriginatorConversationID`; a C2B confirmation's `TransID` and `BillRefNumber`, whose kind is its `TransactionType`. A
time-out (1037) and the real result that follows carry one id, and all of it is unsigned, so dedupe has to look at the
body too. Amounts are shillings, as text or number.
"""

from __future__ import annotations

import re
from typing import Any, Final

from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.proof import live_secrets, need_match
from providers.core.reading import read_json, text_at
from schemas.errors import SignatureRejected

_PATH_END: Final = re.compile(r"/mpesa(?:/[A-Za-z0-9_-]+)?/([^/]*)\Z")
_NUMBER: Final = re.compile(r"-?[0-9]{1,9}\Z")


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
    event_id, kind, payment_ref = _stk(callback) or _result(callback) or _confirmation(callback)
    if event_id is None or kind is None:
        raise SignatureRejected("malformed_body", "the body names nothing that could be read again")
    return Notification(event_id, kind, payment_ref, body, "hint")


_Identity = tuple[str | None, str | None, str | None]


def _stk(callback: Any) -> _Identity | None:
    checkout_id = text_at(callback, "Body", "stkCallback", "CheckoutRequestID")
    if checkout_id is None or not _is_number(text_at(callback, "Body", "stkCallback", "ResultCode")):
        return None
    return checkout_id, "stkCallback", checkout_id


def _result(callback: Any) -> _Identity | None:
    conversation_id = text_at(callback, "Result", "ConversationID")
    if conversation_id is None or not _is_number(text_at(callback, "Result", "ResultCode")):
        return None
    return conversation_id, "Result", text_at(callback, "Result", "OriginatorConversationID")


def _confirmation(callback: Any) -> _Identity:
    return text_at(callback, "TransID"), text_at(callback, "TransactionType"), text_at(callback, "BillRefNumber")


def _is_number(code: str | None) -> bool:
    return code is not None and _NUMBER.match(code) is not None


PROVIDER = Provider(name="mpesa", verify=verify, interpret=None, event_id_signed=False)
