"""Braintree's signature: a form with an XML document in base64, signed as text by a key pair.

Source: Braintree's Python SDK (`webhook_notification`, `webhook_testing`).

Signed: the field `bt_payload` as text, line breaks included, HMAC-SHA1 in hex, key = the SHA-1 digest of the private
key. The field `bt_signature` holds `<public key>|<hex>` pairs joined by `&`, one a live key pair of the gateway; a
secret is `<public key>|<private key>`, and a pair counts only under its own public key. Frameworks that strip fields
lose the payload's last newline, so the text with one newline added is tried as well. Other fields are neither signed
nor read.

Identity: Braintree has no event id; it is `<kind>:<subject id>`, of subscriptions `<kind>:<id>:<transaction id>`. The
payment is the transaction: the subject itself, or the one inside it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from providers.braintree.document import SUBJECT, texts_of, transaction_path
from providers.core.contract import Notification, SignedRequest
from providers.core.forms import Fields, read_form, values_of
from providers.core.proof import few, hmac_hex, live_secrets, need_match, to_bytes
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASE64_LINES: Final = re.compile(rb"[A-Za-z0-9+/=\n]+\Z")
_SUBJECT_ID: Final = re.compile(r"notification/subject/[^/]+/id\Z")


def verify(request: SignedRequest) -> list[Notification]:
    """Check `bt_signature` over `bt_payload`; return the one event."""
    pairs = _key_pairs(live_secrets(request))
    fields = read_form(request.body)
    signature, payload = need_field(fields, b"bt_signature"), need_field(fields, b"bt_payload")
    presented = few(signature.split(b"&"))
    if not _BASE64_LINES.match(payload):
        raise SignatureRejected("malformed_body", "bt_payload holds characters outside base64")
    need_match(presented, _expected(pairs, payload))
    return [_notification(payload, request.body)]


def _key_pairs(secrets: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (public, private) of each usable secret, or raise `empty_secret`."""
    split = [secret.partition("|") for secret in secrets]
    pairs = [(public, private) for public, _, private in split if public.strip() and private.strip()]
    if not pairs:
        raise SignatureRejected("empty_secret", "no secret has the form public_key|private_key")
    return pairs


def need_field(fields: Fields, name: bytes) -> bytes:
    """Return the one value of a field, or raise SignatureRejected."""
    values = values_of(fields, name)
    if not values:
        raise SignatureRejected("missing_header", f"no field {name.decode()}")
    if len(values) > 1 or not values[0]:
        raise SignatureRejected("malformed_header", f"the field {name.decode()} is empty or repeated")
    return values[0]


def _expected(pairs: list[tuple[str, str]], payload: bytes) -> Iterator[bytes]:
    for public, private in pairs:
        key = hashlib.sha1(to_bytes(private), usedforsecurity=False).digest()
        for text in (payload, payload + b"\n"):
            yield to_bytes(f"{public}|{hmac_hex(key, text, 'sha1')}")


def _notification(payload: bytes, body: bytes) -> Notification:
    texts = texts_of(payload)
    kind = texts.get("notification/kind")
    transaction = transaction_path(texts)
    payment = texts.get(f"{transaction}/id") if transaction else None
    name = next((text for path, text in texts.items() if _SUBJECT_ID.match(path)), payment)
    if name and payment and f"{SUBJECT}/subscription/id" in texts:
        name = f"{name}:{payment}"
    return Notification(f"{kind}:{name}" if kind and name else None, kind, payment, body)
