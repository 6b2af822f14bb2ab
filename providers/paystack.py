"""Paystack: a keyed hash over the raw body; events have no id.

Sources: Paystack's webhook documentation, the payloads of PaystackOSS/doc-code-snippets, pypaystack2 (a community SDK).

Signed: the raw body. `x-paystack-signature: <hex HMAC-SHA512>`, key = the secret API key itself.

Identity: `<event>:<data.id>`, else `<event>:<data.refund_reference>`. `refund.pending` and `refund.processing` carry
neither, nor a time: two of one amount are byte for byte the same request and have no event id. The payment is the
merchant's transaction reference, which refunds, disputes and charges keep in three places.
"""

from __future__ import annotations

from typing import Any

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.proof import hmac_hex
from providers.core.reading import read_json, text_at, value_at


def verify(request: SignedRequest) -> list[Notification]:
    """Check `x-paystack-signature` over the raw body; return the one event."""
    check_body_mac(request, "x-paystack-signature", lambda secret, body: hmac_hex(secret, body, "sha512"))
    event = read_json(request.body)
    kind, data = text_at(event, "event"), value_at(event, "data")
    return [Notification(_event_id(kind, data), kind, _payment_ref(data), request.body)]


def _event_id(kind: str | None, data: Any) -> str | None:
    own = text_at(data, "id") or text_at(data, "refund_reference")
    return f"{kind}:{own}" if kind and own else None


def _payment_ref(data: Any) -> str | None:
    return (
        text_at(data, "transaction_reference")
        or text_at(data, "transaction", "reference")
        or text_at(data, "reference")
    )


PROVIDER = Provider(name="paystack", verify=verify)
