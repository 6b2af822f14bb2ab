"""Settings that could never work, or that could be guessed, refuse to start and are named; the secret is not."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from producers.ingress.endpoints import open_endpoints
from producers.ingress.intents.clients import Clients
from runtime.settings import load
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from producers.ingress.endpoints import Endpoints

pytestmark = pytest.mark.unit

STRONG = "u7Jq2mX9cVb4RkTz8WpLn5Hs"


def start(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Endpoints:
    for name, value in settings.items():
        monkeypatch.setenv(f"RATCHET_{name}", value if isinstance(value, str) else json.dumps(value))
    found = load()
    Clients(found.api_keys)
    return open_endpoints(found)


REFUSED: dict[str, tuple[str, object]] = {
    "a line's end": ("PROVIDERS__STRIPE__SECRETS", ["whsec_topsecret\n"]),
    "a blank before": ("PROVIDERS__STRIPE__SECRETS", [" whsec_topsecret"]),
    "a dated one with a blank": ("PROVIDERS__STRIPE__SECRETS", [{"secret": "topsecret "}]),
    "a tab within": ("PROVIDERS__GITHUB__SECRETS", ["top\tsecret"]),
    "an account's": ("PROVIDERS__STRIPE__ACCOUNTS__ACME__SECRETS", ["topsecret\r"]),
    "no base64": ("PROVIDERS__STANDARD_WEBHOOKS__SECRETS", ["whsec_topsecret!"]),
    "no public key": ("PROVIDERS__STANDARD_WEBHOOKS__SECRETS", ["whpk_" + base64.b64encode(b"topsecret").decode()]),
    "no hex": ("PROVIDERS__ADYEN__SECRETS", ["topsecret"]),
    "no pair": ("PROVIDERS__BRAINTREE__SECRETS", ["topsecret"]),
    "a short path": ("PROVIDERS__MPESA__SECRETS", ["topsecret"]),
    "a dull path": ("PROVIDERS__MPESA__SECRETS", ["topsecret" * 1 + "t" * 20 + "/"]),
    "one letter's path": ("PROVIDERS__MPESA__SECRETS", ["t" * 30]),
    "a shown secret that is short": ("PROVIDERS__FLUTTERWAVE__SHOWN_SECRETS", ["topsecret"]),
    "a shown secret of nobody": ("PROVIDERS__STRIPE__SHOWN_SECRETS", [STRONG]),
    "a short API key": ("API_KEYS", {"shop": "topsecret"}),
    "an API key with a line's end": ("API_KEYS", {"shop": STRONG + "\n"}),
    "an API base URL without TLS": ("PROVIDERS__MOLLIE__API_BASE_URL", "http://api.mollie.example"),
    "an API base URL that looks like loopback": ("PROVIDERS__MOLLIE__API_BASE_URL", "http://localhost.evil.example"),
    "Twilio without TLS": ("SMS__TWILIO__BASE_URL", "http://api.twilio.example"),
    "an API key with a blank": ("PROVIDERS__MOLLIE__API_KEY", "topsecret "),
    "a public URL without scheme": ("PUBLIC_URL", "pay.example"),
    "a public URL with a query": ("PUBLIC_URL", "https://pay.example/?a=b"),
    "a public URL with a blank": ("PUBLIC_URL", "https://pay.example /x"),
    "a body bound above all others": ("PROVIDERS__STRIPE__BODY_BYTES_MAX", "9999999"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_never_work_refuses_to_start_and_is_named(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    name, value = REFUSED[case]
    with pytest.raises(SettingsError) as caught:
        start(monkeypatch, **{"PROVIDERS__STRIPE__SECRETS": ["whsec_good"], name: value})
    reported = str(caught.value)
    assert "RATCHET_" + name.split("__")[0] in reported
    assert name.split("__")[-1].removesuffix("_BYTES_MAX") in reported
    assert "topsecret" not in reported
    assert STRONG not in reported


def test_a_shown_secret_is_none_of_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="SHOWN_SECRETS"):
        start(monkeypatch, PROVIDERS__FLUTTERWAVE__SECRETS=[STRONG], PROVIDERS__FLUTTERWAVE__SHOWN_SECRETS=[STRONG])


def test_what_can_work_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = start(
        monkeypatch,
        PROVIDERS__STRIPE__SECRETS=["whsec_good", {"secret": "whsec_next", "not_before": "2030-01-01T00:00:00Z"}],
        PROVIDERS__STRIPE__BODY_BYTES_MAX="65536",
        PROVIDERS__ADYEN__SECRETS=["aabbcc"],
        PROVIDERS__BRAINTREE__SECRETS=["public|private"],
        PROVIDERS__MPESA__SECRETS=[STRONG],
        PROVIDERS__FLUTTERWAVE__SHOWN_SECRETS=[STRONG],
        PROVIDERS__MOLLIE__API_BASE_URL="http://127.0.0.1:9000",
        API_KEYS={"shop": STRONG},
        PUBLIC_URL="https://pay.example/hooks",
    )
    assert {provider for provider, _ in found} == {"stripe", "adyen", "braintree", "mpesa", "flutterwave"}
    assert found["stripe", ""].body_bytes_max == 65536
