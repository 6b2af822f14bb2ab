"""The rehearsal of a redrive: letters go through the consumer's own decoding and settlement, on rows only read.

`Known` is read as a batch reads it, but without locks; the settlement changes it in memory, and what is in memory
stands above what is read later. A letter's place is made up (`REHEARSED`, its id), so that a plan tells which letter is
which.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from consumer import rows
from consumer.decode import Event, decoded, endpoints_of
from consumer.plan import Known, ParkedEvent
from consumer.resolve import claimed_of, keys_of
from consumer.settlement import Settlement
from consumer.verdict import Dead
from ops.database import fetch
from runtime.postgres_arrays import plain_array
from runtime.settings.scopes import scopes_of
from runtime.sql import statement
from schemas.dead_letter import Reason
from schemas.errors import RatchetError
from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from consumer.plan import Item, Member, Plan
    from consumer.resolve import RefKey
    from runtime.postgres import Connection
    from runtime.settings import Settings

REHEARSED: Final = -1
"""The partition of every record of a rehearsal: no real one has it."""


@dataclass(frozen=True, slots=True)
class Fate:
    """How a letter ends: the ledger's outcome, `duplicate`, `parked`, or `dead` with its reason."""

    outcome: str
    reason: str | None = None
    why: str | None = None


class TrippedError(RatchetError):
    """Letters that the fold trips over: the rehearsal begins anew and takes them for dead."""

    def __init__(self, letter_ids: set[int]) -> None:
        super().__init__(f"the fold trips over letters {sorted(letter_ids)}")
        self.letter_ids = letter_ids


class Rehearsal:
    """Plays letters in order; `fates` holds how each of them ends by now.

    Needs a transaction that reads one snapshot.
    """

    def __init__(self, connection: Connection, settings: Settings, target_topic: str | None, tripped: set[int]) -> None:
        self.fates: dict[int, Fate] = {}
        self._connection = connection
        self._facts_max = settings.consumer.facts_per_payment_max
        self._group_max = settings.consumer.payments_per_promise_max
        self._parked_bounds = settings.redrive.parked_read_max, settings.redrive.preview_bytes_max
        self._target_topic = target_topic
        self._tripped = tripped
        self._endpoints = endpoints_of(scopes_of(settings), settings.kafka.topics)
        self._known = Known()
        self._waiting: dict[int, tuple[ParkedEvent, tuple[RefKey, ...]]] = {}
        self._woken: set[int] = set()

    async def play(self, letter_ids: Sequence[int]) -> None:
        """Play letters, oldest first; raise TrippedError where the fold trips over some of them."""
        found = await fetch(self._connection, "read_letter_records", list(letter_ids))
        await self._play([self._understood(row) for row in found], letter_ids)

    async def foretell(self, record: Record) -> Fate:
        """Play a record that nobody has published; its place is made up as a letter's is."""
        await self._play([decoded(record, self._endpoints)], [record.offset])
        return self.fates[record.offset]

    async def _play(self, items: Sequence[Item], letter_ids: Sequence[int]) -> None:
        await self._read(items)
        plan = self._settle(items)
        for letter_id in letter_ids:
            self.fates.setdefault(letter_id, Fate("duplicate"))
        self._note(plan)

    def _understood(self, row: Mapping[str, Any]) -> Item:
        """Decode a letter as the consumer will, unless it is known to end the process or to trip the fold."""
        ours = self._endpoints.topics.consumed_topic(row["topic"]) is not None
        record = record_of(row, row["topic"] if ours else self._target_topic or row["topic"])
        if row["reason"] == Reason.FATAL:
            return record, Dead(Reason.FATAL, "it ended the process that touched it; not tried here")
        if row["id"] in self._tripped:
            return record, Dead(Reason.UNEXPECTED, "settling it raises an error that nobody foresaw")
        return decoded(record, self._endpoints)

    async def _read(self, items: Sequence[Item]) -> None:
        """Read what a batch of these would read, and choose what waits on the same names."""
        events = [item for _, item in items if isinstance(item, Event)]
        keys = {key for event in events for key in keys_of(event)}
        await self._read_names(keys)
        await self._read_claims(events)
        await self._read_groups({key for event in events if (key := claimed_of(event)) is not None})
        self._known.parked = []
        await self._read_parked(keys)
        touched = {self._known.names.get(key) for key in keys} - {None}
        for parked, names in self._waiting.values():
            if any(key in keys or self._known.names.get(key) in touched for key in names):
                self._known.parked.append(parked)

    async def _read_names(self, keys: set[RefKey]) -> None:
        known = self._known
        unread = keys - known.names.keys()
        if not unread:
            return
        for row in await fetch(self._connection, "foresee_refs", *rows.ref_columns(unread)):
            known.names[rows.key_of(row)] = row["payment_id"]
        for key in unread:
            known.names.setdefault(key, None)
        await self._read_payments({bound for key in unread if (bound := known.names[key]) is not None})

    async def _read_payments(self, wanted: set[UUID]) -> None:
        """Read payments that are not known yet, and those that they turned out to be or whose attempts they are."""
        known = self._known
        while wanted := wanted - known.payments.keys():
            found = await self._connection.fetch(statement("ops", "foresee_payments"), sorted(wanted))
            known.payments |= {row["id"]: rows.payment_of(row) for row in found}
            further = [place for row in found for place in (row["merged_into"], row["intent_id"])]
            wanted = {payment_id for payment_id in further if payment_id is not None}

    async def _read_groups(self, promised: set[RefKey]) -> None:
        """Read who stands under the references of what is known, and under those that the letters promise."""
        known = self._known
        while True:
            found = await self._connection.fetch(
                statement("consumer", "find_claims"),
                *rows.claim_arrays(()),
                plain_array(known.payments),
                *rows.group_arrays(promised),
                self._group_max,
            )
            read: dict[RefKey, dict[UUID, Member]] = {key: {} for key in promised}
            for row in found:
                if row["payment_id"] is not None:
                    rows.note_member(read, row)
            for key, group in read.items():
                known.groups[key] = group | known.groups.get(key, {})
            members = {payment_id for group in read.values() for payment_id in group}
            if members <= known.payments.keys():
                return
            await self._read_payments(members)

    async def _read_claims(self, events: Sequence[Event]) -> None:
        known = self._known
        claims = {(event.source, event.event_id) for event in events} - known.claims.keys()
        if claims:
            found = await self._connection.fetch(
                statement("consumer", "find_claims"), *rows.claim_arrays(claims), "{}", *rows.group_arrays(()), 0
            )
            for row in found:
                if row["source"] is not None:
                    rows.note_claim(known, row)
        bodies = {(event.source, event.digest) for event in events if event.digest is not None} - known.bodies
        if bodies:
            for row in await self._connection.fetch(
                statement("consumer", "find_bodies"), *rows.columns(sorted(bodies), 2)
            ):
                known.bodies.add((row["source"], row["digest"]))

    async def _read_parked(self, keys: set[RefKey]) -> None:
        """Read the parked events that may be true now; one that can't be understood today stays parked."""
        if not keys:
            return
        payments = sorted({bound for key in keys if (bound := self._known.names[key]) is not None})
        found = await self._connection.fetch(
            statement("ops", "foresee_parked"), *rows.ref_columns(keys), payments, *self._parked_bounds
        )
        theirs: set[RefKey] = set()
        for row in found:
            if row["id"] in self._woken:
                continue
            one = ParkedEvent(row["id"], rows.record_of(row), row["event_id"], row["settled"])
            _, item = decoded(one.record, self._endpoints)
            if isinstance(item, Dead) and item.reason is Reason.UNEXPECTED:
                continue
            self._known.parked.append(one)
            theirs.update(keys_of(item) if isinstance(item, Event) else ())
        await self._read_names(theirs)

    def _settle(self, items: Sequence[Item]) -> Plan:
        try:
            return self._settlement().settle(items)
        except Exception as error:  # the real one would be bisected
            raise self._blame(items) from error

    def _settlement(self) -> Settlement:
        return Settlement(
            self._known,
            now=time.time(),
            xid=1,
            facts_max=self._facts_max,
            group_max=self._group_max,
            endpoints=self._endpoints,
        )

    def _blame(self, items: Sequence[Item]) -> RatchetError:
        """Find the letters that trip the fold by themselves; what is in memory is of no more use after this."""
        tripped = set()
        for item in items:
            try:
                self._settlement().settle([item])
            except Exception:  # noqa: BLE001 - that is what is looked for
                tripped.add(item[0].offset)
        if tripped - self._tripped:
            return TrippedError(tripped)
        return RatchetError("the dry run trips over these letters together; redrive fewer of them at once, by --id")

    def _note(self, plan: Plan) -> None:
        """Take over from the plan how letters end."""
        for row in plan.rows:
            if row.partition == REHEARSED:
                self._end(row.offset, Fate(row.outcome))
        for letter in plan.letters:
            if letter.record.partition == REHEARSED:
                self._end(letter.record.offset, Fate("dead", letter.reason, letter.message))
        for parking in plan.parkings:
            event = parking.event
            letter_id = event.record.offset
            parked = ParkedEvent(-letter_id, event.record, event.event_id)
            self._waiting[letter_id] = parked, tuple(keys_of(event))
            self.fates[letter_id] = Fate("parked", parking.waits.reason, parking.waits.detail)
        self._woken.update(parked_id for parked_id in plan.woken if parked_id > 0)

    def _end(self, letter_id: int, fate: Fate) -> None:
        self._waiting.pop(letter_id, None)
        self.fates[letter_id] = fate


def record_of(row: Mapping[str, Any], topic: str) -> Record:
    """Return the record that a letter is in a rehearsal. Pure."""
    names = [name.decode(errors="surrogateescape") for name in row["header_names"]]
    headers = tuple(zip(names, row["header_values"], strict=True))
    return Record(topic, REHEARSED, row["id"], row["timestamp_ms"], row["key"], row["value"], headers)
