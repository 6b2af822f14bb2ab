"""Paystack read again at its API: a transaction by its reference, a dispute by its id (PaystackOSS/openapi).

A refund is not asked about: its events may name it by `refund_reference`, which the API leaves out, and to read it
under another name would give its money back twice. Neither is a hold: no path of the API shows one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from providers.core.objects import DISPUTES, ApiObject, ObjectsApi, by_key
from providers.core.payments import attempt, need_state
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Watch
from providers.paystack.meaning import in_mode, said_by, said_by_transaction
from schemas.facts import Meaning, RefKind

_STATES: Final = {
    **dict.fromkeys(("success", "reversed"), "success"),
    "failed": "failed",
    "abandoned": "created",
    **dict.fromkeys(("ongoing", "pending", "processing", "queued"), "processing"),
}
"""What a transaction's status says. One that is left may be paid still; one that is reversed had been taken, and its
refund or its dispute tells that it was given back."""


def _said_by_transaction(transaction: dict[str, Any]) -> Meaning:
    state = need_state(_STATES, transaction.get("status"), "data.status")
    if state in ("success", "failed"):
        return said_by(f"charge.{state}", {**transaction, "status": state})
    said = said_by_transaction(transaction, lambda key, _amount: (attempt(key, state),))
    return in_mode(said, transaction)


def _said_by_dispute(dispute: dict[str, Any]) -> Meaning:
    resolved = dispute.get("status") == "resolved"
    return said_by("charge.dispute.resolve" if resolved else "charge.dispute.remind", dispute)


WATCHES: Final = (
    Watch(
        statuses=("created", "processing"),
        after=1 * HOUR,
        every=6 * HOUR,
        until=7 * DAY,
        source="paths/transaction_verify_{reference}; how long one stays open is not said",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        child=RefKind.DISPUTE,
        after=2 * DAY,
        every=2 * DAY,
        until=180 * DAY,
        source="paths/dispute: awaiting-merchant-feedback, awaiting-bank-feedback, pending; for how long is not said",
    ),
)

_API: Final = ObjectsApi(
    (
        ApiObject(
            "dispute",
            re.compile("[0-9]{1,20}"),
            "/dispute/{id}",
            _said_by_dispute,
            prefix=DISPUTES,
            within=("data",),
            payment_at=("transaction", "reference"),
        ),
        ApiObject(
            "transaction",
            re.compile("[A-Za-z0-9=_-][A-Za-z0-9.=_-]{0,199}"),
            "/transaction/verify/{id}",
            _said_by_transaction,
            within=("data",),
            id_at=("reference",),
        ),
    ),
    by_key,
    gone=("transaction_not_found",),
)

REFETCH: Final = _API.refetch("https://api.paystack.co", watches=WATCHES)
