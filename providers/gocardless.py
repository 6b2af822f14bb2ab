"""GoCardless: a keyed hash over the raw body, which carries many events.

Sources: gocardless-pro-python (`webhooks` and its tests, one of which stands in the vectors) and GoCardless's webhook
documentation.

Signed: the raw body as a whole. `Webhook-Signature: <hex HMAC-SHA256>`, key = the endpoint's secret. One signature
covers all events, so an event forged into the middle or added at the end spoils every one of them.

Identity: `events[].id`, `<resource_type>.<action>`, and `links.payment` where the event has it (a refund's event
names the refund alone). Each event travels as its own slice of the body; an empty list is genuine and holds nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.proof import hmac_hex
from providers.core.reading import decode, read_json, text_at
from providers.core.slices import own_slices


class _Body(msgspec.Struct):
    events: list[msgspec.Raw]


_BODY: Final = msgspec.json.Decoder(_Body)


def verify(request: SignedRequest) -> list[Notification]:
    """Check `Webhook-Signature` over the raw body; return its events in order."""
    check_body_mac(request, "webhook-signature", hmac_hex)
    batch = decode(_BODY, request.body)
    if batch is None:
        return [Notification(None, None, None, request.body)]
    return [_notification(item) for item in own_slices(request.body, [bytes(item) for item in batch.events])]


def _notification(item: bytes) -> Notification:
    event = read_json(item)
    resource, action = text_at(event, "resource_type"), text_at(event, "action")
    kind = f"{resource}.{action}" if resource and action else None
    return Notification(text_at(event, "id"), kind, text_at(event, "links", "payment"), item)


PROVIDER = Provider(name="gocardless", verify=verify)
