"""Certificates that are trusted from the start: PEM files of the configuration, or the system's roots."""

from __future__ import annotations

import re
import ssl
import warnings
from typing import TYPE_CHECKING, Final

from providers.core.x509_chain import read_certificates
from schemas.errors import SettingsError, SignatureRejected

if TYPE_CHECKING:
    from pathlib import Path

_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def certificates_of(file: Path, setting: str) -> list[str]:
    """Return the certificates of a PEM file, one text each; raise SettingsError naming the setting."""
    try:
        found = _CERTIFICATE.findall(file.read_text(encoding="utf-8", errors="replace"))
        for number, pem in enumerate(found, 1):
            _need_readable(pem, f"{setting}: certificate {number} of {file} cannot be read; replace it")
    except OSError as error:
        raise SettingsError(f"{setting}: {file} cannot be read: {error.strerror}") from error
    if not found:
        raise SettingsError(f"{setting}: {file} holds no certificate; it takes a PEM file")
    return found


def system_roots() -> list[str]:
    """Return the roots that this system trusts, one PEM text each, without those that break RFC 5280.

    Every system has some (a serial number of zero); one that cannot be read must not spoil the others.
    """
    ders = ssl.create_default_context().get_ca_certs(binary_form=True)
    return [pem for pem in map(ssl.DER_cert_to_PEM_cert, ders) if _is_sound(pem)]


def _is_sound(pem: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read_certificates(pem)
    except (SignatureRejected, Warning):
        return False
    return True


def _need_readable(pem: str, complaint: str) -> None:
    try:
        read_certificates(pem)
    except SignatureRejected as error:
        raise SettingsError(complaint) from error
