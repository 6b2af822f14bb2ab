"""Shopify: what it signs (`signature`), what its topics mean (`meaning`), its `kinds`, and its API (`refetch`).

An order is a payment, its transactions are its children.
"""

from __future__ import annotations

from typing import Final

from providers.core.contract import Provider
from providers.shopify.kinds import CATALOGUE
from providers.shopify.meaning import interpret
from providers.shopify.refetch import REFETCH
from providers.shopify.signature import verify

PROVIDER: Final = Provider(
    "shopify",
    verify,
    interpret,
    event_id_signed=False,
    kind_signed=False,
    refetch=REFETCH,
    catalogue=CATALOGUE,
    meaning_version=2,  # an order whose payments were voided or ran out is over
    signed_by=("X-Shopify-Hmac-Sha256", "X-Shopify-Event-Id", "X-Shopify-Topic"),
)
