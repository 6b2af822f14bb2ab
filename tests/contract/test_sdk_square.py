"""Square's own helper and ours give one verdict on any URL and body."""

from __future__ import annotations

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import providers
from schemas.errors import SignatureRejected

webhooks_helper = pytest.importorskip("square.utils.webhooks_helper", reason="squareup is not installed")
pytestmark = pytest.mark.unit

KEY = "signature-key"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


def _taken(url: str, body: str, signature: str) -> bool:
    headers = {"x-square-hmacsha256-signature": signature}
    try:
        providers.verify("square", headers=headers, body=body.encode(), url=url, secrets=[KEY], now=0)
    except SignatureRejected:
        return False
    return True


@given(TEXT, TEXT, st.sampled_from(["", " "]))
def test_one_verdict(url: str, body: str, addition: str) -> None:
    signature = base64.b64encode(hmac.digest(KEY.encode(), (url + body).encode(), "sha256")).decode()
    seen = body + addition
    theirs = webhooks_helper.verify_signature(
        request_body=seen, signature_header=signature, signature_key=KEY, notification_url=url
    )
    assert theirs is _taken(url, seen, signature) is (not addition)
