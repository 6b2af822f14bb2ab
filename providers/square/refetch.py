"""Square read again at its API: a payment, a refund, a dispute, each by its own id (api.json of 2025-08-19).

A payment tells how much was refunded and not which refunds are pending, and names no dispute: those are asked about by
their own ids.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from providers.core.objects import DISPUTES, REFUNDS, ApiObject, ObjectsApi, by_key
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Watch, announced
from providers.square.meaning import meaning_of
from schemas.facts import RefKind

_IDS: Final = re.compile("[A-Za-z0-9_-]{1,192}")

WATCHES: Final = (
    announced("Square tries for 24 hours"),
    Watch(
        statuses=("processing",),
        after=6 * HOUR,
        every=12 * HOUR,
        until=30 * DAY,
        source="api.json, Payment.status: PENDING, of a bank transfer",
        guess="after and until",
    ),
    Watch(
        statuses=("authorized",),
        after=36 * HOUR,
        every=12 * HOUR,
        until=40 * DAY,
        source="api.json, Payment.delay_duration: ends by itself after 36 hours at a till, else 7 days, or as set",
        guess="until",
    ),
    Watch(
        refunds=("pending",),
        child=RefKind.REFUND,
        after=3 * DAY,
        every=1 * DAY,
        until=60 * DAY,
        source="api.json, PaymentRefund.status: PENDING awaits approval",
        guess="after and until",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        child=RefKind.DISPUTE,
        after=7 * DAY,
        every=7 * DAY,
        until=365 * DAY,
        source="docs/disputes-api/overview: the bank decides",
        guess="until",
    ),
)

_API: Final = ObjectsApi(
    (
        ApiObject(
            "refund",
            _IDS,
            "/v2/refunds/{id}",
            partial(meaning_of, "refund.updated"),
            prefix=REFUNDS,
            within=("refund",),
            payment_at=("payment_id",),
        ),
        ApiObject(
            "dispute",
            _IDS,
            "/v2/disputes/{id}",
            partial(meaning_of, "dispute.state.updated"),
            prefix=DISPUTES,
            within=("dispute",),
            payment_at=("disputed_payment", "payment_id"),
        ),
        ApiObject("payment", _IDS, "/v2/payments/{id}", partial(meaning_of, "payment.updated"), within=("payment",)),
    ),
    by_key,
)

REFETCH: Final = _API.refetch("https://connect.squareup.com", watches=WATCHES)
