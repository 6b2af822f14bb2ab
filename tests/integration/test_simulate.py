"""`ratchet simulate` against `ratchet up` as a developer runs both: what is posted has the effect that is reported."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ops.cli import app
from ops.sample.scenarios import SCENARIOS, why_not
from ops.simulated.players import PLAYERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

RATCHET = (sys.executable, "-P", "-m", "ops.cli")
SECRETS = {
    "STRIPE": "whsec_abcdefghijklmnopqrstuvwxyz0123",
    "ADYEN": "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
    "STANDARD_WEBHOOKS": "whsec_" + base64.b64encode(bytes(24)).decode(),
    "BRAINTREE": "public_key_of_ours|private_key_of_ours_0123456789",
} | {name: f"secret_of_{name.lower()}_0123456789abcdef" for name in (
    "CHECKOUT", "FLUTTERWAVE", "GOCARDLESS", "MOLLIE", "PAYPAL", "PAYSTACK", "RAZORPAY", "SHOPIFY", "SQUARE",
)}  # fmt: skip
KEYS = {"shop": "a_client_of_the_intents_api_0123"}


def variables(home: Path) -> dict[str, str]:
    found = {"RATCHET_INGRESS__BIND": "127.0.0.1:0", "RATCHET_CONSOLE__BIND": "127.0.0.1:0"}
    found |= {f"RATCHET_PROVIDERS__{name}__SECRETS": json.dumps([secret]) for name, secret in SECRETS.items()}
    return found | {"RATCHET_API_KEYS": json.dumps(KEYS), "RATCHET_HOME": str(home)}


def ratchet(home: Path, *words: str, seconds: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    environment |= variables(home) | more
    return subprocess.run(
        [*RATCHET, *words], env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def document(result: subprocess.CompletedProcess[str]) -> Any:
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout)


def test_what_is_simulated_has_its_effect_and_what_is_forged_has_none(tmp_path: Path) -> None:
    assert ratchet(tmp_path, "up", "--detach", "--no-sample").returncode == 0
    try:
        for provider, scenario, status, refund in (
            ("stripe", "multicapture", "captured", "none"),
            ("adyen", "out-of-order", "captured", "partial"),
            ("standard_webhooks", "duplicates", "captured", "full"),
        ):
            became = document(ratchet(tmp_path, "simulate", provider, scenario, "--json"))["became"]
            assert (became["payment"]["status"], became["payment"]["refund_status"]) == (status, refund), provider
        reported = document(ratchet(tmp_path, "simulate", "stripe", "forged", "--json"))
        assert {(one["status"], one["fates"][0]) for one in reported["delivered"]} == {(401, "nowhere")}
        assert "became" not in reported
        other = ratchet(tmp_path, "simulate", "stripe", "captured", "--wait-seconds", "1",
                        RATCHET_PROVIDERS__STRIPE__SECRETS='["whsec_another_secret_than_the_ingress"]')  # fmt: skip
        assert (other.returncode, "was answered 401" in other.stdout) == (1, True)
        for words, answered in (
            (("stripe", "nonsense"), "is no scenario; there are captured"),
            (("github", "captured"), "can't be played"),
            (("paypal", "captured"), "PayPal signs with a certificate"),
            (("adyen", "stale"), "signs no time"),
            (("square", "multicapture"), "Square completes a payment once"),
            (("stripe", "captured", "--url", "https://pay.example"), "add --yes"),
        ):
            refused = ratchet(tmp_path, "simulate", *words)
            assert (refused.returncode, answered in refused.stderr) == (2, True), refused.stderr
        without = ratchet(tmp_path, "simulate", "gocardless", "captured", RATCHET_API_KEYS="{}")
        assert (without.returncode, "set RATCHET_API_KEYS" in without.stderr) == (2, True), without.stderr
    finally:
        ratchet(tmp_path, "down")


@pytest.fixture(scope="module")
def running_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("home")
    assert ratchet(home, "up", "--detach", "--no-sample").returncode == 0
    try:
        yield home
    finally:
        ratchet(home, "down")


@pytest.mark.parametrize("provider", sorted(PLAYERS))
def test_every_scenario_of_a_provider_ends_as_it_should_at_the_running_ingress(
    running_home: Path, monkeypatch: pytest.MonkeyPatch, provider: str
) -> None:
    """The command compares the row with the scenario's end, and the answers with what should be refused."""
    for name in [name for name in os.environ if name.startswith("RATCHET_")]:
        monkeypatch.delenv(name)
    for name, value in variables(running_home).items():
        monkeypatch.setenv(name, value)
    played = [name for name in SCENARIOS if why_not(name, provider) is None]
    assert {"captured", "failed", "forged", "altered", "duplicates", "out-of-order"} <= set(played)
    for name in played:
        result = CliRunner().invoke(app, ["simulate", provider, name, "--json"])
        assert result.exit_code == 0, f"{provider} {name}: {result.output}"
        document = json.loads(result.stdout)
        assert document["problems"] == []
        if not SCENARIOS[name].takes_effect:
            assert {one["status"] for one in document["delivered"]} == {401}, name
            assert {fate for one in document["delivered"] for fate in one["fates"]} == {"nowhere"}, name
