"""PayPal's certificate: where it may come from, whose name it bears, which key it holds."""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from producers import providers
from providers.paypal import certificate_url
from schemas.errors import SignatureRejected

pytestmark = pytest.mark.unit

NOW: Final = datetime(2026, 9, 21, tzinfo=UTC)
URL: Final = "https://api.paypal.com/v1/notifications/certs/CERT-1"
ROOT_KEY: Final = rsa.generate_private_key(65537, 2048)
LEAF_KEY: Final = rsa.generate_private_key(65537, 2048)


def _certificate(names: list[str], key: Any, issuer: str, issuer_key: Any, *, ca: bool = False) -> str:
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .sign(issuer_key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


ROOT: Final = _certificate(["root"], ROOT_KEY, "root", ROOT_KEY, ca=True)
LEAF: Final = _certificate(["certs.paypal.com"], LEAF_KEY, "root", ROOT_KEY)


def _verify(body: bytes = b"{}", **changes: Any) -> Any:
    signed = b"|".join((b"id", b"time", b"webhook", str(zlib.crc32(body)).encode()))
    headers = {
        "PAYPAL-TRANSMISSION-ID": "id",
        "PAYPAL-TRANSMISSION-TIME": "time",
        "PAYPAL-CERT-URL": URL,
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
        "PAYPAL-TRANSMISSION-SIG": base64.b64encode(LEAF_KEY.sign(signed, PKCS1v15(), SHA256())).decode(),
    }
    config = {"certs": {URL: LEAF}, "trust_roots": [ROOT]} | changes
    return providers.verify(
        "paypal", headers=headers, body=body, url="", secrets=["webhook"], now=NOW.timestamp(), config=config
    )


def test_a_genuine_body_of_any_shape_is_one_event() -> None:
    for body in (b"", b"[]", b"\xff", b'{"resource":7}', b'{"resource":{"links":[7,{"rel":"up"}],"id":null}}'):
        (found,) = _verify(body)
        assert (found.event_id, found.kind, found.payment_ref, found.body) == (None, None, None, body)


def test_the_file_behind_the_url_may_hold_the_whole_chain() -> None:
    middle_key = rsa.generate_private_key(65537, 2048)
    middle = _certificate(["middle"], middle_key, "root", ROOT_KEY, ca=True)
    leaf = _certificate(["certs.paypal.com"], LEAF_KEY, "middle", middle_key)
    assert _verify(certs={URL: leaf + middle})
    assert _verify(certs={URL: leaf}, intermediates=[middle])
    with pytest.raises(SignatureRejected, match="untrusted_cert"):
        _verify(certs={URL: leaf})


def test_a_chain_may_be_partly_in_the_file_and_partly_configured() -> None:
    keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
    upper = _certificate(["upper"], keys[0], "root", ROOT_KEY, ca=True)
    lower = _certificate(["lower"], keys[1], "upper", keys[0], ca=True)
    leaf = _certificate(["certs.paypal.com"], LEAF_KEY, "lower", keys[1])
    assert _verify(certs={URL: leaf + lower}, intermediates=[upper])
    assert _verify(certs={URL: leaf + upper}, intermediates=[lower])
    assert _verify(certs={URL: leaf + lower + upper}, intermediates=[LEAF])
    assert _verify(certs={URL: leaf + LEAF}, intermediates=[upper, lower])
    assert _verify(certs={URL: leaf}, intermediates=[upper + lower])
    for certs, intermediates in ((leaf + lower, [lower]), (leaf + upper, [upper]), (leaf, [])):
        with pytest.raises(SignatureRejected, match="untrusted_cert"):
            _verify(certs={URL: certs}, intermediates=intermediates)


def test_any_of_the_configured_roots_may_end_a_chain() -> None:
    other = _certificate(["other"], LEAF_KEY, "other", LEAF_KEY, ca=True)
    for roots in ([other, ROOT], [other + ROOT], [ROOT, other], [ROOT + other]):
        assert _verify(trust_roots=roots)
    with pytest.raises(SignatureRejected, match="untrusted_cert"):
        _verify(trust_roots=[other])
    with pytest.raises(SignatureRejected, match="untrusted_cert"):
        _verify(trust_roots=[other], intermediates=[ROOT])


def test_any_of_the_listed_hosts_may_serve_a_certificate() -> None:
    assert _verify(allowed_cert_hosts=["certs.test", "api.paypal.com"])
    with pytest.raises(SignatureRejected, match="untrusted_cert_url"):
        _verify(allowed_cert_hosts=["certs.test", "api.sandbox.paypal.com"])


@pytest.mark.parametrize("changes", [{"certs": {}}, {"certs": None}, {"trust_roots": []}, {"trust_roots": None}])
def test_nothing_configured_is_nothing_trusted(changes: dict[str, Any]) -> None:
    with pytest.raises(SignatureRejected, match="untrusted_cert"):
        _verify(**changes)


NO_SIGNERS: Final = [
    *([name] for name in ("paypal.com", "certs.paypal.com\n", "certs.paypal.com.evil.test", "certs.paypal-com")),
    *([name] for name in ("certs.paypalxcom", "evilpaypal.com", "evil.test/certs.paypal.com")),
    ["a.paypal.com", "b.paypal.com"],
    ["a.paypal.com", "a.paypal.com"],
]


@pytest.mark.parametrize("names", NO_SIGNERS)
def test_names_that_do_not_sign(names: list[str]) -> None:
    with pytest.raises(SignatureRejected, match="untrusted_cert"):
        _verify(certs={URL: _certificate(names, LEAF_KEY, "root", ROOT_KEY)})


def test_a_name_has_no_case() -> None:
    """As names of hosts: RFC 4343."""
    assert _verify(certs={URL: _certificate(["Certs.PayPal.COM"], LEAF_KEY, "root", ROOT_KEY)})


def test_other_kinds_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(SignatureRejected, match="untrusted_cert: the certificate's key is not RSA"):
        _verify(certs={URL: _certificate(["certs.paypal.com"], curve, "root", ROOT_KEY)})

    class Unknown:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "certs.paypal.com")])

        def public_key(self) -> None:
            raise UnsupportedAlgorithm("a key of next year")

    monkeypatch.setattr("providers.paypal.signature.read_certificates", lambda _pem: (Unknown(),))
    monkeypatch.setattr("providers.paypal.signature.need_trusted", lambda *_given: None)
    with pytest.raises(SignatureRejected, match="untrusted_cert: the certificate's key cannot be read"):
        _verify()


def test_where_a_certificate_may_be_fetched() -> None:
    assert certificate_url(URL) == URL
    elsewhere = URL.replace("api.paypal.com", "certs.test").replace("api.sandbox.paypal.com", "certs.test")
    assert certificate_url(elsewhere, ["certs.test"]) == elsewhere
    others = [URL.replace("://api.", f"://{name}") for name in ("evilapi.", "x.api.", "evil-api.", "api.paypal.com.")]
    for url in (URL.upper(), URL + "?x=1", URL + "\n", elsewhere, "https://api.paypal.com/x", *others):
        with pytest.raises(SignatureRejected, match="untrusted_cert_url"):
            certificate_url(url)
