"""The catalogue of problems that the HTTP servers answer with, as RFC 9457 `application/problem+json`.

A problem's `type` is `urn:ratchet:problem:<slug>`; the slug is stable, titles and details are for people. 429 and the
503 of a full window use the types that the RateLimit header draft registered with IANA, which clients may know.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:ratchet:problem:"
IANA_PREFIX: Final = "https://iana.org/assignments/http-problem-types#"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of refusal: a stable slug, a short title and the HTTP status that goes with it."""

    slug: str
    title: str
    status: int
    prefix: str = TYPE_PREFIX

    @property
    def type(self) -> str:
        """Return the type URI of RFC 9457."""
        return self.prefix + self.slug


MALFORMED_REQUEST: Final = Problem("malformed-request", "The request is not well-formed HTTP", 400)
"""The bytes are no HTTP/1.1, or their framing is ambiguous (two lengths, length and chunks)."""
UNKNOWN_PATH: Final = Problem("unknown-path", "There is nothing at this path", 404)
METHOD_NOT_ALLOWED: Final = Problem("method-not-allowed", "The path does not take this method", 405)
"""`Allow` names the methods that it takes (RFC 9110, 15.5.6)."""
RECEIPT_TIMEOUT: Final = Problem("receipt-timeout", "The request was not received in time", 408)
"""Head or body did not arrive before the receipt deadline; the connection is closed."""
BODY_TOO_LARGE: Final = Problem("body-too-large", "The body is too large", 413)
"""The body is over its endpoint's bound (`body_bytes_max`); the connection is closed."""
HEAD_TOO_LARGE: Final = Problem("head-too-large", "The request's head is too large", 431)
"""Request line and header fields are over the bound; the connection is closed."""

SIGNATURE_REJECTED: Final = Problem("signature-rejected", "The webhook's signature does not prove it genuine", 401)
"""Forged, stale or malformed. The reason is in our log only: a forger learns nothing from the answer."""
UNKNOWN_PROVIDER: Final = Problem("unknown-provider", "No such webhook endpoint is configured", 404)
"""There is no such provider, or no secret is configured for it or for its account."""
NOTHING_DURABLE: Final = Problem("not-durable", "The events cannot be stored durably now; send them again", 503)
"""Neither Kafka nor Postgres takes the records. Sent with `Retry-After`."""
WINDOW_FULL: Final = Problem(
    "temporary-reduced-capacity", "Too many requests are in flight; send it again", 503, IANA_PREFIX
)
"""The in-flight window stayed full. Sent with `Retry-After`."""
PROOF_UNAVAILABLE: Final = Problem("proof-unavailable", "The proof of the signature cannot be fetched now", 503)
"""A certificate that the signature names can't be fetched now. Sent with `Retry-After`."""
INTERRUPTED: Final = Problem("interrupted", "The request was interrupted; send it again", 503)
"""The process stops, or something unforeseen happened; nothing was promised. Sent with `Retry-After`."""

UNAUTHENTICATED: Final = Problem("unauthenticated", "A valid API key is needed", 401)
"""Intents API: the Bearer token is missing or unknown."""
IDEMPOTENCY_KEY_MISSING: Final = Problem("idempotency-key-missing", "An Idempotency-Key is needed", 400)
IDEMPOTENCY_KEY_MALFORMED: Final = Problem("idempotency-key-malformed", "The Idempotency-Key is not a UUID", 400)
IDEMPOTENCY_IN_PROGRESS: Final = Problem("idempotency-in-progress", "The first request is still running", 409)
"""Another request with the same key has not been answered yet."""
IDEMPOTENCY_MISMATCH: Final = Problem("idempotency-mismatch", "The Idempotency-Key was used for another request", 422)
"""Same key, other body or path."""
INVALID_BODY: Final = Problem("invalid-body", "The body is not a valid command", 422)
"""`errors` lists what is wrong, by JSON pointer."""
INVALID_QUERY: Final = Problem("invalid-query", "The query names no payment", 400)
"""`GET /payments` takes exactly one of `id`, `reference` and `provider_ref`; `detail` says what is wrong."""
UNSUPPORTED_MEDIA_TYPE: Final = Problem("unsupported-media-type", "The body is not application/json", 415)
UNKNOWN_INTENT: Final = Problem("unknown-intent", "There is no such payment intent", 404)
"""Or it belongs to another client: both look the same."""
STATE_FORBIDS: Final = Problem("state-forbids", "The payment's state forbids the command", 409)
"""`state` names the status that the payment has; `detail` says what else was asked for already."""
REFERENCE_TAKEN: Final = Problem("reference-taken", "Another payment has this reference", 409)
"""One of the client's own payments has the same `reference` or `provider_ref`; `payment_id` names it."""
QUOTA_EXCEEDED: Final = Problem("quota-exceeded", "The rate limit is used up", 429, IANA_PREFIX)
"""Sent with `Retry-After`, `RateLimit` and `RateLimit-Policy`."""

CATALOGUE: Final = (
    MALFORMED_REQUEST,
    UNKNOWN_PATH,
    METHOD_NOT_ALLOWED,
    RECEIPT_TIMEOUT,
    BODY_TOO_LARGE,
    HEAD_TOO_LARGE,
    SIGNATURE_REJECTED,
    UNKNOWN_PROVIDER,
    NOTHING_DURABLE,
    WINDOW_FULL,
    PROOF_UNAVAILABLE,
    INTERRUPTED,
    UNAUTHENTICATED,
    IDEMPOTENCY_KEY_MISSING,
    IDEMPOTENCY_KEY_MALFORMED,
    IDEMPOTENCY_IN_PROGRESS,
    IDEMPOTENCY_MISMATCH,
    INVALID_BODY,
    INVALID_QUERY,
    UNSUPPORTED_MEDIA_TYPE,
    UNKNOWN_INTENT,
    STATE_FORBIDS,
    REFERENCE_TAKEN,
    QUOTA_EXCEEDED,
)


def render(problem: Problem, detail: str | None = None, **extensions: Any) -> bytes:
    """Return the problem's JSON document; `extensions` are further members (RFC 9457, 3.2)."""
    document: dict[str, Any] = {"type": problem.type, "title": problem.title, "status": problem.status}
    if detail is not None:
        document["detail"] = detail
    return json.dumps(document | extensions, separators=(",", ":")).encode()
