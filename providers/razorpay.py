"""Razorpay: a keyed hash over the raw body; the event id stands in an unsigned header.

Sources: Razorpay's Python SDK (`utility` and its tests, one of which stands in the vectors) and webhook documentation.

Signed: the raw body, a newline at its end included. `X-Razorpay-Signature: <hex HMAC-SHA256>`, key = the webhook's
secret. After a rotation, retries of events from before it keep the old secret, so both are live.

Identity: `x-razorpay-event-id` is unsigned: a replay under a fresh id verifies, so dedupe has to look at the body too.
The payment is `payload.payment.entity.id`, which refunds, orders and disputes carry as well.

Meaning: a payment is one attempt and is captured in full, so `payment.captured` and `order.paid` are one fact. All
attempts of an order are one payment of ours: the order's id is a reference beside the payment's. Amounts are minor
units. The merchant's reference is the order's `receipt` or stands in `notes`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.meaning import (
    in_scope,
    maybe_id,
    maybe_time,
    need_amount,
    need_currency,
    need_id,
    refs_of,
    undecodable,
)
from providers.core.payments import (
    attempt,
    authorized,
    captured,
    dispute,
    dispute_funds,
    need_kind,
    need_object,
    need_state,
    noted_reference,
    read_event,
    refund,
    said_nothing,
    terms,
)
from providers.core.proof import hmac_hex
from providers.core.reading import read_json, text_at, value_at
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.facts import Fact


def verify(request: SignedRequest) -> list[Notification]:
    """Check `X-Razorpay-Signature` over the raw body; return the one event."""
    check_body_mac(request, "x-razorpay-signature", hmac_hex)
    event = read_json(request.body)
    payment_ref = text_at(event, "payload", "payment", "entity", "id")
    return [Notification(request.header("x-razorpay-event-id"), text_at(event, "event"), payment_ref, request.body)]


_Event = dict[str, Any]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside payments, orders, refunds and disputes say nothing."""
    event = read_event(body)
    need_kind(event.get("event"), kind)
    reader = _READERS.get(kind)
    if reader is not None:
        return in_scope(reader(event), event.get("account_id"))
    return Meaning() if kind.startswith(_SILENT) else said_nothing(kind, ("payment.", "order.", "refund."))


def _entity(event: _Event, name: str) -> dict[str, Any]:
    return need_object(value_at(event, "payload", name, "entity"), f"payload.{name}.entity")


def _money(entity: dict[str, Any]) -> tuple[int, str]:
    return need_amount(entity.get("amount"), "amount"), need_currency(entity.get("currency"), "currency")


def _payment(fact_of: Callable[[str, int], Fact]) -> Callable[[_Event], Meaning]:
    def read(event: _Event) -> Meaning:
        payment = _entity(event, "payment")
        key, order = need_id(payment.get("id"), "payment.id"), maybe_id(payment.get("order_id"), "payment.order_id")
        receipt = maybe_id(value_at(event, "payload", "order", "entity", "receipt"), "order.receipt")
        amount, currency = _money(payment)
        return Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, key),
                (RefKind.PAYMENT, order),
                (RefKind.REFERENCE, receipt or noted_reference(payment.get("notes"))),
            ),
            facts=(terms(key, amount), fact_of(key, amount)),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=key,
            occurred_at=maybe_time(event.get("created_at")),
        )

    return read


def _refund(state: str | None) -> Callable[[_Event], Meaning]:
    """Read a refund; without `state` its own status tells it."""

    def read(event: _Event) -> Meaning:
        entity = _entity(event, "refund")
        own, payment = need_id(entity.get("id"), "refund.id"), need_id(entity.get("payment_id"), "refund.payment_id")
        said = state or need_state(_REFUND_STATES, entity.get("status"), "refund.status")
        amount, currency = _money(entity)
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (RefKind.REFUND, own)),
            facts=(refund(own, said, amount, payment=payment),),
            currency=currency,
            amount=amount,
            provider_ref=payment,
            occurred_at=maybe_time(event.get("created_at")),
        )

    return read


_REFUND_STATES: Final = {"pending": "pending", "processed": "succeeded", "failed": "failed"}

_INQUIRIES: Final = ("fraud", "retrieval")
"""Phases of a dispute in which the bank asks and takes nothing yet."""


def _dispute(state_of: Callable[[str], str]) -> Callable[[_Event], Meaning]:
    """Read a dispute; `amount_deducted` is what a lost one took off the balance, 0 before."""

    def read(event: _Event) -> Meaning:
        entity = _entity(event, "dispute")
        own, payment = need_id(entity.get("id"), "dispute.id"), need_id(entity.get("payment_id"), "dispute.payment_id")
        amount, currency = _money(entity)
        state = state_of("inquiry" if entity.get("phase") in _INQUIRIES else "open")
        taken = need_amount(entity.get("amount_deducted") or 0, "dispute.amount_deducted") if state == "lost" else 0
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (RefKind.DISPUTE, own)),
            facts=(
                dispute(own, state, payment=payment),
                *((dispute_funds(own, "withdrawn", taken),) if taken else ()),
            ),
            currency=currency,
            amount=amount,
            provider_ref=payment,
            occurred_at=maybe_time(event.get("created_at")),
        )

    return read


def _closed(phase: str) -> str:
    """Return the end of a question that never became a dispute; how a real one ended, `closed` does not tell."""
    if phase != "inquiry":
        raise undecodable("a closed chargeback does not tell who won")
    return "prevented"


_SILENT: Final = ("payment.downtime.", "order.notification.", "refund.arn_updated")

_READERS: Final[dict[str, Callable[[_Event], Meaning]]] = {
    "payment.authorized": _payment(authorized),
    **dict.fromkeys(
        ("payment.captured", "order.paid"),
        _payment(lambda key, amount: captured(key, amount, authorization=key)),
    ),
    "payment.failed": _payment(lambda key, _amount: attempt(key, "failed")),
    **dict.fromkeys(("refund.created", "refund.speed_changed"), _refund(None)),
    "refund.processed": _refund("succeeded"),
    "refund.failed": _refund("failed"),
    **dict.fromkeys(("payment.dispute.created", "payment.dispute.action_required"), _dispute(lambda phase: phase)),
    "payment.dispute.under_review": _dispute(lambda _phase: "under_review"),
    "payment.dispute.won": _dispute(lambda _phase: "won"),
    "payment.dispute.lost": _dispute(lambda _phase: "lost"),
    "payment.dispute.closed": _dispute(_closed),
}

PROVIDER: Final = Provider("razorpay", verify, interpret, event_id_signed=False)
