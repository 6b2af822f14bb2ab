"""Standard Webhooks' signature: the open scheme that services of ours, and Svix, sign with.

Source: the Standard Webhooks specification and its Python library (`standardwebhooks` 1.1), `svix` 2.9. The headers
are `webhook-id`, `webhook-timestamp` and `webhook-signature`, or the same under `svix-`.

Endpoints that Polar made before 8 September 2026 sign with the bytes of the whole secret as it is shown, `whsec_`
included: such a secret is configured in base64.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from providers.core.contract import Notification, SignedRequest
from providers.core.proof import (
    any_same,
    few,
    header_bytes,
    hmac_base64,
    live_secrets,
    need_fresh,
    need_header,
    need_unix_seconds,
)
from providers.core.reading import read_json, text_at
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PUBLIC_KEY_PREFIX: Final = "whpk_"
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a prefix, not a secret
_PUBLIC_KEY_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
_ASYMMETRIC_MAX: Final = 4
"""Different `v1a` of a request: each is worth a hundred `v1`, and a sender that rotates its key sends two."""
_ED25519_BYTES: Final = 48 * 1024
"""How much is hashed in the time that the curve's arithmetic takes."""
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}\Z")


def verify(request: SignedRequest) -> list[Notification]:
    """Check the signature list over `<id>.<timestamp>.` + raw body against every key; return the one event.

    The cheapest checks come first: the header, the time, the keyed hashes, and only then the public keys, each of which
    hashes the whole body anew for each signature.
    """
    keys, public_keys = _keys(live_secrets(request))
    prefix = "svix" if "webhook-id" not in request.headers and "svix-id" in request.headers else "webhook"
    event_id = need_header(request, f"{prefix}-id")
    timestamp = need_header(request, f"{prefix}-timestamp")
    need_header(request, f"{prefix}-signature")
    signed_at = need_unix_seconds(timestamp)
    symmetric, asymmetric = _signatures(" ".join(request.headers[f"{prefix}-signature"]))
    need_fresh(signed_at, request.now)
    signed = b".".join((header_bytes(event_id), timestamp.encode(), request.body))
    fits = any_same(symmetric, [hmac_base64(key, signed) for key in keys] if symmetric else ())
    if not (fits or any(_signed_by(key, one, signed) for key in public_keys for one in asymmetric)):
        raise SignatureRejected("bad_signature", "no signature fits a live secret")
    event = read_json(request.body)
    return [Notification(event_id, text_at(event, "type"), text_at(event, "data", "payment_id"), request.body)]


def _keys(secrets: tuple[str, ...]) -> tuple[list[bytes], list[Ed25519PublicKey]]:
    """Return the HMAC keys and the ed25519 public keys; a secret that cannot be decoded is no secret."""
    keys: list[bytes] = []
    public_keys: list[Ed25519PublicKey] = []
    for secret in secrets:
        text = secret.strip()
        if text.startswith(_PUBLIC_KEY_PREFIX):
            raw = _decode_base64(text.removeprefix(_PUBLIC_KEY_PREFIX))
            public_keys += [Ed25519PublicKey.from_public_bytes(raw)] if len(raw) == _PUBLIC_KEY_BYTES else []
        else:
            raw = _decode_base64(text.removeprefix(_SECRET_PREFIX))
            keys += [raw] if raw else []
    if not keys and not public_keys:
        raise SignatureRejected("empty_secret", "no configured secret holds a key")
    return keys, public_keys


def _decode_base64(text: str) -> bytes:
    """Decode base64 whose padding may be missing; empty for anything else."""
    if not _BASE64.match(text):
        return b""
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except binascii.Error:
        return b""


def _decode_signature(text: str) -> bytes:
    """Decode a signature; a second spelling of the same bytes (loose last bits, no padding) is no signature."""
    decoded = _decode_base64(text)
    return decoded if base64.b64encode(decoded).decode() == text else b""


def _signatures(header: str) -> tuple[list[str], list[bytes]]:
    """Return the `v1` (HMAC, as text) and `v1a` (ed25519, decoded) signatures; other versions prove nothing."""
    pairs = [part.partition(",") for part in header.split(" ")]
    symmetric = [value for version, _, value in pairs if version == "v1" and value]
    asymmetric = [value for version, _, value in pairs if version == "v1a" and value]
    if not symmetric and not asymmetric:
        raise SignatureRejected("malformed_header", "the signature list holds no v1 and no v1a")
    decoded = map(_decode_signature, few(asymmetric, _ASYMMETRIC_MAX))
    return list(few(symmetric)), [one for one in decoded if len(one) == _SIGNATURE_BYTES]


def _signed_by(key: Ed25519PublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def work(headers: Mapping[str, Sequence[str]], body_bytes: int) -> int:
    """Return what the check costs: each `v1a` hashes the whole body anew, and a signature some more."""
    presented = (*headers.get("webhook-signature", ()), *headers.get("svix-signature", ()))
    asymmetric = min(_ASYMMETRIC_MAX, sum(value.count("v1a,") for value in presented))
    return max(body_bytes, (body_bytes + _ED25519_BYTES) * asymmetric)
