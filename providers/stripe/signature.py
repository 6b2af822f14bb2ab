"""Stripe's signature: a timestamped HMAC-SHA256 over the raw body.

Source: Stripe's webhook documentation and `stripe-python` (`WebhookSignature`).
"""

from __future__ import annotations

from providers.core.contract import Notification, SignedRequest
from providers.core.proof import few, hmac_hex, live_secrets, need_fresh, need_header, need_match, need_unix_seconds
from providers.core.reading import read_json, text_at, value_at
from schemas.errors import SignatureRejected


def verify(request: SignedRequest) -> list[Notification]:
    """Check `Stripe-Signature: t=<unix>,v1=<hex>[,v1=..]` over `<t>.` + raw body; return the one event.

    A stale header is refused before the body is hashed.
    """
    secrets = live_secrets(request)
    need_header(request, "stripe-signature")
    timestamp, signatures = _parts(",".join(request.headers["stripe-signature"]))
    need_fresh(int(timestamp), request.now)
    signed = timestamp.encode() + b"." + request.body
    need_match(signatures, (hmac_hex(secret, signed) for secret in secrets))
    return [notification_of(request.body)]


def _parts(header: str) -> tuple[str, list[str]]:
    """Return `t` and every `v1`; parts of other schemes are skipped, the order is free."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    timestamps = [value for name, _, value in pairs if name == "t"]
    signatures = [value for name, _, value in pairs if name == "v1"]
    if len(timestamps) != 1 or not signatures:
        raise SignatureRejected("malformed_header", "Stripe-Signature needs one t and a v1")
    need_unix_seconds(timestamps[0])
    return timestamps[0], list(few(signatures))


def notification_of(body: bytes) -> Notification:
    """Return the event that a body is; its webhook and Stripe's list of events show the same one."""
    event = read_json(body)
    of_intent = value_at(event, "data", "object", "object") == "payment_intent"
    payment_ref = text_at(event, "data", "object", "id" if of_intent else "payment_intent")
    return Notification(text_at(event, "id"), text_at(event, "type"), payment_ref or _related(event), body)


def _related(event: object) -> str | None:
    """Return the object that a thin event is about."""
    return text_at(event, "related_object", "id")
