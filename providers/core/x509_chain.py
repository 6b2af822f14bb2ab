"""Certificates of signers: from a leaf over intermediates to a root that is trusted, at a given time.

Web rules (names, server authentication, short validity) do not hold for a certificate that signs messages, so the chain
is built here from `cryptography`'s primitives: issuer's name and signature, basicConstraints with its path length,
keyUsage, dates, and no critical extension that is not looked at (RFC 5280, section 6.1, without policies and
revocation; a chain with name constraints is refused, since they are not evaluated). RSA keys have 2,048 bits at least.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CHAIN_LENGTH_MAX: Final = 5
"""Leaf and root included."""
BUNDLE_CERTIFICATES_MAX: Final = 16
"""How many certificates one fetched file may hold."""

RSA_BITS_MIN: Final = 2048
_LOOKED_AT: Final = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage)
"""Extensions that may be critical. Which extended uses a key has does not matter here."""

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.DuplicateExtension)
"""What a certificate raises that is broken, or that its supposed issuer did not sign."""


@lru_cache(maxsize=512)
def read_certificates(pem: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM text, the leaf first.

    Raises `untrusted_cert` where there is none, or more than BUNDLE_CERTIFICATES_MAX.
    """
    try:
        certificates = tuple(x509.load_pem_x509_certificates(pem.encode()))
    except _UNREADABLE as error:
        raise SignatureRejected("untrusted_cert", "the certificate cannot be read") from error
    if len(certificates) > BUNDLE_CERTIFICATES_MAX:
        raise SignatureRejected("untrusted_cert", f"more than {BUNDLE_CERTIFICATES_MAX} certificates in one file")
    return certificates


def need_trusted(
    leaf: x509.Certificate, intermediates: Sequence[x509.Certificate], roots: Sequence[x509.Certificate], now: float
) -> None:
    """Raise `untrusted_cert` unless a chain leads to a root, `expired_cert` unless all of one chain is valid now."""
    when = datetime.fromtimestamp(now, UTC)
    found = False
    for chain in _chains((leaf,), tuple(intermediates), tuple(roots)):
        if not all(map(_is_understood, chain)) or not _may_sign(leaf):
            continue
        found = True
        if all(one.not_valid_before_utc <= when <= one.not_valid_after_utc for one in chain):
            return
    if found:
        raise SignatureRejected("expired_cert", "a certificate of the chain has ended or has not begun")
    raise SignatureRejected("untrusted_cert", "no chain leads to a trusted root")


def _chains(
    chain: tuple[x509.Certificate, ...],
    intermediates: tuple[x509.Certificate, ...],
    roots: tuple[x509.Certificate, ...],
) -> Iterator[tuple[x509.Certificate, ...]]:
    """Give every chain from its last certificate up to a root."""
    for root in roots:
        if _issued(root, chain):
            yield (*chain, root)
    if len(chain) + 1 < CHAIN_LENGTH_MAX:
        for issuer in intermediates:
            if issuer not in chain and _issued(issuer, chain):
                yield from _chains((*chain, issuer), intermediates, roots)


def _issued(issuer: x509.Certificate, chain: tuple[x509.Certificate, ...]) -> bool:
    """Tell whether the issuer is a CA that may stand above this chain and signed its last certificate."""
    try:
        if issuer.subject != chain[-1].issuer or not _may_issue(issuer, below=len(chain) - 1):
            return False
        chain[-1].verify_directly_issued_by(issuer)
    except _UNREADABLE:
        return False
    return True


def _may_issue(issuer: x509.Certificate, *, below: int) -> bool:
    """Tell whether it is a CA with room for so many CAs below it, and may sign certificates."""
    constraints = _extension(issuer, x509.BasicConstraints)
    usage = _extension(issuer, x509.KeyUsage)
    if constraints is None or not constraints.ca or (usage is not None and not usage.key_cert_sign):
        return False
    return constraints.path_length is None or below <= constraints.path_length


def _may_sign(leaf: x509.Certificate) -> bool:
    """Tell whether the leaf may sign messages: its keyUsage, where it has one, says so (RFC 5280, 4.2.1.3)."""
    usage = _extension(leaf, x509.KeyUsage)
    return usage is None or usage.digital_signature


def _is_understood(certificate: x509.Certificate) -> bool:
    """Tell whether nothing in it is critical that is not looked at here, and its RSA key is strong enough.

    Name constraints are not evaluated, so a chain that has some leads nowhere (RFC 5280, 4.2).
    """
    try:
        extensions = list(certificate.extensions)
        key = certificate.public_key()
    except _UNREADABLE:
        return False
    if isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN:
        return False
    return not any(
        isinstance(one.value, x509.NameConstraints) or (one.critical and not isinstance(one.value, _LOOKED_AT))
        for one in extensions
    )


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
