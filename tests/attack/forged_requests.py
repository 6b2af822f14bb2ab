"""The dearest forged requests of 1 MiB that each provider's check can be sent; nothing in them is signed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SIZE = 1024 * 1024
NOW = 1_800_000_000
VECTORS = Path(__file__).parent.parent / "contract" / "vectors"
SECRET = "0123456789abcdef0123456789abcdef"
HEAD_BYTES = 30 * 1024


class Forged(NamedTuple):
    """A forged request and what the endpoint is configured with."""

    provider: str
    headers: dict[str, Any]
    body: bytes
    secrets: tuple[str, ...]
    url: str = "https://pay.example/webhooks/x"
    config: dict[str, Any] = {}  # noqa: RUF012


def filled(begin: bytes, unit: bytes, end: bytes = b"") -> bytes:
    """Return a body of SIZE bytes at most."""
    return begin + unit * ((SIZE - len(begin) - len(end)) // len(unit)) + end


def public_key() -> str:
    raw = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return "whpk_" + base64.b64encode(raw).decode()


def ed25519_list(count: int) -> str:
    """Return as many different v1a signatures that look like some."""
    return " ".join(
        "v1a," + base64.b64encode(number.to_bytes(32, "big") + bytes(32)).decode() for number in range(1, count + 1)
    )


def standard(signatures: str, body: bytes, secrets: tuple[str, ...], at: int = NOW) -> Forged:
    headers = {"webhook-id": "m", "webhook-timestamp": str(at), "webhook-signature": signatures}
    return Forged("standard_webhooks", headers, body, secrets)


ESCAPES = filled(b'"', b"\\a")
JSON = filled(b'{"a":"', b"x", b'"}')
LONE = filled(b'{"a":"', b"\\ud800", b'"}')
PERCENT = filled(b"id=", b"%41")
KEYS = (public_key(), public_key())

REQUESTS: dict[str, Forged] = {
    "adyen, escapes": Forged("adyen", {}, ESCAPES, (SECRET,)),
    "adyen, lone surrogates": Forged("adyen", {}, LONE, (SECRET,)),
    "adyen, broken bytes": Forged("adyen", {}, filled(b'{"a":"', b"\xff", b'"}'), (SECRET,)),
    "adyen, brackets": Forged("adyen", {}, filled(b'{"notificationItems":', b"["), (SECRET,)),
    "adyen, items": Forged(
        "adyen", {}, filled(b'{"notificationItems":[', b'{"NotificationRequestItem":{}},', b"0]}"), (SECRET,)
    ),
    "adyen, many items": Forged(
        "adyen",
        {},
        filled(b'{"notificationItems":[', b'{"NotificationRequestItem":{}},', b'{"NotificationRequestItem":{}}]}'),
        (SECRET,),
    ),
    "adyen, platform": Forged("adyen", {"hmacsignature": "x"}, ESCAPES, (SECRET,)),
    "flutterwave, escapes": Forged("flutterwave", {"flutterwave-signature": "x"}, ESCAPES, (SECRET,)),
    "flutterwave, numbers": Forged("flutterwave", {"verif-hash": "x"}, filled(b"[", b"1,", b"1]"), (SECRET,)),
    "braintree, pairs": Forged(
        "braintree", {}, filled(b"bt_payload=AAAA&bt_signature=", b"a|b%26"), ("public|private", "other|private")
    ),
    "braintree, percent": Forged(
        "braintree", {}, filled(b"bt_signature=a|b&bt_payload=", b"%41"), ("public|private", "other|private")
    ),
    "braintree, lines": Forged(
        "braintree", {}, filled(b"bt_signature=a|b&bt_payload=", b"A"), ("public|private", "other|private")
    ),
    "twilio, percent": Forged("twilio", {"x-twilio-signature": "x"}, PERCENT, (SECRET,)),
    "twilio, fields": Forged("twilio", {"x-twilio-signature": "x"}, filled(b"", b"a=b&"), (SECRET,)),
    "twilio, wide": Forged("twilio", {"x-twilio-signature": "x"}, filled(b"", b"\xff"), (SECRET,)),
    "mollie, percent": Forged("mollie", {"content-type": "application/x-www-form-urlencoded"}, PERCENT, (SECRET,)),
    "mollie, signatures": Forged("mollie", {"x-mollie-signature": "a," * (HEAD_BYTES // 2)}, JSON, (SECRET,)),
    "stripe, signatures": Forged(
        "stripe", {"stripe-signature": f"t={NOW}" + ",v1=a" * (HEAD_BYTES // 5)}, JSON, (SECRET, SECRET + "2")
    ),
    "stripe, one": Forged("stripe", {"stripe-signature": f"t={NOW},v1=a"}, JSON, (SECRET,)),
    "standard, v1a": standard(ed25519_list(320), JSON, KEYS),
    "standard, 4 v1a": standard(ed25519_list(4), JSON, KEYS),
    "standard, 4 v1a, small": standard(ed25519_list(4), b"{}", KEYS),
    "standard, stale": standard(ed25519_list(8), JSON, KEYS, at=NOW - 1000),
    "standard, v1": standard("v1,a " * (HEAD_BYTES // 5), JSON, ("whsec_" + SECRET,)),
    "mpesa": Forged("mpesa", {}, ESCAPES, (SECRET,), "https://pay.example/webhooks/mpesa/wrong"),
    **{
        name: Forged(name, {header: "x"}, ESCAPES, (SECRET,))
        for name, header in {
            "checkout": "cko-signature",
            "github": "x-hub-signature-256",
            "gocardless": "webhook-signature",
            "paystack": "x-paystack-signature",
            "razorpay": "x-razorpay-signature",
            "shopify": "x-shopify-hmac-sha256",
            "square": "x-square-hmacsha256-signature",
        }.items()
    },
}
