"""Proof that a request is genuine: secrets, keyed hashes, compares and the time window. All of it fails closed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Final, TypeVar

from providers.core.contract import TOLERANCE_SECONDS, SignedRequest
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Iterable

Signature = TypeVar("Signature", str, bytes)
SIGNATURES_MAX: Final = 8
"""Different signatures of one version that a request may present. A sender that rotates its keys sends two or three."""
_UNIX_SECONDS: Final = re.compile(r"[0-9]{1,12}\Z")
"""Plain ASCII digits, within any clock's reach: no sign, no float, no `inf`, no text too long for int()."""


def to_bytes(text: str) -> bytes:
    """Return the text as UTF-8; lone surrogates pass, so that this never raises."""
    return text.encode("utf-8", "surrogatepass")


def header_bytes(text: str) -> bytes:
    """Return a header's value as the bytes that came over the wire (latin-1); never raises."""
    return text.encode("latin-1", "replace")


def live_secrets(request: SignedRequest) -> tuple[str, ...]:
    """Return the secrets that are not blank; raise `empty_secret` if none is left: the empty key proves nothing."""
    secrets = tuple(secret for secret in request.secrets if secret.strip())
    if not secrets:
        raise SignatureRejected("empty_secret", "no secret is configured")
    return secrets


def need_header(request: SignedRequest, name: str) -> str:
    """Return the first value of a header (lower-case name), or raise `missing_header`."""
    value = request.header(name)
    if value is None:
        raise SignatureRejected("missing_header", f"no {name} header")
    return value


def same(left: str | bytes, right: str | bytes) -> bool:
    """Compare in constant time; takes any text, also non-ASCII, on which `hmac.compare_digest` alone raises."""
    left_bytes = to_bytes(left) if isinstance(left, str) else left
    right_bytes = to_bytes(right) if isinstance(right, str) else right
    return hmac.compare_digest(left_bytes, right_bytes)


def few(presented: Iterable[Signature], most: int = SIGNATURES_MAX) -> tuple[Signature, ...]:
    """Return the different signatures, in order; raise `malformed_header` for more than `most`.

    Each is work that a stranger asks for, so they are counted before any is looked at.
    """
    different = tuple(dict.fromkeys(presented))
    if len(different) > most:
        raise SignatureRejected("malformed_header", f"more than {most} signatures of one version")
    return different


def any_same(presented: Iterable[str | bytes], expected: Iterable[str | bytes]) -> bool:
    """Tell whether any presented signature fits any expected one; looks at all of them."""
    wanted = tuple(expected)
    found = False
    for one in presented:
        for other in wanted:
            found |= same(one, other)
    return found


def hmac_digest(key: str | bytes, message: bytes, algorithm: str = "sha256") -> bytes:
    """Return the HMAC of the message; a text key counts as its UTF-8 bytes."""
    return hmac.digest(to_bytes(key) if isinstance(key, str) else key, message, algorithm)


def hmac_hex(key: str | bytes, message: bytes, algorithm: str = "sha256") -> str:
    """Return the HMAC in lower-case hex."""
    return hmac_digest(key, message, algorithm).hex()


def hmac_base64(key: str | bytes, message: bytes, algorithm: str = "sha256") -> str:
    """Return the HMAC in base64, standard alphabet, padded."""
    return base64.b64encode(hmac_digest(key, message, algorithm)).decode()


def body_digest(body: bytes) -> str:
    """Return `sha256:` and the hex digest: the event id of a body whose provider gives none."""
    return "sha256:" + hashlib.sha256(body).hexdigest()


def need_match(presented: Iterable[str | bytes], expected: Iterable[str | bytes]) -> None:
    """Raise `bad_signature` unless any presented signature fits any expected one."""
    if not any_same(presented, expected):
        raise SignatureRejected("bad_signature", "no signature fits a live secret")


def need_unix_seconds(text: str) -> int:
    """Read a signed time as whole unix seconds, or raise `malformed_header`."""
    if not _UNIX_SECONDS.match(text):
        raise SignatureRejected("malformed_header", "the timestamp is not plain unix seconds")
    return int(text)


def need_fresh(signed_at: float, now: float) -> None:
    """Raise `stale_timestamp` or `future_timestamp` outside the window; exactly TOLERANCE_SECONDS is still good."""
    age_seconds = now - signed_at
    if age_seconds < -TOLERANCE_SECONDS:
        raise SignatureRejected("future_timestamp", f"signed more than {TOLERANCE_SECONDS} s ahead")
    if not age_seconds <= TOLERANCE_SECONDS:
        raise SignatureRejected("stale_timestamp", f"signed more than {TOLERANCE_SECONDS} s ago")
