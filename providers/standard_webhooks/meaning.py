"""What events under Standard Webhooks mean: a shape of ours, and those of two public senders.

The specification leaves the payload open. A service that reports payments by it sends

    {"type": "payment.captured", "timestamp": "2026-09-21T14:18:20Z",
     "data": {"payment_id": "pay_1", "reference": "ORD-1", "amount": 1000, "currency": "EUR", "id": "cap_1"}}

`payment_id` is the sender's id of the payment and always there. `reference` is the merchant's own, if any. `amount` is
minor units and goes with `currency`; both are needed wherever money moves. `id` names the child that the
event is about: the try of payment.requires_action, .processing and .failed, the capture, the refund, the dispute
(`capture_id`, `refund_id` and `dispute_id` are taken too). It is needed for refund.* and dispute.*. Without it
payment.captured and payment.refunded are cumulative: the whole sum so far. A sender must keep to one way for all
captures of a payment. `timestamp` is for display.

Two public senders of the scheme have shapes of their own, recognized by their fields:

- Dodo Payments (dodopayments/dodo-docs): `payment_id` with `total_amount`; payment.succeeded takes it all;
  payment.cancelled; dispute.expired, .accepted, .challenged and .cancelled. A dispute, known by its `dispute_status`,
  holds its amount from the first event on ("Funds are held", docs.dodopayments.com, webhooks/intents/dispute), which is
  text in minor units; `dispute_stage` ranks its rounds.
- Polar (polarsource/polar): an order is a payment. order.paid holds `id`, `currency` and `due_amount`, what is charged
  of `total_amount` beside the customer's balance; its older `amount` leaves the tax out. refund.created and
  refund.updated name it by `order_id`, their `status` tells where they stand, and what goes back is `amount` with
  `tax_amount` (`Refund.total_amount` of its server).
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any, Final

import msgspec

from providers.core.meaning import (
    decode_or_raise,
    id_or_none,
    maybe_id,
    maybe_time,
    need_amount,
    need_currency,
    need_id,
    refs_of,
    undecodable,
    unknown_kind,
)
from providers.core.money import meaning_in_iso_units
from providers.core.payments import (
    Facts,
    at_stage,
    attempt,
    authorized,
    captured,
    dispute,
    dispute_funds,
    ended,
    if_given,
    need_state,
    refund,
    refunded_in_all,
    summed,
    terms,
)
from schemas.facts import AMOUNT_MAX, Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


class _Data(msgspec.Struct):
    payment_id: Any = None
    reference: Any = None
    amount: Any = None
    currency: Any = None
    id: Any = None
    capture_id: Any = None
    refund_id: Any = None
    dispute_id: Any = None
    dispute_status: Any = None
    dispute_stage: Any = None
    total_amount: Any = None
    due_amount: Any = None
    tax_amount: Any = None
    order_id: Any = None
    status: Any = None


class _Event(msgspec.Struct):
    data: _Data
    type: Any = None
    timestamp: Any = None


class _Envelope(msgspec.Struct):
    type: Any = None


_EVENT: Final = msgspec.json.Decoder(_Event)
_ENVELOPE: Final = msgspec.json.Decoder(_Envelope)
_PAYMENT_FAMILIES: Final = ("payment.", "refund.", "dispute.")
_ORDER_PAID: Final = "order.paid"


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event of one of the shapes above says; kinds outside payments, refunds and disputes say nothing.

    Of orders only Polar's order.paid is read.
    """
    if not kind.startswith(_PAYMENT_FAMILIES) and kind != _ORDER_PAID:
        if decode_or_raise(_ENVELOPE, body).type != kind:
            raise undecodable("the body's type is not the kind it came as")
        return Meaning()
    event = decode_or_raise(_EVENT, body)
    if event.type != kind:
        raise undecodable("the body's type is not the kind it came as")
    reader = _READERS.get(kind)
    if reader is None:
        raise unknown_kind(kind)
    data = event.data
    payment = _payment_of(kind, data)
    if payment is None:
        return Meaning()
    if data.total_amount is not None and data.amount is None:
        data.amount = data.total_amount
    if data.dispute_status is not None and isinstance(data.amount, str) and _DIGITS.match(data.amount):
        data.amount = int(data.amount)
    of_polar = kind == _ORDER_PAID or data.payment_id is None
    if of_polar:
        _read_polar(kind, data)
    currency = _currency(data, sum_given=kind not in _SUMLESS)
    if currency is None:
        data.amount = 0
    facts = reader(data, payment)
    meaning = summed(
        Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (RefKind.REFERENCE, id_or_none(data.reference))),
            facts=facts,
            opens=kind.startswith(("payment.", _ORDER_PAID)) and kind != "payment.refunded",
            currency=currency,
            amount=_maybe_amount(data.amount),
            provider_ref=payment,
            occurred_at=_time(event.timestamp),
        )
    )
    return meaning_in_iso_units(meaning, _POLAR_DECIMALS) if of_polar else meaning


_DIGITS: Final = re.compile(r"[0-9]{1,15}\Z")
_POLAR_DECIMALS: Final = {"ISK": 2, "MGA": 0, "UGX": 2}
"""Where Polar's minor units are not those of ISO 4217, of the currencies that it takes (its server's kit/currency)."""


def _read_polar(kind: str, data: _Data) -> None:
    """Put what an object of Polar's comes to into `amount`: what was due of an order, a refund with its tax."""
    if kind == _ORDER_PAID:
        due = _maybe_amount(data.due_amount)
        data.amount = data.total_amount if due is None else due
    elif _maybe_amount(data.amount) is not None:
        data.amount += _maybe_amount(data.tax_amount) or 0


def _payment_of(kind: str, data: _Data) -> str | None:
    """Return the payment's id; Polar's is its order's. None for an order of some other sender."""
    if kind == _ORDER_PAID:
        return None if data.total_amount is None else need_id(data.id, "data.id")
    if data.payment_id is None and data.order_id is not None:
        return need_id(data.order_id, "data.order_id")
    return need_id(data.payment_id, "data.payment_id")


def _currency(data: _Data, *, sum_given: bool) -> str | None:
    """Return the currency of the event's sum; None without one, and where the sum is there and can't be read."""

    def read() -> tuple[int, str]:
        amount = need_amount(data.amount if sum_given else 0, "data.amount")
        return amount, need_currency(data.currency, "data.currency")

    return if_given(read, data.amount, data.currency)[1]


def _maybe_amount(value: object) -> int | None:
    """Return an amount in minor units, or None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= AMOUNT_MAX else None


def _time(value: object) -> float | None:
    """Return an ISO 8601 time as unix seconds, or None; it is shown, and orders nothing."""
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
        return maybe_time(moment.timestamp()) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _terms(data: _Data, payment: str) -> Facts:
    return (terms(payment, need_amount(data.amount, "data.amount")),)


def _tried(state: str) -> Callable[[_Data, str], Facts]:
    """Read where a try stands; `id` names it where the sender tells several tries apart."""

    def read(data: _Data, payment: str) -> Facts:
        key = maybe_id(data.id, "data.id") or payment
        return (*_terms(data, payment), attempt(key, state, payment=None if key == payment else payment))

    return read


def _authorized(data: _Data, payment: str) -> Facts:
    return (*_terms(data, payment), authorized(payment, need_amount(data.amount, "data.amount")))


def _captured(data: _Data, payment: str) -> Facts:
    key = maybe_id(data.id, "data.id") or maybe_id(data.capture_id, "data.capture_id") or payment
    return (captured(key, need_amount(data.amount, "data.amount"), authorization=payment),)


def _ended(state: str) -> Callable[[_Data, str], Facts]:
    return lambda data, payment: (*_terms(data, payment), ended(payment, state))


def _refunded(data: _Data, payment: str) -> Facts:
    key = maybe_id(data.id, "data.id") or maybe_id(data.refund_id, "data.refund_id")
    amount = need_amount(data.amount, "data.amount")
    if key:
        return (refund(key, "succeeded", amount, payment=payment),)
    return (refunded_in_all(payment, amount),)


def _refund(state: str) -> Callable[[_Data, str], Facts]:
    def read(data: _Data, payment: str) -> Facts:
        key = maybe_id(data.id, "data.id") or need_id(data.refund_id, "data.id")
        return (refund(key, state, need_amount(data.amount, "data.amount"), payment=payment),)

    return read


def _refund_by_status(data: _Data, payment: str) -> Facts:
    """Read Polar's refund, whose status tells where it stands."""
    state = need_state(_REFUND_STATES, data.status, "data.status")
    return _refund(state)(data, payment)


_REFUND_STATES: Final = {"pending": "pending", "succeeded": "succeeded", "failed": "failed", "canceled": "canceled"}


def _paid(data: _Data, payment: str) -> Facts:
    """Read a payment that was taken at once, in full."""
    amount = need_amount(data.amount, "data.amount")
    return (terms(payment, amount), captured(payment, amount, authorization=payment))


def _dispute(state: str, funds: str | None = None) -> Callable[[_Data, str], Facts]:
    def read(data: _Data, payment: str) -> Facts:
        key = maybe_id(data.id, "data.id") or need_id(data.dispute_id, "data.id")
        if data.dispute_status is not None:
            return _of_dodo(key, state, data, payment)
        facts: Facts = (dispute(key, state, payment=payment),)
        if funds:
            facts += (dispute_funds(key, funds, need_amount(data.amount, "data.amount")),)
        return facts

    return read


def _of_dodo(key: str, state: str, data: _Data, payment: str) -> Facts:
    """Read a dispute of Dodo's: its money is held until it is won; without a readable amount all that was captured."""
    stage = _STAGES.get(data.dispute_stage, 1) if isinstance(data.dispute_stage, str) else 1
    amount = _maybe_amount(data.amount)
    taken = dispute_funds(key, "withdrawn", amount, number=stage)
    back = (dispute_funds(key, "reinstated", amount, number=stage),) if state == "won" else ()
    return (dispute(key, state, payment=payment, version=at_stage(stage)), taken, *back)


_STAGES: Final = {"pre_dispute": 0, "dispute": 1, "pre_arbitration": 2}

_READERS: Final[dict[str, Callable[[_Data, str], Facts]]] = {
    **{f"payment.{state}": _tried(state) for state in ("created", "requires_action", "processing", "failed")},
    "payment.authorized": _authorized,
    "payment.captured": _captured,
    **dict.fromkeys(("payment.succeeded", _ORDER_PAID), _paid),
    **dict.fromkeys(("payment.canceled", "payment.cancelled"), _ended("canceled")),
    "payment.expired": _ended("expired"),
    "payment.refunded": _refunded,
    **{f"refund.{state}": _refund(state) for state in ("pending", "succeeded", "failed", "reversed", "canceled")},
    **dict.fromkeys(("refund.created", "refund.updated"), _refund_by_status),
    "dispute.opened": _dispute("open"),
    "dispute.challenged": _dispute("under_review"),
    **dict.fromkeys(("dispute.accepted", "dispute.expired"), _dispute("lost")),
    "dispute.cancelled": _dispute("won"),
    **{f"dispute.{state}": _dispute(state) for state in ("inquiry", "under_review", "won", "lost", "prevented")},
    "dispute.funds_withdrawn": _dispute("open", "withdrawn"),
    "dispute.funds_reinstated": _dispute("open", "reinstated"),
}


_SUMLESS: Final = frozenset(kind for kind in _READERS if kind.startswith("dispute.") and ".funds_" not in kind)
"""Kinds whose amount need not be readable: Dodo writes that of a dispute as text, and in our own shape it is shown."""
