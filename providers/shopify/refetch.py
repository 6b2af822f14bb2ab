"""Shopify read again at the shop's Admin API: an order, then its transactions, and a dispute.

Paths are those of shopify-api-ruby 2026_07. The API is the shop's own, so its address is a setting. An app reads orders
of the last 60 days, older ones with the scope `read_all_orders`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from providers.core.objects import DISPUTES, ApiObject, ObjectsApi
from providers.core.refetch import DAY, OPEN_DISPUTES, Credentials, Watch, merged
from providers.shopify.meaning import meaning_of
from schemas.facts import Meaning, RefKind

TRANSACTIONS: Final = "transactions:"
_IDS: Final = re.compile("[0-9]{1,20}")
_ADMIN: Final = "/admin/api/2026-07"


def _headers(credentials: Credentials) -> dict[str, str]:
    return {"X-Shopify-Access-Token": credentials.key, "Accept": "application/json"}


def _meaning_of_order(order: dict[str, Any]) -> Meaning:
    """Read an order; what became of its money its transactions tell, which are asked about next."""
    meaning = meaning_of("orders/updated", order)
    return replace(meaning, ask=f"{TRANSACTIONS}{meaning.provider_ref}")


def _meaning_of_transactions(listed: list[Any]) -> Meaning:
    return merged(*(meaning_of("order_transactions/create", one) for one in listed if isinstance(one, dict)))


WATCHES: Final = (
    Watch(
        statuses=("created", "processing"),
        after=1 * DAY,
        every=1 * DAY,
        until=30 * DAY,
        source="an order that is paid later (bank deposit) stays pending until somebody marks it",
        guess="until",
    ),
    Watch(
        statuses=("authorized",),
        after=6 * DAY,
        every=1 * DAY,
        until=32 * DAY,
        source="ShopifyPaymentsExtendedAuthorization (2026-10): each has a time of its own",
        guess="until",
    ),
    Watch(
        refunds=("pending",),
        after=2 * DAY,
        every=1 * DAY,
        until=60 * DAY,
        source="a refund's transaction may be pending",
        guess="after and until",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        child=RefKind.DISPUTE,
        after=7 * DAY,
        every=7 * DAY,
        until=200 * DAY,
        source="shopify_payments/disputes, `evidence_due_by` ends the merchant's part alone",
        guess="until",
    ),
)

_API: Final = ObjectsApi(
    (
        ApiObject(
            "dispute",
            _IDS,
            f"{_ADMIN}/shopify_payments/disputes/{{id}}.json",
            partial(meaning_of, "disputes/update"),
            prefix=DISPUTES,
            within=("dispute",),
            payment_at=("order_id",),
        ),
        ApiObject(
            "transactions",
            _IDS,
            f"{_ADMIN}/orders/{{id}}/transactions.json",
            _meaning_of_transactions,
            prefix=TRANSACTIONS,
            within=("transactions",),
            id_at=("order_id",),
            listed=True,
        ),
        ApiObject("order", _IDS, f"{_ADMIN}/orders/{{id}}.json", _meaning_of_order, within=("order",)),
    ),
    _headers,
)

REFETCH: Final = _API.refetch("", watches=WATCHES, needs=("base_url",))
