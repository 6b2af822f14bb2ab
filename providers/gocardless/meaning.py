"""GoCardless: a keyed hash over the raw body, which carries many events.

Sources: gocardless-pro-python (`webhooks` and its tests, one of which stands in the vectors) and GoCardless's webhook
documentation.

Signed: the raw body as a whole. `Webhook-Signature: <hex HMAC-SHA256>`, key = the endpoint's secret. One signature
covers all events, so an event forged into the middle or added at the end spoils every one of them.

Identity: `events[].id`, `<resource_type>.<action>`, and `links.payment` where the event has it (a refund's event
names the refund alone). Each event travels as its own slice of the body; an empty list is genuine and holds nothing.

Meaning: an event tells what happened, and neither amount nor currency. So none opens a payment: one that no intent
announced (of a subscription, an instalment schedule) is read at the API, and so is a refund, whose events name the
refund alone. A payment is collected whole: its capture counts what was asked for. Refunds are facts of an unknown
amount, which count 0 until the API's answer brings it under the same key. `failed` may be followed by another try under
the same payment id, and may follow a confirmation (GoCardless's "late failure"): the signed `created_at` orders the
events of one payment. The API's answer has no such time, so what it says of the state stands behind all events. The id
of a subscription is shared by its payments. The merchant's reference is read from `resource_metadata`, the payment's
own; `metadata` is the event's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, SignedRequest
from providers.core.meaning import maybe_id, need_amount, need_currency, need_id, refs_of
from providers.core.objects import ApiObject, ObjectsApi
from providers.core.payments import (
    Facts,
    amount_if_given,
    attempt,
    capture_failed,
    captured,
    dispute,
    dispute_funds,
    ended,
    iso_seconds,
    micros,
    need_kind,
    need_state,
    noted_reference,
    read_event,
    refund,
    refunded_in_all,
    terms,
    unread_kind,
)
from providers.core.proof import hmac_hex
from providers.core.reading import decode, read_json, text_at, to_id, value_at
from providers.core.refetch import (
    DAY,
    OPEN_DISPUTES,
    Credentials,
    Watch,
    bearer,
)
from providers.core.slices import own_slices
from schemas.facts import FactKind, Meaning, RefKind


class _Body(msgspec.Struct):
    events: list[msgspec.Raw]


_BODY: Final = msgspec.json.Decoder(_Body)


def verify(request: SignedRequest) -> list[Notification]:
    """Check `Webhook-Signature` over the raw body; return its events in order."""
    check_body_mac(request, "webhook-signature", hmac_hex)
    batch = decode(_BODY, request.body)
    if batch is None:
        return [Notification(None, None, None, request.body)]
    return [notification_of(item) for item in own_slices(request.body, [bytes(item) for item in batch.events])]


def notification_of(item: bytes) -> Notification:
    """Return the event that an item of a webhook or of the list of events is."""
    event = read_json(item)
    return Notification(text_at(event, "id"), _kind(event), text_at(event, "links", "payment"), item)


def _kind(event: Any) -> str | None:
    resource, action = text_at(event, "resource_type"), text_at(event, "action")
    return f"{resource}.{action}" if resource and action else None


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what one event says; mandates, payouts and the like say nothing about a payment.

    Of subscriptions and instalment schedules only the making of a payment is read.
    """
    event = read_event(body)
    need_kind(_kind(event), kind)
    if kind in _PAYMENT_FACTS:
        return _payment(kind, event)
    if kind in _REFUND_STATES:
        return _refund(kind, event)
    if kind in _CREATING:
        return _created(event)
    return Meaning() if kind in _SILENT else unread_kind(kind, ("payments.", "refunds."))


def _payment(kind: str, event: dict[str, Any]) -> Meaning:
    key = need_id(value_at(event, "links", "payment"), "links.payment")
    reference = noted_reference(event.get("resource_metadata"))
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (RefKind.REFERENCE, reference)),
        facts=_PAYMENT_FACTS[kind](key, micros(iso_seconds(event.get("created_at")))),
        provider_ref=key,
        undoable_days=_UNDOABLE_DAYS if _PAYMENT_FACTS[kind] is _collected else 0,
        occurred_at=iso_seconds(event.get("created_at")),
    )


_Reader = Callable[[str, int], Facts]
"""Takes the payment's id and the version: the signed time of the event."""


def _tried(state: str) -> _Reader:
    return lambda key, version: (attempt(key, state, version=version),)


def _collected(key: str, version: int) -> Facts:
    """Say that the money was taken; how much, only the API tells."""
    return (captured(key, None, authorization=key, version=version),)


def _failed(key: str, version: int) -> Facts:
    """Say that a collection failed, be it after it was confirmed; a later one of the same payment may succeed."""
    failed = capture_failed(key, None, authorization=key, version=version)
    return (attempt(key, "failed", version=version), *failed)


def _charged_back(state: str, funds: str | None = None) -> _Reader:
    """Read a chargeback: the money is taken with the first event, and given back where it is canceled."""

    def read(key: str, version: int) -> Facts:
        opened = dispute(key, state, payment=key, version=version)
        return (opened, dispute_funds(key, funds, None)) if funds else (opened,)

    return read


_UNDOABLE_DAYS: Final = 60
"""A debit that was collected fails late within days, and a payer takes it back within eight weeks (SEPA), or later by a
claim ("Late failures" and "Chargebacks" in GoCardless' guides)."""

_PAYMENT_FACTS: Final[dict[str, _Reader]] = {
    "payments.created": _tried("created"),
    "payments.submitted": _tried("processing"),
    "payments.resubmission_requested": _tried("processing"),
    "payments.confirmed": _collected,
    "payments.paid_out": _collected,
    "payments.failed": _failed,
    "payments.customer_approval_denied": _tried("failed"),
    "payments.late_failure_settled": _failed,
    "payments.cancelled": lambda key, _version: (ended(key, "canceled"),),
    "payments.charged_back": _charged_back("open", "withdrawn"),
    "payments.chargeback_settled": _charged_back("lost", "withdrawn"),
    "payments.chargeback_cancelled": _charged_back("won", "reinstated"),
}


def _refund(kind: str, event: dict[str, Any]) -> Meaning:
    """Read a refund; one that names no payment waits until something ties it to one."""
    own = need_id(value_at(event, "links", "refund"), "links.refund")
    payment = maybe_id(value_at(event, "links", "payment"), "links.payment")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, payment), (RefKind.REFUND, own)),
        facts=(refund(own, _REFUND_STATES[kind], None, payment=payment),),
        provider_ref=payment,
        occurred_at=iso_seconds(event.get("created_at")),
    )


_REFUND_STATES: Final = {
    "refunds.created": "pending",
    "refunds.paid": "succeeded",
    "refunds.refund_settled": "succeeded",
    "refunds.failed": "failed",
    "refunds.funds_returned": "reversed",
}


def _created(event: dict[str, Any]) -> Meaning:
    """Read that a subscription or an instalment schedule made a payment, one of many under its id."""
    key, links = maybe_id(value_at(event, "links", "payment"), "links.payment"), event.get("links")
    if key is None:
        return Meaning()
    seconds = iso_seconds(event.get("created_at"))
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), *_shared(links)),
        facts=(attempt(key, "created", version=micros(seconds)),),
        provider_ref=key,
        occurred_at=seconds,
    )


def _shared(links: Any) -> list[tuple[RefKind, str | None]]:
    names = ("subscription", "instalment_schedule", "mandate")
    return [(RefKind.SHARED, to_id(value_at(links, name))) for name in names]


_CREATING: Final = frozenset({"subscriptions.payment_created", "instalment_schedules.payment_created"})

_SILENT: Final = frozenset(
    f"payments.{what}" for what in ("customer_approval_granted", "sds_settlement_delayed", "surcharge_fee_debited")
)


# --- read at the API: a payment or a refund, with what no event tells ---------------------------------------------

VERSION: Final = "2015-07-06"


def _headers(credentials: Credentials) -> dict[str, str]:
    return {**bearer(credentials.key), "GoCardless-Version": VERSION}


def _money(thing: dict[str, Any], name: str) -> int:
    return need_amount(thing.get(name), name)


def _fetched_payment(payment: dict[str, Any]) -> Meaning:
    key = need_id(payment.get("id"), "payments.id")
    amount, currency = _money(payment, "amount"), need_currency(payment.get("currency"), "currency")
    facts = _OF_STATUS[need_state(_STATUSES, payment.get("status"), "payments.status")](key, 0)
    back = amount_if_given(lambda: _money(payment, "amount_refunded"), payment.get("amount_refunded"))
    refunded = (refunded_in_all(key, back),) if back else ()
    return Meaning(
        refs=refs_of(
            (RefKind.PAYMENT, key),
            *_shared(payment.get("links")),
            (RefKind.REFERENCE, noted_reference(payment.get("metadata"))),
        ),
        facts=(terms(key, amount), *facts, *refunded),
        opens=True,
        currency=currency,
        amount=amount,
        provider_ref=key,
        undoable_days=_UNDOABLE_DAYS if payment.get("status") in ("confirmed", "paid_out") else 0,
    )


def _fetched_refund(one: dict[str, Any]) -> Meaning:
    own, payment = need_id(one.get("id"), "refunds.id"), maybe_id(value_at(one, "links", "payment"), "links.payment")
    if payment is None:
        return Meaning()  # money that a customer had paid twice, outside any payment
    amount, currency = _money(one, "amount"), need_currency(one.get("currency"), "currency")
    state = need_state(_REFUND_STATUSES, one.get("status"), "refunds.status")
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, payment), (RefKind.REFUND, own)),
        facts=(refund(own, state, amount, payment=payment),),
        currency=currency,
        amount=amount,
        provider_ref=payment,
    )


_REFUND_STATUSES: Final = {
    **dict.fromkeys(("created", "pending_submission", "submitted"), "pending"),
    "paid": "succeeded",
    "cancelled": "canceled",
    "bounced": "failed",
    "funds_returned": "reversed",
}

_STATUSES: Final = {
    **dict.fromkeys(("pending_customer_approval", "pending_submission"), "created"),
    "submitted": "processing",
    **dict.fromkeys(("confirmed", "paid_out"), "collected"),
    "customer_approval_denied": "denied",
    "failed": "failed",
    "cancelled": "canceled",
    "charged_back": "charged_back",
}

_OF_STATUS: Final[dict[str, _Reader]] = {
    "created": _tried("created"),
    "processing": _tried("processing"),
    "collected": _collected,
    "denied": _tried("failed"),
    "failed": _failed,
    "canceled": lambda key, _version: (ended(key, "canceled"),),
    "charged_back": lambda key, version: (*_collected(key, version), *_charged_back("open", "withdrawn")(key, version)),
}

_UNDERWAY: Final = ("created", "processing")
WATCHES: Final = (
    Watch(
        statuses=_UNDERWAY,
        after=5 * DAY,
        every=1 * DAY,
        until=60 * DAY,
        source="support article 360001018705: confirmed after 3 working days (Australia) to 8 (Sweden)",
    ),
    Watch(
        statuses=_UNDERWAY,
        after=30 * DAY,
        every=7 * DAY,
        until=400 * DAY,
        source="API reference, payments: `charge_date` is a day to come",
        guess="until",
    ),
    Watch(
        refunds=("pending",),
        after=4 * DAY,
        every=1 * DAY,
        until=60 * DAY,
        source="gocardless.com/legal/payment-timings: 2 business days",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        after=7 * DAY,
        every=7 * DAY,
        until=180 * DAY,
        source="guides, Chargebacks: one ends when it is settled or canceled",
        guess="until",
    ),
    Watch(
        debits=True,
        after=5 * DAY,
        every=7 * DAY,
        until=_UNDOABLE_DAYS * DAY,
        source="guides, Late failures and Chargebacks: eight weeks at SEPA",
    ),
)
"""A debit takes days, and its events may be lost."""

_API: Final = ObjectsApi(
    (
        ApiObject(
            "payments", re.compile("PM[A-Za-z0-9]{1,60}"), "/payments/{id}", _fetched_payment, within=("payments",)
        ),
        ApiObject("refunds", re.compile("RF[A-Za-z0-9]{1,60}"), "/refunds/{id}", _fetched_refund, within=("refunds",)),
    ),
    _headers,
)

REFETCH: Final = _API.refetch(
    "https://api.gocardless.com",
    watches=WATCHES,
    unknown=True,
    timed=(FactKind.ATTEMPT, FactKind.CAPTURE, FactKind.REVERSAL),
    ticks_per_second=1_000_000,
)
