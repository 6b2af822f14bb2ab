"""Puts us in the place of `stripe.WebhookSignature.verify_header`."""

from __future__ import annotations

import time
from typing import Any, Final

import stripe

from producers import providers
from schemas.errors import SignatureRejected

OUR_TOLERANCE_SECONDS: Final = 300
_NO_SCHEME: Final = "No signatures found with expected scheme v1"
_NO_MATCH: Final = "No signatures found matching the expected signature for payload"
THEIR_WORDS: Final = {
    "malformed_header": f"Unable to extract timestamp and signatures from header, or: {_NO_SCHEME}",
    "bad_signature": f"{_NO_MATCH}, or: {_NO_SCHEME}",
    "stale_timestamp": "Timestamp outside the tolerance zone",
}
"""What the SDK says of a refusal that we name by a slug; it tells some apart that are one to us."""


def verify_header(payload: Any, header: str, secret: str, tolerance: int | None = OUR_TOLERANCE_SECONDS) -> bool:
    """Verify as the SDK does; a tolerance that is not ours is made ours by moving the clock."""
    body = payload.encode() if isinstance(payload, str) else bytes(payload)
    now = time.time() + OUR_TOLERANCE_SECONDS - (OUR_TOLERANCE_SECONDS if tolerance is None else tolerance)
    try:
        providers.verify("stripe", headers={"stripe-signature": header}, body=body, url="", secrets=[secret], now=now)
    except SignatureRejected as error:
        if error.reason == "malformed_body":
            return True  # signed, and no JSON: the SDK looks at that apart
        reported = THEIR_WORDS.get(error.reason, str(error))
        raise stripe.SignatureVerificationError(reported, header, payload) from error
    return True


stripe.WebhookSignature.verify_header = staticmethod(verify_header)
