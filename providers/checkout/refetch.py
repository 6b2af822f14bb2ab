"""Checkout.com read again at its API: a payment with its balances, and a dispute (nas_spec of checkout-api-reference).

The balances are sums of captures and refunds, which the payment does not name; they count what no event tells.
"""

from __future__ import annotations

import re
from typing import Any, Final

from providers.checkout.meaning import meaning_of_dispute, meaning_of_payment
from providers.core.objects import DISPUTES, ApiObject, ObjectsApi, by_key
from providers.core.payments import need_state
from providers.core.reading import value_at
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Watch, announced
from schemas.facts import Meaning, RefKind

_KINDS: Final = {
    "evidence_under_review": "dispute_evidence_submitted",
    "arbitration_under_review": "dispute_arbitration_sent_to_scheme",
    "arb_evidence_submitted": "dispute_arbitration_evidence_submitted",
    **{
        status: f"dispute_{status}"
        for status in (
            "accepted",
            "arbitration_lost",
            "arbitration_won",
            "canceled",
            "evidence_required",
            "expired",
            "lost",
            "resolved",
            "won",
        )
    },
}


def _meaning_of_dispute(dispute: dict[str, Any]) -> Meaning:
    kind = need_state(_KINDS, dispute.get("status"), "status")
    return meaning_of_dispute(kind, {**dispute, "payment_id": value_at(dispute, "payment", "id")})


WATCHES: Final = (
    announced("Checkout.com tries 8 times in 12 hours"),
    Watch(
        statuses=("processing",),
        after=1 * HOUR,
        every=6 * HOUR,
        until=14 * DAY,
        source="nas_spec, PaymentDetails.status: Pending",
        guess="after and until",
    ),
    Watch(
        statuses=("authorized",),
        after=2 * DAY,
        every=12 * HOUR,
        until=32 * DAY,
        source="nas_spec, PaymentDetails.expires_on: each authorization has a time of its own",
        guess="until",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        child=RefKind.DISPUTE,
        after=7 * DAY,
        every=7 * DAY,
        until=365 * DAY,
        source="nas_spec, Dispute.evidence_required_by ends the merchant's part alone",
        guess="until",
    ),
)

_API: Final = ObjectsApi(
    (
        ApiObject(
            "dispute",
            re.compile("dsp_[A-Za-z0-9]{1,60}"),
            "/disputes/{id}",
            _meaning_of_dispute,
            prefix=DISPUTES,
            payment_at=("payment", "id"),
        ),
        ApiObject("payment", re.compile("pay_[A-Za-z0-9]{1,60}"), "/payments/{id}", meaning_of_payment),
    ),
    by_key,
)

REFETCH: Final = _API.refetch("https://api.checkout.com", watches=WATCHES)
