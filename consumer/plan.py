"""What a batch reads and what it writes, as data. Pure.

`Known` is what the transaction read under its locks; `Plan` is what it writes, and the other types are its items.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from uuid import UUID

    from consumer.commands import CommandRow, OpenCommand
    from consumer.decode import Event
    from consumer.ledger import LedgerEntry
    from consumer.resolve import RefKey
    from consumer.verdict import Dead, Waits
    from schemas.dead_letter import Reason
    from schemas.facts import CommandAnswer, DeliveryReport
    from schemas.payment import Payment
    from schemas.record import Record
    from schemas.sms import Template

DedupeKey = tuple[str, str]
"""(source, event id): an event has its effect once under it."""

Debit = tuple[str, str, str, int]
"""(provider, account, reference, days): a payment whose money a bank may take back by itself for so long."""

Item = tuple["Record", "Event | Dead"]
"""A record, and what decoding made of it."""

BodyKey = tuple[str, bytes]
"""(source, SHA-256 of a body)."""


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """A parked event as the table holds it. `event_id` is the one under which it was parked.

    `processed`: a copy, which named other references, got into the ledger meanwhile. `dead` is what becomes of it where
    waking it failed.
    """

    id: int
    record: Record
    event_id: str
    processed: bool = False
    dead: Dead | None = None


@dataclass(frozen=True, slots=True)
class OrphanLetter:
    """The dead letter of an event whose payment did not come in time, and that event."""

    id: int
    event: Event


class Member(msgspec.Struct, frozen=True, gc=False):
    """How a payment stands under a merchant's own reference.

    `promise` counts the intents that promised it, from 1; None of all other payments. `groups` tells that the promise
    adopts attempts.
    """

    promise: int | None = None
    groups: bool = False


@dataclass(slots=True)
class Known:
    """What a batch read under its locks.

    `reported` maps applied and parked events to the facts that they reported; `reread` are those whose provider's
    meaning has another version today; `bodies` holds what was taken already from senders whose event ids are unsigned.
    `groups` holds, of each reference that somebody promised or that the batch promises, the payments that stand under
    it; `under`, of each order that the batch proves to be one payment, those under it. `some_wait` tells that any event
    is parked or an orphan, `recalls` that a provider's list was ever asked; `parked` are those to wake, `orphans` the
    dead letters to apply. `commands` are those of each payment by their ids, in order; read where the batch holds
    commands or answers to them. `xid` is the transaction's id, by which the relay orders what is written.
    """

    refs: dict[RefKey, UUID | None] = field(default_factory=dict)
    payments: dict[UUID, Payment] = field(default_factory=dict)
    reported: dict[DedupeKey, str] = field(default_factory=dict)
    reread: set[DedupeKey] = field(default_factory=set)
    bodies: set[BodyKey] = field(default_factory=set)
    parked: list[ParkedEvent] = field(default_factory=list)
    orphans: list[OrphanLetter] = field(default_factory=list)
    groups: dict[RefKey, dict[UUID, Member]] = field(default_factory=dict)
    under: dict[RefKey, list[UUID]] = field(default_factory=dict)
    commands: dict[UUID, dict[str, OpenCommand]] = field(default_factory=dict)
    some_wait: bool = False
    recalls: bool = False
    xid: int = 1


@dataclass(frozen=True, slots=True)
class Parking:
    """An event to park."""

    event: Event
    facts: str
    waits: Waits


@dataclass(frozen=True, slots=True)
class Letter:
    """A record to make a dead letter of."""

    record: Record
    reason: Reason
    message: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of key and value, each under its length; absent differs from empty."""
        hashed = hashlib.sha256()
        for part in (self.record.key, self.record.value):
            hashed.update(b"-" if part is None else b"%d:" % len(part))
            hashed.update(part or b"")
        return hashed.digest()


@dataclass(frozen=True, slots=True)
class Refetching:
    """A payment that the provider's API must be asked about."""

    provider: str
    account: str
    ref: str
    reason: str


@dataclass(frozen=True, slots=True)
class OwedMessage:
    """A message that a payment's customer is owed; of a refund also which one, and how much it gave back."""

    payment_id: UUID
    client: str | None
    phone: str
    template: Template
    child: str = ""
    amount: int | None = None


@dataclass(slots=True)
class Plan:
    """What one transaction writes.

    `marks` are the ids of those that it left, of references that it bound and on which parked events or orphans wait.
    `applied` are dead letters of orphans whose event has its effect now. `members` are payments that come to stand
    under a reference or a shared id; `metadata` is what clients noted on their intents, as JSON.
    """

    rows: list[LedgerEntry] = field(default_factory=list)
    opened: dict[UUID, Payment] = field(default_factory=dict)
    changed: dict[UUID, Payment] = field(default_factory=dict)
    bindings: dict[RefKey, UUID] = field(default_factory=dict)
    merges: list[tuple[UUID, UUID]] = field(default_factory=list)
    members: dict[tuple[RefKey, UUID], Member] = field(default_factory=dict)
    metadata: dict[UUID, str] = field(default_factory=dict)
    parkings: list[Parking] = field(default_factory=list)
    woken: list[int] = field(default_factory=list)
    applied: list[int] = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    bodies: list[tuple[str, bytes, str]] = field(default_factory=list)
    refetches: list[Refetching] = field(default_factory=list)
    messages: list[OwedMessage] = field(default_factory=list)
    delivery_reports: list[DeliveryReport] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    commands: list[CommandRow] = field(default_factory=list)
    answers: list[CommandAnswer] = field(default_factory=list)
    debits: list[Debit] = field(default_factory=list)
    duplicates: int = 0
