"""Razorpay: a keyed hash over the raw body; the event id stands in an unsigned header.

Sources: Razorpay's Python SDK (`utility` and its tests, one of which stands in the vectors) and webhook documentation.

Signed: the raw body, a newline at its end included. `X-Razorpay-Signature: <hex HMAC-SHA256>`, key = the webhook's
secret. After a rotation, retries of events from before it keep the old secret, so both are live.

Identity: `x-razorpay-event-id` is unsigned: a replay under a fresh id verifies, so dedupe has to look at the body too.
The payment is `payload.payment.entity.id`, which refunds, orders and disputes carry as well.
"""

from __future__ import annotations

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.proof import hmac_hex
from providers.core.reading import read_json, text_at


def verify(request: SignedRequest) -> list[Notification]:
    """Check `X-Razorpay-Signature` over the raw body; return the one event."""
    check_body_mac(request, "x-razorpay-signature", hmac_hex)
    event = read_json(request.body)
    payment_ref = text_at(event, "payload", "payment", "entity", "id")
    return [Notification(request.header("x-razorpay-event-id"), text_at(event, "event"), payment_ref, request.body)]


PROVIDER = Provider(name="razorpay", verify=verify, interpret=None, event_id_signed=False)
