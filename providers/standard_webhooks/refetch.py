"""Dodo Payments read again at its API: a payment, a refund, a dispute, each by its id (dodo-docs, openapi.documented).

The scheme has many senders, and this is the API of one of them: it is asked where an `api_key` is set, best for an
account of its own. Polar's refunds have UUIDs and are asked about where `api_base_url` is not Dodo's, by Polar's list
of them (polarsource/polar, server/polar/refund/endpoints.py, `GET /v1/refunds/`): a key for Polar never goes to Dodo.
The API of a service of your own is not asked.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from providers.core.objects import DISPUTES, REFUNDS, ApiObject, ObjectsApi, by_key
from providers.core.payments import need_state
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Watch, merged
from providers.standard_webhooks.meaning import interpret
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from providers.core.refetch import ApiRequest, Credentials

_PAYMENTS: Final = {
    "succeeded": "payment.succeeded",
    "failed": "payment.failed",
    "cancelled": "payment.cancelled",
    "requires_capture": "payment.authorized",
    **dict.fromkeys(("requires_payment_method", "requires_confirmation"), "payment.created"),
    **dict.fromkeys(("requires_customer_action", "requires_merchant_action"), "payment.requires_action"),
    **dict.fromkeys(
        ("processing", "partially_captured", "partially_captured_and_capturable"), "payment.processing"
    ),  # how much was captured of it nothing tells
}
_REFUNDS: Final = {
    **{status: f"refund.{status}" for status in ("succeeded", "failed", "pending")},
    "review": "refund.pending",
}
_DISPUTES: Final = {
    f"dispute_{state}": f"dispute.{state}"
    for state in ("opened", "expired", "accepted", "cancelled", "challenged", "won", "lost")
}
"""The webhook that says what a status says."""


def _meaning_of(kind: str, thing: dict[str, Any]) -> Meaning:
    return interpret(kind, msgspec.json.encode({"type": kind, "data": thing}))


def _meaning_of_payment(payment: dict[str, Any]) -> Meaning:
    given = payment.get("status")
    return _meaning_of(need_state(_PAYMENTS, "requires_payment_method" if given is None else given, "status"), payment)


def _meaning_of_refund(refund: dict[str, Any]) -> Meaning:
    return _meaning_of(need_state(_REFUNDS, refund.get("status"), "status"), refund)


def _meaning_of_polar(refunds: list[Any]) -> Meaning:
    """Read Polar's list of one refund as the webhook that has the same fields; an empty one says nothing."""
    return merged(*(_meaning_of("refund.updated", one) for one in refunds))


def _meaning_of_dispute(dispute: dict[str, Any]) -> Meaning:
    return _meaning_of(need_state(_DISPUTES, dispute.get("dispute_status"), "dispute_status"), dispute)


WATCHES: Final = (
    Watch(
        statuses=("created", "requires_action", "processing"),
        after=1 * HOUR,
        every=6 * HOUR,
        until=14 * DAY,
        source="openapi.documented, IntentStatus",
        guess="after and until",
    ),
    Watch(
        refunds=("pending",),
        child=RefKind.REFUND,
        after=3 * DAY,
        every=1 * DAY,
        until=45 * DAY,
        source="openapi.documented, RefundStatus: pending, review",
        guess="after and until",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        child=RefKind.DISPUTE,
        after=4 * DAY,
        every=4 * DAY,
        until=180 * DAY,
        source="features/transactions/disputes: 4 days to answer; then the bank reviews",
        guess="until",
    ),
)

_IDS: Final = re.compile("[A-Za-z0-9_]{1,80}")
_PAYMENT_AT: Final = ("payment_id",)

_UUIDS: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_POLAR: Final = ApiObject(
    "polar_refund",
    _UUIDS,
    "/v1/refunds/?id={id}",
    _meaning_of_polar,
    prefix=REFUNDS,
    within=("items",),
    listed=True,
)

_API: Final = ObjectsApi(
    (
        _POLAR,
        ApiObject(
            "refund",
            _IDS,
            "/refunds/{id}",
            _meaning_of_refund,
            prefix=REFUNDS,
            id_at=("refund_id",),
            payment_at=_PAYMENT_AT,
        ),
        ApiObject(
            "dispute",
            _IDS,
            "/disputes/{id}",
            _meaning_of_dispute,
            prefix=DISPUTES,
            id_at=("dispute_id",),
            payment_at=_PAYMENT_AT,
        ),
        ApiObject(
            "payment", re.compile("pay_[A-Za-z0-9]{1,80}"), "/payments/{id}", _meaning_of_payment, id_at=_PAYMENT_AT
        ),
    ),
    by_key,
)

_DODO: Final = "dodopayments.com"


def _request(ref: str, credentials: Credentials, now: float) -> ApiRequest | None:
    """Return how the API is asked; None for what is Polar's where the address is Dodo's."""
    of_dodo = (urlsplit(credentials.base_url).hostname or "").endswith(_DODO)
    return None if of_dodo and _POLAR.id_of(ref) is not None else _API.request(ref, credentials, now)


REFETCH: Final = replace(_API.refetch("https://live.dodopayments.com", watches=WATCHES), request=_request)
