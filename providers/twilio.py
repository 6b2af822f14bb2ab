"""Twilio: a keyed hash over the URL and the form's fields, or over the URL that names the body's hash.

Sources: twilio-python (`request_validator` and its tests, which stand in the vectors) and Twilio's webhook security
documentation.

Signed, `X-Twilio-Signature: <base64 HMAC-SHA1>`, key = the auth token:
- a form: the full URL, then each distinct pair of field name and value, sorted, joined without any separator. Blank
  values count. The order of the fields is free.
- any other body: the URL alone, which carries `bodySHA256=<hex>` in its query; the body has to have that hash.
With `X-Twilio-Webhooks-Signature-Settings: ...,algorithm=HMAC_SHA256` it is SHA-256 and the key a shared key's secret.
Twilio signs the URL with or without its port, so both are tried. The URL comes from the configuration: behind a proxy
the scheme, host and port seen here are not the public ones.

Because nothing separates names from values, `MessageStatussent=` has the signature of `MessageStatus=sent`. So the
fields that are read must stand as themselves wherever the signed text holds their names, with one plain value each.

Identity: `<MessageSid>:<MessageStatus>` (the MessageSid alone repeats for every status), kind = MessageStatus. Delivery
reports may arrive in any order; they name no payment.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from providers.core.body_mac import need_signatures
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.forms import Fields, read_form, values_of
from providers.core.meaning import undecodable
from providers.core.proof import hmac_base64, live_secrets, need_match, same, to_bytes
from providers.core.silent import silent_form
from schemas.errors import SignatureRejected
from schemas.facts import DeliveryReport, Meaning

_REPORTED: Final = frozenset({"sent", "delivered", "undelivered", "failed"})
"""The statuses that we keep; the others are steps on the way to `sent`."""
_ALGORITHMS: Final = {"HMAC_SHA1": "sha1", "HMAC_SHA256": "sha256"}
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_AUTHORITY: Final = re.compile(r"(https?)://([^/?#:@\[\]]+)(?::[0-9]+)?(?=[/?#]|\Z)")
_BODY_HASH: Final = re.compile(r"[?&]bodySHA256=([^&#]*)")
_PLAIN_VALUES: Final = {b"MessageSid": re.compile(rb"[A-Za-z0-9]+\Z"), b"MessageStatus": re.compile(rb"[a-z_-]+\Z")}
"""The fields that are read, and the characters of a value that holds no part of a neighbouring field."""


def verify(request: SignedRequest) -> list[Notification]:
    """Check `X-Twilio-Signature` over URL and form, or over URL and body hash; return the one delivery report."""
    secrets = live_secrets(request)
    presented = need_signatures(request, "x-twilio-signature")
    algorithm = _algorithm(request.header("x-twilio-webhooks-signature-settings"))
    body_hash = _BODY_HASH.search(request.url)
    fields = [] if body_hash else read_form(request.body)
    signed = b"".join(name + value for name, value in sorted(set(fields)))
    messages = [to_bytes(url) + signed for url in _spellings(request.url)]
    need_match(presented, [hmac_base64(secret, message, algorithm) for secret in secrets for message in messages])
    if body_hash and not same(body_hash[1], hashlib.sha256(request.body).hexdigest()):
        raise SignatureRejected("bad_signature", "the body does not have the hash that the signed URL names")
    return [_delivery_report(fields, signed, request.body)]


def _algorithm(settings: str | None) -> str:
    """Return the hash that the settings header names, SHA-1 without the header; else `unsupported_algorithm`."""
    if settings is None:
        return "sha1"
    named = [part.strip().removeprefix("algorithm=") for part in settings.split(",") if "algorithm=" in part]
    if len(named) != 1 or named[0] not in _ALGORITHMS:
        raise SignatureRejected("unsupported_algorithm", "the settings header names no algorithm that Twilio documents")
    return _ALGORITHMS[named[0]]


def _spellings(url: str) -> tuple[str, ...]:
    """Return the URL as it is, without its port, and with the default port of its scheme."""
    authority = _AUTHORITY.match(url)
    if authority is None:
        return (url,)
    scheme, host, rest = authority[1], authority[2], url[authority.end() :]
    return url, f"{scheme}://{host}{rest}", f"{scheme}://{host}:{_DEFAULT_PORTS[scheme]}{rest}"


def _delivery_report(fields: Fields, signed: bytes, body: bytes) -> Notification:
    sid, status = (_plain(fields, signed, name) for name in _PLAIN_VALUES)
    return Notification(f"{sid}:{status}" if sid and status else None, status, None, body)


def _plain(fields: Fields, signed: bytes, name: bytes) -> str | None:
    """Return the field's one value; None where the signed text does not hold the field's name.

    Raises `malformed_body` where the name stands there in any other way than as one field with one plain value.
    """
    values = set(values_of(fields, name))
    if not values and name not in signed:
        return None
    value = values.pop() if len(values) == 1 else b""
    if not _PLAIN_VALUES[name].match(value):
        raise SignatureRejected("malformed_body", f"{name.decode()} is no field of its own with one plain value")
    return value.decode("ascii")


def interpret(kind: str, body: bytes) -> Meaning:
    """Read a status callback; statuses on the way to `sent` say nothing that we keep."""
    meaning = silent_form(kind, body)
    try:
        sids = set(values_of(read_form(body), b"MessageSid"))
    except SignatureRejected as error:
        raise undecodable(error.detail) from None
    if kind not in _REPORTED or len(sids) != 1:
        return meaning
    return Meaning(delivery_report=DeliveryReport(sids.pop().decode("latin-1"), kind))


PROVIDER: Final = Provider(
    "twilio",
    verify,
    interpret,
    payments=False,
    signed_by=("X-Twilio-Signature",),
)
