"""Twilio's own validator and ours give one verdict on any form and URL."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import providers
from schemas.errors import SignatureRejected

request_validator = pytest.importorskip("twilio.request_validator", reason="twilio is not installed")
pytestmark = pytest.mark.unit

KEY = "auth token"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
FORMS = st.dictionaries(TEXT.filter(bool), TEXT, max_size=6)
URLS = st.sampled_from(
    ["https://h.test/x", "https://h.test:443/x?a=1", "http://h.test:80/x", "https://h.test:8443/x", "http://h.test"]
)


def _ours(url: str, form: dict[str, str], signature: str) -> bool:
    headers = {"X-Twilio-Signature": signature}
    try:
        providers.verify("twilio", headers=headers, body=urlencode(form).encode(), url=url, secrets=[KEY], now=0)
    except SignatureRejected:
        return False
    return True


@given(FORMS, URLS, URLS, st.sampled_from([{}, {"Added": "1"}]))
def test_one_verdict(form: dict[str, str], called: str, configured: str, addition: dict[str, str]) -> None:
    validator = request_validator.RequestValidator(KEY)
    signature = validator.compute_signature(called, form)
    seen = form | addition
    theirs = validator.validate(configured, seen, signature)
    assert theirs is _ours(configured, seen, signature)
    if called == configured and seen == form:
        assert theirs
