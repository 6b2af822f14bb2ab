"""`ratchet simulate` against `ratchet up` as a developer runs both: what is posted has the effect that is told."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

RATCHET = (sys.executable, "-P", "-m", "ops.cli")
SECRETS = {
    "STRIPE": "whsec_abcdefghijklmnopqrstuvwxyz0123",
    "ADYEN": "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
    "STANDARD_WEBHOOKS": "whsec_" + base64.b64encode(bytes(24)).decode(),
}


def ratchet(home: Path, *words: str, seconds: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    environment |= {"RATCHET_INGRESS__BIND": "127.0.0.1:0", "RATCHET_CONSOLE__BIND": "127.0.0.1:0"}
    environment |= {f"RATCHET_PROVIDERS__{name}__SECRETS": json.dumps([secret]) for name, secret in SECRETS.items()}
    environment |= {"RATCHET_HOME": str(home)} | more
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
            (("paypal", "captured"), "can't be played"),
            (("adyen", "stale"), "signs no time"),
            (("stripe", "captured", "--url", "https://pay.example"), "add --yes"),
        ):
            refused = ratchet(tmp_path, "simulate", *words)
            assert (refused.returncode, answered in refused.stderr) == (2, True), refused.stderr
    finally:
        ratchet(tmp_path, "down")
