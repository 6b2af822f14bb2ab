"""A signer's certificate is trusted through CAs that may issue it, and only while all of them are valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from certificates import Pair, draft
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from providers.core import x509_chain
from providers.core.x509_chain import BUNDLE_CERTIFICATES_MAX, CHAIN_LENGTH_MAX, need_trusted, read_certificates
from schemas.errors import SignatureRejected

pytestmark = pytest.mark.unit

NOW = datetime(2026, 9, 21, tzinfo=UTC)


def issue(
    name: str,
    issuer: Pair | None = None,
    *,
    ca: bool | None = True,
    path_length: int | None = None,
    may_sign: bool | None = None,
    days: int = 1,
    begins: int = -1,
) -> Pair:
    """Make a certificate that is valid from `begins` days of NOW to `days` after it."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = draft(name, key, issuer, NOW + timedelta(days=begins), NOW + timedelta(days=days, seconds=-1))
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, path_length), critical=True)
    if may_sign is not None:
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=may_sign,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(usage, critical=True)
    return Pair(builder.sign(issuer.key if issuer else key, SHA256()), key)


def checked(leaf: Pair, intermediates: list[Pair], roots: list[Pair]) -> str:
    try:
        need_trusted(
            leaf.certificate,
            [one.certificate for one in intermediates],
            [one.certificate for one in roots],
            NOW.timestamp(),
        )
    except SignatureRejected as refused:
        return refused.reason
    return "trusted"


def test_chain_over_intermediates() -> None:
    root = issue("root", path_length=1)
    middle = issue("middle", root, path_length=0, may_sign=True)
    leaf = issue("leaf", middle, ca=False)
    assert checked(leaf, [middle], [root]) == "trusted"
    assert checked(leaf, [], [root]) == "untrusted_cert"
    assert checked(leaf, [middle], []) == "untrusted_cert"
    assert checked(leaf, [middle, root], [issue("root")]) == "untrusted_cert"
    assert checked(leaf, [], [middle]) == "trusted"
    assert checked(root, [], [root]) == "trusted"


@pytest.mark.parametrize(
    "middle", [{"ca": False}, {"ca": None}, {"may_sign": False}], ids=["no CA", "no constraints", "no signing of keys"]
)
def test_an_issuer_that_may_not_issue(middle: dict[str, bool | None]) -> None:
    root = issue("root")
    between = issue("middle", root, ca=middle.get("ca", True), may_sign=middle.get("may_sign"))
    assert checked(issue("leaf", between, ca=False), [between], [root]) == "untrusted_cert"


def test_path_length_counts_the_cas_below() -> None:
    root = issue("root", path_length=0)
    middle = issue("middle", root)
    assert checked(issue("leaf", middle, ca=False), [middle], [root]) == "untrusted_cert"
    assert checked(issue("leaf", root, ca=False), [], [root]) == "trusted"


def test_every_certificate_of_one_chain_is_valid_now() -> None:
    root = issue("root")
    ended = issue("middle", root, days=0)
    leaf = issue("leaf", ended, ca=False)
    assert checked(leaf, [ended], [root]) == "expired_cert"
    again = draft("middle", ended.key, root, NOW, NOW).add_extension(x509.BasicConstraints(True, None), critical=True)
    renewed = Pair(again.sign(root.key, SHA256()), ended.key)
    assert checked(leaf, [ended, renewed], [root]) == "trusted"


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("when", [{"begins": 1, "days": 3}, {"begins": -3, "days": -1}])
def test_no_certificate_counts_before_its_time_or_after_it(place: int, when: dict[str, int]) -> None:
    times = [when if one == place else {} for one in range(3)]
    root = issue("root", **times[0])  # type: ignore[arg-type]
    middle = issue("middle", root, **times[1])  # type: ignore[arg-type]
    leaf = issue("leaf", middle, ca=False, **times[2])  # type: ignore[arg-type]
    assert checked(leaf, [middle], [root]) == "expired_cert"


def test_a_chain_that_leads_nowhere_spoils_no_other() -> None:
    """A CA under two roots, or renewed with something that is not looked at: one good chain is enough."""
    root = issue("root")
    good = issue("middle", root)
    odd = draft("middle", good.key, root, NOW - timedelta(days=1), NOW + timedelta(days=1))
    odd = odd.add_extension(x509.BasicConstraints(True, None), critical=True).add_extension(UNKNOWN, critical=True)
    strange = Pair(odd.sign(root.key, SHA256()), good.key)
    leaf = issue("leaf", good, ca=False)
    assert checked(leaf, [strange], [root]) == "untrusted_cert"
    assert checked(leaf, [strange, good], [root]) == checked(leaf, [good, strange], [root]) == "trusted"


def test_a_long_or_circular_chain_ends() -> None:
    root = issue("root")
    line = [issue("ca 0", root)]
    for step in range(1, CHAIN_LENGTH_MAX):
        line.append(issue(f"ca {step}", line[-1]))
    longest = issue("leaf", line[CHAIN_LENGTH_MAX - 3], ca=False)
    too_long = issue("leaf", line[CHAIN_LENGTH_MAX - 2], ca=False)
    assert checked(longest, line, [root]) == "trusted"
    assert checked(too_long, line, [root]) == "untrusted_cert"
    assert checked(issue("self"), line * 3, [root]) == "untrusted_cert"


@pytest.mark.parametrize(
    "pem", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_unreadable_certificates(pem: str) -> None:
    with pytest.raises(SignatureRejected, match="untrusted_cert"):
        read_certificates(pem)


def test_a_bundle_is_bounded() -> None:
    pem = issue("root").certificate_pem().decode()
    assert len(read_certificates(pem * BUNDLE_CERTIFICATES_MAX)) == BUNDLE_CERTIFICATES_MAX
    with pytest.raises(SignatureRejected, match="untrusted_cert"):
        read_certificates(pem * (BUNDLE_CERTIFICATES_MAX + 1))


def extended(extension: x509.ExtensionType, *, critical: bool, ca: bool = True, issuer: Pair | None = None) -> Pair:
    """Make a certificate with one more extension."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = draft("extended", key, issuer, NOW - timedelta(days=1), NOW + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    return Pair(builder.add_extension(extension, critical=critical).sign(issuer.key if issuer else key, SHA256()), key)


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
NAMES = x509.NameConstraints(permitted_subtrees=[x509.DNSName("example")], excluded_subtrees=None)


@pytest.mark.parametrize(
    ("extension", "critical", "expected"),
    [
        (UNKNOWN, True, "untrusted_cert"),
        (UNKNOWN, False, "trusted"),
        (NAMES, True, "untrusted_cert"),
        (NAMES, False, "untrusted_cert"),
        (x509.ExtendedKeyUsage([x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")]), True, "trusted"),
    ],
)
def test_what_is_critical_and_not_looked_at_leads_nowhere(
    extension: x509.ExtensionType, expected: str, *, critical: bool
) -> None:
    root = issue("root")
    assert checked(extended(extension, critical=critical, ca=False, issuer=root), [], [root]) == expected
    middle = extended(extension, critical=critical, issuer=root)
    assert checked(issue("leaf", middle, ca=False), [middle], [root]) == expected


@pytest.mark.parametrize(("bits", "expected"), [(1024, "untrusted_cert"), (2048, "trusted")])
def test_a_short_rsa_key_is_none(bits: int, expected: str) -> None:
    root, key = issue("root"), rsa.generate_private_key(65537, bits)
    leaf = draft("leaf", key, root, NOW - timedelta(days=1), NOW + timedelta(days=1))  # type: ignore[arg-type]
    assert checked(Pair(leaf.sign(root.key, SHA256()), root.key), [], [root]) == expected


def test_a_leaf_that_may_not_sign_messages_signs_none() -> None:
    root, key = issue("root"), ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=True,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    leaf = draft("leaf", key, root, NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert checked(Pair(leaf.add_extension(usage, critical=True).sign(root.key, SHA256()), key), [], [root]) == (
        "untrusted_cert"
    )


def test_a_certificate_whose_extensions_cannot_be_read_leads_nowhere() -> None:
    """The library reads them at the first look, which may come after the certificate was read."""

    class Unreadable:
        @property
        def extensions(self) -> x509.Extensions:
            raise x509.DuplicateExtension("twice", x509.ObjectIdentifier("1.2.3.4"))

    assert not x509_chain._is_understood(Unreadable())  # type: ignore[arg-type]
