"""A batch settled in memory: events in, rows to write out. Pure, but for the ids of new payments.

From what the transaction read (`Known`) to what it writes (`Plan`). An event that waits is tried again after
its neighbours, together with the parked events that wait on the same names, until nothing moves any more. A dead letter
of an orphan is applied or stays what it is.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final
from weakref import proxy

from msgspec.structs import replace

import providers
from consumer.commands import LASTS_SECONDS, open_command, row_of
from consumer.copies import richer_id, with_digest
from consumer.customer import messages_to
from consumer.decode import (
    ANY,
    Endpoints,
    Event,
    can_refetch,
    decode,
    is_answer,
    reads_unknown,
)
from consumer.facts_json import dump_said, same_facts
from consumer.fold import project, united
from consumer.grouping import PAYMENTS_MAX, Grouping
from consumer.ledger import LedgerRow, timestamp
from consumer.plan import Letter, Parking, Plan, Refetching
from consumer.resolve import Target, counts_more, resolve
from consumer.ties import taken_for, tied
from consumer.verdict import Dead, Settled, Waits, judge, said_in
from schemas.dead_letter import MESSAGE_LENGTH_MAX, Reason
from schemas.facts import Fact, FactKind, State
from schemas.payment import Flag, Outcome, Payment, Projection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.plan import Known
    from schemas.facts import Claim
    from schemas.payment import Facts
    from schemas.record import Record

Waiting = tuple[Event, int | None]
"""An event that waits, and its id if it is parked already."""

OWN_SOURCE: Final = "ratchet"
"""The ledger's source of changes that have no event of their own."""

_SAID_NOTHING: Final = dump_said(())
OTHER_FACTS: Final = "the event id is in the books with other facts; the first stands"
OTHER_COMMAND: Final = "another command or answer has this ce_id already, and stands; give each an id of its own"

_NOTHING: Final = Settled(Outcome.NOOP, {}, Projection(), versioned=False)
"""The verdict on an event that is about no payment."""


class Settlement:
    """Settles the events of one batch on what is known."""

    def __init__(  # noqa: PLR0913 - the world, once
        self,
        known: Known,
        *,
        now: float,
        xid: int,
        facts_max: int,
        group_max: int = PAYMENTS_MAX,
        endpoints: Endpoints = ANY,
        command_seconds: float = LASTS_SECONDS,
    ) -> None:
        self._known = known
        self._command_seconds = command_seconds
        self._endpoints = endpoints
        self._now = dt.datetime.fromtimestamp(now, dt.UTC)
        self._xid = xid
        self._facts_max = facts_max
        self._plan = Plan()
        # Without a proxy the two would hold each other, and with them all records that the plan parks or buries, until
        # the collector looks for cycles, which it seldom does (`runtime.collector`).
        self._grouping = Grouping(known, self._plan, proxy(self), group_max)

    def settle(self, items: Iterable[tuple[Record, Event | Dead]]) -> Plan:
        """Settle the batch's events in order, then whatever waits; return all that is to be written."""
        waiting: list[Waiting] = []
        for record, item in items:
            one = item if isinstance(item, Dead) else self._tied(item)
            if isinstance(one, Dead):
                self._bury(record, one)
            else:
                self._take(one, waiting)
        waiting.extend(self._unpark())
        self._wake(waiting)
        self._plan.applied += [letter.id for letter in self._known.orphans if self._apply(letter.event)]
        self._grouping.work_out()
        return self._plan

    def _tied(self, event: Event) -> Event | Dead:
        """Return what an event of the batch is taken for, now or when it came first."""
        said = self._known.claims.get((event.source, event.event_id))
        return tied(event, self._known) if said is None else taken_for(event, said)

    def _take(self, event: Event, waiting: list[Waiting]) -> None:
        """Take one event of the batch in: it is known, or settled, or waits."""
        if event.named is not None:
            self._ask_again(event, event.named, "hint")
        event = self._identified(event)
        richer = richer_id(event, self._known)
        event = event if richer is None else replace(event, event_id=richer)
        if self._seen(event):
            return
        if not self._try(event):
            self._known.claims[event.source, event.event_id] = dump_said(event.meaning.facts)
            waiting.append((event, None))
        self._claim_body(event)

    def _apply(self, event: Event) -> bool:
        """Settle the event of an orphan's dead letter; where that is impossible write nothing and return False."""
        one = self._tied(event)
        if isinstance(one, Dead):
            return False
        event = self._identified(one)
        agrees = self._agrees(event)
        if agrees is not None:
            return agrees
        target, verdict = self._decide(event)
        if not isinstance(verdict, Settled):
            return False
        self._book(event, target, verdict)
        self._claim_body(event)
        return True

    def _claim_body(self, event: Event) -> None:
        """Note the body of an event of an unsigned id that is in the books now."""
        if event.digest is not None and (event.source, event.event_id) in self._known.claims:
            self._known.bodies.add((event.source, event.digest))
            self._plan.bodies.append((event.source, event.digest, event.event_id))

    def _identified(self, event: Event) -> Event:
        """Tell events of an unsigned id apart by their bodies: a forger's replay must not swallow the genuine one."""
        digest = event.digest
        if (
            digest is None
            or event.meaning.commands
            or (event.source, digest) in self._known.bodies
            or (event.source, event.event_id) not in self._known.claims
        ):
            return event
        return replace(event, event_id=with_digest(event.event_id, digest))

    def _ask_again(self, event: Event, ref: str | None, reason: str) -> None:
        """Note that the provider's API must be asked about a payment, if it can be."""
        if ref is not None and can_refetch(event.provider):
            self._plan.refetches.append(Refetching(event.provider, event.account, ref, reason))

    def _look_again(self, event: Event, payment: Payment) -> None:
        """Have a payment read again whose facts came to contradict each other; an answer is not asked for again."""
        if not is_answer(event):
            self._ask_again(event, event.meaning.provider_ref or payment.provider_ref, "contradiction")

    def _ask_about_unknown(self, event: Event) -> None:
        """Ask about the payment of an event that has to wait, where the provider makes payments that no event opens."""
        if reads_unknown(event.provider) and event.meaning.refs:
            self._ask_again(event, event.meaning.provider_ref or event.meaning.refs[0].ref, "stale")

    def _unpark(self) -> Iterable[Waiting]:
        """Understand the parked events again, with today's interpretation."""
        for parked in self._known.parked:
            item = parked.dead or decode(parked.record, self._endpoints)
            if parked.settled:
                item = Dead(Reason.CONFLICT, "its event id is in the books under other references; those stand")
            item = item if isinstance(item, Dead) else tied(item, self._known)
            if isinstance(item, Dead):
                self._bury(parked.record, item, parked.id)
            else:
                yield replace(item, event_id=parked.event_id), parked.id

    def _wake(self, waiting: list[Waiting]) -> None:
        """Try what waits until nothing settles any more; then park what is not parked yet."""
        while waiting:
            still = [(event, parked_id) for event, parked_id in waiting if not self._try(event, parked_id)]
            if len(still) == len(waiting):
                break
            waiting = still
        for event, parked_id in waiting:
            _, verdict = self._decide(event)
            if parked_id is None and isinstance(verdict, Waits):
                self._park(event, verdict)

    def _park(self, event: Event, waits: Waits) -> None:
        self._ask_about_unknown(event)
        self._plan.parkings.append(Parking(event, dump_said(event.meaning.facts), waits))

    def _agrees(self, event: Event) -> bool | None:
        """Tell whether the books hold the event with the same facts, for bytes change between deliveries.

        A command and its answer say no facts: what they ask for or tell has to be the same.

        What only closes what is known had nothing to say where nothing was, and says the same when it comes again.
        Facts that an older or newer version of the meaning read are not compared: the event is a duplicate and nothing
        else. None where the books do not hold it at all.
        """
        if event.digest is not None and (event.source, event.digest) in self._known.bodies:
            return True
        said = self._known.claims.get((event.source, event.event_id))
        if said is None:
            return None
        if event.meaning.commands:
            return False
        if (event.source, event.event_id) in self._known.reread:
            return True
        closed_nothing = not event.meaning.waits and said == _SAID_NOTHING
        agrees = closed_nothing or same_facts(said, dump_said(event.meaning.facts))
        return agrees or self._told_in_other_currency(event, said)

    def _seen(self, event: Event) -> bool:
        """Tell whether the event is in the books; one that says other facts there becomes a dead letter."""
        agrees = self._agrees(event)
        if agrees is None:
            return False
        if agrees:
            self._plan.duplicates += 1
        else:
            self._bury(event.record, Dead(Reason.CONFLICT, OTHER_COMMAND if event.meaning.commands else OTHER_FACTS))
        return True

    def _told_in_other_currency(self, event: Event, said: str) -> bool:
        """Tell whether the books hold the event as money in another currency than its payment's."""
        found = resolve(event, self._known)
        if not isinstance(found, Target):
            return False
        return same_facts(said, dump_said(said_in(found.payment.currency, event.meaning)))

    def _try(self, event: Event, parked_id: int | None = None) -> bool:
        """Settle or bury an event; False where it has to wait."""
        target, verdict = self._decide(event)
        match verdict:
            case Waits():
                return False
            case Dead():
                self._bury(event.record, verdict, parked_id)
            case _:
                self._book(event, target, verdict)
                if parked_id is not None:
                    self._plan.woken.append(parked_id)
        return True

    def _decide(self, event: Event) -> tuple[Target | None, Settled | Waits | Dead]:
        target = resolve(event, self._known)
        match target:
            case None:
                return None, _NOTHING
            case Waits() | Dead():
                return None, target
        merged = self._grouping.whole(_merged(target))
        verdict = judge(merged, event.meaning, facts_max=self._facts_max)
        if target.same and isinstance(verdict, Settled):
            projection = project(merged.facts | verdict.news)
            verdict = Settled(Outcome.APPLIED, verdict.news, projection, versioned=True, said=verdict.said)
        return target, verdict

    def _bury(self, record: Record, dead: Dead, parked_id: int | None = None) -> None:
        self._plan.letters.append(Letter(record, dead.reason, dead.message[:MESSAGE_LENGTH_MAX]))
        if parked_id is not None:
            self._plan.woken.append(parked_id)

    def _book(self, event: Event, target: Target | None, verdict: Settled) -> None:
        """Move the event's payment and write its ledger row, chained to the payment's row before."""
        payment = target.payment if target else None
        before = payment.projection.status if payment and payment.version else None
        if payment and _contradicts(verdict.projection) and not _contradicts(payment.projection):
            self._look_again(event, payment)
        self._ask_again(event, event.meaning.ask, "stale")
        versioned = verdict.versioned
        if target is not None:
            had_phone, shown = target.payment.phone is not None, target.payment.projection
            versioned = self._move(event, target, verdict)
            self._tell_customer(target.payment, shown if before and had_phone else None, verdict.news)
            self._note_debit(event, target.payment)
        if event.meaning.receipt is not None:
            self._plan.receipts.append(event.meaning.receipt)
        row = LedgerRow(
            payment_id=payment.id if payment else None,
            source=event.source,
            event_id=event.event_id,
            event_type=event.kind,
            outcome=verdict.outcome,
            from_status=before,
            to_status=payment.projection.status if payment else None,
            amount=event.meaning.amount,
            version=payment.version if payment and versioned else None,
            facts=dump_said(verdict.said),
            topic=event.record.topic,
            partition=event.record.partition,
            offset=event.record.offset,
            occurred_at=timestamp(event.meaning.occurred_at),
            recorded_at=self._now,
            relay_xid=max(self._xid, payment.head_xid if payment else 0),
            traceparent=event.traceparent,
            meaning=providers.meaning_version(event.source),
        )
        hashed = row.seal(payment.head_hash if payment else b"")
        if payment:
            payment.head_hash, payment.head_xid = hashed, row.relay_xid
        self._plan.rows.append(row)
        if payment is not None and event.meaning.commands:
            self._note_command(event, payment, row.relay_xid)
        self._known.claims[event.source, event.event_id] = row.facts
        if target is not None and target.apart:
            self._note_meetings(target)

    def _note_command(self, event: Event, payment: Payment, relay_xid: int) -> None:
        """Check a command anew, under the lock, and take it on or refuse it; or note what its executor answered."""
        known = self._known.commands.setdefault(payment.id, {})
        answer = event.meaning.answer
        if answer is not None:
            self._plan.answers.append(answer)
            if answer.command_id in known:
                known[answer.command_id].note(answer.state)
            return
        whole = self._grouping.whole(payment)
        row = row_of(
            event,
            replace(whole, projection=project(whole.facts)),
            self._grouping.attempts_of(payment),
            known.values(),
            now=self._now,
            lasts_seconds=self._command_seconds,
            relay_xid=relay_xid,
        )
        known[row.command_id] = open_command(row)
        self._plan.commands.append(row)

    def _note_meetings(self, target: Target) -> None:
        """Flag payments that one event names and that can't be the same one, each once for each other."""
        for other in target.apart:
            for payment, met in ((target.payment, other), (other, target.payment)):
                place = (FactKind.MEETING, str(met.id))
                if place in payment.facts or len(payment.facts) >= self._facts_max:
                    continue
                fact = Fact(*place, "met")
                payment.facts |= {place: State("met")}
                old, payment.projection = payment.projection, project(self._grouping.whole(payment).facts)
                self.note_change(payment, "payment.flagged", old, (fact,))

    def _note_debit(self, event: Event, payment: Payment) -> None:
        """Note that the provider must be asked again whether a bank took the event's money back."""
        ref, days = event.meaning.provider_ref or payment.provider_ref, event.meaning.undoable_days
        if days and ref is not None and can_refetch(event.provider):
            self._plan.debits.append((event.provider, event.account, ref, days))

    def note_change(self, payment: Payment, event_type: str, old: Projection, said: tuple[Fact, ...] = ()) -> None:
        """Write the ledger row of a change that has no event of its own; `old` is how the payment stood before.

        `said` are the facts that it tells.
        """
        payment.version += 1
        self._plan.changed[payment.id] = payment
        row = LedgerRow(
            payment_id=payment.id,
            source=OWN_SOURCE,
            event_id=f"{payment.id}:{payment.version}",
            event_type=event_type,
            outcome=Outcome.APPLIED,
            from_status=old.status,
            to_status=payment.projection.status,
            amount=None,
            version=payment.version,
            facts=dump_said(said) if said else _SAID_NOTHING,
            topic="",
            partition=0,
            offset=0,
            occurred_at=None,
            recorded_at=self._now,
            relay_xid=max(self._xid, payment.head_xid),
        )
        payment.head_hash, payment.head_xid = row.seal(payment.head_hash), row.relay_xid
        self._plan.rows.append(row)
        self._tell_customer(payment, old, {})

    def _tell_customer(self, payment: Payment, old: Projection | None, news: Facts) -> None:
        """Owe the customer what `messages_to` says of the transition."""
        self._plan.messages += messages_to(payment, old, news)

    def _move(self, event: Event, target: Target, verdict: Settled) -> bool:
        """Move the payment; tell whether its version counts the event, as it does a new name that readers are shown."""
        payment, meaning, names = target.payment, event.meaning, target.payment.names
        if payment.id not in self._known.payments:
            self._known.payments[payment.id] = self._plan.opened[payment.id] = payment
        self._plan.changed[payment.id] = payment
        if target.same:
            payment.facts = united(payment.facts, (other.facts for other in target.same))
        payment.facts |= verdict.news
        payment.projection = verdict.projection
        payment.version += verdict.versioned
        payment.currency = _currency_of(target) or meaning.currency
        payment.merchant_account = _merchant_account_of(target) or meaning.merchant_account
        payment.provider_ref = counts_more(payment, meaning.provider_ref)
        if meaning.claim is not None and payment.client is None:
            self._give(payment, meaning.claim)
        for other in target.same:
            self._merge(other, payment)
        for key in target.names:
            self._known.names[key] = self._plan.bindings[key] = payment.id
        self._grouping.stand(event, payment)
        renamed = not verdict.versioned and payment.version > 0 and payment.names != names
        payment.version += renamed
        return verdict.versioned or renamed

    def _give(self, payment: Payment, claim: Claim) -> None:
        """Give a payment to the client whose intent claims it."""
        payment.client, payment.reference, payment.phone = claim.client, claim.reference, claim.phone
        if claim.metadata is not None:
            self._plan.metadata[payment.id] = claim.metadata

    def _merge(self, other: Payment, survivor: Payment) -> None:
        """Point a payment that turned out to be the same one to its survivor; its names are followed from now on."""
        other.merged_into = survivor.id
        self._plan.merges.append((other.id, survivor.id))
        survivor.provider_ref = counts_more(survivor, other.provider_ref)
        if survivor.client is None:
            survivor.reference = min(filter(None, (survivor.reference, other.reference)), default=None)
        self._grouping.merge(other, survivor)
        self.note_change(other, "payment.merged", other.projection)


def _contradicts(projection: Projection) -> bool:
    return Flag.CONTRADICTION in projection.flags


def _merged(target: Target) -> Payment:
    """Return the payment as it would stand with the facts of those that are the same one."""
    payment = target.payment
    if not target.same:
        return payment
    facts = united(payment.facts, (other.facts for other in target.same))
    return replace(payment, facts=facts, projection=project(facts), currency=_currency_of(target))


def _currency_of(target: Target) -> str | None:
    """Return the currency of the payments that are the same one, where any of them has one."""
    own = target.payment.currency
    return own or next((one.currency for one in target.same if one.currency), None)


def _merchant_account_of(target: Target) -> str:
    """Return the merchant account of the payments that are the same one, where any of them has one."""
    own = target.payment.merchant_account
    return own or next((one.merchant_account for one in target.same if one.merchant_account), "")
