"""Flutterwave version 3 read again at its API: the transaction that an unsigned webhook names.

Source: developer.flutterwave.com/v3.0/reference/verify-transaction. The answer holds the transaction under `data`, in
the shape of the webhook's `data`; it is believed only if it has the id that was asked for. Version 4 signs its
webhooks, and its ids are no numbers: its API is not asked.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from providers.core.payments import need_object, read_event
from providers.core.reading import read_json, text_at
from providers.core.refetch import DAY, HOUR, Answer, ApiRequest, Credentials, Fetched, Refetch, Watch, bearer
from providers.flutterwave.meaning import said_by_charge

if TYPE_CHECKING:
    from schemas.facts import Meaning

_TRANSACTION_ID: Final = re.compile(r"[0-9]{1,20}\Z")


def _request(ref: str, credentials: Credentials, _now: float) -> ApiRequest | None:
    url = f"{credentials.base_url}/v3/transactions/{ref}/verify"
    return ApiRequest("GET", url, bearer(credentials.key)) if _TRANSACTION_ID.match(ref) else None


def _answer(ref: str, status: int, body: bytes) -> Answer:
    asked_for = status == HTTPStatus.OK and text_at(read_json(body), "data", "id") == ref
    return Fetched("transaction", ref) if asked_for else None


def _interpret_fetched(_kind: str, body: bytes) -> Meaning:
    return said_by_charge(need_object(read_event(body).get("data"), "data"), "tx_ref")


WATCHES: Final = (
    Watch(
        statuses=("processing",),
        after=1 * HOUR,
        every=6 * HOUR,
        until=7 * DAY,
        source=(
            "docs/collecting-payments/standard: a session lives for 24 hours at most; docs/rate-limit (2026-09-13): ask"
            " on a schedule, and stop at a final status"
        ),
    ),
)
"""A transfer or a mobile charge stays pending until its payer acts."""

REFETCH: Final = Refetch("https://api.flutterwave.com", _request, _answer, _interpret_fetched, watches=WATCHES)
