"""What a batch comes to: events in, rows to write out. Pure, but for the ids of new payments.

From what the transaction read (`Known`) to what it writes (`Plan`). `consumer.copies` finds what is known already,
`consumer.resolve` the payment, `consumer.verdict` what an event does to it; `consumer.merging` joins payments that turn
out to be one, `consumer.grouping` counts attempts to their intents, `consumer.entries` adds the ledger rows.

An event that waits is tried again after its neighbours, together with the parked events that wait on the same
references, until nothing moves any more. A dead letter of an orphan is applied or stays what it is.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from consumer.commands import LASTS_SECONDS, open_command, row_of
from consumer.copies import agrees, richer_id, under_own_id
from consumer.customer import messages_to
from consumer.decode import (
    ANY,
    DecodingTerms,
    Event,
    can_refetch,
    decode,
    is_answer,
    reads_unknown,
)
from consumer.entries import Entries
from consumer.facts_json import dump_reported
from consumer.fold import project
from consumer.grouping import PAYMENTS_MAX, Grouping
from consumer.merging import as_one, currency_of, facts_of, merchant_account_of, merge
from consumer.plan import Letter, Parking, Plan, Refetching
from consumer.resolve import Target, counts_more, looked_up_of, resolve
from consumer.ties import taken_for, tied
from consumer.verdict import Dead, Recorded, Waits, decide
from schemas.dead_letter import MESSAGE_LENGTH_MAX, Reason
from schemas.facts import ChildState, Fact, FactKind
from schemas.payment import Flag, Outcome, Projection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.plan import Known
    from schemas.facts import Ownership
    from schemas.payment import Payment
    from schemas.record import Record

Waiting = tuple[Event, int | None]
"""An event that waits, and its id if it is parked already."""

OTHER_FACTS: Final = "the event id is in the ledger with other facts; the first stands"
OTHER_COMMAND: Final = "another command or answer has this ce_id already, and stands; give each an id of its own"

_NOTHING: Final = Recorded(Outcome.NOOP, {}, Projection(), versioned=False)
"""The verdict on an event that is about no payment."""


class Planner:
    """Plans one batch: what each event does, in the order of the batch, on what is known."""

    def __init__(  # noqa: PLR0913 - the world, once
        self,
        known: Known,
        *,
        now: float,
        xid: int,
        facts_max: int,
        group_max: int = PAYMENTS_MAX,
        endpoints: DecodingTerms = ANY,
        command_seconds: float = LASTS_SECONDS,
    ) -> None:
        self._known = known
        self._command_seconds = command_seconds
        self._endpoints = endpoints
        self._now = dt.datetime.fromtimestamp(now, dt.UTC)
        self._facts_max = facts_max
        self._plan = Plan()
        self._entries = Entries(self._plan, self._now, xid)
        self._grouping = Grouping(known, self._plan, self._entries, group_max)

    def plan(self, items: Iterable[tuple[Record, Event | Dead]]) -> Plan:
        """Take the batch's events in order, then whatever waits; return all that is to be written."""
        waiting: list[Waiting] = []
        for record, item in items:
            waiting += self.take(record, item)
        return self.finish(waiting)

    def take(self, record: Record, item: Event | Dead) -> list[Waiting]:
        """Take one record of the batch in; return its event where it has to wait."""
        waiting: list[Waiting] = []
        one = item if isinstance(item, Dead) else self._tied(item)
        if isinstance(one, Dead):
            self._bury(record, one)
        else:
            self._take(one, waiting)
        return waiting

    def finish(self, waiting: list[Waiting]) -> Plan:
        """Try what waits, of the batch and parked, once all is taken in; return all that is to be written."""
        waiting.extend(self._unpark())
        self._wake(waiting)
        self._plan.applied += [letter.id for letter in self._known.orphans if self._apply(letter.event)]
        self._grouping.work_out()
        return self._plan

    def _tied(self, event: Event) -> Event | Dead:
        """Return what an event of the batch is taken for, now or when it came first."""
        reported = self._known.reported.get((event.source, event.event_id))
        return tied(event, self._known) if reported is None else taken_for(event, reported)

    def _take(self, event: Event, waiting: list[Waiting]) -> None:
        """Take one event of the batch in: it is known, or gets its ledger row, or waits."""
        if event.named is not None:
            self._ask_again(event, event.named, "hint")
        event = under_own_id(event, self._known)
        richer = richer_id(event, self._known)
        event = event if richer is None else replace(event, event_id=richer)
        if self._seen(event):
            return
        if not self._try(event):
            self._known.reported[event.source, event.event_id] = dump_reported(event.meaning.facts)
            waiting.append((event, None))
        self._note_body(event)

    def _apply(self, event: Event) -> bool:
        """Apply the event of an orphan's dead letter; where that is impossible write nothing and return False."""
        one = self._tied(event)
        if isinstance(one, Dead):
            return False
        event = under_own_id(one, self._known)
        same = agrees(event, self._known)
        if same is not None:
            return same
        target, verdict = self._decide(event)
        if not isinstance(verdict, Recorded):
            return False
        self._book(event, target, verdict)
        self._note_body(event)
        return True

    def _note_body(self, event: Event) -> None:
        """Note the body of an event of an unsigned id that is known now."""
        if event.digest is not None and (event.source, event.event_id) in self._known.reported:
            self._known.bodies.add((event.source, event.digest))
            self._plan.bodies.append((event.source, event.digest, event.event_id))

    def _ask_again(self, event: Event, ref: str | None, reason: str) -> None:
        """Note that the provider's API must be asked about a payment, if it can be."""
        if ref is not None and can_refetch(event.provider):
            self._plan.refetches.append(Refetching(event.provider, event.account, ref, reason))

    def _look_again(self, event: Event, payment: Payment) -> None:
        """Have a payment read again whose facts came to contradict each other; an answer is not asked for again."""
        if not is_answer(event):
            self._ask_again(event, event.meaning.provider_ref or payment.provider_ref, "contradiction")

    def _order_to_ask_about(self, event: Event, payment: Payment | None) -> str | None:
        """Return the order of a payment of which nothing tells whose it is, and whether it is the whole order."""
        key = looked_up_of(event)
        if key is None or payment is None or payment.merchant_account or event.meaning.merchant_account:
            return None
        return event.meaning.order if self._known.refs.get(key) is None else None

    def _ask_about_unknown(self, event: Event) -> None:
        """Ask about the payment of an event that has to wait, where the provider makes payments that no event opens."""
        if reads_unknown(event.provider) and event.meaning.refs:
            self._ask_again(event, event.meaning.provider_ref or event.meaning.refs[0].ref, "stale")

    def _unpark(self) -> Iterable[Waiting]:
        """Decode the parked events again, with today's interpretation."""
        for parked in self._known.parked:
            item = parked.dead or decode(parked.record, self._endpoints)
            if parked.processed:
                item = Dead(Reason.CONFLICT, "its event id is in the ledger under other references; those stand")
            item = item if isinstance(item, Dead) else tied(item, self._known)
            if isinstance(item, Dead):
                self._bury(parked.record, item, parked.id)
            else:
                yield replace(item, event_id=parked.event_id), parked.id

    def _wake(self, waiting: list[Waiting]) -> None:
        """Try what waits until nothing more is applied; then park what is not parked yet."""
        for _ in tuple(waiting):
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
        self._plan.parkings.append(Parking(event, dump_reported(event.meaning.facts), waits))

    def _seen(self, event: Event) -> bool:
        """Tell whether the event is known already; one that has other facts than the first becomes a dead letter."""
        same = agrees(event, self._known)
        if same is None:
            return False
        if same:
            self._plan.duplicates += 1
        else:
            self._bury(event.record, Dead(Reason.CONFLICT, OTHER_COMMAND if event.meaning.commands else OTHER_FACTS))
        return True

    def _try(self, event: Event, parked_id: int | None = None) -> bool:
        """Apply or bury an event; False where it has to wait."""
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

    def _decide(self, event: Event) -> tuple[Target | None, Recorded | Waits | Dead]:
        target = resolve(event, self._known)
        match target:
            case None:
                return None, _NOTHING
            case Waits() | Dead():
                return None, target
        merged = self._grouping.whole(as_one(target))
        verdict = decide(merged, event.meaning, facts_max=self._facts_max)
        if target.same and isinstance(verdict, Recorded):
            projection = project(merged.facts | verdict.news)
            verdict = Recorded(Outcome.APPLIED, verdict.news, projection, versioned=True, reported=verdict.reported)
        return target, verdict

    def _bury(self, record: Record, dead: Dead, parked_id: int | None = None) -> None:
        self._plan.letters.append(Letter(record, dead.reason, dead.message[:MESSAGE_LENGTH_MAX]))
        if parked_id is not None:
            self._plan.woken.append(parked_id)

    def _book(self, event: Event, target: Target | None, verdict: Recorded) -> None:
        """Move the event's payment and write its ledger row, chained to the payment's row before."""
        payment = target.payment if target else None
        before = payment.projection.status if payment and payment.version else None
        if payment and _contradicts(verdict.projection) and not _contradicts(payment.projection):
            self._look_again(event, payment)
        self._ask_again(event, event.meaning.ask or self._order_to_ask_about(event, payment), "stale")
        versioned = verdict.versioned
        if target is not None:
            had_phone, shown = target.payment.phone is not None, target.payment.projection
            versioned = self._move(event, target, verdict)
            self._plan.messages += messages_to(target.payment, shown if had_phone else None, verdict.news)
            self._note_debit(event, target.payment)
        if event.meaning.delivery_report is not None:
            self._plan.delivery_reports.append(event.meaning.delivery_report)
        row = self._entries.add_event(
            event,
            payment,
            verdict.outcome,
            before=before,
            version=payment.version if payment and versioned else None,
            facts=dump_reported(verdict.reported),
        )
        if payment is not None and event.meaning.commands:
            self._note_command(event, payment, row.relay_xid)
        self._known.reported[event.source, event.event_id] = row.facts
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
                payment.facts |= {place: ChildState("met")}
                old, payment.projection = payment.projection, project(self._grouping.whole(payment).facts)
                self._entries.add_change(payment, "payment.flagged", old, dump_reported((fact,)))

    def _note_debit(self, event: Event, payment: Payment) -> None:
        """Note that the provider must be asked again whether a bank took the event's money back."""
        ref, days = event.meaning.provider_ref or payment.provider_ref, event.meaning.undoable_days
        if days and ref is not None and can_refetch(event.provider):
            self._plan.debits.append((event.provider, event.account, ref, days))

    def _move(self, event: Event, target: Target, verdict: Recorded) -> bool:
        """Move the payment; tell whether its version counts the event, as it does what else readers are shown."""
        payment, meaning, shown = target.payment, event.meaning, target.payment.shown
        if payment.id not in self._known.payments:
            self._known.payments[payment.id] = self._plan.opened[payment.id] = payment
        self._plan.changed[payment.id] = payment
        if target.same:
            payment.facts = facts_of(target)
        payment.facts |= verdict.news
        payment.projection = verdict.projection
        payment.version += verdict.versioned
        payment.currency = currency_of(target) or meaning.currency
        payment.merchant_account = merchant_account_of(target) or meaning.merchant_account
        payment.provider_ref = counts_more(payment, meaning.provider_ref)
        if meaning.ownership is not None and payment.client is None:
            self._give(payment, meaning.ownership)
        merge(target, self._plan, self._grouping, self._entries)
        for key in target.refs:
            self._known.refs[key] = self._plan.bindings[key] = payment.id
        self._grouping.stand(event, payment)
        differs = not verdict.versioned and payment.shown != shown
        payment.version += differs
        return verdict.versioned or differs

    def _give(self, payment: Payment, ownership: Ownership) -> None:
        """Give a payment to the client whose intent asked for it."""
        payment.client, payment.reference, payment.phone = ownership.client, ownership.reference, ownership.phone
        if ownership.metadata is not None:
            self._plan.metadata[payment.id] = ownership.metadata


def _contradicts(projection: Projection) -> bool:
    return Flag.CONTRADICTION in projection.flags
