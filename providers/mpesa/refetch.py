"""M-Pesa read again at its API: a push by an STK query, everything else by its receipt (`status_query`).

Both with a token that is granted for an hour. Source: the Daraja portal, "M-Pesa Express Query" and "Authorization".
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import re
from http import HTTPStatus
from typing import Final

from providers.core.meaning import need_id, refs_of
from providers.core.payments import attempt, captured_in_all, need_object, read_event
from providers.core.reading import read_json, text_at, value_at
from providers.core.refetch import (
    Answer,
    ApiRequest,
    Credentials,
    Denied,
    Fetched,
    Grant,
    Later,
    Refetch,
    Watch,
    bearer,
)
from providers.mpesa.callbacks import is_code
from providers.mpesa.meaning import CURRENCY, SUCCESS, result_code, stk_meaning
from providers.mpesa.status_query import QUERY, TRANSACTION, transaction_meaning
from schemas.facts import Meaning, RefKind

_MINUTE, _DAY = 60.0, 86_400.0
WATCHES: Final = (
    Watch(
        statuses=("created", "processing"),
        after=3 * _MINUTE,
        every=10 * _MINUTE,
        until=1 * _DAY,
        source="the Daraja portal, M-Pesa Express: a push that nobody answers ends within minutes (1019, 1037)",
    ),
)
"""A push is answered within minutes, and its callback may never come."""

_SECONDS: Final = re.compile(r"[0-9]{1,9}\Z")
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
    return (token, float(seconds)) if token and seconds and _SECONDS.match(seconds) else None


def _request(ref: str, credentials: Credentials, now: float) -> ApiRequest | None:
    """Ask for the outcome of an STK push; the password is the pass key, with the time in Nairobi."""
    if not _CHECKOUT_ID.match(ref) or not credentials.pass_key:
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
    document = read_json(body)
    if text_at(document, "errorCode") in _PENDING and _WRONG.search(text_at(document, "errorMessage") or ""):
        return Denied.DENIED
    if text_at(document, "errorCode") in _PENDING or text_at(document, "ResultCode") in _PENDING:
        return Later.NOT_NOW
    if text_at(document, "errorCode") == _BAD_TOKEN:
        return Denied.DENIED
    answered = text_at(document, "CheckoutRequestID") == ref and is_code(text_at(document, "ResultCode"))
    return Fetched("stk", ref) if answered and status == HTTPStatus.OK else None


def _interpret_fetched(kind: str, body: bytes) -> Meaning:
    """Read the outcome. A success names neither receipt nor amount: what was pushed was taken, whole.

    It counts what no receipt tells; the receipt's own answer, once it is known, is the capture.
    """
    document = read_event(body)
    if kind == TRANSACTION.kind:
        return transaction_meaning(need_object(document.get("Result"), "Result"))
    if result_code(document) != SUCCESS or value_at(document, "CallbackMetadata") is not None:
        return stk_meaning(document)
    key = need_id(document.get("CheckoutRequestID"), "CheckoutRequestID")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key)),
        facts=(captured_in_all(key, None), attempt(key, "succeeded")),
        opens=True,
        currency=CURRENCY,
        provider_ref=key,
    )


REFETCH: Final = Refetch(
    "https://api.safaricom.co.ke",
    _request,
    _answer,
    _interpret_fetched,
    needs=("secret", "merchant"),
    grant=Grant(_grant_request, _granted),
    query=QUERY,
    watches=WATCHES,
)
