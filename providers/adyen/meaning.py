"""Adyen: fields of every item are signed, not bytes; platform webhooks sign the raw body in a header.

Sources: Adyen's webhook documentation and its Python library (`Adyen.util` 16.0, which looks at the first item alone).
Signed are pspReference, originalReference, merchantAccountCode, merchantReference, amount, eventCode and success.
Nothing else of an item (eventDate, reason, live, additionalData) decides anything here. What each event code means, and
by which document, stands in `KINDS`; amounts are in the minor units of Adyen's own table of currencies.

An item's `Notification.body` is its NotificationRequestItem object, byte for byte as it came; `interpret` reads that.

A payment's key is the pspReference of its authorisation, which its modifications carry as originalReference. A capture
and a refund are keyed by their own pspReference: CAPTURE_FAILED, REFUND_FAILED and REFUNDED_REVERSED repeat it. All
events of one dispute carry the same pspReference ("Dispute webhooks" in Adyen's documentation), which is its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from providers.adyen.items import Item
from providers.adyen.kinds import KINDS
from providers.core.meaning import (
    decode_or_raise,
    id_or_none,
    in_scope,
    maybe_id,
    need_amount,
    need_currency,
    need_id,
    refs_of,
    undecodable,
    unknown_kind,
)
from providers.core.money import in_iso_units
from providers.core.payments import (
    Facts,
    adjusted,
    at_stage,
    attempt,
    authorized,
    capture_failed,
    captured,
    dispute,
    dispute_funds,
    if_given,
    mode,
    order_ended,
    refund,
    summed,
    void,
)
from providers.core.reading import value_at
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


class _Platform(msgspec.Struct):
    type: Any = None


_ITEM: Final = msgspec.json.Decoder(Item)
_PLATFORM: Final = msgspec.json.Decoder(_Platform)

_DECIMALS: Final = {"CLP": 2, "CVE": 0, "IDR": 0, "ISK": 2}
"""Where Adyen's minor units are not those of ISO 4217 (docs.adyen.com/development-resources/currency-codes)."""


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what one item says; platform webhooks (dotted names) carry no payment of ours and say nothing."""
    if "." in kind:
        if decode_or_raise(_PLATFORM, body).type != kind:
            raise undecodable("the body's type is not the kind it came as")
        return Meaning()
    item = decode_or_raise(_ITEM, body)
    if not kind or item.event_code != kind:
        raise undecodable("the item's eventCode is not the kind it came as")
    if kind not in _ON_SUCCESS:
        if kind in KINDS:
            return Meaning()
        raise unknown_kind(kind)
    return in_scope(_meaning(kind, item), item.merchant_account_code)


def _meaning(kind: str, item: Item) -> Meaning:
    own = need_id(item.psp_reference, "pspReference")
    original = maybe_id(item.original_reference, "originalReference")
    reference = id_or_none(item.merchant_reference)
    amount, currency = _money(item.amount)
    reader = (_ON_SUCCESS if _succeeded(item.success) else _ON_FAILURE).get(kind)
    opens = kind in _OPENING
    payment = own if opens else original
    if payment is None and kind in _OF_THE_PAYMENT:
        payment = own
    # A modification may carry a reference of its own, which another payment may share: it names the payment only
    # where nothing else does.
    refs = refs_of(
        (RefKind.PAYMENT, payment),
        (RefKind.PAYMENT, original),
        (RefKind.REFERENCE, reference if opens or original is None else None),
    )
    return summed(
        Meaning(
            refs=refs,
            facts=reader(own, payment or own, amount) if reader else (),
            opens=opens,
            currency=currency,
            amount=amount,
            provider_ref=payment,
        )
    )


def _money(given: object) -> tuple[int, str | None]:
    value, currency = value_at(given, "value"), value_at(given, "currency")

    def read() -> tuple[int, str]:
        code = need_currency(currency, "amount.currency")
        return in_iso_units(need_amount(value, "amount.value"), code, _DECIMALS), code

    return if_given(read, value, currency)


def _succeeded(success: object) -> bool:
    if success in ("true", "false"):
        return success == "true"
    if isinstance(success, bool):
        return success
    raise undecodable("success is neither true nor false")


def _authorized(own: str, _payment: str, amount: int) -> Facts:
    """Give an authorization that awaits its capture; the intent or the account says if it is captured by itself."""
    return (authorized(own, amount), mode(own, "account"))


def _refused(own: str, _payment: str, amount: int) -> Facts:
    return (attempt(own, "failed", amount=amount),)


def _pending(own: str, _payment: str, amount: int) -> Facts:
    return (attempt(own, "processing", amount=amount),)


def _adjusted(own: str, payment: str, amount: int) -> Facts:
    return (adjusted(own, payment, amount),)


def _captured(own: str, payment: str, amount: int) -> Facts:
    return (captured(own, amount, authorization=payment),)


def _capture_failed(own: str, payment: str, amount: int) -> Facts:
    return capture_failed(own, amount, authorization=payment)


def _refund(state: str) -> Callable[[str, str, int], Facts]:
    """Read a refund; one that was accepted, whatever became of it, proves that the payment had been captured."""
    return lambda own, payment, amount: (refund(own, state, amount, payment=payment), mode(payment, "automatic"))


def _refund_refused(own: str, payment: str, amount: int) -> Facts:
    return (refund(own, "failed", amount, payment=payment),)


def _void(state: str) -> Callable[[str, str, int], Facts]:
    return lambda _own, payment, _amount: (void(payment, state),)


def _dispute(state: str, stage: int, funds: str | None = None, number: int = 0) -> Callable[[str, str, int], Facts]:
    """Read a dispute: its stage ranks its states, and each round of its money counts by itself."""

    def read(own: str, payment: str, amount: int) -> Facts:
        opened = dispute(own, state, payment=payment, version=at_stage(stage))
        if funds is None:
            return (opened,)
        return (opened, dispute_funds(own, funds, amount, number=number), mode(payment, "automatic"))

    return read


_ON_SUCCESS: Final[dict[str, Callable[[str, str, int], Facts]]] = {
    "AUTHORISATION": _authorized,
    "PENDING": _pending,
    "AUTHORISATION_ADJUSTMENT": _adjusted,
    "CAPTURE": _captured,
    "CAPTURE_FAILED": _capture_failed,
    "CANCELLATION": _void("canceled"),
    "TECHNICAL_CANCEL": _void("canceled"),
    # Which of the two it was stands in unsigned data only: the fold knows what had been captured.
    "CANCEL_OR_REFUND": lambda own, payment, amount: (refund(own, "either", amount, payment=payment),),
    "EXPIRE": _void("expired"),
    "REFUND": _refund("succeeded"),
    "REFUND_WITH_DATA": _refund("succeeded"),
    "REFUND_FAILED": _refund("failed"),
    "REFUNDED_REVERSED": _refund("reversed"),
    "ORDER_CLOSED": lambda _own, _payment, _amount: (),
    "REQUEST_FOR_INFORMATION": _dispute("inquiry", 0),
    "NOTIFICATION_OF_CHARGEBACK": _dispute("open", 1),
    "INFORMATION_SUPPLIED": _dispute("under_review", 1),
    "DISPUTE_DEFENSE_PERIOD_ENDED": _dispute("undefended", 1),
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": _dispute("won", 1),
    "CHARGEBACK": _dispute("open", 1, "withdrawn"),
    "CHARGEBACK_REVERSED": _dispute("won", 1, "reinstated"),
    "SECOND_CHARGEBACK": _dispute("lost", 2, "withdrawn", 1),
    "PREARBITRATION_OPEN": _dispute("open", 3),
    "PREARBITRATION_OPENED": _dispute("open", 3),
    "PREARBITRATION_DECLINED": _dispute("under_review", 3),
    "PREARBITRATION_ACCEPTED": _dispute("lost", 3, "withdrawn", 1),
    "PREARBITRATION_LOST": _dispute("lost", 3, "withdrawn", 1),
    "PREARBITRATION_WON": _dispute("won", 3, "reinstated", 1),
    "PREARBITRATION_ISSUER_WITHDRAWN": _dispute("won", 3, "reinstated", 1),
    "SCHEME_ARBITRATION": _dispute("under_review", 4),
    "SCHEME_ARBITRATION_LOST": _dispute("lost", 4, "withdrawn", 1),
    "SCHEME_ARBITRATION_WON": _dispute("won", 4, "reinstated", 1),
}

_ON_FAILURE: Final[dict[str, Callable[[str, str, int], Facts]]] = {
    "AUTHORISATION": _refused,
    "CAPTURE_FAILED": _capture_failed,
    "REFUND": _refund_refused,
    "REFUND_WITH_DATA": _refund_refused,
    "REFUND_FAILED": _refund_refused,
    # An order that was not paid in full: what its parts had reserved or taken is given back.
    "ORDER_CLOSED": lambda own, _payment, amount: (order_ended(own, amount),),
}
"""What success=false says; of any other kind it says that nothing happened: a request that was refused proves nothing
about the money."""

_OPENING: Final = frozenset({"AUTHORISATION", "PENDING", "ORDER_CLOSED"})

_OF_THE_PAYMENT: Final = frozenset(
    {
        "EXPIRE",
        "REQUEST_FOR_INFORMATION",
        "NOTIFICATION_OF_CHARGEBACK",
        "INFORMATION_SUPPLIED",
        "DISPUTE_DEFENSE_PERIOD_ENDED",
        "ISSUER_RESPONSE_TIMEFRAME_EXPIRED",
        "CHARGEBACK",
        "CHARGEBACK_REVERSED",
        "SECOND_CHARGEBACK",
        *(f"PREARBITRATION_{end}" for end in ("OPEN", "OPENED", "DECLINED", "ACCEPTED", "LOST", "WON")),
        "PREARBITRATION_ISSUER_WITHDRAWN",
        "SCHEME_ARBITRATION",
        "SCHEME_ARBITRATION_LOST",
        "SCHEME_ARBITRATION_WON",
    }
)
"""Where an item without originalReference names the payment itself: settings of older accounts."""
