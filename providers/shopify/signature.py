"""Shopify: a keyed hash over the raw body; topic and event id stand in unsigned headers.

Source: Shopify's webhook documentation. There is no official vector; ShopifyAPI for Python verifies OAuth alone.

Signed: the raw body. `X-Shopify-Hmac-SHA256: <base64 HMAC-SHA256>`, key = the app's client secret; after a rotation
Shopify goes on signing with the old one for up to an hour, so both are live.

Identity: `X-Shopify-Event-Id` and `X-Shopify-Topic`, both unsigned: a replay under a fresh event id verifies, so
dedupe has to look at the body too. The payment is `order_id`, else (of an order itself) `id`. These ids go beyond
2**53 and are read as exact whole numbers.
"""

from __future__ import annotations

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, SignedRequest
from providers.core.proof import hmac_base64
from providers.core.reading import read_json, text_at


def verify(request: SignedRequest) -> list[Notification]:
    """Check `X-Shopify-Hmac-SHA256` over the raw body; return the one event."""
    check_body_mac(request, "x-shopify-hmac-sha256", hmac_base64)
    event_id, kind = request.header("x-shopify-event-id"), request.header("x-shopify-topic")
    subject = read_json(request.body)
    return [Notification(event_id, kind, text_at(subject, "order_id") or text_at(subject, "id"), request.body)]
