"""What Stripe's own SDK signs is what we take."""

from __future__ import annotations

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from producers import providers
from schemas.errors import SignatureRejected

pytestmark = pytest.mark.unit

SECRET = "whsec_test_secret"
NOW = 1_790_000_300


def _signed(body: str, timestamp: int = NOW, secret: str = SECRET) -> dict[str, str]:
    mac = stripe.WebhookSignature._compute_signature(f"{timestamp}.{body}", secret)
    return {"Stripe-Signature": f"t={timestamp},v1={mac}"}


def _verify(body: str, headers: dict[str, str], now: float = NOW) -> list[providers.Notification]:
    return providers.verify("stripe", headers=headers, body=body.encode(), url="", secrets=[SECRET], now=now)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_sdk_signs_what_we_take(body: str) -> None:
    (notification,) = _verify(body, _signed(body))
    assert notification.body == body.encode()


def test_both_take_the_same_event() -> None:
    body = (
        '{"id": "evt_1", "object": "event", "type": "charge.updated", "data": {"object": {"payment_intent": "pi_1"}}}'
    )
    headers = _signed(body)
    event = stripe.Webhook.construct_event(body, headers["Stripe-Signature"], SECRET, tolerance=10**10)
    (notification,) = _verify(body, headers)
    assert (notification.event_id, notification.kind, notification.payment_ref) == (event.id, event.type, "pi_1")


@pytest.mark.parametrize("body", ["", "[]", "nonsense", '{"id": 7, "type": null}', '{"data": [1]}', "\x00", "{"])
def test_genuine_nonsense_is_taken(body: str) -> None:
    (notification,) = _verify(body, _signed(body))
    assert notification.kind is None
    assert notification.payment_ref is None


@pytest.mark.parametrize(("age", "reason"), [(301, "stale_timestamp"), (-301, "future_timestamp")])
def test_time_window(age: int, reason: str) -> None:
    assert _verify("{}", _signed("{}", NOW - age), NOW - age // 301)
    with pytest.raises(SignatureRejected) as refused:
        _verify("{}", _signed("{}", NOW - age))
    assert refused.value.reason == reason


def test_a_second_timestamp_is_refused() -> None:
    header = _signed("{}")["Stripe-Signature"] + f",t={NOW + 1}"
    with pytest.raises(SignatureRejected, match="malformed_header"):
        _verify("{}", {"Stripe-Signature": header})


def test_not_a_number_is_no_time() -> None:
    with pytest.raises(SignatureRejected, match="stale_timestamp"):
        _verify("{}", _signed("{}"), float("nan"))
