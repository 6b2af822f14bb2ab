"""How Adyen proves an event: the fields of every item are signed, platform webhooks sign the raw body in a header."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from providers.adyen.items import Item
from providers.core.contract import Notification, SignedRequest
from providers.core.proof import hmac_base64, live_secrets, need_header, need_match, to_bytes
from providers.core.reading import UNPROVEN_REPAIR_BYTES_MAX, decode, read_json, text_at, value_at
from providers.core.slices import own_slices
from schemas.errors import SignatureRejected

_HEADER: Final = "hmacsignature"
ITEMS_MAX: Final = 1_000
"""How many items a request may hold: Adyen sends a few, and a stranger's are taken apart before one is proven."""
_ITEM_NAME: Final = b'"NotificationRequestItem"'
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9+/]{43}=\Z")
"""Base64 of 32 bytes."""


class _Shape(msgspec.Struct, rename="camel"):
    notification_items: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Wrapper(msgspec.Struct):
    item: msgspec.Raw = msgspec.field(name="NotificationRequestItem")


class _SignedItem(Item, rename="camel"):
    additional_data: Any = None


_SHAPE: Final = msgspec.json.Decoder(_Shape)
_WRAPPERS: Final = msgspec.json.Decoder(list[_Wrapper])
_SIGNED_ITEM: Final = msgspec.json.Decoder(_SignedItem)


def verify(request: SignedRequest) -> list[Notification]:
    """Check every item of `notificationItems`, or the header of a body without them; return an event an item.

    `config["merchant_accounts"]` names the accounts that are ours; none means any.
    """
    keys = _keys(live_secrets(request))
    if request.body.count(_ITEM_NAME) > ITEMS_MAX:
        raise SignatureRejected("malformed_body", f"more than {ITEMS_MAX} items")
    shape = decode(_SHAPE, request.body, repair_bytes_max=UNPROVEN_REPAIR_BYTES_MAX)
    if shape is None or isinstance(shape.notification_items, msgspec.UnsetType):
        if shape is None and _HEADER not in request.headers:
            raise SignatureRejected("malformed_body", "no JSON object and no HmacSignature header")
        return [_platform_notification(request, keys)]
    slices = _slices(request.body, bytes(shape.notification_items))
    accounts = frozenset(request.config.get("merchant_accounts") or ())
    return [_item_notification(one, keys, accounts) for one in slices]


def _keys(secrets: tuple[str, ...]) -> list[bytes]:
    """Return the hex-decoded keys; a secret that is no hex is no secret."""
    keys = []
    for secret in secrets:
        try:
            keys.append(bytes.fromhex(secret))
        except ValueError:
            continue
    if not any(keys):
        raise SignatureRejected("empty_secret", "no configured secret is a hex key")
    return [key for key in keys if key]


def _platform_notification(request: SignedRequest, keys: list[bytes]) -> Notification:
    """Check the HmacSignature header over the raw body: management, balance platform and the like."""
    need_match([need_header(request, _HEADER)], [hmac_base64(key, request.body) for key in keys])
    return Notification(None, text_at(read_json(request.body), "type"), None, request.body)


def _slices(body: bytes, items: bytes) -> list[bytes]:
    """Return each different item's own bytes of the body; an empty list is no proof of anything.

    An item proves itself and not its neighbours, so whoever has one could repeat it: equal items are one event.
    """
    wrappers = decode(_WRAPPERS, items, repair_bytes_max=UNPROVEN_REPAIR_BYTES_MAX)
    if not wrappers:
        raise SignatureRejected("malformed_body", "notificationItems is no list of items")
    slices = own_slices(body, [bytes(wrapper.item) for wrapper in wrappers])
    return list(dict.fromkeys(slices))


def _item_notification(body: bytes, keys: list[bytes], accounts: frozenset[str]) -> Notification:
    item = decode(_SIGNED_ITEM, body, repair_bytes_max=UNPROVEN_REPAIR_BYTES_MAX)
    if item is None:
        raise SignatureRejected("malformed_body", "an item is no object")
    signature = value_at(item.additional_data, "hmacSignature")
    if signature is None:
        raise SignatureRejected("missing_header", "an item has no hmacSignature")
    if not isinstance(signature, str) or not _SIGNATURE.match(signature):
        raise SignatureRejected("malformed_header", "an item's hmacSignature is no base64 of 32 bytes")
    fields = _signed_fields(item)
    signed = to_bytes(":".join(fields))
    need_match([signature], [hmac_base64(key, signed) for key in keys])
    _check_account(fields, accounts)
    psp, original, code, success = fields[0], fields[1], fields[6], fields[7]
    event_id = f"{psp}:{code}:{success}" if psp and code else None
    return Notification(event_id, code or None, original or psp or None, body)


def _signed_fields(item: Item) -> list[str]:
    """Return the eight signed fields as Adyen writes them; absent is empty, nothing is escaped."""
    if value_at(item.amount, "value") is None or value_at(item.amount, "currency") is None:
        raise SignatureRejected("malformed_body", "an item has no amount")
    return [
        _as_signed(value)
        for value in (
            item.psp_reference,
            item.original_reference,
            item.merchant_account_code,
            item.merchant_reference,
            item.amount["value"],
            item.amount["currency"],
            item.event_code,
            item.success,
        )
    ]


def _as_signed(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        raise SignatureRejected("malformed_body", "a signed field is neither text nor a whole number")
    return str(value)


def _check_account(fields: list[str], accounts: frozenset[str]) -> None:
    """Raise unless the item is ours and its signed text can be split in one way only.

    ':' is not escaped, so that account A with reference R:1 and account A:R with reference 1 share a signature. Only
    the merchant's reference may hold one; then the other seven fields are where Adyen put them.
    """
    if accounts and fields[2] not in accounts:
        raise SignatureRejected("wrong_account", "an item is for a merchant account that is not configured")
    if any(":" in field for field in (*fields[:3], *fields[4:])):
        raise SignatureRejected("malformed_body", "a signed field other than merchantReference holds ':'")
