"""Mollie's signature: next-generation webhooks are signed; the old kind is an id in a form, and only a hint.

Sources: mollie-api-php (`SignatureValidator` and its tests) and Mollie's webhook documentation. There is no official
vector and no Python verifier.

Next generation: `X-Mollie-Signature: sha256=<hex HMAC-SHA256>` over the raw body, key = the webhook's secret. The
header may come several times (one signature a secret while it is rotated) and a proxy may join them with commas; the
prefix may be left out. The `simple` delivery form carries no entity.

Old kind: no signature, a form body `id=<resource id>`. Anyone can send it, so it is a hint that must cost no more
than one limited look-up at the API. The id ends up in an API URL, hence only letters and digits after a prefix are
taken. A JSON body without a signature does not slip in as the old kind.

Identity: `id`, `type`, and the payment in `_embedded.entity.paymentId` (of a refund, capture or chargeback), else
`entityId`. The old kind has no event id and no kind: every change of a payment sends the very same bytes.
"""

from __future__ import annotations

import re
from typing import Final

from providers.core.body_mac import need_mac, need_signatures
from providers.core.contract import Notification, SignedRequest
from providers.core.forms import read_form, values_of
from providers.core.proof import few, hmac_hex, live_secrets
from providers.core.reading import read_json, text_at
from schemas.errors import SignatureRejected

_HEADER: Final = "x-mollie-signature"
_RESOURCE_ID: Final = re.compile(rb"[a-z]{1,10}_[A-Za-z0-9]{1,64}\Z")


def verify(request: SignedRequest) -> list[Notification]:
    """Check `X-Mollie-Signature` over the raw body, or take the old kind's form as a hint; return the one event."""
    secrets = live_secrets(request)
    if _HEADER not in request.headers and _is_form(request):
        return [hint_of(request.body)]
    joined = ",".join(need_signatures(request, _HEADER))
    presented = few(signature.strip().removeprefix("sha256=") for signature in joined.split(","))
    need_mac(presented, secrets, request.body, hmac_hex)
    event = read_json(request.body)
    payment_ref = text_at(event, "_embedded", "entity", "paymentId") or text_at(event, "entityId")
    return [Notification(text_at(event, "id"), text_at(event, "type"), payment_ref, request.body)]


def _is_form(request: SignedRequest) -> bool:
    media_type = (request.header("content-type") or "").partition(";")[0]
    return media_type.strip().lower() == "application/x-www-form-urlencoded"


def hint_of(body: bytes) -> Notification:
    """Return the hint that an old webhook's form is; raise SignatureRejected where it does not hold one resource id."""
    ids = values_of(read_form(body), b"id")
    if len(ids) != 1 or not _RESOURCE_ID.match(ids[0]):
        raise SignatureRejected("malformed_body", "the form does not hold one resource id")
    return Notification(None, None, ids[0].decode("ascii"), body, "hint")


def named(body: bytes) -> str | None:
    """Return the resource id of an old webhook."""
    try:
        return hint_of(body).payment_ref
    except SignatureRejected:
        return None
