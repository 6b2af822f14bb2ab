"""What the Standard Webhooks and Svix libraries sign is what we take."""

from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import pytest
import standardwebhooks
import svix
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from producers import providers
from schemas.errors import SignatureRejected

pytestmark = pytest.mark.unit

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
NOW = 1_790_000_300
WHEN = dt.datetime.fromtimestamp(NOW, dt.UTC)


def _verify(headers: dict[str, str], body: str, secrets: list[str] | None = None) -> list[providers.Notification]:
    secrets = [SECRET] if secrets is None else secrets
    return providers.verify("standard_webhooks", headers=headers, body=body.encode(), url="", secrets=secrets, now=NOW)


@pytest.mark.parametrize(
    ("library", "prefix"),
    [(standardwebhooks.Webhook, "webhook"), (svix.Webhook, "webhook"), (svix.Webhook, "svix")],
    ids=["standardwebhooks", "svix", "svix-names"],
)
def test_library_signs_what_we_take(library: Any, prefix: str) -> None:
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def check(body: str) -> None:
        headers = {
            f"{prefix}-id": "msg_1",
            f"{prefix}-timestamp": str(NOW),
            f"{prefix}-signature": library(SECRET).sign("msg_1", WHEN, body),
        }
        (notification,) = _verify(headers, body)
        assert (notification.event_id, notification.body) == ("msg_1", body.encode())

    check()


def _ed25519() -> tuple[str, dict[str, str], str]:
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    raw = private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    body = '{"type": "payment.created"}'
    signature = base64.b64encode(private.sign(f"msg_1.{NOW}.{body}".encode())).decode()
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(NOW), "webhook-signature": f"v1a,{signature}"}
    return "whpk_" + base64.b64encode(raw).decode(), headers, body


def test_ed25519() -> None:
    public, headers, body = _ed25519()
    assert _verify(headers, body, [public])
    assert _verify(headers, body, [SECRET, public])
    with pytest.raises(SignatureRejected, match="bad_signature"):
        _verify(headers, body + " ", [public])


def test_each_public_key_is_tried_and_a_signature_has_one_spelling() -> None:
    """Two keys are live after a rotation; a second spelling of one signature would be a second of each event."""
    public, headers, body = _ed25519()
    other = "whpk_" + base64.b64encode(Ed25519PrivateKey.generate().public_key().public_bytes_raw()).decode()
    for keys in ([other, public], [public, other]):
        assert _verify(headers, body, keys)
    signature = headers["webhook-signature"]
    for spelled in (signature.rstrip("="), signature[:-3] + chr(ord(signature[-3]) + 1) + "=="):
        with pytest.raises(SignatureRejected):
            _verify(headers | {"webhook-signature": spelled}, body, [public])


@pytest.mark.parametrize("around", ["{}\n", " {}", "{}\r\n"])
def test_space_around_a_secret_is_none_of_it(around: str) -> None:
    """As a file or a mask of a secret store leaves it."""
    public, headers, body = _ed25519()
    assert _verify(headers, body, [around.format(public)])
    signed = headers | {"webhook-signature": standardwebhooks.Webhook(SECRET).sign("msg_1", WHEN, body)}
    assert _verify(signed, body, [around.format(SECRET)])


def test_the_names_of_the_scheme_go_before_those_of_svix() -> None:
    public, headers, body = _ed25519()
    strange = {"svix-id": "other", "svix-timestamp": "1", "svix-signature": "v1,AAAA"}
    assert [one.event_id for one in _verify(headers | strange, body, [public])] == ["msg_1"]


@pytest.mark.parametrize("secret", ["whpk_AAAA", "whsec_%%%", "whsec_A", "whsec_", "whpk_"])
def test_a_secret_without_a_key_is_no_secret(secret: str) -> None:
    _, headers, body = _ed25519()
    with pytest.raises(SignatureRejected, match="empty_secret"):
        _verify(headers, body, [secret])


def test_an_over_long_id_gives_way_to_the_body_s_digest() -> None:
    long = "m" * 300
    headers = {
        "webhook-id": long,
        "webhook-timestamp": str(NOW),
        "webhook-signature": standardwebhooks.Webhook(SECRET).sign(long, WHEN, "{}"),
    }
    (notification,) = _verify(headers, "{}")
    assert notification.event_id == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_more_signatures_by_public_keys_than_a_sender_has_are_not_looked_at() -> None:
    """Each hashes the whole body anew, and costs what a hundred keyed hashes do."""
    key = "whpk_" + base64.b64encode(bytes(range(32))).decode()
    made_up = [f"v1a,{base64.b64encode(bytes([number]) * 64).decode()}" for number in range(5)]
    for signatures, reason in ((made_up[:4], "bad_signature"), (made_up, "more than 4 signatures")):
        headers = {"webhook-id": "m", "webhook-timestamp": "0", "webhook-signature": " ".join(signatures)}
        with pytest.raises(SignatureRejected, match=reason):
            providers.verify("standard_webhooks", headers=headers, body=b"{}", url="", secrets=[key], now=0)
