"""Adyen signs each item of a body by itself: every item is looked at, whichever its place and its neighbours."""

from __future__ import annotations

import base64
import hmac
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

import providers
from schemas.errors import SignatureRejected

if TYPE_CHECKING:
    from providers.core.contract import Notification

pytestmark = pytest.mark.unit

KEY, OTHER_KEY = "AB" * 32, "CD" * 32
OURS: Final = ["ShopEUR", "ShopUSD"]


def item(key: str = KEY, **changes: Any) -> dict[str, Any]:
    """Return an item, signed as docs.adyen.com/development-resources/webhooks/verify-hmac-signatures says."""
    fields = {
        "pspReference": "P1",
        "originalReference": "",
        "merchantAccountCode": "ShopEUR",
        "merchantReference": "ORD-1",
        "value": 1000,
        "currency": "EUR",
        "eventCode": "AUTHORISATION",
        "success": "true",
    } | changes
    signed = ":".join(str(value) for value in fields.values()).encode()
    mac = base64.b64encode(hmac.digest(bytes.fromhex(key), signed, "sha256")).decode()
    amount = {name: fields.pop(name) for name in ("value", "currency")}
    return fields | {"amount": amount, "additionalData": {"hmacSignature": mac}}


def verify(*items: dict[str, Any], accounts: list[str] = OURS, secrets: tuple[str, ...] = (KEY,)) -> list[Notification]:
    body = json.dumps({"live": "true", "notificationItems": [{"NotificationRequestItem": one} for one in items]})
    return providers.verify(
        "adyen",
        headers={},
        body=body.encode(),
        url="",
        secrets=secrets,
        now=0,
        config={"merchant_accounts": accounts},
    )


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (item(merchantAccountCode="Stranger", pspReference="P9"), "wrong_account"),
        (item(OTHER_KEY, pspReference="P9"), "bad_signature"),
        (item(pspReference="P9") | {"additionalData": {}}, "missing_header"),
        (item(pspReference="P9") | {"success": "false"}, "bad_signature"),
    ],
    ids=["of another account", "under another key", "unsigned", "altered"],
)
def test_an_item_that_is_not_ours_is_refused_in_any_place(place: int, wrong: dict[str, Any], reason: str) -> None:
    items = [item(), item(pspReference="P2", merchantAccountCode="ShopUSD"), item(pspReference="P3")]
    assert [one.event_id for one in verify(*items)] == [f"P{number}:AUTHORISATION:true" for number in (1, 2, 3)]
    items[place] = wrong
    with pytest.raises(SignatureRejected, match=reason):
        verify(*items)


def test_the_letters_of_an_account_are_its_own() -> None:
    """Facts of it are kept apart by them; without a list any account is taken."""
    for name in ("shopeur", "SHOPEUR", "ShopEUR ", "Shop"):
        with pytest.raises(SignatureRejected, match="wrong_account"):
            verify(item(merchantAccountCode=name))
        assert verify(item(merchantAccountCode=name), accounts=[])


@pytest.mark.parametrize(
    "name", ["pspReference", "originalReference", "merchantAccountCode", "value", "currency", "eventCode"]
)
def test_only_the_merchant_s_reference_may_hold_what_parts_the_signed_fields(name: str) -> None:
    """Nothing is escaped: with it in another field the same signature would fit other fields."""
    assert verify(item(merchantReference="ORD:1:2"), accounts=[])
    with pytest.raises(SignatureRejected, match="other than merchantReference holds ':'"):
        verify(item(**{name: "1:0"}), accounts=[])


def test_an_item_fits_any_of_the_keys_beside_what_is_no_key() -> None:
    for secrets in ((KEY, OTHER_KEY), (OTHER_KEY, KEY), ("no hex", KEY), (KEY, "no hex"), (KEY.lower(),)):
        assert verify(item(), secrets=secrets)
    assert len(verify(item(), item(OTHER_KEY, pspReference="P2"), secrets=(KEY, OTHER_KEY))) == 2
    with pytest.raises(SignatureRejected, match="bad_signature"):
        verify(item(), secrets=(OTHER_KEY,))


def test_an_item_that_comes_twice_is_one_event_and_one_that_differs_is_another() -> None:
    again, later = item(), item(eventCode="CAPTURE", pspReference="P2", originalReference="P1")
    assert [one.event_id for one in verify(again, later, again, later, item(success="false"))] == [
        "P1:AUTHORISATION:true",
        "P2:CAPTURE:true",
        "P1:AUTHORISATION:false",
    ]
