"""Whatever comes in: `verify` raises SignatureRejected and nothing else, `interpret` UninterpretableError."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import providers
from providers import adyen, standard_webhooks, stripe
from providers.core.contract import REASONS
from providers.core.reading import storable
from schemas.dead_letter import Reason
from schemas.errors import SignatureRejected, UninterpretableError

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parent.parent / "contract" / "vectors"
NAMES = ("adyen", "standard_webhooks", "stripe")
KINDS = {
    "adyen": [*adyen._ON_SUCCESS, "REPORT_AVAILABLE", "merchant.created", "NEW", ""],
    "standard_webhooks": [*standard_webhooks._READERS, "invoice.paid", "payment.new", ""],
    "stripe": [*stripe._READERS, "customer.created", "charge.new", ""],
}

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(["EUR", "usd", "true", "false", "succeeded", "needs_response", "x" * 300, "\x00", 1000]),
)
FIELDS = st.sampled_from(
    sorted(
        {*stripe._Object.__struct_fields__, *adyen._Item.__struct_encode_fields__}
        | {*standard_webhooks._Data.__struct_fields__, "value", "data", "object", "order_id"}
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=8), max_leaves=20
)


def _cases(name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((VECTORS / f"{name}.json").read_text())["cases"]
    return cases


def _interpret(provider: str, kind: str, body: bytes) -> None:
    try:
        meaning = providers.interpret(provider, kind, body)
    except UninterpretableError as error:
        assert error.reason in (Reason.UNDECODABLE, Reason.UNKNOWN_KIND)  # noqa: PT017 - most bodies pass or not
        return
    assert all(storable(ref.ref) for ref in meaning.refs)
    assert all(storable(fact.key) for fact in meaning.facts)
    assert meaning.refs or not meaning.facts


@pytest.mark.parametrize("provider", NAMES)
@given(data=st.data(), body=st.binary())
def test_interpret_any_bytes(provider: str, data: st.DataObject, body: bytes) -> None:
    _interpret(provider, data.draw(st.sampled_from(KINDS[provider])), body)


@pytest.mark.parametrize("provider", NAMES)
@settings(max_examples=300)
@given(data=st.data(), thing=VALUES)
def test_interpret_any_json(provider: str, data: st.DataObject, thing: Any) -> None:
    kind = data.draw(st.sampled_from(KINDS[provider]))
    whole = {"type": kind, "data": {"object": thing} if provider == "stripe" else thing}
    if provider == "adyen" and isinstance(thing, dict):
        whole = {**thing, "eventCode": kind}
    _interpret(provider, kind, json.dumps(whole).encode())


@pytest.mark.parametrize("provider", NAMES)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_interpret_a_genuine_body_with_one_field_changed(provider: str, data: st.DataObject) -> None:
    bodies = [one for case in _genuine(provider) for one in case]
    notification = data.draw(st.sampled_from(bodies))
    whole = json.loads(notification.body) if notification.kind else {}
    place = whole
    for step in ("data", "object"):
        place = place.get(step, place) if isinstance(place, dict) else whole
    if isinstance(place, dict) and place:
        place[data.draw(st.sampled_from(sorted(place)))] = data.draw(VALUES)
    _interpret(provider, notification.kind or "", json.dumps(whole).encode())


def _genuine(provider: str) -> list[list[Any]]:
    return [
        _verify(provider, case, base64.b64decode(case["body_base64"]))
        for case in _cases(provider)
        if case["expect"] == "accept"
    ]


def _verify(provider: str, case: dict[str, Any], body: bytes) -> list[Any]:
    return providers.verify(
        provider,
        headers=case["headers"],
        body=body,
        url=case["url"],
        secrets=case["secrets"],
        now=case["now"],
        config=case.get("config"),
    )


def _mutated(data: st.DataObject, whole: bytes) -> bytes:
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 5)))
    return whole[:start] + data.draw(st.binary(max_size=5)) + whole[end:]


@pytest.mark.parametrize("provider", NAMES)
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_verify_mutated_requests(provider: str, data: st.DataObject) -> None:
    case = data.draw(st.sampled_from(_cases(provider)))
    body = _mutated(data, base64.b64decode(case["body_base64"]))
    headers = {
        name: _mutated(data, value.encode("latin-1")).decode("latin-1") if isinstance(value, str) else value
        for name, value in case["headers"].items()
        if data.draw(st.booleans())
    }
    with contextlib.suppress(SignatureRejected):
        for one in _verify(provider, case | {"headers": headers}, body):
            assert one.event_id is None or storable(one.event_id)


@pytest.mark.parametrize("provider", NAMES)
@given(
    headers=st.dictionaries(
        st.sampled_from(["stripe-signature", "hmacsignature", "webhook-id", "webhook-timestamp", "webhook-signature"]),
        st.text(max_size=30) | st.lists(st.text(max_size=30), max_size=3),
    ),
    body=st.binary(),
    secrets=st.lists(st.text(max_size=20), max_size=3),
    now=st.floats(),
)
def test_verify_anything_is_refused(provider: str, headers: Any, body: bytes, secrets: list[str], now: float) -> None:
    with pytest.raises(SignatureRejected) as refused:
        providers.verify(provider, headers=headers, body=body, url="", secrets=secrets, now=now)
    assert refused.value.reason in REASONS


@pytest.mark.parametrize("provider", NAMES)
def test_a_deep_body_is_uninterpretable(provider: str) -> None:
    for kind in KINDS[provider]:
        with pytest.raises(UninterpretableError):
            providers.interpret(provider, kind, b'{"type":' + b"[" * 100_000)
