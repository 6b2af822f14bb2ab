"""Braintree: a form with an XML document in base64, signed as text by a key pair.

Source: Braintree's Python SDK (`webhook_notification`, `webhook_testing`).

Signed: the field `bt_payload` as text, line breaks included, HMAC-SHA1 in hex, key = the SHA-1 digest of the private
key. The field `bt_signature` holds `<public key>|<hex>` pairs joined by `&`, one a live key pair of the gateway; a
secret is `<public key>|<private key>`, and a pair counts only under its own public key. Frameworks that strip fields
lose the payload's last newline, so the text with one newline added is tried as well. Other fields are neither signed
nor read.

Identity: Braintree has no event id; it is `<kind>:<subject id>`. The payment is the transaction: the subject itself,
or the one inside a dispute.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Final
from xml.parsers import expat

from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.forms import Fields, read_form, values_of
from providers.core.proof import hmac_hex, live_secrets, need_match, to_bytes
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Iterator

_BASE64_LINES: Final = re.compile(rb"[A-Za-z0-9+/=\n]+\Z")
_DEPTH_MAX: Final = 5
"""notification/subject/dispute/transaction/id: nothing deeper is read."""
_SUBJECT_ID: Final = re.compile(r"notification/subject/[^/]+/id\Z")


def verify(request: SignedRequest) -> list[Notification]:
    """Check `bt_signature` over `bt_payload`; return the one event."""
    pairs = _key_pairs(live_secrets(request))
    fields = read_form(request.body)
    signature, payload = _need_field(fields, b"bt_signature"), _need_field(fields, b"bt_payload")
    if not _BASE64_LINES.match(payload):
        raise SignatureRejected("malformed_body", "bt_payload holds characters outside base64")
    need_match(signature.split(b"&"), _expected(pairs, payload))
    return [_notification(payload, request.body)]


def _key_pairs(secrets: tuple[str, ...]) -> list[tuple[str, str]]:
    """Return (public, private) of each usable secret, or raise `empty_secret`."""
    split = [secret.partition("|") for secret in secrets]
    pairs = [(public, private) for public, _, private in split if public.strip() and private.strip()]
    if not pairs:
        raise SignatureRejected("empty_secret", "no secret has the form public_key|private_key")
    return pairs


def _need_field(fields: Fields, name: bytes) -> bytes:
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
    texts = _texts(payload)
    kind = texts.get("notification/kind")
    transaction, dispute = (texts.get(f"notification/subject/{name}/id") for name in ("transaction", "dispute"))
    own = transaction or dispute or next((text for path, text in texts.items() if _SUBJECT_ID.match(path)), None)
    payment_ref = transaction or texts.get("notification/subject/dispute/transaction/id")
    return Notification(f"{kind}:{own}" if kind and own else None, kind, payment_ref, body)


def _texts(payload: bytes) -> dict[str, str]:
    """Return the text of each element by its path, the first of a name alone; empty where there is no XML."""
    reader = _Reader()
    try:
        reader.parser.Parse(base64.b64decode(payload), True)
    except (ValueError, expat.ExpatError):
        return {}
    return reader.texts


class _Reader:
    """Collects the text of shallow elements; a document type (where entities would be declared) ends the reading."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self._path: list[str] = []
        self._text_here = ""

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._text_here = ""

    def _text(self, data: str) -> None:
        self._text_here += data

    def _end(self, _name: str) -> None:
        if len(self._path) <= _DEPTH_MAX and self._text_here.strip():
            self.texts.setdefault("/".join(self._path), self._text_here.strip())
        self._path.pop()
        self._text_here = ""

    def _doctype(self, *_declaration: object) -> None:
        raise ValueError("a notification has no document type")


PROVIDER = Provider(name="braintree", verify=verify)
