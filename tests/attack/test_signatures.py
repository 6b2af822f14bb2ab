"""Signatures that prove too much: a secret that was shown, a sandbox's certificate, one captured item many times."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

import providers
from producers.ingress.endpoints import open_endpoints
from providers.core.proof import hmac_base64
from providers.paypal import certificate_url
from runtime.settings import ProviderSettings, Settings
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from producers.ingress.endpoints import Endpoint
    from providers.core.contract import Notification

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parent.parent / "contract" / "vectors"
SHOWN, KEY = "shown-on-every-request-0123", "signs-and-is-never-shown-0123"
NOW = 1_800_000_000.0
COPIES = 1000
SANDBOX_URL = "https://api.sandbox.paypal.com/v1/notifications/certs/CERT-1"


def endpoint_of(provider: str, **given: Any) -> Endpoint:
    configured = {provider: ProviderSettings(**given)}
    return open_endpoints(Settings().model_copy(update={"providers": configured}))[provider, ""]


def checked(endpoint: Endpoint, headers: dict[str, str], body: bytes) -> list[Notification]:
    return providers.verify(
        endpoint.provider,
        headers=headers,
        body=body,
        url="https://pay.example/webhooks/x",
        secrets=endpoint.live_secrets(NOW),
        now=NOW,
        config=endpoint.config,
    )


@pytest.mark.parametrize("keys", [(), (SecretStr(KEY),)], ids=["v3 alone", "both"])
def test_the_secret_that_flutterwave_v3_shows_signs_no_v4_body(keys: tuple[SecretStr, ...]) -> None:
    endpoint = endpoint_of("flutterwave", secrets=keys, shown_secrets=(SecretStr(SHOWN),), unsigned=True)
    body = b'{"webhook_id":"wbk_1","type":"charge.completed","data":{"id":"chg_1","reference":"r"}}'
    forged = {"flutterwave-signature": hmac_base64(SHOWN.encode(), body)}
    with pytest.raises(SignatureRejected) as refused:
        checked(endpoint, forged, body)
    assert refused.value.reason in {"bad_signature", "empty_secret"}
    hint = checked(endpoint, {"verif-hash": SHOWN}, body)
    assert {one.trust for one in hint} == {"hint"}, "what it proves stays what it was"
    if keys:
        assert checked(endpoint, {"flutterwave-signature": hmac_base64(KEY.encode(), body)}, body)
        with pytest.raises(SignatureRejected):
            checked(endpoint, {"verif-hash": KEY}, body)


def test_paypal_s_sandbox_signs_nothing_unless_a_setting_says_so(tmp_path: Path) -> None:
    roots = tmp_path / "roots.pem"
    case = json.loads((VECTORS / "paypal.json").read_text())["cases"][0]
    roots.write_text("".join(case["config"]["trust_roots"]))
    live = endpoint_of("paypal", secrets=(SecretStr("webhook-id"),), trust_roots=roots)
    assert live.certificate_hosts is not None
    with pytest.raises(SignatureRejected, match="untrusted_cert_url"):
        certificate_url(SANDBOX_URL, live.certificate_hosts)
    reported = endpoint_of(
        "paypal", secrets=(SecretStr("webhook-id"),), trust_roots=roots, certificate_hosts=("api.sandbox.paypal.com",)
    )
    assert certificate_url(SANDBOX_URL, reported.certificate_hosts) == SANDBOX_URL


def test_a_captured_adyen_item_repeated_is_one_event(record_figure: Callable[..., None]) -> None:
    case = next(
        one
        for one in json.loads((VECTORS / "adyen.json").read_text())["cases"]
        if one["name"] == "official_authorisation"
    )
    document = json.loads(base64.b64decode(case["body_base64"]))
    document["notificationItems"] *= COPIES
    body = json.dumps(document).encode()
    found = providers.verify(
        "adyen", headers=case["headers"], body=body, url=case["url"], secrets=case["secrets"], now=NOW
    )
    record_figure(items=COPIES, request_kib=len(body) / 1024, events=len(found))
    assert len(found) == 1
