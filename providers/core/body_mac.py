"""The commonest scheme: one header with a keyed hash over the raw body, the secret's own text as the key."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from providers.core.proof import few, live_secrets, need_match
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from providers.core.contract import SignedRequest

Mac = Callable[[str, bytes], str]
"""From a secret and a message to the signature as the header writes it."""


def need_signatures(request: SignedRequest, name: str) -> tuple[str, ...]:
    """Return every value of a signature header (lower-case name).

    Raises `missing_header` where there is none and `malformed_header` where all are blank, or they are too many.
    """
    values = request.headers.get(name, ())
    if not values:
        raise SignatureRejected("missing_header", f"no {name} header")
    if not any(value.strip() for value in values):
        raise SignatureRejected("malformed_header", f"the {name} header is empty")
    return few(values)


def need_mac(presented: Sequence[str], secrets: Sequence[str], message: bytes, mac: Mac) -> None:
    """Raise `bad_signature` unless a signature presented is, letter for letter, the message's under a secret.

    Comparing the text that we would have written leaves no second spelling (upper-case hex, loose base64).
    """
    need_match(presented, [mac(secret, message) for secret in secrets])


def check_body_mac(request: SignedRequest, name: str, mac: Mac) -> None:
    """Raise SignatureRejected unless the header (lower-case name) signs the raw body under a live secret."""
    secrets = live_secrets(request)
    need_mac(need_signatures(request, name), secrets, request.body, mac)
