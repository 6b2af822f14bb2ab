"""Checkout.com: a keyed hash over the raw body.

Source: Checkout.com's webhook documentation. There is no official vector and no SDK that verifies.

Signed: the raw body. `Cko-Signature: <hex HMAC-SHA256>`, key = the webhook's signature key.

Identity: `id` and `type`. The payment is `data.id`; in a dispute that is the dispute, and the payment stands in
`data.payment_id`.
"""

from __future__ import annotations

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.proof import hmac_hex
from providers.core.reading import read_json, text_at


def verify(request: SignedRequest) -> list[Notification]:
    """Check `Cko-Signature` over the raw body; return the one event."""
    check_body_mac(request, "cko-signature", hmac_hex)
    event = read_json(request.body)
    payment_ref = text_at(event, "data", "payment_id") or text_at(event, "data", "id")
    return [Notification(text_at(event, "id"), text_at(event, "type"), payment_ref, request.body)]


PROVIDER = Provider(name="checkout", verify=verify)
