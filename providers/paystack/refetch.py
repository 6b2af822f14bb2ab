"""Paystack read again at its API: a transaction by its reference, a dispute by its id (PaystackOSS/openapi).

A hold is read by its reference too (PaystackOSS/doc-code-snippets of 2026-02-23, `/preauthorization/:reference`): one
that was captured does not say how much, its transaction does, which goes by the same reference.

A refund is not asked about: its events name it by `refund_reference`, which the API leaves out, and to read it under
another name would give its money back twice. The API shows one by its `id` (`/refund/{id}`), which of the published
events refund.needs-attention alone tells, beside the reference; its list (`/refund`) takes no transaction.
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec.structs import replace

from providers.core.objects import CHARGES, DISPUTES, ApiObject, ObjectsApi, by_key
from providers.core.payments import attempt, need_state
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Watch
from providers.paystack.meaning import in_mode, meaning_of, meaning_of_transaction
from schemas.facts import Meaning, RefKind

_STATES: Final = {
    **dict.fromkeys(("success", "reversed"), "success"),
    "failed": "failed",
    "abandoned": "created",
    **dict.fromkeys(("ongoing", "pending", "processing", "queued"), "processing"),
}
"""What a transaction's status says. One that is left may be paid still; one that is reversed had been taken, and its
refund or its dispute tells that it was given back."""


def _meaning_of_transaction(transaction: dict[str, Any]) -> Meaning:
    state = need_state(_STATES, transaction.get("status"), "data.status")
    if state in ("success", "failed"):
        return meaning_of(f"charge.{state}", {**transaction, "status": state})
    meaning = meaning_of_transaction(transaction, lambda key, _amount: (attempt(key, state),))
    return in_mode(meaning, transaction)


_HOLDS: Final = {
    **dict.fromkeys(("authorized", "captured", "capture_failed", "release_failed"), "reserve"),
    "released": "release",
}
"""The kind of event that says what a hold's status says."""


def _meaning_of_hold(hold: dict[str, Any]) -> Meaning:
    """Read a hold; how much was captured of it stands in its transaction, which is asked about next."""
    status = hold.get("status")
    if status == "failed":
        return in_mode(meaning_of_transaction(hold, lambda key, _amount: (attempt(key, "failed"),)), hold)
    word = need_state(_HOLDS, status, "data.status")
    meaning = meaning_of(f"preauthorization.{word}.success", {**hold, "expired_at": hold.get("released_at")})
    return replace(meaning, ask=meaning.provider_ref) if status == "captured" else meaning


def _meaning_of_dispute(dispute: dict[str, Any]) -> Meaning:
    resolved = dispute.get("status") == "resolved"
    return meaning_of("charge.dispute.resolve" if resolved else "charge.dispute.remind", dispute)


WATCHES: Final = (
    Watch(
        statuses=("created", "processing"),
        after=1 * HOUR,
        every=6 * HOUR,
        until=7 * DAY,
        source="paths/transaction_verify_{reference}",
        guess="after and until",
    ),
    Watch(
        statuses=("authorized",),
        child=RefKind.CHARGE,
        after=1 * DAY,
        every=1 * DAY,
        until=32 * DAY,
        source="preauthorization events: `expiry_date`, a time of its own for each",
        guess="until",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        child=RefKind.DISPUTE,
        after=2 * DAY,
        every=2 * DAY,
        until=180 * DAY,
        source="paths/dispute: awaiting-merchant-feedback, awaiting-bank-feedback, pending",
        guess="until",
    ),
)

_REFERENCES: Final = re.compile("[A-Za-z0-9=_-][A-Za-z0-9.=_-]{0,199}")

_API: Final = ObjectsApi(
    (
        ApiObject(
            "dispute",
            re.compile("[0-9]{1,20}"),
            "/dispute/{id}",
            _meaning_of_dispute,
            prefix=DISPUTES,
            within=("data",),
            payment_at=("transaction", "reference"),
        ),
        ApiObject(
            "hold",
            _REFERENCES,
            "/preauthorization/{id}",
            _meaning_of_hold,
            prefix=CHARGES,
            within=("data",),
            id_at=("reference",),
        ),
        ApiObject(
            "transaction",
            _REFERENCES,
            "/transaction/verify/{id}",
            _meaning_of_transaction,
            within=("data",),
            id_at=("reference",),
        ),
    ),
    by_key,
    gone=("transaction_not_found", "not_found"),
)

REFETCH: Final = _API.refetch("https://api.paystack.co", watches=WATCHES)
