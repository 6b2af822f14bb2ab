"""GoCardless's own parser and ours read the same events out of a signed body."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers import providers
from schemas.errors import SignatureRejected

webhooks = pytest.importorskip("gocardless_pro.webhooks", reason="gocardless_pro is not installed")
pytestmark = pytest.mark.unit

KEY = "ED7D658C-D8EB-4941-948B-3973214F2D49"
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)
EVENTS = st.lists(
    st.fixed_dictionaries({"id": NAMES, "resource_type": NAMES, "action": NAMES, "links": st.just({"payment": "PM1"})})
)


@given(EVENTS, st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 1}]))
def test_the_same_events(events: list[dict[str, object]], style: dict[str, Any]) -> None:
    body = json.dumps({"events": events}, **style)
    signature = hmac.new(KEY.encode(), body.encode(), "sha256").hexdigest()
    headers = {"Webhook-Signature": signature}
    ours = providers.verify("gocardless", headers=headers, body=body.encode(), url="", secrets=[KEY], now=0)
    theirs = webhooks.parse(body, KEY, signature)
    assert [json.loads(one.body)["id"] for one in ours] == [one.id for one in theirs]
    assert [one.payment_ref for one in ours] == [one.links.payment for one in theirs]


def test_what_their_parser_refuses() -> None:
    from gocardless_pro.errors import InvalidSignatureError

    with pytest.raises(InvalidSignatureError):
        webhooks.parse("{}", KEY, "00")
    with pytest.raises(SignatureRejected, match="bad_signature"):
        providers.verify("gocardless", headers={"Webhook-Signature": "00"}, body=b"{}", url="", secrets=[KEY], now=0)
