"""The tables in memory: what Postgres holds, as dictionaries, with the reads and the writes of one batch.

It reads as `consumer.transaction` does and writes what a `Plan` says, statement by statement. `check` is what must hold
of the ledger after every batch.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import defaultdict
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import astuple, replace

import providers
from consumer import rows
from consumer.commands import CommandRow, OpenCommand, open_command
from consumer.decode import ANY, DecodingTerms, Event, decode
from consumer.entries import OWN_SOURCE
from consumer.facts_json import load_joined, load_reported
from consumer.fold import newer, project
from consumer.plan import Known, Member, ParkedEvent
from consumer.planner import Planner
from consumer.resolve import gathered_of, joining_of, keys_of, promised_of
from schemas.payment import Payment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from consumer.ledger import LedgerEntry
    from consumer.ledger_reader import Needs
    from consumer.plan import Letter, OwedMessage, Parking, Plan, Refetching
    from consumer.resolve import RefKey
    from consumer.verdict import Dead
    from schemas.facts import DeliveryReport
    from schemas.payment import Facts, Status
    from schemas.record import Record

SHOWN = tuple(
    "provider_ref client reference status refund_status dispute_status currency amount authorized captured refunded "  # noqa: SIM905
    "disputed flags".split()
)
COLUMNS = tuple(
    "id provider account provider_ref client reference phone merged_into status refund_status dispute_status currency "  # noqa: SIM905
    "amount authorized captured refunded disputed version facts head_hash head_xid merchant_account livemode "
    "intent_id flags".split()
)
FOLDED = tuple(name for name in project({}).__struct_fields__ if name != "flags")
"""The columns that a payment's facts come to."""
OF_THE_WAY = {"version", "head_hash", "head_xid"}
"""Columns that say how a row came about, and that nothing of what processes later looks at."""
LOOKED_AT = [name for name in COLUMNS if name not in {*OF_THE_WAY, "facts"}]
NOW = 1_790_000_000.0


DECODED_MAX = 4096

decoded = lru_cache(DECODED_MAX)(decode)
"""What a record says is the same in every order that it is processed in: both are frozen, and decoding is pure."""
reported = lru_cache(DECODED_MAX)(load_reported)
"""The ledger's rows are read again after every batch."""
joined = lru_cache(DECODED_MAX)(load_joined)


def hashable(held: Any) -> Any:
    """Return what tables or a batch hold as a value that is equal where all is that later events look at."""
    if isinstance(held, dict):
        return frozenset([(key, hashable(one)) for key, one in held.items()])
    if isinstance(held, Payment):
        return *(getattr(held, name) for name in OF_PAYMENT), held.version > 0, hashable(held.facts)
    if isinstance(held, list):
        return tuple(map(hashable, held))
    return frozenset(held) if isinstance(held, set) else astuple(held) if isinstance(held, OpenCommand) else held


OF_PAYMENT = [name for name in Payment.__struct_fields__ if name not in {*OF_THE_WAY, "facts"}]


def by_ref(row: dict[str, Any]) -> tuple[str, str]:
    """Return the order in which rows are compared."""
    return str(row["provider_ref"]), str(row["client"])


def _copied(key: tuple[str, str]) -> tuple[str, str]:
    """Return the event that a key is a copy of, if it is one."""
    return key[0], key[1].rpartition("#")[0]


class Head(NamedTuple):
    """How a payment stands after some of its ledger rows."""

    hash: bytes = b""
    version: int = 0
    xid: int = 0
    status: Status | None = None


def walked(rows: Iterable[LedgerEntry], head: Head) -> Head:
    """Walk rows of a payment that follow others: hashes chain, versions count up, the relay's order never runs back."""
    for row in rows:
        assert replace(row).seal(head.hash) == row.hash
        assert row.relay_xid >= head.xid
        assert head.version == 0 or row.from_status is not None
        assert row.version in (None, head.version + 1)
        head = Head(row.hash, row.version or head.version, row.relay_xid, row.to_status)
    return head


@dataclass
class MemoryTables:
    """A database with one writer."""

    facts_max: int = 1000
    endpoints: DecodingTerms = ANY
    payments: dict[UUID, dict[str, Any]] = field(default_factory=dict)
    refs: dict[RefKey, UUID | None] = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)
    parked: dict[int, Parking] = field(default_factory=dict)
    bodies: dict[tuple[str, bytes], str] = field(default_factory=dict)
    refetches: list[Refetching] = field(default_factory=list)
    messages: list[OwedMessage] = field(default_factory=list)
    delivery_reports: list[DeliveryReport] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    commands: list[CommandRow] = field(default_factory=list)
    open_commands: dict[UUID, dict[str, OpenCommand]] = field(default_factory=dict)
    duplicates: int = 0
    batches: int = 0
    members: dict[tuple[RefKey, UUID], Member] = field(default_factory=dict)
    chained: dict[UUID, tuple[int, Head]] = field(default_factory=dict)
    """How many of a payment's rows were checked after batches before, and where they lead: a row is never altered."""
    folded: dict[UUID, tuple[int, Facts]] = field(default_factory=dict)
    """The same of what they come to."""

    def copy(self) -> MemoryTables:
        """Return tables of their own with the same rows: a row is replaced, never altered."""
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        return MemoryTables(**{name: it.copy() if isinstance(it, list | dict) else it for name, it in held.items()})

    def process(self, batch: Iterable[Record]) -> Plan:
        """Process one batch in one transaction and check the rows."""
        return self.process_items([(one, decoded(one, self.endpoints)) for one in batch])

    def process_items(self, items: Sequence[tuple[Record, Event | Dead]]) -> Plan:
        """Process records that are decoded already, then wake who waits on references that they bound."""
        return self.carry_out(self.planner(items).plan(items))

    def carry_out(self, plan: Plan) -> Plan:
        """Write what a batch comes to, then wake who waits on references that it bound."""
        more = self._written(plan)
        while marked := self._waiting_on(more.bindings):
            more = self._written(self.planner([], marked).plan([]))
            plan.rows += more.rows
            plan.woken += more.woken
            plan.letters += more.letters
            plan.merges += more.merges
        return plan

    def _waiting_on(self, refs: Iterable[RefKey]) -> list[int]:
        bound = set(refs)
        return sorted(one for one, parking in self.parked.items() if bound & set(joining_of(parking.event)))

    def planner(self, items: Sequence[tuple[Record, Event | Dead]], waking: Sequence[int] = ()) -> Planner:
        """Begin a transaction: return its planner, with what the transaction has read."""
        known = self._read([item for _, item in items if isinstance(item, Event)], waking)
        self.batches += 1
        return Planner(
            known, now=NOW + self.batches, xid=self.batches, facts_max=self.facts_max, endpoints=self.endpoints
        )

    def _written(self, plan: Plan) -> Plan:
        self._write(plan)
        self.check()
        return plan

    async def read(self, needs: Needs) -> Known:
        """Read as a batch does, from memory: the port of `consumer.ledger_reader`."""
        waking = self._waiting_on(needs.keys) if needs.waiting else needs.parked
        return self._read(needs.events, waking)

    def _read(self, events: Sequence[Event], waking: Sequence[int] = ()) -> Known:
        known = Known(commands={one: dict(held) for one, held in self.open_commands.items()})
        keys = {key for event in events for key in keys_of(event)}
        self._lock(known, keys)
        promised = {key for event in events if (key := promised_of(event)) is not None}
        ids = {(event.source, event.event_id) for event in events}
        known.reported = {(row.source, row.event_id): row.facts for row in self.ledger}
        known.reported |= {(one.event.source, one.event.event_id): one.facts for one in self.parked.values()}
        meanings = {(row.source, row.event_id): row.meaning for row in self.ledger}
        known.reread = {key for key, version in meanings.items() if version != providers.meaning_version(key[0])}
        digests = {(event.source, event.digest) for event in events if event.digest is not None}
        known.bodies = {
            body for body, event_id in self.bodies.items() if (body[0], event_id) in known.reported
        } & digests
        known.reported = {key: facts for key, facts in known.reported.items() if key in ids or _copied(key) in ids}
        for parked_id in waking:
            event = self.parked[parked_id].event
            known.parked.append(ParkedEvent(parked_id, event.record, event.event_id))
            self._lock(known, set(keys_of(event)))
        self._read_groups(known, promised)
        for key in {key for event in events if (key := gathered_of(event)) is not None}:
            known.under[key] = [payment_id for one, payment_id in self.members if one == key]
            for payment_id in known.under[key]:
                self._hold(known, payment_id)
        return known

    def _read_groups(self, known: Known, promised: set[RefKey]) -> None:
        """Read the groups of all payments that are known, and those payments, until nothing is new."""
        reached = -1
        while reached != len(known.payments):
            reached = len(known.payments)
            theirs = {key for key, payment_id in self.members if payment_id in known.payments}
            live = {key for (key, _), member in self.members.items() if member.promise is not None}
            for key in promised | (theirs & live):
                group = {held: member for (one, held), member in self.members.items() if one == key}
                known.groups[key] = group
                for payment_id in group:
                    self._hold(known, payment_id)

    def _hold(self, known: Known, payment_id: UUID | None) -> None:
        while payment_id is not None and payment_id not in known.payments:
            one = known.payments[payment_id] = rows.payment_of(self.payments[payment_id])  # type: ignore[arg-type]
            self._hold(known, one.intent_id)
            payment_id = one.merged_into

    def _lock(self, known: Known, keys: set[RefKey]) -> None:
        for key in keys:
            known.refs[key] = self.refs.setdefault(key, None)
            self._hold(known, known.refs[key])

    def _write(self, plan: Plan) -> None:
        for payments in (held.values() for held in (plan.opened, plan.changed) if held):
            for values in zip(*rows.payment_columns(payments), strict=True):
                row = dict(zip(COLUMNS, values, strict=True))
                row["flags"] = row["flags"].split(",") if row["flags"] else []
                self.payments[row["id"]] = row
        self._write_members(plan)
        for *key, payment_id in zip(*rows.binding_columns(plan.bindings), strict=True):
            self.refs[tuple(key)] = payment_id  # type: ignore[index]
        for parked_id in plan.woken:
            del self.parked[parked_id]
        for parking in plan.parkings:
            self.parked[max(self.parked, default=0) + 1 + 1000 * self.batches] = parking
        self.bodies |= {(source, digest): event_id for source, digest, event_id in plan.bodies}
        self.refetches += plan.refetches
        self.messages += plan.messages
        self.delivery_reports += plan.delivery_reports
        self.letters += plan.letters
        self._write_commands(plan)
        self.ledger += plan.rows
        self.duplicates += plan.duplicates

    def _write_commands(self, plan: Plan) -> None:
        self.commands += plan.commands
        for row in plan.commands:
            self.open_commands.setdefault(row.payment_id, {})[row.command_id] = open_command(row)
        for answer in plan.answers:
            held = self.open_commands.get(answer.payment_id, {}).get(answer.command_id)
            if held is not None:
                held.note(answer.state)

    def _write_members(self, plan: Plan) -> None:
        for place, member in plan.members.items():
            if self.members.get(place, Member()).promise is None:
                self.members[place] = member
        for other, survivor in plan.merges:
            for key, held in list(self.members):
                if held == other:
                    self.members.setdefault((key, survivor), Member())

    @property
    def counted(self) -> list[dict[str, Any]]:
        """The rows that add up to all the money there is, as users see them: not merged, and no intent's attempt."""
        alive = [row for row in self.payments.values() if row["merged_into"] is None and row["intent_id"] is None]
        return sorted(({name: row[name] for name in SHOWN} for row in alive), key=by_ref)

    @property
    def only(self) -> dict[str, Any]:
        """The one row that there is."""
        (row,) = self.counted
        return row

    @property
    def events(self) -> list[LedgerEntry]:
        """The ledger's rows of events; the others tell of changes that had none of their own."""
        return [row for row in self.ledger if row.source != OWN_SOURCE]

    def dedupe_keys(self) -> list[tuple[str, str]]:
        return sorted((row.source, row.event_id) for row in self.events)

    def outcomes(self) -> list[str]:
        return [row.outcome.value for row in self.events]

    def row_of(self, provider_ref: str) -> dict[str, Any]:
        """Return the row of one payment of a provider, merged or not, but not that of an intent."""
        (row,) = [row for row in self.payments.values() if row["provider_ref"] == provider_ref and not row["client"]]
        return row

    def check(self) -> None:
        """Assert what must hold after every batch."""
        keys = {(row.source, row.event_id) for row in self.ledger}
        assert len(keys) == len(self.ledger), "an event is in the ledger twice"
        waiting = {(one.event.source, one.event.event_id) for one in self.parked.values()}
        assert not waiting & keys, "an event is parked and in the ledger"
        chains: defaultdict[UUID | None, list[LedgerEntry]] = defaultdict(list)
        for row in self.ledger:
            chains[row.payment_id].append(row)
        for payment_id, row in self.payments.items():
            self._check_chain(payment_id, chains[payment_id])
            self._check_fold(payment_id, chains[payment_id])
            assert row["intent_id"] is None or row["merged_into"] is None, row

    def _check_chain(self, payment_id: UUID, chain: Sequence[LedgerEntry]) -> None:
        """Walk the payment's rows up to how it stands."""
        known, head = self.chained.get(payment_id, (0, Head()))
        head = walked(chain[known:], head)
        self.chained[payment_id] = len(chain), head
        held = self.payments[payment_id]
        assert Head(held["head_hash"], held["version"], held["head_xid"], held["status"]) == head

    def _check_fold(self, payment_id: UUID, chain: Sequence[LedgerEntry]) -> None:
        """Fold the payment again from the ledger of its family, and of the attempts that it has adopted; compare."""
        family, grown = {payment_id}, True
        family |= {one for one, row in self.payments.items() if row["intent_id"] == payment_id}
        while grown:
            more = {one for one, row in self.payments.items() if row["merged_into"] in family} - family
            family, grown = family | more, bool(more)
        alone = len(family) == 1
        known, before = self.folded.get(payment_id, (0, {})) if alone else (0, {})
        facts = before.copy()
        for row in chain[known:] if alone else (one for one in self.ledger if one.payment_id in family):
            facts |= newer(facts, reported(row.facts))
        if alone:
            self.folded[payment_id] = len(chain), facts
        after, held = project(facts), self.payments[payment_id]
        for column in FOLDED:
            assert getattr(after, column) == held[column], column

    def state(self) -> Any:
        """Return all that what processes later looks at, in whichever order a payment's facts came."""
        payments = [
            (hashable(joined(row["facts"])), hashable([row[name] for name in LOOKED_AT]))
            for row in self.payments.values()
        ]
        parked = [(one.event.event_id, one.waits.reason, one.facts) for one in self.parked.values()]
        keys = [(row.source, row.event_id, row.facts) for row in self.events]
        held = (self.refs, self.members, self.bodies, self.open_commands)
        return *map(frozenset, (payments, parked, keys)), *map(hashable, held), len(self.letters)

    def digest(self) -> str:
        """Return one text for all that a reader of the ledger sees, but for generated ids and times."""
        return hashlib.sha256(repr((self.counted, self.dedupe_keys())).encode()).hexdigest()

    def shown(self, like: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the counted rows, of the columns that `like` has."""
        return [{name: row[name] for name in like} for row in self.counted]


def row_after(records: Iterable[Record]) -> dict[str, Any]:
    """Return the one payment that records come to, each processed by itself."""
    tables = MemoryTables()
    for one in records:
        tables.process([one])
    return tables.only


def moment(seconds: float = NOW) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def payment(**columns: Any) -> Payment:
    """Return a payment of no facts."""
    from events import INTENT_ID

    return Payment(**{"id": INTENT_ID, "provider": "standard_webhooks", "account": "", **columns})


def stands_under(plan: Plan) -> dict[tuple[RefKey, UUID], Member]:
    """Return who comes to stand under a reference or a shared id by a plan, and how."""
    return plan.members
