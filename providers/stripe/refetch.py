"""Stripe read again at its API: a PaymentIntent with its charge, or the charge of an older integration.

A charge tells that it is `disputed` and not by what, so its disputes are asked about beside, under a reference of ours
(`DISPUTES` and the payment's id). A bank debit that fails after it succeeded becomes a dispute too
(support.stripe.com, "Respond to or contest an ACH Direct Debit dispute"). Refunds, disputes and sessions are asked
about by their own ids where a thin event names them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from providers.core.meaning import undecodable
from providers.core.objects import DISPUTES as OWN_DISPUTES
from providers.core.objects import REFUNDS, ApiObject, ObjectsApi
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Credentials, Watch, bearer, merged
from providers.stripe.meaning import INTENT_KINDS, meaning_of
from providers.stripe.thin import SESSIONS
from providers.stripe.things import Thing
from schemas.facts import FactKind, Meaning

if TYPE_CHECKING:
    from collections.abc import Callable

DISPUTES: Final = "disputes:"
_KINDS: Final = {
    **dict.fromkeys(("requires_payment_method", "requires_confirmation"), "payment_intent.created"),
    "requires_capture": "payment_intent.amount_capturable_updated",
}
"""The webhook that says what an intent's status says, where it has another name."""
_INTENTS: Final = re.compile(r"pi_[A-Za-z0-9_]{1,200}")
_CHARGES: Final = re.compile(r"(?:ch|py)_[A-Za-z0-9_]{1,200}")


def _headers(credentials: Credentials) -> dict[str, str]:
    return {**bearer(credentials.key), "Stripe-Version": "2024-06-20"}


def _meaning_of_disputes(listed: list[Any]) -> Meaning:
    disputes = msgspec.convert(listed, list[Thing])
    return merged(*(meaning_of("charge.dispute.updated", one) for one in disputes))


def _meaning_of_intent(value: dict[str, Any]) -> Meaning:
    thing = msgspec.convert(value, Thing)
    failed = thing.status == "requires_payment_method" and thing.last_payment_error
    kind = (
        "payment_intent.payment_failed" if failed else _KINDS.get(str(thing.status), f"payment_intent.{thing.status}")
    )
    if kind not in INTENT_KINDS:
        raise undecodable("the PaymentIntent's status is not one of Stripe's")
    meaning, charge = meaning_of(kind, thing), thing.latest_charge
    return merged(meaning, _meaning_of_charge(msgspec.convert(charge, Thing))) if isinstance(charge, dict) else meaning


def _meaning_as(kind: str) -> Callable[[dict[str, Any]], Meaning]:
    return lambda value: meaning_of(kind, msgspec.convert(value, Thing))


def _meaning_of_session(value: dict[str, Any]) -> Meaning:
    """Read a Checkout session; one that is open became nothing yet."""
    kind = _SESSIONS.get(str(value.get("status")))
    return meaning_of(kind, msgspec.convert(value, Thing)) if kind else Meaning()


_SESSIONS: Final = {"complete": "checkout.session.completed", "expired": "checkout.session.expired"}


def _meaning_of_bare_charge(value: dict[str, Any]) -> Meaning:
    return _meaning_of_charge(msgspec.convert(value, Thing))


def _meaning_of_charge(charge: Thing) -> Meaning:
    kinds = [f"charge.{charge.status}", *(["charge.refunded"] if charge.amount_refunded else [])]
    if kinds[0] not in ("charge.pending", "charge.succeeded", "charge.failed"):
        raise undecodable("the charge's status is not one of Stripe's")
    meaning = merged(*(meaning_of(kind, charge) for kind in kinds))
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
        guess="until",
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
"""Stripe reports the end of all these states by events; silence for longer than they may last means that one was lost.

The pages are those of docs.stripe.com in November 2026.
"""

_LISTED: Final = ("object", "list")


def _child(shown: str, ids: str, path: str, prefix: str, read: Callable[[dict[str, Any]], Meaning]) -> ApiObject:
    """Return an object with an id of its own that names its payment: `shown` is its `object`, `ids` begin its ids."""
    name, pattern = shown.rpartition(".")[2], re.compile(rf"(?:{ids})_[A-Za-z0-9_]{{1,200}}")
    return ApiObject(name, pattern, path, read, prefix=prefix, shows=("object", shown), payment_at=("payment_intent",))


_API: Final = ObjectsApi(
    (
        ApiObject(
            "payment_intent",
            _INTENTS,
            "/v1/payment_intents/{id}?expand[]=latest_charge&expand[]=latest_charge.refunds",
            _meaning_of_intent,
            shows=("object", "payment_intent"),
        ),
        ApiObject(
            "charge",
            _CHARGES,
            "/v1/charges/{id}?expand[]=refunds",
            _meaning_of_bare_charge,
            shows=("object", "charge"),
        ),
        *(
            ApiObject(
                "disputes",
                ids,
                f"/v1/disputes?{name}={{id}}&limit=100",
                _meaning_of_disputes,
                prefix=DISPUTES,
                within=("data",),
                id_at=(name,),
                shows=_LISTED,
                listed=True,
            )
            for name, ids in (("payment_intent", _INTENTS), ("charge", _CHARGES))
        ),
        _child("refund", "re|pyr", "/v1/refunds/{id}", REFUNDS, _meaning_as("refund.updated")),
        _child("dispute", "dp|du|pdp", "/v1/disputes/{id}", OWN_DISPUTES, _meaning_as("charge.dispute.updated")),
        _child("checkout.session", "cs", "/v1/checkout/sessions/{id}", SESSIONS, _meaning_of_session),
    ),
    _headers,
)

REFETCH: Final = _API.refetch(
    "https://api.stripe.com",
    watches=WATCHES,
    timed=(FactKind.TERMS, FactKind.ATTEMPT, FactKind.DISPUTE),
)
