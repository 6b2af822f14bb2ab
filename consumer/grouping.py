"""An intent and its attempts: the payments under a merchant's own reference that an intent has promised. Pure.

Each attempt keeps its row, its references and its facts, and points to the intent that has adopted it; the intent's row
shows what its own facts and theirs come to. `consumer.adoption` says which attempts are adopted; this carries it out on
what a batch knows, once, after its events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from consumer.adoption import IntentTerms, adopt, attempt_of
from consumer.fold import held, project, united
from consumer.plan import Member
from consumer.resolve import followed, groups_of, promised_of, shared_of
from schemas.facts import INTENT, FactKind, RefKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from consumer.decode import Event
    from consumer.entries import Entries
    from consumer.plan import Known, Plan
    from consumer.resolve import RefKey
    from schemas.payment import Facts, Payment


_REFERENCE: Final = RefKind.REFERENCE
_SHARED: Final = RefKind.SHARED
PAYMENTS_MAX: Final = 200
"""How many payments the group of a promised reference has beside its promises, where no setting says otherwise."""


class Grouping:
    """The groups of one batch."""

    def __init__(self, known: Known, plan: Plan, entries: Entries, payments_max: int = PAYMENTS_MAX) -> None:
        self._payments_max = payments_max
        self._known = known
        self._plan = plan
        self._entries = entries
        self._adopted: dict[UUID, list[Payment]] = adopted_by(known.payments.values()) if known.groups else {}
        for intent_id, attempts in self._adopted.items():
            if (intent := known.payments.get(intent_id)) is not None:
                intent.projection = project(_whole(intent, attempts))
                intent.group_flags = tuple(flag for flag in intent.group_flags if flag not in intent.projection.flags)

    def whole(self, payment: Payment) -> Payment:
        """Return an intent's payment with the facts of its attempts beside its own; any other as it is."""
        attempts = self._adopted.get(payment.id) if self._adopted else None
        return replace(payment, facts=_whole(payment, attempts)) if attempts else payment

    def attempts_of(self, payment: Payment) -> list[Payment]:
        """Return the attempts that an intent had adopted when the batch began, by id; none of any other payment."""
        return sorted(self._adopted.get(payment.id, ()), key=lambda one: one.id)

    def stand(self, event: Event, payment: Payment) -> None:
        """Put the event's payment under the references that it names, as a promise where an intent promises one."""
        kinds = [ref.kind for ref in event.meaning.refs]
        if _REFERENCE in kinds:
            promised = promised_of(event)
            for key in groups_of(event):
                if key == promised:
                    self._promise(key, event, payment)
                else:
                    self._stand_under(key, payment)
        if _SHARED in kinds:
            for key in shared_of(event):
                self._plan.members[key, payment.id] = Member()
                self._known.under.setdefault(key, []).append(payment.id)

    def _stand_under(self, key: RefKey, payment: Payment) -> None:
        """Put a payment under a reference; where its group is full the payment is found under it and stays apart."""
        group = self._known.groups.get(key)
        if group is not None and payment.id in group:
            return
        place = key
        if group is not None and self._is_full(group):
            place = (*key[:-2], _SHARED, key[-1])
        elif group is not None:
            group[payment.id] = Member()
        if payment.reference == key[-1]:
            return
        self._plan.members[place, payment.id] = Member()
        if payment.client is None:
            payment.reference = min(payment.reference or key[-1], key[-1])

    def _is_full(self, group: Mapping[UUID, Member]) -> bool:
        """Tell whether a group takes no more payments; its promises don't count."""
        many = len(group) >= self._payments_max
        return many and sum(member.promise is None for member in group.values()) >= self._payments_max

    def _promise(self, key: RefKey, event: Event, payment: Payment) -> None:
        """Note the intent's promise, unless it is noted already."""
        ownership, group = event.meaning.ownership, self._known.groups.setdefault(key, {})
        if ownership is None or (payment.id in group and group[payment.id].promise is not None):
            return
        newest = max((member.promise or 0 for member in group.values()), default=0)
        member = Member(newest + 1, ownership.groups)
        group[payment.id] = self._plan.members[key, payment.id] = member
        self._known.refs[key] = self._plan.bindings[key] = payment.id

    def merge(self, other: Payment, survivor: Payment) -> None:
        """Hand the groups of a payment over to the one that it turned out to be."""
        for group in self._known.groups.values():
            if other.id in group:
                group.setdefault(survivor.id, Member())
        intents = [one for one in (survivor.intent_id, other.intent_id) if one not in (None, survivor.id)]
        survivor.intent_id = min(intents, key=self._promise_of, default=None)
        other.intent_id, other.group_flags = None, ()

    def _promise_of(self, intent_id: UUID) -> tuple[int, UUID]:
        """Return the order of promises: the earlier first."""
        numbers = [
            member.promise
            for group in self._known.groups.values()
            if (member := group.get(intent_id)) is not None and member.promise is not None
        ]
        return min(numbers, default=0), intent_id

    def work_out(self) -> None:
        """Work the groups out anew in which something moved, and write what changed."""
        for key in sorted(self._known.groups):
            group = self._known.groups[key]
            if not self._plan.changed.keys().isdisjoint(group):
                self._work_out(group)

    def _work_out(self, group: Mapping[UUID, Member]) -> None:
        payments = self._known.payments
        ends = {(one := followed(payments, payment_id)).id: one for payment_id in group}
        numbered = sorted((member.promise, one) for one, member in group.items() if member.promise is not None)
        promises = [(payments[payment_id], group[payment_id]) for _, payment_id in numbered]
        ours = {None, *(promise.id for promise, _ in promises)}
        attempts = [one for one in ends.values() if one.client is None and one.intent_id in ours]
        candidates = _shared_out(promises, attempts)
        for place, (promise, member) in enumerate(promises):
            later = [one for one, _ in promises[place + 1 :]]
            self._adopt(promise, member, candidates, later)

    def _adopt(
        self, promise: Payment, member: Member, candidates: dict[UUID, list[Payment]], later: list[Payment]
    ) -> None:
        """Carry out what one promise adopts of its candidates; what it does not goes to a later one that takes it."""
        own = candidates.pop(promise.id)
        attempts = {one.id: attempt_of(one) for one in own}
        adoption = adopt(_asked(promise, member), attempts.values())
        flags = set()
        for one in own:
            taken = one.id in adoption.adopted
            newer_one = None if taken else _newest(later, one)
            if newer_one is not None:
                candidates[newer_one.id].append(one)
                continue
            flag = adoption.flags.get(one.id)
            flags |= {flag} if flag else set()
            self._set(one, promise.id if taken else None, flag)
        adopted = sorted((one for one in own if one.id in adoption.adopted), key=lambda one: attempts[one.id].order)
        self._show(promise, adopted, own, tuple(sorted(flags)))

    def _set(self, attempt: Payment, intent_id: UUID | None, flag: str | None) -> None:
        flags = (flag,) if flag else ()
        if (attempt.intent_id, attempt.group_flags) == (intent_id, flags):
            return
        kind = "payment.flagged"
        if attempt.intent_id != intent_id:
            kind = "attempt.adopted" if intent_id else "attempt.released"
        attempt.intent_id, attempt.group_flags = intent_id, flags
        self._entries.add_change(attempt, kind, attempt.projection)

    def _show(self, intent: Payment, adopted: list[Payment], own: list[Payment], flags: tuple[str, ...]) -> None:
        """Let an intent's row show what its own facts and those of its attempts come to."""
        old = intent.projection
        shown = project(_whole(intent, adopted))
        provider_ref = intent.provider_ref
        if provider_ref is None or any(one.provider_ref == provider_ref for one in own):
            provider_ref = next((one.provider_ref for one in adopted if one.provider_ref), None)
        if (old, intent.group_flags, intent.provider_ref) == (shown, flags, provider_ref):
            return
        intent.projection, intent.group_flags, intent.provider_ref = shown, flags, provider_ref
        self._entries.add_change(intent, "intent.attempts", old)


def adopted_by(payments: Iterable[Payment]) -> dict[UUID, list[Payment]]:
    """Return the attempts of each intent."""
    found: dict[UUID, list[Payment]] = {}
    for payment in payments:
        if payment.intent_id is not None and payment.merged_into is None:
            found.setdefault(payment.intent_id, []).append(payment)
    return found


def _whole(intent: Payment, attempts: Iterable[Payment]) -> Facts:
    """Return an intent's own facts and those of its attempts."""
    return united(intent.facts, (attempt.facts for attempt in attempts))


def _asked(promise: Payment, member: Member) -> IntentTerms:
    """Return what is left of what an intent asked; nothing where it names the provider's payment itself."""
    terms = promise.facts.get((FactKind.TERMS, INTENT))
    amount = (terms.amount or 0) if terms is not None else 0
    room = max(amount - held(promise.facts), 0) if member.groups else -1
    return IntentTerms(amount, promise.currency, promise.merchant_account, room)


def _newest(promises: list[Payment], attempt: Payment) -> Payment | None:
    """Return the newest promise whose scope an attempt is in."""
    fitting = [one for one in promises if one.merchant_account in ("", attempt.merchant_account)]
    return fitting[-1] if fitting else None


def _shared_out(promises: list[tuple[Payment, Member]], attempts: list[Payment]) -> dict[UUID, list[Payment]]:
    """Share attempts out: each stays with the promise that has adopted it, the others go to the newest."""
    candidates: dict[UUID, list[Payment]] = {promise.id: [] for promise, _ in promises}
    everybody = [promise for promise, _ in promises]
    for attempt in attempts:
        if attempt.intent_id is not None:
            candidates[attempt.intent_id].append(attempt)
        elif (newest := _newest(everybody, attempt)) is not None:
            candidates[newest.id].append(attempt)
    return candidates
