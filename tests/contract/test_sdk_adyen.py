"""What Adyen's own helper signs is what we take, item by item and byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from Adyen.util import generate_notification_sig, generate_payload_sig
from hypothesis import given
from hypothesis import strategies as st

from producers import providers
from schemas.errors import SignatureRejected

pytestmark = pytest.mark.unit

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20)


def _item(**fields: Any) -> dict[str, Any]:
    item = {
        "pspReference": "PSP1",
        "merchantAccountCode": "Shop",
        "merchantReference": "ORD-1",
        "amount": {"currency": "EUR", "value": 1000},
        "eventCode": "AUTHORISATION",
        "success": "true",
    } | fields
    return item | {"additionalData": {"hmacSignature": generate_notification_sig(item, KEY).decode()}}


def _body(*items: str) -> bytes:
    wrapped = ", ".join(f'{{"NotificationRequestItem" : {item} }}' for item in items)
    return f'{{"live": "false", "notificationItems": [ {wrapped} ]}}'.encode()


def _verify(body: bytes, headers: dict[str, str] | None = None, **config: Any) -> list[providers.Notification]:
    return providers.verify("adyen", headers=headers or {}, body=body, url="", secrets=[KEY], now=0, config=config)


@given(TEXT, TEXT, st.integers(0, 10**12))
def test_helper_signs_what_we_take(reference: str, reason: str, value: int) -> None:
    items = [
        json.dumps(_item(merchantReference=reference, reason=reason, amount={"currency": "EUR", "value": value})),
        json.dumps(_item(originalReference="PSP0", eventCode="CAPTURE"), ensure_ascii=False, indent=1),
    ]
    first, second = _verify(_body(*items))
    assert [first.body, second.body] == [one.encode() for one in items]
    assert (first.event_id, first.payment_ref) == ("PSP1:AUTHORISATION:true", "PSP1")
    assert (second.event_id, second.payment_ref) == ("PSP1:CAPTURE:true", "PSP0")
    assert _interpreted(second).amount == 1000


def _interpreted(notification: providers.Notification) -> Any:
    from providers import interpret

    assert notification.kind is not None
    return interpret("adyen", notification.kind, notification.body)


@pytest.mark.parametrize("broken", [b"caf\xe9", rb"half \ud83d"])
def test_a_broken_character_hides_no_payment_and_keeps_its_bytes(broken: bytes) -> None:
    items = [json.dumps(_item(shopper="SHOPPER", pspReference=psp)) for psp in ("PSP1", "PSP2")]
    body = _body(*items).replace(b"SHOPPER", broken)
    notifications = _verify(body)
    assert [one.event_id for one in notifications] == ["PSP1:AUTHORISATION:true", "PSP2:AUTHORISATION:true"]
    assert [one.body for one in notifications] == [one.encode().replace(b"SHOPPER", broken) for one in items]
    assert _interpreted(notifications[1]).provider_ref == "PSP2"


@given(st.binary())
def test_platform_header_covers_any_body(body: bytes) -> None:
    headers = {"HmacSignature": generate_payload_sig(body, KEY).decode()}
    (notification,) = _verify(body, headers)
    assert notification.body == body


def test_a_genuine_platform_body_of_no_shape_is_taken() -> None:
    for body in (b"", b"[]", b"nonsense", b'{"type": []}'):
        (notification,) = _verify(body, {"HmacSignature": generate_payload_sig(body, KEY).decode()})
        assert (notification.event_id, notification.kind, notification.payment_ref) == (None, None, None)


def test_boolean_success_is_signed_as_adyen_writes_it() -> None:
    item = _item()
    item["success"] = True
    (notification,) = _verify(_body(json.dumps(item)))
    assert notification.event_id == "PSP1:AUTHORISATION:true"


@pytest.mark.parametrize(
    ("config", "reason"), [({"merchant_accounts": ["Shop"]}, "wrong_account"), ({}, "malformed_body")]
)
def test_a_signed_text_that_splits_in_two_ways_is_refused(config: dict[str, Any], reason: str) -> None:
    item = _item(merchantReference="R:1")
    assert _verify(_body(json.dumps(item)), **config)
    shifted = item | {"merchantAccountCode": "Shop:R", "merchantReference": "1"}
    with pytest.raises(SignatureRejected) as refused:
        _verify(_body(json.dumps(shifted)), **config)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "change",
    [
        {"amount": None},
        {"amount": 7},
        {"amount": {"currency": "EUR"}},
        {"amount": {"currency": "EUR", "value": 10.5}},
        {"amount": {"currency": ["EUR"], "value": 1}},
    ],
)
def test_unreadable_signed_fields(change: dict[str, Any]) -> None:
    with pytest.raises(SignatureRejected, match="malformed_body"):
        _verify(_body(json.dumps(_item() | change)))


@pytest.mark.parametrize(
    "body", [_body("7"), _body('"x"'), b'{"notificationItems": [{}]}', b'{"notificationItems": null}']
)
def test_items_that_are_none(body: bytes) -> None:
    with pytest.raises(SignatureRejected, match="malformed_body"):
        _verify(body)


@pytest.mark.parametrize("secrets", [["zz"], ["", "not hex"], [" "]])
def test_a_secret_that_is_no_hex_is_no_secret(secrets: list[str]) -> None:
    with pytest.raises(SignatureRejected, match="empty_secret"):
        providers.verify("adyen", headers={}, body=_body(json.dumps(_item())), url="", secrets=secrets, now=0)


def test_an_item_without_identity_has_no_event_id() -> None:
    (notification,) = _verify(_body(json.dumps(_item(pspReference=""))))
    assert (notification.event_id, notification.payment_ref) == (None, None)
