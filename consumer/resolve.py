"""Which payment an event is about: by any reference it carries.

A decision over rows that were read before: no I/O. It is pure but for the random id of a payment that it opens.

A payment has many names; two payments that one event names turn out to be one. Then the row that a client's intent
promised survives (else the older one), the other keeps its ledger and points to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from asyncpg.pgproto import pgproto

from consumer.verdict import Dead, Waits
from schemas.dead_letter import Reason
from schemas.facts import FactKind, RefKind
from schemas.payment import Payment, new_id_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from consumer.decode import Event

RefKey = tuple[str, str, str, str]
"""(provider, account, kind, reference): the primary key of `payment_refs`."""

OWN: Final = ("ratchet", "")
"""The scope of our own payment ids, which are the same for every provider."""


class Target(msgspec.Struct):
    """The payment that an event is about, the payments that turn out to be the same one, and the names to bind."""

    payment: Payment
    same: list[Payment] = msgspec.field(default_factory=list)
    names: list[RefKey] = msgspec.field(default_factory=list)


def keys_of(event: Event) -> list[RefKey]:
    """Return the keys of all references of an event, strongest first.

    A client's own reference is unique for the client, whatever the provider: it is a name in the client's scope too.
    """
    provider, account = event.provider, event.account
    keys: list[RefKey] = [
        (*OWN, ref.kind, ref.ref) if ref.kind is RefKind.ID else (provider, account, ref.kind, ref.ref)
        for ref in event.meaning.refs
    ]
    claim = event.meaning.claim
    if claim is not None and claim.reference is not None:
        keys.append((OWN[0], claim.client, RefKind.REFERENCE, claim.reference))
    return keys


def resolve(
    event: Event, names: Mapping[RefKey, UUID | None], payments: Mapping[UUID, Payment], now_ms: int
) -> Target | Waits | Dead | None:
    """Find the event's payment; None where it is about none.

    `names` says what every reference of the event is bound to. `now_ms` goes into the id of a payment that it opens.
    """
    keys = keys_of(event)
    bound = [names.get(key) for key in keys]
    candidates = [payments[payment_id] for payment_id in dict.fromkeys(bound) if payment_id is not None]
    if event.meaning.claim is not None:
        return _claim(event, candidates, keys, names)
    if not candidates:
        return _open(event, keys, now_ms)
    if len(candidates) == 1:
        return Target(candidates[0], [], _unbound(keys, bound))
    return _choose(candidates, keys, bound)


def _open(event: Event, keys: list[RefKey], now_ms: int) -> Target | Waits | None:
    if not event.meaning.facts:
        return None
    if not keys or not event.meaning.opens:
        return Waits(Reason.ORPHAN, f"no payment is known by {_said(keys)}")
    payment_id = pgproto.UUID(new_id_bytes(now_ms))  # the driver's type: hashed and written five times as fast
    return Target(Payment(payment_id, event.provider, event.account), [], keys)


def _said(keys: list[RefKey]) -> str:
    return ", ".join(f"{kind} {ref}" for _, _, kind, ref in keys)[:400] or "any reference"


def _unbound(keys: list[RefKey], bound: list[UUID | None]) -> list[RefKey]:
    """Return the names that no payment has yet; mostly all have one."""
    if None not in bound:
        return []
    return [key for key, payment_id in zip(keys, bound, strict=True) if payment_id is None]


def _choose(candidates: list[Payment], keys: list[RefKey], bound: list[UUID | None]) -> Target:
    """Merge several candidates into one; two payments that were both promised to clients stay two."""
    promised = [payment for payment in candidates if payment.client is not None]
    if len(promised) > 1 or not _one_currency(candidates):
        return Target(candidates[0], [], _unbound(keys, bound))
    survivor = promised[0] if promised else min(candidates, key=lambda payment: payment.id)
    same = [payment for payment in candidates if payment is not survivor]
    other = [key for key, payment_id in zip(keys, bound, strict=True) if payment_id != survivor.id]
    return Target(survivor, same, other)


def _one_currency(candidates: list[Payment]) -> bool:
    return len({payment.currency for payment in candidates if payment.currency}) <= 1


def _claim(
    event: Event, candidates: list[Payment], keys: list[RefKey], names: Mapping[RefKey, UUID | None]
) -> Target | Dead:
    """Give a client its payment under the promised id, with all that webhooks have said of it already."""
    claim = event.meaning.claim
    assert claim is not None
    own = next((payment for payment in candidates if payment.id == claim.payment_id), None)
    if own is not None and own.client not in (None, claim.client):
        return Dead(Reason.CONFLICT, f"payment {own.id} belongs to another client than {claim.client}")
    if any(payment.client == claim.client and payment is not own for payment in candidates):
        return Dead(Reason.CONFLICT, f"client {claim.client} has another payment under the same reference")
    survivor = own or Payment(claim.payment_id, event.provider, event.account)
    same = [payment for payment in candidates if payment.client is None and payment is not own]
    if not _one_currency([survivor, *same]) or any(_differs(payment, event) for payment in same):
        same = []
    free = {payment.id for payment in same} | {None}
    return Target(survivor, same, [key for key in keys if names.get(key) in free])


def _differs(payment: Payment, event: Event) -> bool:
    return bool(payment.currency and event.meaning.currency and payment.currency != event.meaning.currency)


def counts_more(payment: Payment, offered: str | None) -> str | None:
    """Return the provider's reference to show: of several attempts the one that holds the authorization.

    Ties go to the smaller text, so that the order of arrival does not matter.
    """
    held = payment.provider_ref
    if offered is None or held is None or offered == held:
        return offered or held
    money = (FactKind.AUTHORIZATION, FactKind.CAPTURE)
    paid = {name for (kind, key), state in payment.facts.items() if kind in money for name in (key, state.parent)}
    holders = [ref for ref in (offered, held) if ref in paid]
    return min(holders or (offered, held))
