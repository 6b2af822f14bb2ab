"""Which payment an event is about: by the references it carries that belong to one payment alone. Pure.

A reference lives in its scope: provider, account of the URL, merchant account, live or test. Where a provider's ids are
unique over all its merchant accounts, references stand without it too: so an event that leaves it out finds its
payment, and two accounts of one id show. An order that may be several merchants' joins nothing before an event proves
it to be one payment (`Meaning.sole`), which then takes in all that stands under it. Two payments that one event names
turn out to be one: then the row that a client's intent promised survives (else the older one), the other keeps its
ledger and points to it. A merchant's own reference joins nothing; `consumer.grouping` does what it is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from asyncpg.pgproto import pgproto

import providers
from consumer.fold import asked, held
from consumer.verdict import Dead, Waits
from schemas.dead_letter import Reason
from schemas.facts import JOINING, FactKind, RefKind
from schemas.payment import Payment, Status, derived_id_bytes
from schemas.record import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from consumer.decode import Event
    from consumer.plan import Known
    from schemas.facts import CommandAnswer, Ownership

RefKey = tuple[str, str, str, bool, str, str]
"""(provider, account, merchant account, live, kind, reference): the key of a row of `payment_refs`."""

# Members as names of the module: looking one up in its enum costs as much as the rest of its line.
_ID: Final = RefKind.ID
_PAYMENT: Final = RefKind.PAYMENT
_REFERENCE: Final = RefKind.REFERENCE
_SESSION: Final = RefKind.SESSION
_SHARED: Final = RefKind.SHARED

OWN: Final = ("ratchet", "", "", True)
"""The scope of our own payment ids, which are the same for every provider."""

ENDED: Final = frozenset({Status.CANCELED, Status.EXPIRED, Status.FAILED})
"""Where a promise's payment ended without money: then it is live no more."""


class Target(msgspec.Struct):
    """The payment that an event is about, the payments that turn out to be the same one, and the references to bind.

    `apart` are payments that the event names too and that can't be the same one.
    """

    payment: Payment
    same: list[Payment] = msgspec.field(default_factory=list)
    refs: list[RefKey] = msgspec.field(default_factory=list)
    apart: list[Payment] = msgspec.field(default_factory=list)


def joining_of(event: Event) -> list[RefKey]:
    """Return the keys of an event's joining references, strongest first: those that belong to one payment alone.

    A provider's payment id stands also without its merchant account, which an intent may leave out. All ids do whose
    provider makes each once for all merchant accounts; only an intent that names an account holds none of these, or
    it got what an event without one tells of somebody else's payment. Last comes the order that is looked up only.
    """
    if event.hint:
        return []
    looked_up = looked_up_of(event)
    return _own_joining_of(event) if looked_up is None else [*_own_joining_of(event), looked_up]


def _own_joining_of(event: Event) -> list[RefKey]:
    merchant = event.meaning.merchant_account
    scope = (event.provider, event.account, merchant, event.livemode)
    keys: list[RefKey] = [
        (*OWN, ref.kind, ref.ref) if ref.kind is _ID else (*scope, ref.kind, ref.ref)
        for ref in event.meaning.refs
        if ref.kind in JOINING
    ]
    if not merchant:
        return keys
    if not providers.ids_span_accounts(event.provider):
        return keys + [_anywhere(event, ref.kind, ref.ref) for ref in event.meaning.refs if ref.kind is _PAYMENT]
    if event.meaning.ownership is not None:
        return keys
    wide = JOINING - {_ID}
    return keys + [_anywhere(event, ref.kind, ref.ref) for ref in event.meaning.refs if ref.kind in wide]


def looked_up_of(event: Event) -> RefKey | None:
    """Return the key of the order that an event names and does not prove to be one payment, or None.

    It leads to the order's payment once an event has proved that there is only one. This event never binds it.
    """
    order = event.meaning.order
    return None if order is None or event.meaning.sole else _anywhere(event, _SESSION, order)


def gathered_of(event: Event) -> RefKey | None:
    """Return the key of the order that an event proves to be one payment, under which all others stand, or None."""
    order = event.meaning.order
    return None if order is None or event.hint or not event.meaning.sole else _anywhere(event, _SHARED, order)


def groups_of(event: Event) -> list[RefKey]:
    """Return the keys of the merchant's own references of an event: each the lock of the group that stands under it."""
    if event.hint:
        return []
    return [_anywhere(event, ref.kind, ref.ref) for ref in event.meaning.refs if ref.kind is _REFERENCE]


def shared_of(event: Event) -> list[RefKey]:
    """Return the keys of ids that many payments share: nobody locks them."""
    return [_anywhere(event, ref.kind, ref.ref) for ref in event.meaning.refs if ref.kind is RefKind.SHARED]


def promised_of(event: Event) -> RefKey | None:
    """Return the key of the reference that an intent promises, or None."""
    ownership = event.meaning.ownership
    if ownership is None or ownership.reference is None:
        return None
    return _anywhere(event, _REFERENCE, ownership.reference)


def keys_of(event: Event) -> list[RefKey]:
    """Return the keys of all that an event locks: its joining references, then the merchant's own."""
    return joining_of(event) + groups_of(event)


def _anywhere(event: Event, kind: RefKind, ref: str) -> RefKey:
    """Return a key whose scope leaves the merchant account open."""
    return (event.provider, event.account, "", event.livemode, kind, ref)


def resolve(event: Event, known: Known) -> Target | Waits | Dead | None:
    """Find the event's payment; None where it is about none. `known` holds what its references are bound to."""
    refs = joining_of(event)
    bound = [known.refs.get(key) for key in refs]
    found, apart = _candidates(event, refs, bound, known)
    if looked_up_of(event) is not None:
        del refs[-1], bound[-1]
    if event.meaning.ownership is not None:
        return _created(event, event.meaning.ownership, found, refs, known)
    if not found:
        return _open(event, refs, known, apart)
    if event.meaning.asker is not None and event.meaning.asker != found[0].client:
        return Dead(Reason.CONFLICT, f"the payment that the command names is none of client {event.meaning.asker}'s")
    if event.meaning.answer is not None and not _may_answer(event.meaning.answer, found[0]):
        place = source_of(found[0].provider, found[0].account)
        return Dead(Reason.CONFLICT, f"{event.source} is no executor for {place}; see RATCHET_EXECUTORS")
    if len(found) == 1:
        return Target(found[0], [], _to_bind(refs, bound, found, known.payments), apart)
    target = _choose(found, refs, bound, known.payments)
    target.apart += apart
    return target


def _may_answer(answer: CommandAnswer, payment: Payment) -> bool:
    place = source_of(payment.provider, payment.account)
    return answer.accounts is None or place in answer.accounts


def followed(payments: Mapping[UUID, Payment], payment_id: UUID) -> Payment:
    """Return a payment, or the one that it turned out to be."""
    payment = payments[payment_id]
    while payment.merged_into is not None:
        payment = payments[payment.merged_into]
    return payment


def _candidates(
    event: Event, refs: Sequence[RefKey], bound: Sequence[UUID | None], known: Known
) -> tuple[list[Payment], list[Payment]]:
    """Return the payments that the event's references stand for, but none of another merchant account.

    Those come second where the provider makes an id once for all of them: one of the two accounts must be wrong. An
    order that is not proved to be one payment may well be another account's too.
    """
    merchant = event.meaning.merchant_account
    found: dict[UUID, Payment] = {}
    others: dict[UUID, Payment] = {}
    named = list(zip(refs, bound, strict=True))
    if (gathered := gathered_of(event)) is not None:
        named += [(gathered, payment_id) for payment_id in known.under.get(gathered, ())]
    several = _several(event)
    for key, payment_id in named:
        if payment_id is not None:
            payment = followed(known.payments, payment_id)
            if not merchant or payment.merchant_account in ("", merchant):
                found[payment.id] = payment
            elif key != several:
                others[payment.id] = payment
    contradict = others and providers.ids_span_accounts(event.provider)
    return list(found.values()), list(others.values()) if contradict else []


def _several(event: Event) -> RefKey | None:
    """Return the key of an order without its account where events of several accounts may name it, or None."""
    order = event.meaning.order
    return None if order is None or event.meaning.sole else _anywhere(event, _PAYMENT, order)


def _open(event: Event, refs: list[RefKey], known: Known, apart: list[Payment]) -> Target | Waits | None:
    meaning = event.meaning
    if event.hint or not (meaning.facts or meaning.commands):
        return None
    if not meaning.waits and not any(known.refs.get(key) for key in groups_of(event)):
        return None
    if not refs or not meaning.opens:
        return Waits(Reason.ORPHAN, f"no payment is known by {_listed(refs)}")
    identity = derived_id_bytes(event.record.timestamp_ms, "\x00".join(map(str, refs[0])))
    payment_id = pgproto.UUID(identity)  # the driver's type: hashed and written five times as fast
    payment = Payment(
        payment_id,
        event.provider,
        event.account,
        merchant_account=meaning.merchant_account,
        livemode=event.livemode,
    )
    return Target(payment, [], [ref for ref in refs if known.refs.get(ref) is None], apart)


def _listed(keys: list[RefKey]) -> str:
    shown = dict.fromkeys(f"{kind} {ref}" for *_, kind, ref in keys)
    return ", ".join(shown)[:400] or "any reference of its own"


def _to_bind(
    refs: list[RefKey], bound: Sequence[UUID | None], ours: Sequence[Payment], payments: Mapping[UUID, Payment]
) -> list[RefKey]:
    """Return the references that the first of `ours` has to get: of no payment yet, or of one that is the same."""
    own, ids = ours[0].id, {payment.id for payment in ours}
    return [
        key
        for key, payment_id in zip(refs, bound, strict=True)
        if payment_id != own and (payment_id is None or followed(payments, payment_id).id in ids)
    ]


def _choose(
    found: list[Payment], refs: list[RefKey], bound: Sequence[UUID | None], payments: Mapping[UUID, Payment]
) -> Target:
    """Merge several candidates into one; two promises, and what does not fit together, stay apart."""
    promised = [payment for payment in found if payment.client is not None]
    if len(promised) > 1 or not _fit_together(found):
        return Target(found[0], [], _to_bind(refs, bound, found[:1], payments), apart=found[1:])
    survivor = promised[0] if promised else min(found, key=lambda payment: payment.id)
    same = [payment for payment in found if payment is not survivor]
    return Target(survivor, same, _to_bind(refs, bound, [survivor, *same], payments))


def _fit_together(payments: Sequence[Payment]) -> bool:
    """Tell whether payments are of one currency and one merchant account, as far as they say."""
    currencies = {payment.currency for payment in payments if payment.currency}
    merchants = {payment.merchant_account for payment in payments if payment.merchant_account}
    return len(currencies) <= 1 and len(merchants) <= 1


def _created(
    event: Event, ownership: Ownership, found: list[Payment], refs: list[RefKey], known: Known
) -> Target | Dead:
    """Give a client its payment under the promised id, with all that webhooks have reported of it already."""
    own = known.payments.get(ownership.payment_id)
    if own is not None:
        return _created_again(event, ownership, own, refs, known)
    for other in found:
        if refused := _refused(event, other):
            return Dead(Reason.CONFLICT, refused)
    if refused := _promised_already(event, ownership, known):
        return Dead(Reason.CONFLICT, refused)
    merchant = event.meaning.merchant_account or next((one.merchant_account for one in found), "")
    opened = Payment(
        ownership.payment_id, event.provider, event.account, merchant_account=merchant, livemode=event.livemode
    )
    if not _fit_together([opened, *found]):
        return Dead(Reason.CONFLICT, "its provider_ref names payments of several currencies or merchant accounts")
    bound = [known.refs.get(key) for key in refs]
    return Target(opened, found, _to_bind(refs, bound, [opened, *found], known.payments))


def _created_again(event: Event, ownership: Ownership, own: Payment, refs: list[RefKey], known: Known) -> Target | Dead:
    """Take a second create under one id for what it is: the same again, or a conflict."""
    if own.client != ownership.client:
        return Dead(Reason.CONFLICT, f"payment {own.id} belongs to another client than {ownership.client}")
    bound = [known.refs.get(key) for key in refs]
    elsewhere = any(held is None or followed(known.payments, held) is not own for held in bound)
    if elsewhere or _other_terms(event, ownership, own):
        return Dead(Reason.CONFLICT, f"payment {own.id} was created with other terms; the first stand")
    return Target(own)


def _other_terms(event: Event, ownership: Ownership, own: Payment) -> bool:
    meaning = event.meaning
    if (own.provider, own.account, own.livemode) != (event.provider, event.account, event.livemode):
        return True
    if own.reference != ownership.reference or own.currency != meaning.currency:
        return True
    terms = [fact for fact in meaning.facts if fact.kind in (FactKind.TERMS, FactKind.MODE)]
    known = [(own.facts.get((fact.kind, fact.key)), fact) for fact in terms]
    return any(state is None or (state.name, state.amount) != (fact.state, fact.amount) for state, fact in known)


def _refused(event: Event, other: Payment) -> str | None:
    """Return why an intent may not take the payment that its `provider_ref` names, or None."""
    meaning = event.meaning
    if other.client is not None:
        return f"the payment that its provider_ref names belongs to another intent: {other.id}"
    if other.intent_id is not None:
        return f"the payment that its provider_ref names is an attempt of intent {other.intent_id}"
    if other.currency and meaning.currency and other.currency != meaning.currency:
        return f"the payment that its provider_ref names is in {other.currency}, the intent in {meaning.currency}"
    amount = asked(other.facts)
    amount = held(other.facts) if amount is None else amount
    if meaning.amount is not None and amount > meaning.amount:
        return f"the payment that its provider_ref names asked {amount}, the intent {meaning.amount}"
    return None


def _promised_already(event: Event, ownership: Ownership, known: Known) -> str | None:
    """Return why a reference can't be promised again, or None: the first promise that is live stands."""
    key = promised_of(event)
    if key is None:
        return None
    merchant = event.meaning.merchant_account
    for payment_id, member in known.groups.get(key, {}).items():
        held = known.payments[payment_id]
        overlap = not merchant or held.merchant_account in ("", merchant)
        if member.promise is not None and overlap and held.projection.status not in ENDED:
            return f"reference {ownership.reference!r} is promised to payment {held.id} already"
    return None


def counts_more(payment: Payment, offered: str | None) -> str | None:
    """Return the provider's reference to show: of several attempts the one that holds the authorization.

    Ties go to the smaller text, so that the order of arrival does not matter.
    """
    held = payment.provider_ref
    if offered is None or held is None or offered == held:
        return offered or held
    money = (FactKind.AUTHORIZATION, FactKind.CAPTURE)
    paid = {ref for (kind, key), state in payment.facts.items() if kind in money for ref in (key, state.parent)}
    holders = [ref for ref in (offered, held) if ref in paid]
    return min(holders or (offered, held))
