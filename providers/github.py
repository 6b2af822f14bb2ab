"""GitHub: a keyed hash over the raw body, the hub-signature scheme that many senders copy.

Sources: GitHub's webhook documentation (its published example stands in the vectors) and the tests of
octokit/webhooks-methods.js.

Signed: the raw body. `X-Hub-Signature-256: sha256=<hex HMAC-SHA256>`, key = the hook's secret. The older
`X-Hub-Signature` (SHA-1) is never read: falling back to it would let the sender choose the weaker proof, and the
algorithm is not taken from the value either.

Identity: `X-GitHub-Delivery` and `X-GitHub-Event`, both unsigned: a replay under a fresh delivery id verifies, so
dedupe has to look at the body too. GitHub's events name no payment.
"""

from __future__ import annotations

from typing import Final

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.proof import hmac_hex
from providers.core.silent import silent_json


def verify(request: SignedRequest) -> list[Notification]:
    """Check `X-Hub-Signature-256` over the raw body; return the one event."""
    check_body_mac(request, "x-hub-signature-256", lambda secret, body: "sha256=" + hmac_hex(secret, body))
    event_id, kind = request.header("x-github-delivery"), request.header("x-github-event")
    return [Notification(event_id, kind, None, request.body)]


PROVIDER: Final = Provider(
    "github",
    verify,
    silent_json,
    event_id_signed=False,
    kind_signed=False,
    payments=False,
    signed_by=("X-Hub-Signature-256", "X-GitHub-Delivery", "X-GitHub-Event"),
)
