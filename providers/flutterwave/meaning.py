"""Flutterwave: version 4 signs the raw body, version 3 only shows the secret.

Sources: Flutterwave's developer documentation; for version 4 also secondary ones. There is no official vector and no
SDK that verifies.

Version 4: `flutterwave-signature: <base64 HMAC-SHA256>` over the raw body, key = the secret hash. Version 3, known by
the absence of that header: `verif-hash` is the secret hash itself. It shows that the sender knows the secret and
proves nothing about the body, whose amount anyone on the way may change: such a notification is a hint, and the
transaction is read again at the API. Where a version 4 header stands it must fit: an empty or wrong one never falls
back to version 3. A secret that is shown on every request must not be a key too: where `config` has `shown_secrets`,
version 3 is checked against them alone, and they verify nothing else.

Identity: version 4 `webhook_id` or `id`, `type`, `data.reference`; version 3 (a body with `event`)
`<event>:<data.id>:<data.status>`, `event`, `data.tx_ref`; by some methods, and in the sandbox, version 3 wraps nothing
(Flutterwave/Node-v3#175): then `<event.type>:<id>:<status>`, `event.type`, `txRef`. The shape decides, not the header.
A version 3 id is unsigned: a made-up body under a future id must not swallow the genuine one, so dedupe has to look at
the body too.

Meaning: a charge is one attempt, captured at once, keyed by its id; all charges under the merchant's reference are one
payment. `charge.completed` tells by its status how the charge ended. Amounts are major units. A refund names its charge
and is counted by `amount_refunded`. Version 3 is interpreted alike where its transaction was read again (`refetch`);
its refunds are not documented as events. A chargeback of version 4 is read in the shape that the API gives it
(v4-api-reference/chargebacks; toneflix/flutterwave-4-nodejs-sdk has its stages and statuses): it names its charge, and
stands where its stage and its status say; its amount has no currency, and is read where one is given. What an
authorized order becomes is not documented: `unknown_kind`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from providers.core.body_mac import need_mac, need_signatures
from providers.core.contract import Notification, SignedRequest
from providers.core.meaning import maybe_id, need_currency, need_id, refs_of, undecodable
from providers.core.payments import (
    at_stage,
    attempt,
    captured,
    dispute,
    dispute_funds,
    ended,
    if_given,
    iso_seconds,
    major_units,
    micros,
    need_kind,
    need_object,
    need_state,
    noted_reference,
    read_event,
    refund,
    summed,
    terms,
    unread_kind,
)
from providers.core.proof import header_bytes, hmac_base64, live_secrets, need_match, to_bytes
from providers.core.reading import read_json, text_at, value_at
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemas.facts import Fact

_V4_HEADER = "flutterwave-signature"
_V3_HEADER = "verif-hash"


def verify(request: SignedRequest) -> list[Notification]:
    """Check the version 4 signature if its header is there, else the version 3 secret; return the one event."""
    if _V4_HEADER in request.headers:
        need_mac(need_signatures(request, _V4_HEADER), live_secrets(request), request.body, hmac_base64)
        return [Notification(*_identity(read_json(request.body)), request.body)]
    own = request.config.get("shown_secrets")
    secrets = live_secrets(request) if own is None else tuple(own)
    shown = need_signatures(request, _V3_HEADER)
    need_match(map(header_bytes, shown), map(to_bytes, secrets))
    return [Notification(*_identity(read_json(request.body)), request.body, "hint")]


def _identity(event: Any) -> tuple[str | None, str | None, str | None]:
    """Return event id, kind and payment reference of either version's body."""
    kind, data, ref = text_at(event, "event"), value_at(event, "data"), "tx_ref"
    if kind is None and _is_flat(event):
        kind, data, ref = text_at(event, _FLAT_KIND), event, _FLAT_REFERENCE
    if kind is None:
        own_id = text_at(event, "webhook_id") or text_at(event, "id")
        return own_id, text_at(event, "type"), text_at(event, "data", "reference")
    own, status = text_at(data, "id"), text_at(data, "status")
    event_id = f"{kind}:{own}:{status}" if own and status else None
    return event_id, kind, text_at(data, ref)


_FLAT_KIND: Final = "event.type"
_FLAT_REFERENCE: Final = "txRef"


def _is_flat(event: Any) -> bool:
    """Tell whether a body of version 3 wraps its transaction in no `data`."""
    return text_at(event, _FLAT_REFERENCE) is not None and value_at(event, "data") is None


def named(body: bytes) -> str | None:
    """Return the transaction's id of a version 3 body: its API is asked by that, not by the merchant's reference."""
    event = read_json(body)
    return text_at(event, "id") if _is_flat(event) else text_at(event, "data", "id")


_Data = dict[str, Any]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event of either version says; kinds outside charges, chargebacks and refunds say nothing.

    Raises `unknown_kind` for one of those families, and of orders, that nothing here reads.
    """
    event = read_event(body)
    third = text_at(event, "event")
    need_kind(third or text_at(event, "type"), kind)
    reader = _READERS.get(kind)
    if reader is None:
        return unread_kind(kind, ("charge.", "chargeback.", "refund.", "order."))
    return reader(need_object(event.get("data"), "data"), "tx_ref" if third else "reference")


def _money(data: _Data, name: str) -> tuple[int, str | None]:
    given, code = data.get(name), data.get("currency")

    def read() -> tuple[int, str]:
        currency = need_currency(code, "data.currency")
        return major_units(given, currency, f"data.{name}"), currency

    return if_given(read, given, code)


def meaning_of_charge(data: _Data, reference_name: str) -> Meaning:
    """Return what a charge says; `reference_name` is where its version keeps the merchant's reference."""
    own = need_id(data.get("id"), "data.id")
    reference = need_id(data.get(reference_name), f"data.{reference_name}")
    amount, currency = _money(data, "amount")
    state = need_state(_CHARGE_STATES, data.get("status"), "data.status")
    return summed(
        Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, reference),
                (RefKind.PAYMENT, own),
                (RefKind.REFERENCE, noted_reference(data.get("meta"))),
                (RefKind.REFERENCE, reference),
            ),
            facts=(terms(own, amount), _CHARGE_FACTS[state](own, amount)),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=reference,
            occurred_at=iso_seconds(data.get("created_datetime") or data.get("created_at")),
        )
    )


_CHARGE_STATES: Final = {
    "succeeded": "captured",
    "successful": "captured",
    "pending": "processing",
    "failed": "failed",
    "voided": "canceled",
}

_CHARGE_FACTS: Final[dict[str, Callable[[str, int], Fact]]] = {
    "captured": lambda own, amount: captured(own, amount, authorization=own),
    "processing": lambda own, _amount: attempt(own, "processing"),
    "failed": lambda own, _amount: attempt(own, "failed"),
    "canceled": lambda own, _amount: ended(own, "canceled"),
}


def _refund(data: _Data, _reference_name: str) -> Meaning:
    """Read a refund. Its sum is in major units, so without a currency it can't be read, and the fact has no amount.

    Raises `undecodable` for one that is done and names a currency and no readable sum.
    """
    own, charge = need_id(data.get("id"), "data.id"), need_id(data.get("charge_id"), "data.charge_id")
    given, currency = _money(data, "amount_refunded")
    amount = None if currency is None else given
    state = need_state(_REFUND_STATES, data.get("status"), "data.status")
    if state == "succeeded" and amount is None and data.get("currency") is not None:
        raise undecodable("data.amount_refunded is missing, and the refund is done")
    return Meaning(
        refs=refs_of(
            (RefKind.PAYMENT, charge),
            (RefKind.PAYMENT, maybe_id(data.get("reference"), "data.reference")),
            (RefKind.REFUND, own),
        ),
        facts=(refund(own, state, amount, payment=charge),),
        currency=currency,
        amount=amount,
        occurred_at=iso_seconds(data.get("created_datetime")),
    )


_REFUND_STATES: Final = {
    "new": "pending",
    "pending": "pending",
    "requires_action": "pending",
    "succeeded": "succeeded",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "canceled",
    "canceled": "canceled",
}


def _chargeback(data: _Data, _reference_name: str) -> Meaning:
    """Read a chargeback: its amount is held while it is open, and taken where it is lost."""
    own, charge = need_id(data.get("id"), "data.id"), need_id(data.get("charge_id"), "data.charge_id")
    state = need_state(_CHARGEBACK_STATES, data.get("status"), "data.status")
    amount, currency = _money(data, "amount")
    stage = data.get("stage")
    number = _STAGES.index(stage) if stage in _STAGES else 0
    version = at_stage(number, micros(iso_seconds(data.get("updated_datetime"))))
    taken = () if currency is None or state != "lost" else (dispute_funds(own, "withdrawn", amount),)
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, charge), (RefKind.DISPUTE, own)),
        facts=(dispute(own, state, payment=charge, version=version), *taken),
        currency=currency,
        amount=None if currency is None else amount,
        occurred_at=iso_seconds(data.get("created_datetime")),
    )


_STAGES: Final = ("new", "second", "pre-arbitration", "arbitration")
_CHARGEBACK_STATES: Final = {
    **dict.fromkeys(("new", "pending", "initiated"), "open"),
    "declined": "under_review",
    **dict.fromkeys(("accepted", "partially-accepted", "lost"), "lost"),
    **dict.fromkeys(("won", "reversed"), "won"),
}
"""What a chargeback's status says; the merchant declines or accepts it."""

_READERS: Final[dict[str, Callable[[_Data, str], Meaning]]] = {
    "charge.completed": meaning_of_charge,
    "charge.failed": meaning_of_charge,
    "refund.completed": _refund,
    "refund.failed": _refund,
    "chargeback.created": _chargeback,
    "chargeback.updated": _chargeback,
}
