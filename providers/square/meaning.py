"""Square: a keyed hash over the notification URL and the raw body.

Sources: Square's Python SDK (`webhooks_helper` and its tests, which stand in the vectors) and webhook documentation.

Signed: the notification URL followed by the raw body. `x-square-hmacsha256-signature: <base64 HMAC-SHA256>`, key = the
subscription's signature key. The URL is the one registered, letter for letter and with its query: it comes from the
configuration, never from a Host header or from what a proxy shows.

Identity: `event_id` and `type`. The payment is `payment.id`, `refund.payment_id` or
`dispute.disputed_payment.payment_id` in `data.object`.

Meaning: a payment says its status, whatever the kind; one payment is one authorization and one capture. Amounts are
minor units. `total_money` is amount and tip together, and what a payment comes to: `approved_money` is what the bank
was asked first (the example of UpdatePayment takes 1100 of an approval of 1000), and a partial authorization lowers
`amount_money` itself. A seller may change an amount before it is taken, so the figures are in the version of
`updated_at`. `refunded_money` is not read, since refunds come under their own ids. The merchant's reference is
`reference_id`. A dispute has a `version`, the newest of which stands; an inquiry comes before any of a dispute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from providers.core.body_mac import need_mac, need_signatures
from providers.core.contract import Notification, SignedRequest
from providers.core.meaning import in_scope, need_amount, need_currency, need_id, refs_of
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
    iso_seconds,
    micros,
    need_kind,
    need_object,
    need_state,
    read_event,
    refund,
    summed,
    terms,
    unread_kind,
)
from providers.core.proof import hmac_base64, live_secrets, to_bytes
from providers.core.reading import read_json, text_at, to_id, value_at
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


def verify(request: SignedRequest) -> list[Notification]:
    """Check `x-square-hmacsha256-signature` over URL and raw body; return the one event."""
    secrets = live_secrets(request)
    presented = need_signatures(request, "x-square-hmacsha256-signature")
    need_mac(presented, secrets, to_bytes(request.url) + request.body, hmac_base64)
    return [notification_of(request.body)]


def notification_of(body: bytes) -> Notification:
    """Return the event that a body is; its webhook and the search for events show the same one."""
    event = read_json(body)
    payment_ref = _payment_ref(value_at(event, "data", "object"))
    return Notification(text_at(event, "event_id"), text_at(event, "type"), payment_ref, body)


def _payment_ref(subject: Any) -> str | None:
    return (
        text_at(subject, "payment", "id")
        or text_at(subject, "refund", "payment_id")
        or text_at(subject, "dispute", "disputed_payment", "payment_id")
    )


_Object = dict[str, Any]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside payments, refunds and disputes say nothing."""
    event = read_event(body)
    need_kind(event.get("type"), kind)
    if kind not in _READERS:
        return Meaning() if kind in _SILENT else unread_kind(kind, ("payment.", "refund.", "dispute."))
    name, reader = _READERS[kind]
    what = f"data.object.{name}"
    meaning = reader(need_object(value_at(event, "data", "object", name), what), iso_seconds(event.get("created_at")))
    return in_scope(summed(meaning), event.get("merchant_id"))


def meaning_of(kind: str, thing: _Object) -> Meaning:
    """Return what an object says when it stands in an event of that kind, which is one that we read."""
    return summed(_READERS[kind][1](thing, None))


def _money(value: Any, what: str) -> tuple[int, str | None]:
    amount, currency = value_at(value, "amount"), value_at(value, "currency")

    def read() -> tuple[int, str]:
        return need_amount(amount, f"{what}.amount"), need_currency(currency, f"{what}.currency")

    return if_given(read, amount, currency)


def _payment(payment: _Object, occurred_at: float | None) -> Meaning:
    key = need_id(payment.get("id"), "payment.id")
    amount, currency = _total(payment)
    state = need_state(_PAYMENT_STATES, payment.get("status"), "payment.status")
    version = micros(iso_seconds(payment.get("updated_at")))
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (RefKind.REFERENCE, to_id(payment.get("reference_id")))),
        facts=(terms(key, amount, version=version), *_PAYMENT_FACTS[state](key, amount, version)),
        opens=True,
        currency=currency,
        amount=amount,
        provider_ref=key,
        occurred_at=occurred_at,
    )


def _total(payment: _Object) -> tuple[int, str | None]:
    """Return what the payment comes to, the tip with it."""
    whole = payment.get("total_money")
    return _money(payment.get("amount_money") if whole is None else whole, "payment.total_money")


_PAYMENT_STATES: Final = {
    "PENDING": "pending",
    "APPROVED": "authorized",
    "COMPLETED": "captured",
    "CANCELED": "canceled",
    "FAILED": "failed",
}

_PAYMENT_FACTS: Final[dict[str, Callable[[str, int, int], Facts]]] = {
    "pending": lambda key, _amount, _version: (attempt(key, "processing"),),
    "authorized": lambda key, amount, version: (authorized(key, amount, version=version),),
    "captured": lambda key, amount, version: (
        authorized(key, amount, version=version),
        captured(key, amount, authorization=key, version=version),
    ),
    # Also how a payment ends that was never completed in time: nothing in it tells the two apart.
    "canceled": lambda key, _amount, _version: (ended(key, "canceled"),),
    "failed": lambda key, _amount, _version: (attempt(key, "failed"),),
}


def _refund(given: _Object, occurred_at: float | None) -> Meaning:
    if given.get("unlinked") is True:
        return Meaning()  # money sent to a card that no payment of ours was made with
    own, payment = need_id(given.get("id"), "refund.id"), need_id(given.get("payment_id"), "refund.payment_id")
    amount, currency = _money(given.get("amount_money"), "refund.amount_money")
    state = need_state(_REFUND_STATES, given.get("status"), "refund.status")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, payment), (RefKind.REFUND, own)),
        facts=(refund(own, state, amount, payment=payment),),
        currency=currency,
        amount=amount,
        provider_ref=payment,
        occurred_at=occurred_at,
    )


_REFUND_STATES: Final = {"PENDING": "pending", "COMPLETED": "succeeded", "REJECTED": "failed", "FAILED": "failed"}


def _dispute(given: _Object, occurred_at: float | None) -> Meaning:
    """Read a dispute; its newest version stands, above that of an inquiry.

    "Square returns the disputed amount to the cardholder and updates the dispute state to ACCEPTED. Square debits the
    disputed amount from the seller" (AcceptDispute); one that was lost leaves it with the cardholder too. Whether one
    that is open has taken it already no document says.
    """
    own = need_id(given.get("id") or given.get("dispute_id"), "dispute.id")
    payment = need_id(value_at(given, "disputed_payment", "payment_id"), "dispute.disputed_payment.payment_id")
    amount, currency = _money(given.get("amount_money"), "dispute.amount_money")
    state = need_state(_DISPUTE_STATES, given.get("state"), "dispute.state")
    number = _version(given)
    version = at_stage(0 if str(given.get("state")).startswith("INQUIRY") else 1, number)
    funds = _DISPUTE_FUNDS.get(state)
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, payment), (RefKind.DISPUTE, own)),
        facts=(
            dispute(own, state, payment=payment, version=version),
            *((dispute_funds(own, funds, amount, number=number),) if funds else ()),
        ),
        currency=currency,
        amount=amount,
        provider_ref=payment,
        occurred_at=occurred_at,
    )


def _version(given: _Object) -> int:
    """Return the number that a dispute's state has, 0 where it tells none."""
    version = given.get("version")
    if not isinstance(version, int) or isinstance(version, bool):
        return 0
    return min(max(version, 0), _VERSION_MAX)


_VERSION_MAX: Final = 2**31 - 1
_DISPUTE_FUNDS: Final = {"lost": "withdrawn", "won": "reinstated"}
"""What became of a dispute's money by its end, in the round of its version: a win gives back an earlier loss."""

_DISPUTE_STATES: Final = {
    "INQUIRY_EVIDENCE_REQUIRED": "inquiry",
    "INQUIRY_PROCESSING": "inquiry",
    "INQUIRY_CLOSED": "prevented",
    "EVIDENCE_REQUIRED": "open",
    "PROCESSING": "under_review",
    "WON": "won",
    "LOST": "lost",
    "ACCEPTED": "lost",
}

_SILENT: Final = frozenset(f"dispute.evidence.{what}" for what in ("added", "created", "deleted", "removed"))

_READERS: Final[dict[str, tuple[str, Callable[[_Object, float | None], Meaning]]]] = {
    **dict.fromkeys(("payment.created", "payment.updated"), ("payment", _payment)),
    **dict.fromkeys(("refund.created", "refund.updated"), ("refund", _refund)),
    **dict.fromkeys(("dispute.created", "dispute.state.changed", "dispute.state.updated"), ("dispute", _dispute)),
}
