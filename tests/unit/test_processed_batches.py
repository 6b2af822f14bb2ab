"""A processor: decoding, the quarantine after unclean ends, outages, halts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from events import placed, standard
from structlog.testing import capture_logs

from consumer.decode import Event, decoded
from consumer.hand import HandWatch
from consumer.outages import Outages
from consumer.plan import Letter, Plan
from consumer.poison import PoisonRun
from consumer.processing import Processor
from consumer.quarantine import Quarantine
from consumer.verdict import Dead
from runtime.postgres_session import _NOTED_BY
from runtime.settings import ConsumerSettings
from schemas.dead_letter import Reason
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.offsets import Place
    from consumer.plan import Item
    from schemas.record import Record

pytestmark = pytest.mark.unit

LIMITS = ConsumerSettings(backoff_initial_seconds=0.001, backoff_max_seconds=0.002)
P0, P1 = ("payments.webhooks", 0), ("payments.webhooks", 1)
PATIENCE_SECONDS = 5.0


@dataclass
class Notes:
    """The marks, in memory: what was noted, in order; `isolated` is what a start answers."""

    isolated: dict[Place, int] = field(default_factory=dict)
    convicted: set[int] = field(default_factory=set)
    failures: list[Exception] = field(default_factory=list)
    noted: list[tuple[str, Place, int]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, place: Place, offset: int) -> int | None:
        await self._note("start", place, offset)
        return self.isolated.get(place)

    async def probe(self, place: Place, offset: int) -> bool:
        await self._note("probe", place, offset)
        return offset in self.convicted

    async def end_quarantine(self, place: Place) -> None:
        await self._note("end quarantine", place, -1)

    async def let_go(self, *, clean: bool) -> None:
        await self._note("let go", P0, int(clean))

    async def _note(self, what: str, place: Place, offset: int) -> None:
        self.asked.set()
        await asyncio.sleep(0)  # as Postgres does: others come in between
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.noted.append((what, place, offset))


@dataclass
class FakeWriter:
    """Stands for the transaction: notes what it was given; fails as it is to, in order, and always for some partitions.

    One such failure halts the partition.
    """

    failures: list[Exception] = field(default_factory=list)
    halting: set[Place] = field(default_factory=set)
    batches: list[list[Item]] = field(default_factory=list)

    async def process(self, items: Sequence[Item]) -> Plan:
        if self.failures:
            raise self.failures.pop(0)
        for record, _ in items:
            if (record.topic, record.partition) in self.halting:
                raise ZeroDivisionError
        self.batches.append(list(items))
        return Plan(letters=[Letter(record, item.reason, "") for record, item in items if isinstance(item, Dead)])

    @property
    def offsets(self) -> list[list[int]]:
        return [[record.offset for record, _ in items] for items in self.batches]


@dataclass
class Timer:
    """Stands for the interpreter's own timer: what was asked of it, in order; None takes it back."""

    asked: list[float | None] = field(default_factory=list)

    def hand(self) -> HandWatch:
        return HandWatch(HANG, PATIENCE, arm=self.asked.append, disarm=lambda: self.asked.append(None))


HANG, PATIENCE = 10.0, 35.0


def make_processor(
    notes: Notes | None = None, writer: FakeWriter | None = None, timer: Timer | None = None
) -> Processor:
    hand, writer = (timer or Timer()).hand(), writer or FakeWriter()
    outages = Outages(LIMITS, hand.activity)
    quarantine = Quarantine(notes or Notes(), hand, outages)  # type: ignore[arg-type]

    async def transact(items: Sequence[Item]) -> Plan:
        return await writer.process(items)

    processor = Processor(transact, quarantine, outages, LIMITS)
    if writer.halting:
        processor._poison = PoisonRun(0)
    return processor


async def process(processor: Processor, batch: list[Record]) -> bool:
    """Process as the worker does: begin, then portion by portion."""
    await processor.quarantine.begin(batch)
    return all([await processor.process(portion) for portion in processor.quarantine.portions(batch)])


def records(count: int, *, partition: int = 0, first: int = 0) -> list[Record]:
    return placed([standard("payment.created")] * count, partition=partition, first=first)


async def test_a_batch_is_processed_at_once_and_noted_once_an_assignment() -> None:
    notes, writer = Notes(), FakeWriter()
    processor = make_processor(notes, writer)
    assert await process(processor, [*records(3, first=5), *records(2, partition=1)])
    assert await process(processor, records(2, first=8))
    assert notes.noted == [("start", P0, 5), ("start", P1, 0)]
    assert writer.offsets == [[5, 6, 7, 0, 1], [8, 9]]
    processor.quarantine.forget()
    await process(processor, records(1, first=10))
    assert notes.noted[-1] == ("start", P0, 10)


async def test_workers_may_share_what_is_neither_new_nor_in_quarantine() -> None:
    notes = Notes(isolated={P1: 5})
    processor = make_processor(notes)
    assert not processor.quarantine.normal(records(2))
    await process(processor, [*records(1), *records(1, partition=1)])
    assert processor.quarantine.normal(records(2, first=1))
    assert not processor.quarantine.normal([*records(2, first=1), *records(3, partition=1, first=4)])
    assert processor.quarantine.normal(records(1, partition=1, first=5))
    processor.quarantine.forget()
    assert not processor.quarantine.normal(records(2, first=2))


async def test_two_batches_that_begin_together_note_one_start() -> None:
    notes = Notes()
    processor = make_processor(notes)
    await asyncio.gather(processor.quarantine.begin(records(2)), processor.quarantine.begin(records(2, first=2)))
    assert notes.noted == [("start", P0, 0)]


def test_an_error_that_nobody_foresaw_is_the_records_own(monkeypatch: pytest.MonkeyPatch) -> None:
    record = records(1)[0]
    assert isinstance(decoded(record)[1], Event)

    def fails(*_: object) -> None:
        raise KeyError("4111111111111111")

    monkeypatch.setattr("consumer.decode.decode", fails)
    assert decoded(record) == (record, Dead(Reason.UNEXPECTED, "KeyError while interpreting the record"))


# --- quarantine -----------------------------------------------------------------------------------------------------


async def test_after_unclean_ends_each_record_is_noted_before_it_is_touched() -> None:
    notes, writer, timer = Notes(isolated={P0: 7}), FakeWriter(), Timer()
    processor = make_processor(notes, writer, timer)
    await process(processor, [*records(4, first=5), *records(2, partition=1)])
    assert writer.offsets == [[0, 1], [5], [6], [7, 8]], "each partition in its order: offsets follow commits"
    assert notes.noted[:2] == [("start", P0, 5), ("start", P1, 0)]
    assert notes.noted[2:] == [("probe", P0, 5), ("probe", P0, 6), ("end quarantine", P0, -1)]
    assert processor.quarantine.normal(records(1, first=9))
    assert timer.asked == [HANG, None] * 2


async def test_the_fatal_record_is_a_letter_and_is_not_touched() -> None:
    notes, writer = Notes(isolated={P0: 9}, convicted={6}), FakeWriter()
    touched: list[int] = []

    async def touch(items: Sequence[Item]) -> Plan:
        touched.extend(record.offset for record, item in items if isinstance(item, Event))
        return await FakeWriter.process(writer, items)

    writer.process = touch  # type: ignore[method-assign]
    processor = make_processor(notes, writer)
    await process(processor, records(3, first=5))
    assert touched == [5, 7]
    ((record, dead),) = writer.batches[1]
    assert (record.offset, isinstance(dead, Dead) and dead.reason) == (6, Reason.FATAL)
    assert notes.noted == [("start", P0, 5), ("probe", P0, 5), ("probe", P0, 6), ("end quarantine", P0, -1)]
    assert processor.quarantine.normal(records(1, first=8)), "the hunt is over"


async def test_partitions_given_up_in_the_midst_of_an_isolated_batch_do_no_harm() -> None:
    notes = Notes(isolated={P0: 9})
    writer = FakeWriter()
    processor = make_processor(notes, writer)

    async def give_up(items: Sequence[Item]) -> Plan:
        processor.quarantine.forget()
        return await FakeWriter.process(writer, items)

    writer.process = give_up  # type: ignore[method-assign]
    assert await process(processor, records(3))
    assert writer.offsets == [[0], [1], [2]]


async def test_a_note_of_an_assignment_that_ended_is_not_kept_for_the_next() -> None:
    notes = Notes(gate=asyncio.Event())
    processor = make_processor(notes)
    assert notes.gate is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        task = asyncio.create_task(processor.quarantine.begin(records(1)))
        await notes.asked.wait()
        processor.quarantine.forget()
        notes.gate.set()
        await task
        await processor.quarantine.begin(records(1, first=40))
    assert notes.noted == [("start", P0, 0), ("start", P0, 40)]


async def test_a_hunt_that_ends_after_its_assignment_is_not_noted_of_the_next() -> None:
    """Taken for begun, the next assignment's first record would be touched without a note of where it began."""

    class SlowEnd(Notes):
        async def end_quarantine(self, place: Place) -> None:
            ending.set()
            await reached.wait()
            await super().end_quarantine(place)

    ending, reached, notes = asyncio.Event(), asyncio.Event(), SlowEnd(isolated={P0: 1})
    processor = make_processor(notes)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await processor.quarantine.begin(records(1))
        task = asyncio.create_task(processor.process(records(1)))
        await ending.wait()
        processor.quarantine.forget()
        reached.set()
        await task
    assert not processor.quarantine.normal(records(1, first=1))
    await processor.quarantine.begin(records(1, first=1))
    assert notes.noted[-1] == ("start", P0, 1)


async def test_a_hunt_ends_once_its_letter_is_written() -> None:
    """Ended before, a process that dies between them leaves the record without its letter and without its notes."""
    notes, writer = Notes(isolated={P0: 9}, convicted={0}), FakeWriter()
    seen: list[list[str]] = []

    async def look(items: Sequence[Item]) -> Plan:
        seen.append([what for what, *_ in notes.noted])
        return await FakeWriter.process(writer, items)

    writer.process = look  # type: ignore[method-assign]
    await process(make_processor(notes, writer), records(1))
    assert seen == [["start", "probe"]]
    assert notes.noted[-1] == ("end quarantine", P0, -1)


async def test_the_note_that_a_partition_begins_shows_that_the_process_lives() -> None:
    """It may wait for Postgres for long; nothing that a restart would mend stands still."""
    noted: list[object] = []

    class Looking(Notes):
        async def start(self, place: Place, offset: int) -> int | None:
            noted.append(_NOTED_BY.get())
            return await super().start(place, offset)

    processor = make_processor(Looking())
    await processor.quarantine.begin(records(1))
    assert noted == [processor.quarantine.hand.activity]


async def test_an_outage_of_the_note_before_a_record_is_waited_through() -> None:
    """Raised, it would end the process with nothing in hand, at each start anew."""
    notes, writer = Notes(isolated={P0: 1}), FakeWriter()
    processor = make_processor(notes, writer)
    await processor.quarantine.begin(records(1))
    notes.failures = [ConnectionRefusedError(), UnavailableError("away")]
    assert await processor.process(records(1))
    assert writer.offsets == [[0]]
    assert [what for what, *_ in notes.noted] == ["start", "probe", "end quarantine"]


async def test_nothing_of_a_halted_partition_is_noted_or_touched() -> None:
    notes, writer = Notes(isolated={P0: 9}), FakeWriter(halting={P0})
    processor = make_processor(notes, writer)
    await process(processor, records(1))
    noted = list(notes.noted)
    assert not await processor.process(records(1, first=1))
    assert notes.noted == noted


# --- outages -----------------------------------------------------------------------------------------------------


async def test_an_outage_is_waited_for_and_shown() -> None:
    writer = FakeWriter(failures=[UnavailableError("away"), UnavailableError("away")])
    processor = make_processor(writer=writer)
    seen: list[float | None] = []

    async def look(items: Sequence[Item]) -> Plan:
        seen.append(processor.outages.since)
        return await FakeWriter.process(writer, items)

    writer.process = look  # type: ignore[method-assign]
    with capture_logs() as lines:
        assert await processor.process(records(2))
    assert seen[0] is None
    assert seen[1] is not None
    assert seen[1] == seen[2]
    assert processor.outages.since is None
    assert [line["event"] for line in lines] == ["postgres_away", "postgres_back", "batch_settled"]
    assert writer.offsets == [[0, 1]]


@pytest.mark.parametrize("error", [ConnectionRefusedError(), TimeoutError(), UnavailableError("x")])
async def test_a_note_that_cannot_be_written_is_waited_for(error: Exception) -> None:
    notes = Notes(failures=[error, error])
    processor = make_processor(notes)
    await processor.quarantine.begin(records(1))
    assert notes.noted == [("start", P0, 0)]
    assert processor.outages.since is None


async def test_an_outage_is_over_with_an_answer_that_halts_the_partition_too() -> None:
    """Nothing else would be written of this batch to show it: the loop would wait for Postgres for ever."""
    writer = FakeWriter(failures=[UnavailableError("away")], halting={P0})
    processor = make_processor(writer=writer)
    assert not await processor.process(records(LIMITS.unexpected_run_max + 1))
    assert P0 in processor.halted
    assert processor.outages.since is None


async def test_what_is_no_outage_is_raised() -> None:
    tries_of_one, and_of_its_dead_letter = 2, 2
    processor = make_processor(
        writer=FakeWriter(failures=[ZeroDivisionError()] * (tries_of_one + and_of_its_dead_letter))
    )
    with pytest.raises(ZeroDivisionError):
        await processor.process(records(1))
    assert processor.outages.since is None


# --- halts -------------------------------------------------------------------------------------------------------


async def test_a_halted_partition_leaves_its_records_open_and_others_go_on() -> None:
    writer = FakeWriter(halting={P0})
    processor = make_processor(writer=writer)
    with capture_logs() as lines:
        processed = await processor.process([*records(2), *records(2, partition=1)])
    assert not processed
    assert processor.halted.keys() == {P0}
    assert processor.halted[P0].startswith("payments.webhooks [0] is halted: 1 records in a row failed")
    assert writer.offsets == [[0, 1]]
    assert [line["log_level"] for line in lines if line["event"] == "partition_halted"] == ["critical"]
    writer.halting.clear()
    assert not await processor.process(records(2, first=2))
    assert writer.offsets == [[0, 1]]
    assert await processor.process(records(2, partition=1, first=2))


async def test_an_isolated_record_of_a_halted_partition_stays_open() -> None:
    notes, writer = Notes(isolated={P0: 9}), FakeWriter(halting={P0})
    assert not await process(make_processor(notes, writer), records(2))
    assert writer.batches == []


async def test_the_canonical_line_tells_what_became_of_the_batch() -> None:
    with capture_logs() as lines:
        await make_processor().process(records(4))
    (line,) = lines
    assert (line["event"], line["records"], line["transactions"], line["dead_letters"]) == ("batch_settled", 4, 1, 0)


async def test_the_canonical_line_counts_outcomes() -> None:
    from memory_tables import MemoryTables

    tables, writer = MemoryTables(), FakeWriter()

    async def really(items: Sequence[Item]) -> Plan:
        return tables.process([record for record, _ in items])

    writer.process = really  # type: ignore[method-assign]
    processor = make_processor(writer=writer)
    waits = standard("refund.succeeded", payment="pay_9", child="ref_1")
    with capture_logs() as lines:
        await processor.process(placed([standard("payment.captured"), standard("payment.created"), waits]))
    assert {name: lines[0].get(name) for name in ("applied", "late", "parked", "duplicates")} == {
        "applied": 1,
        "late": 1,
        "parked": 1,
        "duplicates": 0,
    }


async def test_the_pauses_of_one_outage_grow_with_its_tries() -> None:
    outages = Outages(LIMITS, Timer().hand().activity)
    asked: list[object] = []
    begun: list[object] = []
    pauses = outages.pauses

    def begin() -> object:
        begun.append(pauses())
        return begun[-1]

    async def work() -> int:
        asked.append(None)
        if len(asked) <= 3:
            raise UnavailableError("away")
        return len(asked)

    outages.pauses = begin  # type: ignore[method-assign, assignment]
    assert await outages.through(work) == 4
    assert len(begun) == 1, "each try begins with the shortest pause again"
