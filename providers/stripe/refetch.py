"""Stripe read again at its API: a PaymentIntent with its charge, or the charge of an older integration.

A charge tells that it is `disputed` and not by what, so its disputes are asked about beside, under a reference of ours
(`DISPUTES` and the payment's id). A bank debit that fails after it succeeded becomes a dispute too
(support.stripe.com, "Respond to or contest an ACH Direct Debit dispute").
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

import msgspec
from msgspec.structs import replace

from providers.core.meaning import decode_or_raise, undecodable
from providers.core.reading import read_json, value_at
from providers.core.refetch import (
    DAY,
    HOUR,
    OPEN_DISPUTES,
    Answer,
    ApiRequest,
    Credentials,
    Fetched,
    Refetch,
    Watch,
    bearer,
    merged,
    object_answer,
)
from providers.stripe.meaning import INTENT_KINDS, said_by
from providers.stripe.things import Thing
from schemas.facts import FactKind, Meaning

DISPUTES: Final = "disputes:"
_API_ID: Final = re.compile(r"(?:pi|ch|py)_[A-Za-z0-9_]{1,200}\Z")
_ASK: Final = {
    "payment_intent": "expand[]=latest_charge&expand[]=latest_charge.refunds",
    "charge": "expand[]=refunds",
}
_KINDS: Final = {
    **dict.fromkeys(("requires_payment_method", "requires_confirmation"), "payment_intent.created"),
    "requires_capture": "payment_intent.amount_capturable_updated",
}
"""The webhook that says what an intent's status says, where it has another name."""


def _object_of(ref: str) -> str | None:
    return ("payment_intent" if ref.startswith("pi_") else "charge") if _API_ID.match(ref) else None


def _request(ref: str, credentials: Credentials, _now: float) -> ApiRequest | None:
    own = ref.removeprefix(DISPUTES)
    name = _object_of(own)
    path = f"{name}s/{ref}?{_ASK.get(name or '')}" if own == ref else f"disputes?{name}={own}&limit=100"
    headers = {**bearer(credentials.key), "Stripe-Version": "2024-06-20"}
    return ApiRequest("GET", f"{credentials.base_url}/v1/{path}", headers) if name else None


_object: Final = object_answer("object", _object_of)


def _answer(ref: str, status: int, body: bytes) -> Answer:
    """Read an answer: the payment itself, or a list of the disputes of none but it."""
    if not ref.startswith(DISPUTES):
        return _object(ref, status, body)
    own, said = ref.removeprefix(DISPUTES), read_json(body)
    listed, name = value_at(said, "data"), _object_of(own)
    theirs = isinstance(listed, list) and all(value_at(one, name or "") == own for one in listed)
    asked_for = theirs and value_at(said, "object") == "list" and status == HTTPStatus.OK
    return Fetched("disputes", own) if asked_for else None


class _List(msgspec.Struct):
    data: list[Thing]


def _interpret_fetched(kind: str, body: bytes) -> Meaning:
    if kind == "refetch.disputes":
        disputes = decode_or_raise(msgspec.json.Decoder(_List), body).data
        return merged(*(said_by("charge.dispute.updated", one) for one in disputes)) if disputes else Meaning()
    return _said_by_payment(body)


def _said_by_payment(body: bytes) -> Meaning:
    thing = decode_or_raise(msgspec.json.Decoder(Thing), body)
    if _object_of(str(thing.id)) == "charge":
        return _said_by_charge(thing)
    failed = thing.status == "requires_payment_method" and thing.last_payment_error
    kind = (
        "payment_intent.payment_failed" if failed else _KINDS.get(str(thing.status), f"payment_intent.{thing.status}")
    )
    if kind not in INTENT_KINDS:
        raise undecodable("the PaymentIntent's status is not one of Stripe's")
    meaning, charge = said_by(kind, thing), thing.latest_charge
    return merged(meaning, _said_by_charge(msgspec.convert(charge, Thing))) if isinstance(charge, dict) else meaning


def _said_by_charge(charge: Thing) -> Meaning:
    kinds = [f"charge.{charge.status}", *(["charge.refunded"] if charge.amount_refunded else [])]
    if kinds[0] not in ("charge.pending", "charge.succeeded", "charge.failed"):
        raise undecodable("the charge's status is not one of Stripe's")
    meaning = merged(*(said_by(kind, charge) for kind in kinds))
    return replace(meaning, ask=f"{DISPUTES}{meaning.provider_ref}") if charge.disputed is True else meaning


WATCHES: Final = (
    Watch(
        statuses=("processing",),
        after=5 * DAY,
        every=1 * DAY,
        until=45 * DAY,
        source="payments/sepa-debit: 14 business days at most; changelog 2025-02-24: `target_date` up to 15 days ahead",
    ),
    Watch(
        statuses=("authorized",),
        after=2 * DAY,
        every=12 * HOUR,
        until=32 * DAY,
        source="payments/place-a-hold-on-a-payment-method: 2 days in person, else 4.75 at Visa or 7; 30 where extended",
    ),
    Watch(
        refunds=("pending",),
        after=7 * DAY,
        every=1 * DAY,
        until=90 * DAY,
        source="refunds: one fails within 30 days; it may wait before for balance or for its payment",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        after=30 * DAY,
        every=7 * DAY,
        until=365 * DAY,
        source="disputes: decided within 75 days",
    ),
    Watch(
        debits=True,
        after=5 * DAY,
        every=7 * DAY,
        until=90 * DAY,
        source="support.stripe.com: 60 days at ACH, eight weeks at SEPA, 90 days in Canada",
    ),
)
"""Stripe tells all of these by events; what stays silent for longer than it may take was lost.

The pages are those of docs.stripe.com in November 2026.
"""

REFETCH: Final = Refetch(
    "https://api.stripe.com",
    _request,
    _answer,
    _interpret_fetched,
    timed=frozenset({FactKind.TERMS, FactKind.ATTEMPT, FactKind.DISPUTE}),
    watches=WATCHES,
)
