"""Certificates for tests: whatever a chain needs; a CA of their own, servers by address, clients by name, as PEM."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def key_pem(self, password: str | None = None) -> bytes:
        secrecy: KeySerializationEncryption = NoEncryption()
        if password is not None:
            secrecy = BestAvailableEncryption(password.encode())
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, secrecy)

    def write(self, folder: Path, name: str, password: str | None = None) -> tuple[Path, Path]:
        """Write both; return the certificate's file and the key's."""
        certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.certificate_pem())
        key.write_bytes(self.key_pem(password))
        return certificate, key


def draft(
    name: str, key: ec.EllipticCurvePrivateKey, issuer: Pair | None, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    """Begin a certificate of a key, without extensions; with no issuer it is its own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def issue(name: str, issuer: Pair | None = None, *, address: str | None = None, days: float = 1) -> Pair:
    """Make a certificate that ends in so many days: a CA without an issuer, else one of a server or a client."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    signing = issuer.key if issuer else key
    builder = (
        draft(name, key, issuer, now - timedelta(days=10), now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if address is not None:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    return Pair(builder.sign(signing, SHA256()), key)
