"""The dry run of a redrive: dead letters go through the consumer's own decoding and planning, on rows only read.

What is known is read through the port that a batch reads through (`consumer.ledger_reader`), without locks; the
planner changes it in memory. A letter's place is made up (`MADE_UP`, its id), so that a plan tells which letter is
which.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from consumer.decode import decoded, endpoints_of
from consumer.ledger_reader import needs_of
from consumer.plan import Known, ParkedEvent
from consumer.planner import Planner
from consumer.resolve import keys_of
from consumer.verdict import Dead
from runtime.settings.scopes import scopes_of
from schemas.dead_letter import Reason
from schemas.errors import RatchetError
from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from consumer.ledger_reader import LedgerReader
    from consumer.plan import Item, Plan
    from consumer.resolve import RefKey
    from runtime.settings import Settings

MADE_UP: Final = -1
"""The partition of every record of a dry run: no real one has it."""


@dataclass(frozen=True, slots=True)
class Foretold:
    """How a letter ends: the ledger's outcome, `duplicate`, `parked`, or `dead` with its reason."""

    outcome: str
    reason: str | None = None
    why: str | None = None


class TrippedError(RatchetError):
    """Dead letters that the fold trips over: the dry run begins anew and takes them for dead."""

    def __init__(self, letter_ids: set[int]) -> None:
        super().__init__(f"the fold trips over letters {sorted(letter_ids)}")
        self.letter_ids = letter_ids


class DryRun:
    """Plays dead letters in order; `fates` holds how each of them ends by now."""

    def __init__(self, reader: LedgerReader, settings: Settings, target_topic: str | None, tripped: set[int]) -> None:
        self.fates: dict[int, Foretold] = {}
        self._reader = reader
        self._facts_max = settings.consumer.facts_per_payment_max
        self._group_max = settings.consumer.payments_per_promise_max
        self._target_topic = target_topic
        self._tripped = tripped
        self._endpoints = endpoints_of(scopes_of(settings), settings.kafka.topics)
        self._known = Known()
        self._waiting: dict[int, tuple[ParkedEvent, tuple[RefKey, ...]]] = {}
        self._woken: set[int] = set()

    async def play(self, found: Sequence[Mapping[str, Any]], letter_ids: Sequence[int]) -> None:
        """Play the dead letters that were found, oldest first; raise TrippedError where the fold trips over some."""
        await self._play([self._decoded(row) for row in found], letter_ids)

    async def foretell(self, record: Record) -> Foretold:
        """Play a record that nobody has published; its place is made up as a letter's is."""
        await self._play([decoded(record, self._endpoints)], [record.offset])
        return self.fates[record.offset]

    async def _play(self, items: Sequence[Item], letter_ids: Sequence[int]) -> None:
        await self._read(items)
        plan = self._process(items)
        for letter_id in letter_ids:
            self.fates.setdefault(letter_id, Foretold("duplicate"))
        self._note(plan)

    def _decoded(self, row: Mapping[str, Any]) -> Item:
        """Decode a letter as the consumer will, unless it is known to end the process or to trip the fold."""
        ours = self._endpoints.topics.consumed_topic(row["topic"]) is not None
        record = record_of(row, row["topic"] if ours else self._target_topic or row["topic"])
        if row["reason"] == Reason.FATAL:
            return record, Dead(Reason.FATAL, "it ended the process that touched it; not tried here")
        if row["id"] in self._tripped:
            return record, Dead(Reason.UNEXPECTED, "processing it raises an error that nobody foresaw")
        return decoded(record, self._endpoints)

    async def _read(self, items: Sequence[Item]) -> None:
        """Read what a batch of these would read, and choose what waits on the same references."""
        needs = needs_of(items, waiting=True)
        known = self._known = await self._reader.read(needs)
        known.parked = [one for one in known.parked if one.id not in self._woken]
        touched = {known.refs.get(key) for key in needs.keys} - {None}
        for parked, refs in self._waiting.values():
            if any(key in needs.keys or known.refs.get(key) in touched for key in refs):
                known.parked.append(parked)

    def _process(self, items: Sequence[Item]) -> Plan:
        try:
            return self._planner().plan(items)
        except Exception as error:  # the real one would be bisected
            raise self._blame(items) from error

    def _planner(self) -> Planner:
        return Planner(
            self._known,
            now=time.time(),
            xid=self._known.xid,
            facts_max=self._facts_max,
            group_max=self._group_max,
            endpoints=self._endpoints,
        )

    def _blame(self, items: Sequence[Item]) -> RatchetError:
        """Find the letters that trip the fold by themselves; what is in memory is of no more use after this."""
        tripped = set()
        for item in items:
            try:
                self._planner().plan([item])
            except Exception:  # noqa: BLE001 - that is what is looked for
                tripped.add(item[0].offset)
        if tripped - self._tripped:
            return TrippedError(tripped)
        return RatchetError("the dry run trips over these letters together; redrive fewer of them at once, by --id")

    def _note(self, plan: Plan) -> None:
        """Take over from the plan how letters end."""
        for row in plan.rows:
            if row.partition == MADE_UP:
                self._end(row.offset, Foretold(row.outcome))
        for letter in plan.letters:
            if letter.record.partition == MADE_UP:
                self._end(letter.record.offset, Foretold("dead", letter.reason, letter.message))
        for parking in plan.parkings:
            event = parking.event
            letter_id = event.record.offset
            parked = ParkedEvent(-letter_id, event.record, event.event_id)
            self._waiting[letter_id] = parked, tuple(keys_of(event))
            self.fates[letter_id] = Foretold("parked", parking.waits.reason, parking.waits.detail)
        self._woken.update(parked_id for parked_id in plan.woken if parked_id > 0)

    def _end(self, letter_id: int, fate: Foretold) -> None:
        self._waiting.pop(letter_id, None)
        self.fates[letter_id] = fate


def record_of(row: Mapping[str, Any], topic: str) -> Record:
    """Return the record that a dead letter is in a dry run. Pure."""
    names = [name.decode(errors="surrogateescape") for name in row["header_names"]]
    headers = tuple(zip(names, row["header_values"], strict=True))
    return Record(topic, MADE_UP, row["id"], row["timestamp_ms"], row["key"], row["value"], headers)
