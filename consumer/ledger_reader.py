"""The port through which is read what is known of events: in a batch, in a dry run, in tests.

A batch reads under locks (`consumer.locking_reader`), a dry run reads one snapshot and locks nothing, a test may read
from memory. What each of them returns is decided on by the same code.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from consumer.decode import Event
from consumer.resolve import gathered_of, keys_of, promised_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from uuid import UUID

    from consumer.plan import Item, Known, OrphanLetter
    from consumer.resolve import RefKey
    from consumer.verdict import Dead


@dataclass(slots=True)
class Needs:
    """What is to be read, and locked where that is done.

    `keys` are the references that the `events` carry, `promised` those that their intents promise,
    `gathered` the orders that they prove to be one payment each;
    `more_keys` and `payments` are what else it turned out to take. `parked` are parked events to wake, or to bury where
    `dead` is given; `orphans` are dead letters to apply. `waiting` asks for all parked events that may be woken.
    """

    events: Sequence[Event] = ()
    keys: frozenset[RefKey] = frozenset()
    promised: frozenset[RefKey] = frozenset()
    gathered: frozenset[RefKey] = frozenset()
    more_keys: set[RefKey] = field(default_factory=set)
    payments: set[UUID] = field(default_factory=set)
    parked: Sequence[int] = ()
    dead: Dead | None = None
    orphans: Sequence[OrphanLetter] = ()
    waiting: bool = False

    @contextmanager
    def growing(self) -> Iterator[None]:
        """Take in what turns out to be missing: who asked begins anew."""
        try:
            yield
        except GrewError as grew:
            self.more_keys |= grew.keys
            self.payments |= grew.payments


def needs_of(items: Iterable[Item], *, waiting: bool = False) -> Needs:
    """Return what the events of a batch need."""
    events = [item for _, item in items if isinstance(item, Event)]
    keys = frozenset([key for event in events for key in keys_of(event)])
    promised = frozenset(key for event in events if (key := promised_of(event)) is not None)
    gathered = frozenset(key for event in events if (key := gathered_of(event)) is not None)
    return Needs(events, keys, promised, gathered, waiting=waiting)


class GrewError(Exception):
    """More is needed than was locked: it is to be locked anew, all at once."""

    def __init__(self, keys: Iterable[RefKey] = (), payments: Iterable[UUID] = ()) -> None:
        self.keys, self.payments = set(keys), set(payments)
        super().__init__(f"{len(self.keys)} references and {len(self.payments)} payments are missing")


class LedgerReader(Protocol):
    """Reads what is known. Who asks may change what it is given, in memory."""

    async def read(self, needs: Needs) -> Known:
        """Return what is known of all that is needed; raise GrewError where more has to be locked than was."""
