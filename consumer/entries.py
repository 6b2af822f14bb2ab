"""The ledger rows that a batch adds, each chained to the row before of its payment. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import providers
from consumer.customer import messages_to
from consumer.facts_json import NO_FACTS
from consumer.ledger import LedgerEntry, timestamp
from schemas.payment import Outcome

if TYPE_CHECKING:
    import datetime as dt

    from consumer.decode import Event
    from consumer.plan import Plan
    from schemas.payment import Payment, Projection, Status

OWN_SOURCE: Final = "ratchet"
"""The ledger's source of changes that have no event of their own."""


class Entries:
    """Adds ledger rows to the plan of one batch.

    `now` is the moment of the batch, `xid` the id of its transaction, by which the relay orders what is written.
    """

    def __init__(self, plan: Plan, now: dt.datetime, xid: int) -> None:
        self._plan = plan
        self._now = now
        self._xid = xid

    def add_event(  # noqa: PLR0913 - what a row holds
        self,
        event: Event,
        payment: Payment | None,
        outcome: Outcome,
        *,
        before: Status | None,
        version: int | None,
        facts: str,
    ) -> LedgerEntry:
        """Add the row of an event that moved `payment` from the status `before`, and return it.

        `version` is None where the payment's version does not count the event; `facts` is JSON, as the ledger has it.
        """
        row = LedgerEntry(
            payment_id=payment.id if payment else None,
            source=event.source,
            event_id=event.event_id,
            event_type=event.kind,
            outcome=outcome,
            from_status=before,
            to_status=payment.projection.status if payment else None,
            amount=event.meaning.amount,
            version=version,
            facts=facts,
            topic=event.record.topic,
            partition=event.record.partition,
            offset=event.record.offset,
            occurred_at=timestamp(event.meaning.occurred_at),
            recorded_at=self._now,
            relay_xid=self._order(payment),
            traceparent=event.traceparent,
            meaning=providers.meaning_version(event.source),
        )
        self._chain(row, payment)
        return row

    def add_change(self, payment: Payment, event_type: str, old: Projection, facts: str = NO_FACTS) -> None:
        """Count a change that has no event of its own as a version, and add its row; the customer gets what it owes.

        `old` is how the payment stood before.
        """
        payment.version += 1
        self._plan.changed[payment.id] = payment
        row = LedgerEntry(
            payment_id=payment.id,
            source=OWN_SOURCE,
            event_id=f"{payment.id}:{payment.version}",
            event_type=event_type,
            outcome=Outcome.APPLIED,
            from_status=old.status,
            to_status=payment.projection.status,
            amount=None,
            version=payment.version,
            facts=facts,
            topic="",
            partition=0,
            offset=0,
            occurred_at=None,
            recorded_at=self._now,
            relay_xid=self._order(payment),
        )
        self._chain(row, payment)
        self._plan.messages += messages_to(payment, old, {})

    def _order(self, payment: Payment | None) -> int:
        """Return what the relay orders a row by: never below the payment's row before, also after a restore."""
        return max(self._xid, payment.head_xid) if payment else self._xid

    def _chain(self, row: LedgerEntry, payment: Payment | None) -> None:
        """Hash a row over its payment's newest one, which it becomes."""
        hashed = row.seal(payment.head_hash if payment else b"")
        if payment:
            payment.head_hash, payment.head_xid = hashed, row.relay_xid
        self._plan.rows.append(row)
