"""Paystack: a keyed hash over the raw body; events have no id.

Sources: Paystack's webhook documentation, the payloads of PaystackOSS/doc-code-snippets, pypaystack2 (a community SDK).

Signed: the raw body. `x-paystack-signature: <hex HMAC-SHA512>`, key = the secret API key itself.

Identity: `<event>:<data.id>`, else `<event>:<data.refund_reference>`. `refund.pending` and `refund.processing` may
carry neither, nor a time: two of one amount are byte for byte the same request and have no event id. The payment is the
merchant's transaction reference, which refunds, disputes and charges keep in three places. `data.domain` is the mode;
no field names the merchant but a number of Paystack's own (`integration`), which charges leave out.

Meaning: one transaction is one attempt, captured at once, and keyed by its reference, which is also the merchant's own.
Amounts are hundredths of the currency, as number or text, also of currencies without decimals (XOF, RWF): so secondary
sources say of XOF; no document of Paystack's own at hand says it, or anything else.

A preauthorization is reserved, taken and released under one `reference`, which the transaction of its capture has too:
charge.success beside it would be the same capture. `captured_amount` may be less than what was reserved.

A refund is named by `refund_reference`, else by its `id`; where both are named the reference, which its earlier events
carry. Pending refunds without either are tied to nothing that follows: to count one beside the other would give the
money back twice, so they say nothing.

A dispute that was accepted, by the merchant or because nobody answered in time, takes `refund_amount` off the payouts,
which may be a part. How its money goes before that no document tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, SignedRequest
from providers.core.meaning import in_scope, maybe_id, need_currency, need_id, refs_of, undecodable
from providers.core.money import in_iso_units, minor_units
from providers.core.payments import (
    Facts,
    attempt,
    authorized,
    captured,
    dispute,
    dispute_funds,
    if_given,
    iso_seconds,
    need_kind,
    need_object,
    need_state,
    noted_reference,
    read_event,
    refund,
    summed,
    terms,
    unread_kind,
    void,
)
from providers.core.proof import hmac_hex
from providers.core.reading import read_json, text_at, value_at
from schemas.currencies import DECIMALS, USUAL_DECIMALS
from schemas.facts import Meaning, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable


def verify(request: SignedRequest) -> list[Notification]:
    """Check `x-paystack-signature` over the raw body; return the one event."""
    check_body_mac(request, "x-paystack-signature", lambda secret, body: hmac_hex(secret, body, "sha512"))
    event = read_json(request.body)
    kind, data = text_at(event, "event"), value_at(event, "data")
    return [Notification(_event_id(kind, data), kind, _payment_ref(data), request.body)]


def _event_id(kind: str | None, data: Any) -> str | None:
    own = text_at(data, "id") or text_at(data, "refund_reference")
    return f"{kind}:{own}" if kind and own else None


def _payment_ref(data: Any) -> str | None:
    return (
        text_at(data, "transaction_reference")
        or text_at(data, "transaction", "reference")
        or text_at(data, "reference")
    )


_Data = dict[str, Any]

_THEIR_DECIMALS: Final = {code: 2 for code, decimals in DECIMALS.items() if decimals != USUAL_DECIMALS}
"""Paystack writes hundredths of every currency, also where ISO 4217 knows none."""


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says; kinds outside charges, preauthorizations and refunds (transfers, ...) say nothing."""
    event = read_event(body)
    need_kind(event.get("event"), kind)
    if kind not in _READERS:
        return Meaning() if kind in _SILENT else unread_kind(kind, ("charge.", "preauthorization.", "refund."))
    return meaning_of(kind, need_object(event.get("data"), "data"))


def meaning_of(kind: str, data: _Data) -> Meaning:
    """Return what `data` says when it stands in an event of that kind, which is one that we read."""
    return in_mode(_READERS[kind](data), data)


def in_mode(meaning: Meaning, data: _Data) -> Meaning:
    """Return what `data` says, in the mode that it names."""
    return in_scope(summed(meaning), None, _MODES.get(str(data.get("domain"))))


_MODES: Final = {"test": False, "live": True}


def _money(data: _Data, name: str) -> tuple[int, str | None]:
    given, code = data.get(name), data.get("currency")

    def read() -> tuple[int, str]:
        currency = need_currency(code, "data.currency")
        return in_iso_units(minor_units(given, 0, f"data.{name}"), currency, _THEIR_DECIMALS), currency

    return if_given(read, given, code)


def _charge(*, paid: bool) -> Callable[[_Data], Meaning]:
    def facts_of(key: str, amount: int) -> Facts:
        return (captured(key, amount, authorization=key) if paid else attempt(key, "failed"),)

    def read(data: _Data) -> Meaning:
        if data.get("status") != ("success" if paid else "failed"):
            raise undecodable("data.status says something else than the event")
        return meaning_of_transaction(data, facts_of)

    return read


def meaning_of_transaction(data: _Data, facts_of: Callable[[str, int], Facts]) -> Meaning:
    """Return what a transaction says, its facts from its reference and its amount."""
    key = need_id(data.get("reference"), "data.reference")
    amount, currency = _money(data, "amount")
    noted = noted_reference(data.get("metadata"))
    return Meaning(
        refs=refs_of((RefKind.PAYMENT, key), (RefKind.REFERENCE, noted), (RefKind.REFERENCE, key)),
        facts=(terms(key, amount), *facts_of(key, amount)),
        opens=True,
        currency=currency,
        amount=amount,
        provider_ref=key,
        occurred_at=iso_seconds(data.get("paid_at")),
    )


def _preauthorization(facts_of: Callable[[_Data, str, int], Facts]) -> Callable[[_Data], Meaning]:
    """Read what became of a hold; `facts_of` gets its data, its reference and what it reserves."""

    def read(data: _Data) -> Meaning:
        key = need_id(data.get("reference"), "data.reference")
        amount, currency = _money(data, "amount")
        return Meaning(
            refs=refs_of(
                (RefKind.PAYMENT, key),
                (RefKind.PAYMENT, _transaction_of(data)),
                (RefKind.CHARGE, key),
                (RefKind.REFERENCE, noted_reference(data.get("metadata"))),
                (RefKind.REFERENCE, key),
            ),
            facts=(terms(key, amount), authorized(key, amount), *facts_of(data, key, amount)),
            opens=True,
            currency=currency,
            amount=amount,
            provider_ref=key,
            occurred_at=iso_seconds(data.get("captured_at")),
        )

    return read


def _transaction_of(data: _Data) -> str | None:
    return maybe_id(value_at(data, "transaction", "reference"), "data.transaction.reference")


def _hold_captured(data: _Data, key: str, amount: int) -> Facts:
    """Say what was taken of a hold: `captured_amount`, without it all."""
    taken, currency = _money(data, "captured_amount")
    if currency is None and data.get("captured_amount") is not None:
        raise undecodable("data.captured_amount is no amount")
    return (captured(_transaction_of(data) or key, amount if currency is None else taken, authorization=key),)


def _hold_released(data: _Data, key: str, _amount: int) -> Facts:
    """Say that a hold is over, by itself where its time was up."""
    ended_at, until = iso_seconds(data.get("expired_at")), iso_seconds(data.get("expiry_date"))
    expired = ended_at is not None and until is not None and ended_at >= until
    return (void(key, "expired" if expired else "canceled"),)


def _refund(state: str) -> Callable[[_Data], Meaning]:
    def read(data: _Data) -> Meaning:
        payment = need_id(data.get("transaction_reference"), "data.transaction_reference")
        own = maybe_id(data.get("refund_reference"), "data.refund_reference") or maybe_id(data.get("id"), "data.id")
        amount, currency = _money(data, "amount")
        if own is None and state != "pending":
            raise undecodable("data.refund_reference and data.id are missing: nothing tells this refund from another")
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (RefKind.REFUND, own)),
            facts=(refund(own, state, amount, payment=payment),) if own else (),
            currency=currency,
            amount=amount,
            provider_ref=payment,
        )

    return read


def _dispute(state_of: Callable[[_Data], str]) -> Callable[[_Data], Meaning]:
    """Read a dispute; one that was accepted took `refund_amount`, without a figure all."""

    def read(data: _Data) -> Meaning:
        own = need_id(data.get("id"), "data.id")
        payment = need_id(value_at(data, "transaction", "reference"), "data.transaction.reference")
        state = state_of(data)
        amount, currency = _money(data, "refund_amount")
        funds = (dispute_funds(own, "withdrawn", amount),) if state == "lost" else ()
        return Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (RefKind.DISPUTE, own)),
            facts=(dispute(own, state, payment=payment), *funds),
            currency=currency,
            amount=amount,
            provider_ref=payment,
            occurred_at=iso_seconds(data.get("updatedAt")),
        )

    return read


def _open(data: _Data) -> str:
    """Return whose answer an open dispute waits for: the merchant's, or the bank's."""
    return "under_review" if data.get("status") in ("awaiting-bank-feedback", "pending") else "open"


def _resolution(data: _Data) -> str:
    return need_state(_RESOLUTIONS, data.get("resolution"), "data.resolution")


_RESOLUTIONS: Final = {"merchant-accepted": "lost", "auto-accepted": "lost", "declined": "won"}
"""`declined` is the claim that was turned down."""

_SILENT: Final = frozenset({"preauthorization.capture.failed", "preauthorization.release.failed"})
"""What was asked for and not done: the hold stays as it was."""

_READERS: Final[dict[str, Callable[[_Data], Meaning]]] = {
    "charge.success": _charge(paid=True),
    "charge.failed": _charge(paid=False),
    "preauthorization.reserve.success": _preauthorization(lambda _data, _key, _amount: ()),
    "preauthorization.capture.success": _preauthorization(_hold_captured),
    "preauthorization.release.success": _preauthorization(_hold_released),
    **dict.fromkeys(("refund.pending", "refund.processing", "refund.needs-attention"), _refund("pending")),
    "refund.processed": _refund("succeeded"),
    "refund.failed": _refund("failed"),
    **dict.fromkeys(("charge.dispute.create", "charge.dispute.remind"), _dispute(_open)),
    "charge.dispute.resolve": _dispute(_resolution),
}
