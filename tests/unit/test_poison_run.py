"""Which records count against their partition, and whose success starts its count anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from events import placed, standard
from memory_tables import moment

from consumer.decode import Event, decoded
from consumer.ledger import LedgerEntry
from consumer.plan import Letter, Parking, Plan
from consumer.poison import PoisonRun
from consumer.verdict import Dead, Waits
from runtime import metrics
from schemas.dead_letter import Reason
from schemas.payment import Outcome

if TYPE_CHECKING:
    from consumer.plan import Item
    from schemas.record import Record

pytestmark = pytest.mark.unit

TOPIC = "payments.webhooks"
BAD = Dead(Reason.UNEXPECTED, "why")


def item(offset: int, partition: int = 0) -> tuple[Record, Event]:
    record, event = decoded(placed([standard("payment.created")], first=offset, partition=partition)[0])
    assert isinstance(event, Event)
    return record, event


def bad(offset: int, partition: int = 0) -> Item:
    return item(offset, partition)[0], BAD


def letter(record: Record) -> Letter:
    return Letter(record, Reason.CONFLICT, "")


def parking(event: Event) -> Parking:
    return Parking(event, "[]", Waits(Reason.ORPHAN, "waits"))


def row(record: Record, event: Event) -> LedgerEntry:
    columns = (None, event.source, event.event_id, event.kind, Outcome.NOOP, None, None, None, None, "[]")
    return LedgerEntry(*columns, record.topic, record.partition, record.offset, None, moment(), 1)


@pytest.fixture
def run() -> PoisonRun:
    """Return a count in which each of two partitions is one bad record away from its halt."""
    made = PoisonRun(1)
    for partition in (0, 1):
        assert not made.failed(bad(0, partition))
    return made


def halts(run: PoisonRun, partition: int) -> bool:
    return run.failed(bad(9, partition))


def test_an_event_that_was_processed_helps_its_own_partition_alone(run: PoisonRun) -> None:
    processed, (other, waits) = item(1), item(1, 1)
    run.written([processed, (other, waits)], Plan(rows=[row(*processed)], parkings=[parking(waits)]))
    assert (halts(run, 0), halts(run, 1)) == (False, True)


@pytest.mark.parametrize("what", ["letter", "parked"])
def test_beside_a_duplicate_one_that_parks_or_is_a_letter_is_no_success(run: PoisonRun, what: str) -> None:
    """A deploy that parks or buries all that it gets would pour on for as long as others' duplicates come beside."""
    known, (record, event) = item(1), item(2, 1)
    plan = Plan(duplicates=1)
    if what == "letter":
        plan.letters.append(letter(record))
    else:
        plan.parkings.append(parking(event))
    run.written([known, (record, event)], plan)
    assert (halts(run, 0), halts(run, 1)) == (False, True)


def test_a_letter_of_one_partition_is_not_taken_for_the_duplicate_of_another(run: PoisonRun) -> None:
    """Offsets are a partition's own: both have the same one."""
    known, lost = item(5), item(5, 1)
    run.written([known, lost], Plan(duplicates=1, letters=[letter(lost[0])]))
    assert (halts(run, 0), halts(run, 1)) == (False, True)


def test_what_decoding_found_bad_is_no_duplicate(run: PoisonRun) -> None:
    run.written([item(1), bad(1, 1)], Plan(duplicates=1))
    assert (halts(run, 0), halts(run, 1)) == (False, True)


def test_a_halt_is_shown_and_its_partition_stays_closed(run: PoisonRun) -> None:
    assert halts(run, 0)
    assert metrics.PARTITION_HALTED.labels(TOPIC, "0")._value.get() == 1
    assert run.failed(bad(10)), "further ones are left too"
    assert "offset 9;" in run.halted[TOPIC, 0], "why it was halted is named by the record that did it"
    assert run.still_open([item(11), item(1, 1)]) == [item(1, 1)]
