"""PayPal: an RSA signature whose certificate the request names by URL.

Sources: PayPal-Java-SDK (`ValidateCertTest`, whose real delivery stands in the vectors), paypalrestsdk, PayPal's
webhook documentation.

Signed: `<PAYPAL-TRANSMISSION-ID>|<PAYPAL-TRANSMISSION-TIME>|<webhook id>|<CRC-32 of the raw body, decimal>`,
RSA-SHA256 (PKCS#1 v1.5), base64 in `PAYPAL-TRANSMISSION-SIG`. Other values of `PAYPAL-AUTH-ALGO` are a downgrade and
refused. The "secret" is the webhook id: it ties the delivery to us, so an empty one proves nothing.

The certificate stands behind `PAYPAL-CERT-URL`, which the sender writes: fetching it unchecked is a server-side
request forgery. `certificate_url` decides on scheme, host and port first, by an allow-list; only what it returns may
be fetched, without following redirects. Then the certificate has to chain to a trusted root, be valid now, and bear a
name under `.paypal.com`. Everything fetched is injected through `config`: `certs` (PEM by URL), `trust_roots`,
`intermediates` (lists of PEM), `allowed_cert_hosts`.

What this proves of the body is 32 bits of a checksum that is no cryptographic hash: whoever holds a genuine delivery
can find another body for it. The channel (TLS) is what keeps deliveries from strangers. No age limit: PayPal retries
for three days under the same transmission time, so old ones are deduped, not dropped.

Identity: `id`, `event_type`; a dispute that names several transactions is an event for each (`disputes`), an order of
several payees one for each of them (`payees`). The payment is the order (`supplementary_data.related_ids.order_id`),
else a dispute's `disputed_transactions[0].seller_transaction_id`, else the capture that a refund's link `up` names,
else `resource.id`.
"""

from __future__ import annotations

import base64
import re
import zlib
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from providers.core.contract import Notification, SignedRequest
from providers.core.proof import body_digest, header_bytes, live_secrets, need_header, to_bytes
from providers.core.reading import read_json, text_at, value_at
from providers.core.x509_chain import need_trusted, read_certificates
from providers.paypal.disputes import parts_of
from providers.paypal.links import linked
from providers.paypal.payees import PART_MARK, labels_of
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Collection

    from cryptography import x509

CERTIFICATE_HOSTS: Final = ("api.paypal.com", "api.sandbox.paypal.com")
"""The hosts that serve PayPal's certificates, where `allowed_cert_hosts` says nothing else."""
LIVE_CERTIFICATE_HOSTS: Final = CERTIFICATE_HOSTS[:1]
"""What an endpoint trusts unless its settings say otherwise: everybody may sign with the sandbox's."""

_CERTIFICATE_URL: Final = re.compile(
    r"https://([a-z0-9.-]{1,253})(?::443)?/v1/notifications/[A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_-]{1,128})?\Z"
)
_DISPUTE: Final = "CUSTOMER.DISPUTE."
_SIGNER_NAME: Final = re.compile(r"(?:[a-z0-9-]+\.)+paypal\.com\Z")


def verify(request: SignedRequest) -> list[Notification]:
    """Check certificate and signature; return the one event, or those of a dispute or an order of several payments."""
    webhook_ids = live_secrets(request)
    sent = [header_bytes(need_header(request, f"paypal-transmission-{part}")) for part in ("id", "time")]
    signature = _signature(need_header(request, "paypal-transmission-sig"))
    url = certificate_url(need_header(request, "paypal-cert-url"), _listed(request, "allowed_cert_hosts"))
    if need_header(request, "paypal-auth-algo") != "SHA256withRSA":
        raise SignatureRejected("unsupported_algorithm", "PAYPAL-AUTH-ALGO is not SHA256withRSA")
    key = _trusted_key(request, url)
    checksum = str(zlib.crc32(request.body)).encode()
    messages = [b"|".join((*sent, to_bytes(webhook_id), checksum)) for webhook_id in webhook_ids]
    if not any(_fits(key, signature, message) for message in messages):
        raise SignatureRejected("bad_signature", "the signature fits no webhook id")
    return notifications_of(request.body)


def certificate_url(url: str, allowed_hosts: Collection[str] | None = None) -> str:
    """Return the URL of `PAYPAL-CERT-URL` if it may be fetched, else raise `untrusted_cert_url`.

    To be asked before any fetch. Only the plainest spelling passes: https, a listed host in lower case, port 443 or
    none, the path under which PayPal serves certificates; no user, query, fragment, backslash or blank, on which
    parsers disagree.
    """
    if not url:
        raise SignatureRejected("malformed_header", "PAYPAL-CERT-URL is empty")
    plain = _CERTIFICATE_URL.match(url)
    if plain is None or plain[1] not in (allowed_hosts or CERTIFICATE_HOSTS):
        raise SignatureRejected("untrusted_cert_url", "PAYPAL-CERT-URL is not on a host that may be asked")
    return url


def _signature(text: str) -> bytes:
    """Decode the signature; a second spelling of the same bytes is no signature."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except ValueError:
        decoded = b""
    if not decoded or base64.b64encode(decoded).decode() != text:
        raise SignatureRejected("malformed_header", "PAYPAL-TRANSMISSION-SIG is no base64")
    return decoded


def _listed(request: SignedRequest, name: str) -> tuple[str, ...]:
    return tuple(request.config.get(name) or ())


def _trusted_key(request: SignedRequest, url: str) -> RSAPublicKey:
    """Return the public key of the certificate behind the URL, or raise `untrusted_cert` or `expired_cert`."""
    pem = (request.config.get("certs") or {}).get(url)
    if not pem:
        raise SignatureRejected("untrusted_cert", "there is no certificate behind PAYPAL-CERT-URL")
    leaf, *bundled = read_certificates(pem)
    intermediates = [one for text in _listed(request, "intermediates") for one in read_certificates(text)]
    roots = [one for text in _listed(request, "trust_roots") for one in read_certificates(text)]
    need_trusted(leaf, [*bundled, *intermediates], roots, request.now)
    return _signer_key(leaf)


def _signer_key(leaf: x509.Certificate) -> RSAPublicKey:
    names = [str(attribute.value).lower() for attribute in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if len(names) != 1 or not _SIGNER_NAME.match(names[0]):
        raise SignatureRejected("untrusted_cert", "the certificate's name is not under .paypal.com")
    try:
        key = leaf.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureRejected("untrusted_cert", "the certificate's key cannot be read") from error
    if not isinstance(key, RSAPublicKey):
        raise SignatureRejected("untrusted_cert", "the certificate's key is not RSA")
    return key


def _fits(key: RSAPublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def notifications_of(body: bytes) -> list[Notification]:
    """Return the events that a body makes; its webhook and PayPal's list of events make the same ones."""
    event = read_json(body)
    own, kind, resource = text_at(event, "id"), text_at(event, "event_type"), value_at(event, "resource")
    first = Notification(own, kind, _payment_ref(resource), body)
    whole = own or body_digest(body)
    further: list[tuple[str, str | None]]
    if kind is not None and kind.startswith(_DISPUTE):
        further = [(part, part) for part in parts_of(body, resource)[1:]]
    else:
        further = [(label, first.payment_ref) for label in labels_of(kind or "", body, resource)[1:]]
    return [first, *(Notification(f"{whole}{PART_MARK}{part}", kind, ref, body) for part, ref in further)]


def _payment_ref(resource: Any) -> str | None:
    return (
        text_at(resource, "supplementary_data", "related_ids", "order_id")
        or text_at(resource, "disputed_transactions", 0, "seller_transaction_id")
        or linked(value_at(resource, "links"), "up", "captures")
        or text_at(resource, "order_id")
        or text_at(resource, "id")
    )
