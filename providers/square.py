"""Square: a keyed hash over the notification URL and the raw body.

Sources: Square's Python SDK (`webhooks_helper` and its tests, which stand in the vectors) and webhook documentation.

Signed: the notification URL followed by the raw body. `x-square-hmacsha256-signature: <base64 HMAC-SHA256>`, key = the
subscription's signature key. The URL is the one registered, letter for letter and with its query: it comes from the
configuration, never from a Host header or from what a proxy shows.

Identity: `event_id` and `type`. The payment is `payment.id`, `refund.payment_id` or
`dispute.disputed_payment.payment_id` in `data.object`.
"""

from __future__ import annotations

from typing import Any

from providers.core.body_mac import need_mac, need_signatures
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.proof import hmac_base64, live_secrets, to_bytes
from providers.core.reading import read_json, text_at, value_at


def verify(request: SignedRequest) -> list[Notification]:
    """Check `x-square-hmacsha256-signature` over URL and raw body; return the one event."""
    secrets = live_secrets(request)
    presented = need_signatures(request, "x-square-hmacsha256-signature")
    need_mac(presented, secrets, to_bytes(request.url) + request.body, hmac_base64)
    event = read_json(request.body)
    payment_ref = _payment_ref(value_at(event, "data", "object"))
    return [Notification(text_at(event, "event_id"), text_at(event, "type"), payment_ref, request.body)]


def _payment_ref(subject: Any) -> str | None:
    return (
        text_at(subject, "payment", "id")
        or text_at(subject, "refund", "payment_id")
        or text_at(subject, "dispute", "disputed_payment", "payment_id")
    )


PROVIDER = Provider(name="square", verify=verify)
