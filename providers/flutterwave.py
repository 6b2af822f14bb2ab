"""Flutterwave: version 4 signs the raw body, version 3 only shows the secret.

Sources: Flutterwave's developer documentation; for version 4 also secondary ones. There is no official vector and no
SDK that verifies.

Version 4: `flutterwave-signature: <base64 HMAC-SHA256>` over the raw body, key = the secret hash. Version 3, seen
from the absence of that header: `verif-hash` is the secret hash itself. It tells that the sender knows the secret and
proves nothing about the body, whose amount anyone on the way may change: such a notification is a hint, and the
transaction is read again at the API. Where a version 4 header stands it must fit: an empty or wrong one never falls
back to version 3.

Identity: version 4 `webhook_id`, `type`, `data.reference`; version 3 (a body with `event`)
`<event>:<data.id>:<data.status>`, `event`, `data.tx_ref`. The shape decides, not the header. A version 3 id is
unsigned: a made-up body under a future id must not swallow the genuine one, so dedupe has to look at the body too.
"""

from __future__ import annotations

from typing import Any

from providers.core.body_mac import need_mac, need_signatures
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.proof import header_bytes, hmac_base64, live_secrets, need_match, to_bytes
from providers.core.reading import read_json, text_at

_V4_HEADER = "flutterwave-signature"
_V3_HEADER = "verif-hash"


def verify(request: SignedRequest) -> list[Notification]:
    """Check the version 4 signature if its header is there, else the version 3 secret; return the one event."""
    secrets = live_secrets(request)
    event_id, kind, payment_ref = _identity(read_json(request.body))
    if _V4_HEADER in request.headers:
        need_mac(need_signatures(request, _V4_HEADER), secrets, request.body, hmac_base64)
        return [Notification(event_id, kind, payment_ref, request.body)]
    shown = need_signatures(request, _V3_HEADER)
    need_match(map(header_bytes, shown), map(to_bytes, secrets))
    return [Notification(event_id, kind, payment_ref, request.body, "hint")]


def _identity(event: Any) -> tuple[str | None, str | None, str | None]:
    """Return event id, kind and payment reference of either version's body."""
    kind = text_at(event, "event")
    if kind is None:
        return text_at(event, "webhook_id"), text_at(event, "type"), text_at(event, "data", "reference")
    own, status = text_at(event, "data", "id"), text_at(event, "data", "status")
    event_id = f"{kind}:{own}:{status}" if own and status else None
    return event_id, kind, text_at(event, "data", "tx_ref")


PROVIDER = Provider(name="flutterwave", verify=verify, interpret=None, event_id_signed=False)
