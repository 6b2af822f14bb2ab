"""Razorpay's own utility and ours give one verdict on any body."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import providers
from schemas.errors import SignatureRejected

razorpay = pytest.importorskip("razorpay", reason="razorpay is not installed")
pytestmark = pytest.mark.unit

KEY = "webhook secret"


def _theirs(body: str, signature: str) -> bool:
    try:
        return bool(razorpay.Utility().verify_webhook_signature(body, signature, KEY))
    except razorpay.errors.SignatureVerificationError:
        return False


def _ours(body: str, signature: str) -> bool:
    headers = {"X-Razorpay-Signature": signature}
    try:
        providers.verify("razorpay", headers=headers, body=body.encode(), url="", secrets=[KEY], now=0)
    except SignatureRejected:
        return False
    return True


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "\n"]))
def test_one_verdict(body: str, addition: str) -> None:
    genuine = hmac.new(KEY.encode(), body.encode(), "sha256").hexdigest()
    seen = body + addition
    assert _theirs(seen, genuine) is _ours(seen, genuine) is (not addition)
