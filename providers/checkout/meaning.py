"""Checkout.com: a keyed hash over the raw body.

Source: Checkout.com's webhook documentation. There is no official vector and no SDK that verifies.

Signed: the raw body. `Cko-Signature: <hex HMAC-SHA256>`, key = the webhook's signature key.

Identity: `id` and `type`; the time is `created_on`, in some kinds `timestamp`. The payment is `data.id`; in a dispute
that is the dispute, and the payment stands in `data.payment_id`.

Meaning ("Event types" in Checkout.com's documentation): a payment is one attempt, keyed by its id; each capture and
refund is an action, keyed by `action_id`, and `amount` is the action's own. `balances.total_authorized` tells what is
authorized. A dispute's amount leaves the account when evidence is required and comes back when it is won or canceled;
so whatever follows says that it had left, for an endpoint may get some kinds alone. Arbitration may undo what was won.
Amounts are minor units of ISO 4217, but for CLP, which is written with two decimals. Whether a pending refund has the
action id of the refund that follows is not documented, so it says nothing: counted beside that one, it would be money
given back twice. The merchant's reference is `data.reference`; `data.entity_id` names the merchant. No field names the
mode: the sandbox has endpoints of its own.

A payment that had succeeded may be returned by a bank ("Payment returned", 2022-04-29: "some alternative payment
methods that support failure-after-success scenarios", as ACH): its captures come undone, none of which is named.

A payout has the kinds of a payment: it has a `destination` and no card or the like as its source, and says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, SignedRequest
from providers.core.meaning import in_scope, need_amount, need_currency, need_id, refs_of, undecodable
from providers.core.payments import (
    Facts,
    amount_if_given,
    at_stage,
    attempt,
    authorized,
    capture_failed,
    captured,
    captured_in_all,
    dispute,
    dispute_funds,
    ended,
    if_given,
    iso_seconds,
    need_kind,
    need_object,
    read_event,
    refund,
    refunded_in_all,
    reversal,
    summed,
    terms,
    unread_kind,
    void,
)
from providers.core.proof import hmac_hex
from providers.core.reading import read_json, text_at, to_id, value_at
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.facts import Fact


def verify(request: SignedRequest) -> list[Notification]:
    """Check `Cko-Signature` over the raw body; return the one event."""
    check_body_mac(request, "cko-signature", hmac_hex)
    event = read_json(request.body)
    payment_ref = text_at(event, "data", "payment_id") or text_at(event, "data", "id")
    return [Notification(text_at(event, "id"), text_at(event, "type"), payment_ref, request.body)]


_Data = dict[str, Any]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside payments and disputes say nothing."""
    event = read_event(body)
    need_kind(event.get("type"), kind)
    if kind.startswith(_SILENT):
        return Meaning()
    data = need_object(event.get("data"), "data") if kind in _PAYMENT_FACTS or kind in _DISPUTE_FACTS else {}
    occurred_at = iso_seconds(event.get("created_on") or event.get("timestamp"))
    if kind in _PAYMENT_FACTS:
        return in_scope(_payment(kind, data, occurred_at), data.get("entity_id"))
    if kind in _DISPUTE_FACTS:
        return in_scope(_dispute(kind, data, occurred_at), data.get("entity_id"))
    return unread_kind(kind, ("payment_", "dispute_"))


def _minor(value: object, currency: str, what: str) -> int:
    """Return an amount in minor units of ISO 4217; in Chilean pesos Checkout.com writes two decimals, always 00."""
    amount = need_amount(value, what)
    if currency != "CLP":
        return amount
    if amount % 100:
        raise undecodable(f"{what} is no amount of whole pesos")
    return amount // 100


def pays_out(data: _Data) -> bool:
    """Tell whether the event is of a payout: money that goes out of the merchant's own account."""
    source = data.get("source")
    own = source is None or value_at(source, "type") == "currency_account"
    return isinstance(data.get("destination"), dict) and own


def _payment(kind: str, data: _Data, occurred_at: float | None) -> Meaning:
    if pays_out(data):
        return Meaning()
    key = need_id(data.get("id"), "data.id")
    amount, currency = _money(data)
    return summed(
        Meaning(
            refs=refs_of((RefKind.PAYMENT, key), (RefKind.REFERENCE, to_id(data.get("reference")))),
            facts=_PAYMENT_FACTS[kind](data, key, amount),
            opens=kind in _OPENING,
            currency=currency,
            amount=amount,
            provider_ref=key,
            occurred_at=occurred_at,
        )
    )


def meaning_of_dispute(kind: str, data: _Data) -> Meaning:
    """Return what a dispute says when it stands in an event of that kind, which is one that we read."""
    return in_scope(_dispute(kind, data, None), data.get("entity_id"))


def meaning_of_payment(payment: _Data) -> Meaning:
    """Return what a payment says that the API showed: its status, and its balances, which name no action."""
    if pays_out(payment):
        return Meaning()
    key = need_id(payment.get("id"), "id")
    amount, currency = _money(payment)
    status = payment.get("status")
    return summed(
        Meaning(
            refs=refs_of((RefKind.PAYMENT, key), (RefKind.REFERENCE, to_id(payment.get("reference")))),
            facts=(
                terms(key, amount),
                *_balances(payment, key),
                *_ends(key, status),
            ),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=key,
        )
    )


def _balances(payment: _Data, key: str) -> Facts:
    reserved, taken, back = (_balance(payment, name) for name in ("authorized", "captured", "refunded"))
    return (
        *((authorized(key, reserved),) if reserved else ()),
        *((captured_in_all(key, taken),) if taken else ()),
        *((refunded_in_all(key, back),) if back else ()),
    )


def _ends(key: str, status: object) -> Facts:
    return _STATUS_FACTS[status](key) if isinstance(status, str) and status in _STATUS_FACTS else ()


_STATUS_FACTS: Final[dict[str, Callable[[str], Facts]]] = {
    **dict.fromkeys(("Pending", "Requested", "Active"), lambda key: (attempt(key, "processing"),)),
    "Declined": lambda key: (attempt(key, "failed"),),
    "Voided": lambda key: (void(key, "canceled"),),
    "Canceled": lambda key: (ended(key, "canceled"),),
    "Expired": lambda key: (ended(key, "expired"),),
}
"""What a payment's status says beside its balances; all other statuses say nothing but these."""


def _money(data: _Data) -> tuple[int, str | None]:
    value, currency = data.get("amount"), data.get("currency")

    def read() -> tuple[int, str]:
        code = need_currency(currency, "data.currency")
        return _minor(value, code, "data.amount"), code

    return if_given(read, value, currency)


def _action(data: _Data) -> str:
    return need_id(data.get("action_id"), "data.action_id")


def _reserved(data: _Data) -> int:
    """Return what is authorized in all as far as the event tells, else 0."""
    return _balance(data, "authorized")


def _balance(data: _Data, of_what: str) -> int:
    total, code = value_at(data, "balances", f"total_{of_what}"), data.get("currency")
    what = f"data.balances.total_{of_what}"
    return amount_if_given(lambda: _minor(total, need_currency(code, "data.currency"), what), total, code) or 0


def _captured(data: _Data, key: str, amount: int) -> Facts:
    reserved = _reserved(data)
    taken = captured(_action(data), amount, authorization=key)
    return (authorized(key, reserved), taken) if reserved else (taken,)


def _incremented(data: _Data, key: str, _amount: int) -> Facts:
    """Read a larger authorization; whether `amount` is the step or the sum is not documented, the balance is."""
    total = _reserved(data)
    if not total:
        raise undecodable("data.balances.total_authorized is missing")
    return (authorized(key, total),)


def _refund(state: str) -> Callable[[_Data, str, int], Facts]:
    return lambda data, key, amount: (refund(_action(data), state, amount, payment=key),)


def _with_terms(fact_of: Callable[[str, int], Fact]) -> Callable[[_Data, str, int], Facts]:
    return lambda _data, key, amount: (terms(key, amount), fact_of(key, amount))


_PAYMENT_FACTS: Final[dict[str, Callable[[_Data, str, int], Facts]]] = {
    "payment_approved": _with_terms(authorized),
    "payment_pending": _with_terms(lambda key, _amount: attempt(key, "processing")),
    "payment_declined": _with_terms(lambda key, _amount: attempt(key, "failed")),
    "payment_canceled": _with_terms(lambda key, _amount: ended(key, "canceled")),
    "payment_expired": _with_terms(lambda key, _amount: ended(key, "expired")),
    "payment_voided": lambda _data, key, _amount: (void(key, "canceled"),),
    "payment_authorization_incremented": _incremented,
    "payment_captured": _captured,
    "payment_capture_declined": lambda data, key, amount: capture_failed(_action(data), amount, authorization=key),
    "payment_refunded": _refund("succeeded"),
    "payment_refund_declined": _refund("failed"),
    "payment_returned": lambda _data, key, amount: (reversal(key, key, amount),),
}

_OPENING: Final = frozenset(
    {
        "payment_approved",
        "payment_pending",
        "payment_declined",
        "payment_canceled",
        "payment_expired",
        "payment_captured",
    }
)


def _dispute(kind: str, data: _Data, occurred_at: float | None) -> Meaning:
    """Read a dispute; one that tells no sum is of all that was captured."""
    own, payment = need_id(data.get("id"), "data.id"), need_id(data.get("payment_id"), "data.payment_id")
    amount, currency = _money(data)
    state, stage, moves = _DISPUTE_FACTS[kind]
    opened = dispute(own, state, payment=payment, version=at_stage(stage))
    funds = tuple(dispute_funds(own, move, amount, number=number) for move, number in moves)
    return summed(
        Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (RefKind.DISPUTE, own)),
            facts=(opened, *funds),
            currency=currency,
            amount=amount,
            provider_ref=payment,
            occurred_at=occurred_at,
        )
    )


_TAKEN: Final = (("withdrawn", 0),)
_BACK: Final = (*_TAKEN, ("reinstated", 0))
_TAKEN_AGAIN: Final = (*_TAKEN, ("withdrawn", 1))

_DISPUTE_FACTS: Final[dict[str, tuple[str, int, tuple[tuple[str, int], ...]]]] = {
    "dispute_received": ("open", 1, ()),
    "dispute_evidence_required": ("open", 1, _TAKEN),
    "dispute_evidence_submitted": ("under_review", 1, _TAKEN),
    "dispute_evidence_acknowledged_by_scheme": ("under_review", 1, _TAKEN),
    "dispute_resolved": ("prevented", 1, ()),  # the payment had been refunded already
    "dispute_canceled": ("won", 1, _BACK),
    "dispute_won": ("won", 1, _BACK),
    "dispute_accepted": ("lost", 1, _TAKEN),
    "dispute_expired": ("lost", 1, _TAKEN),  # the time to answer is over
    "dispute_lost": ("lost", 1, _TAKEN),
    "dispute_arbitration_evidence_submitted": ("under_review", 2, _TAKEN),
    "dispute_arbitration_sent_to_scheme": ("under_review", 2, _TAKEN),
    "dispute_arbitration_won": ("won", 2, _BACK),
    "dispute_arbitration_lost": ("lost", 2, _TAKEN_AGAIN),
}
"""What a kind says: the state, the stage of the dispute's life cycle, and what had become of its money by then, each
movement with its round."""

_SILENT: Final = (
    "payment_authentication_",
    "payment_authorization_increment_declined",
    "payment_capture_pending",
    "payment_compliance_review",
    "payment_instrument_",
    "payment_optimized",
    "payment_paid",
    "payment_refund_pending",
    "payment_retry_scheduled",
    "payment_void_declined",
)
"""Kinds that move nothing: asked for and not done yet, tried and not done, or about something beside the payment."""
