"""What happens to a batch that fails: conflicts, bad records, outages, runs of failures; and what waits beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
import pytest
from consumer_harness import outage_of, processor
from events import placed, standard
from hypothesis import given
from hypothesis import strategies as st
from memory_tables import MemoryTables, moment
from msgspec.structs import replace

from consumer import retries
from consumer.decode import Event, decoded
from consumer.ledger import LedgerEntry
from consumer.plan import Letter, Plan
from consumer.verdict import Dead
from ops.dry_run import MADE_UP, DryRun, Foretold
from runtime.settings import ConsumerSettings, Settings
from schemas.dead_letter import Reason
from schemas.payment import Outcome
from schemas.record import REDRIVE_COUNT_HEADER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from consumer.ledger_reader import LedgerReader
    from consumer.plan import Item
    from consumer.processing import Processor
    from schemas.record import Record

pytestmark = pytest.mark.unit

RUN_MAX = 3
PLACE = ("payments.webhooks", 0)
LIMITS = ConsumerSettings(twin_retries_max=4, unexpected_run_max=RUN_MAX, backoff_initial_seconds=0.001)


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "CONFLICT_PAUSE_SECONDS", 0.0)


def ledger_row(event: Event, record: Record) -> LedgerEntry:
    columns = (None, event.source, event.event_id, event.kind, Outcome.NOOP, None, None, None, None, "[]")
    return LedgerEntry(*columns, record.topic, record.partition, record.offset, None, moment(), 1)


@dataclass
class Table:
    """A database that refuses some offsets, and fails as asked: each failure is raised once, in order."""

    refused: dict[int, Exception] = field(default_factory=dict)
    failures: list[Exception | None] = field(default_factory=list)
    letters: list[Letter] = field(default_factory=list)
    processed: list[int] = field(default_factory=list)
    attempts: int = 0
    renewed: int = 0

    async def renew(self) -> None:
        self.renewed += 1

    async def process(self, items: Sequence[Item]) -> Plan:
        self.attempts += 1
        failure = self.failures.pop(0) if self.failures else None
        if failure is not None:
            raise failure
        plan = Plan()
        for record, item in items:
            if isinstance(item, Dead):
                plan.letters.append(Letter(record, item.reason, item.message))
            elif record.offset in self.refused:
                raise self.refused[record.offset]
            elif record.offset in self.processed:
                plan.duplicates += 1
            else:
                plan.rows.append(ledger_row(item, record))
        self.letters += plan.letters
        self.processed += [record.offset for record, item in items if isinstance(item, Event)]
        return plan

    def processor(self) -> Processor:
        return processor(self.process, LIMITS, self.renew)

    @property
    def buried(self) -> list[tuple[int, Reason]]:
        return [(letter.record.offset, letter.reason) for letter in self.letters]


def good(count: int, first: int = 0, partition: int = 0) -> list[Item]:
    events = [standard("payment.created")] * count
    return [decoded(one) for one in placed(events, first=first, partition=partition)]


def bad(offsets: Iterable[int], reason: Reason = Reason.UNEXPECTED, *, redriven: bool = False) -> list[Item]:
    header = ((REDRIVE_COUNT_HEADER, b"1"),) if redriven else ()
    records = [replace(placed([standard("payment.created")], first=offset)[0]) for offset in offsets]
    return [(replace(one, headers=one.headers + header), Dead(reason, "why")) for one in records]


REFUSED = asyncpg.CheckViolationError("secret 4111111111111111")


async def test_a_good_batch_is_one_transaction() -> None:
    table = Table()
    plans = await table.processor().write(good(10))
    assert (len(plans), table.attempts, table.processed) == (1, 1, list(range(10)))


@pytest.mark.parametrize("offset", range(7))
async def test_the_bad_record_is_found_and_its_neighbours_commit(offset: int) -> None:
    table = Table(refused={offset: REFUSED})
    await table.processor().write(good(7))
    assert table.buried == [(offset, Reason.DATA_REJECTED)]
    assert sorted(table.processed) == [one for one in range(7) if one != offset]


async def test_a_letter_names_the_place_in_the_table_and_no_value() -> None:
    error = asyncpg.CheckViolationError("secret 4111111111111111")
    error.table_name, error.constraint_name = "payments", "payments_check"
    table = Table(refused={0: error})
    await table.processor().write(good(1))
    assert table.letters[0].message == "CheckViolationError 23514 payments.payments_check"
    table = Table(refused={0: KeyError("4111111111111111")})
    await table.processor().write(good(1))
    assert (table.buried, table.letters[0].message) == (
        [(0, Reason.UNEXPECTED)],
        "KeyError while processing the record",
    )


@pytest.mark.parametrize(
    "conflict",
    [
        asyncpg.UniqueViolationError("from the server"),
        asyncpg.DeadlockDetectedError("from the server"),
        asyncpg.SerializationError("from the server"),
    ],
)
async def test_a_conflict_is_read_and_folded_again(conflict: Exception) -> None:
    table = Table(failures=[conflict, conflict, conflict])
    plans = await table.processor().write(good(3))
    assert (table.attempts, len(plans), table.letters) == (4, 1, [])


async def test_a_key_that_stays_taken_is_bad_data() -> None:
    table = Table(refused={1: asyncpg.UniqueViolationError("from the server")})
    await table.processor().write(good(3))
    assert table.buried == [(1, Reason.DATA_REJECTED)]
    assert sorted(table.processed) == [0, 2]


@pytest.mark.parametrize("count", [1, 4])
async def test_a_lock_that_stays_taken_is_an_outage_and_no_letter(count: int) -> None:
    table = Table(refused={0: asyncpg.DeadlockDetectedError("from the server")})
    assert "in the way" in await outage_of(table.processor(), good(count))
    assert table.letters == []
    assert table.attempts == LIMITS.twin_retries_max


@pytest.mark.parametrize(
    "outage", [ConnectionRefusedError(), TimeoutError(), asyncpg.AdminShutdownError("from the server")]
)
async def test_an_outage_never_makes_a_letter(outage: Exception) -> None:
    table = Table(failures=[outage])
    (plan,) = await table.processor().write(good(5))
    assert (table.letters, table.attempts, len(plan.rows)) == ([], 2, 5)


async def test_an_outage_in_the_midst_of_halving_makes_no_letter() -> None:
    table = Table(refused={0: REFUSED}, failures=[None, None, OSError()])
    await table.processor().write(good(2))
    assert (table.buried, table.processed, table.attempts) == ([(0, Reason.DATA_REJECTED)], [1], 7)


async def test_a_conflict_in_the_way_of_a_letter_is_tried_again() -> None:
    table = Table(refused={0: REFUSED}, failures=[None, asyncpg.DeadlockDetectedError("from the server")])
    await table.processor().write(good(1))
    assert table.buried == [(0, Reason.DATA_REJECTED)]


async def test_an_outage_counts_no_bad_record_twice() -> None:
    """Six attempts through an outage are one bad record each, not six."""
    table = Table(failures=[OSError()] * 5)
    processor = table.processor()
    await processor.write(bad([0, 1]))
    assert (len(table.letters), table.attempts) == (2, 6)
    await processor.write(bad([2]))
    assert processor.halted == {}


# --- runs of failures --------------------------------------------------------------------------------------------


async def test_a_run_of_bad_records_halts_before_it_pours_into_the_letters() -> None:
    table = Table()
    processor = table.processor()
    await processor.write(bad(range(RUN_MAX)))
    assert await processor.write(bad([99])) == []
    assert processor.halted.keys() == {PLACE}
    assert "offset 99" in processor.halted[PLACE]
    assert len(table.letters) == RUN_MAX


async def test_a_run_across_a_batch_processes_what_stands_before() -> None:
    table = Table()
    processor = table.processor()
    await processor.write(bad(range(5)))
    assert "offset 3;" in processor.halted[PLACE]
    assert [offset for offset, _ in table.buried] == [0, 1, 2]


async def test_successes_between_bad_records_of_one_batch_keep_it_going() -> None:
    table = Table()
    items: list[Item] = []
    for number in range(4 * RUN_MAX):
        items += [*good(1, first=2 * number), *bad([2 * number + 1])]
    await table.processor().write(items)
    assert (len(table.letters), len(table.processed)) == (4 * RUN_MAX, 4 * RUN_MAX)


async def test_duplicates_are_successes() -> None:
    table = Table(processed=[50])
    processor = table.processor()
    for _ in range(3):
        await processor.write([*bad(range(RUN_MAX - 1)), *good(1, first=50)])
    assert len(table.letters) == 3 * (RUN_MAX - 1)


async def test_records_that_postgres_refuses_count_too() -> None:
    table = Table(refused=dict.fromkeys(range(9), REFUSED))
    processor = table.processor()
    await processor.write(good(9))
    assert processor.halted.keys() == {PLACE}
    assert len(table.letters) == RUN_MAX


async def test_a_success_between_refusals_of_one_batch_resets_the_run() -> None:
    table = Table(refused=dict.fromkeys(range(0, 16, 2), REFUSED))
    await table.processor().write(good(16))
    assert (len(table.letters), len(table.processed)) == (8, 8)


@pytest.mark.parametrize(
    "reason", [Reason.UNDECODABLE, Reason.UNKNOWN_KIND, Reason.CONFLICT, Reason.ORPHAN, Reason.FATAL]
)
async def test_verdicts_do_not_count(reason: Reason) -> None:
    table = Table()
    await table.processor().write(bad(range(5 * RUN_MAX), reason))
    assert len(table.letters) == 5 * RUN_MAX


async def test_redriven_records_do_not_count() -> None:
    table = Table()
    await table.processor().write(bad(range(5 * RUN_MAX), redriven=True))
    assert len(table.letters) == 5 * RUN_MAX
    items = [decoded(one) for one, _ in bad(range(100, 110), redriven=True)]
    table.refused = dict.fromkeys(range(100, 110), REFUSED)
    await table.processor().write(items)
    assert len(table.letters) == 5 * RUN_MAX + 10


async def test_a_run_is_a_partitions_own() -> None:
    """After another partition has halted the first bad record halts nothing; a neighbour's success helps no one."""
    table = Table()
    processor = table.processor()
    await processor.write(bad(range(RUN_MAX + 1)))
    assert processor.halted.keys() == {PLACE}
    elsewhere = [(replace(record, partition=1), dead) for record, dead in bad(range(RUN_MAX))]
    await processor.write(elsewhere)
    await processor.write(good(2, partition=2))
    await processor.write([(replace(record, partition=1), dead) for record, dead in bad([99])])
    assert processor.halted.keys() == {PLACE, (PLACE[0], 1)}


async def test_duplicates_count_for_the_partition_that_they_stand_in() -> None:
    table = Table(processed=[50])
    processor = table.processor()
    await processor.write(bad(range(RUN_MAX)))
    await processor.write(good(1, first=50, partition=1))
    await processor.write(bad([99]))
    assert processor.halted.keys() == {PLACE}


# --- fresh sessions ----------------------------------------------------------------------------------------------

STALE = asyncpg.InvalidCachedStatementError("cached statement plan is invalid due to a database schema change")


@pytest.mark.parametrize("count", [1, 3])
async def test_what_is_wrong_with_the_session_is_tried_on_a_fresh_one(count: int) -> None:
    table = Table(failures=[STALE])
    await table.processor().write(good(count))
    assert (table.attempts, table.renewed, table.letters) == (2, 1, [])


async def test_a_session_that_stays_wrong_is_an_outage() -> None:
    table = Table(refused={0: asyncpg.ReadOnlySQLTransactionError("from the server")})
    await outage_of(table.processor(), good(1))
    assert (table.renewed, table.letters) == (1, [])


@pytest.mark.parametrize("error", [REFUSED, KeyError("a column that the session knows not"), asyncpg.DataError("x")])
async def test_no_single_record_is_buried_for_what_a_fresh_session_takes(error: Exception) -> None:
    table = Table(failures=[error])
    await table.processor().write(good(1))
    assert (table.attempts, table.renewed, table.letters, table.processed) == (2, 1, [], [0])


async def test_a_bad_record_is_tried_once_more_and_no_oftener() -> None:
    table = Table(refused={0: REFUSED})
    await table.processor().write(good(1))
    assert (table.attempts, table.renewed) == (3, 1), "twice as an event, once as a dead letter"


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.UndefinedColumnError("from the server"),
        asyncpg.UndefinedTableError("from the server"),
        asyncpg.InsufficientPrivilegeError("from the server"),
    ],
)
@pytest.mark.parametrize("count", [1, 3])
async def test_a_schema_or_a_right_that_does_not_fit_is_waited_for(error: Exception, count: int) -> None:
    table = Table(refused={0: error})
    assert "ratchet migrate up" in await outage_of(table.processor(), good(count))
    assert (table.letters, table.attempts) == ([], 1)


# --- what waits beside, and what a dry run foretells -----------------------------------------------------------------

KNOWN, UNKNOWN = "pay_1", "pay_9"
OPENING = {
    "created": standard("payment.created", payment=KNOWN),
    "captured": standard("payment.captured", payment=KNOWN),
}
FOLLOWING = {f"refund {n}": standard("refund.succeeded", payment=KNOWN, child=f"r{n}", amount=400) for n in range(4)}
"""Together more than was captured: flagged, and applied all the same."""
WAITING = {f"stranger {n}": standard("refund.succeeded", payment=UNKNOWN, child=f"s{n}", amount=1) for n in range(3)}
EVENTS = OPENING | FOLLOWING | WAITING


def ledger_of(names: list[str], batch: int) -> MemoryTables:
    rows = MemoryTables()
    records = placed([EVENTS[name] for name in names])
    for begin in range(0, len(records), batch):
        rows.process(records[begin : begin + batch])
    return rows


@given(st.permutations(sorted(EVENTS)), st.integers(1, 6), st.integers(1, 6))
def test_every_subset_that_is_true_together_processes_whatever_waits_beside_it(
    order: list[str], count: int, batch: int
) -> None:
    names = order[:count]
    rows = ledger_of(names, batch)
    opened = any(name in OPENING for name in names)
    waits = [name for name in names if name in WAITING or (name in FOLLOWING and not opened)]
    assert len(rows.parked) == len(waits)
    assert len(rows.ledger) == count - len(waits)
    assert rows.letters == []
    if opened:
        assert rows.only == ledger_of(sorted(set(names) - set(WAITING)), count).only


CREATED, CAPTURED = standard("payment.created"), standard("payment.captured")
REFUNDED = standard("refund.succeeded", child="r", amount=400)
ELSEWHERE = standard("refund.succeeded", payment="pay_9", child="r9")


def came_to(plan: Plan) -> str:
    """Return what a batch of one record came to."""
    if plan.parkings:
        return "parked"
    if plan.letters:
        return "dead"
    return str(plan.rows[0].outcome) if plan.rows else "duplicate"


async def foretold(reader: LedgerReader, record: Record) -> Foretold:
    made_up = replace(record, partition=MADE_UP, offset=7)
    return await DryRun(reader, Settings(), None, set()).foretell(made_up)


@pytest.mark.parametrize(
    "events",
    [
        (CREATED, CAPTURED, REFUNDED, CAPTURED),
        (REFUNDED, CAPTURED, CREATED, REFUNDED),
        (ELSEWHERE, CREATED, ELSEWHERE, CREATED),
    ],
    ids=["in order", "undone first", "of another payment"],
)
async def test_a_dry_run_foretells_what_each_record_comes_to(events: tuple[object, ...]) -> None:
    rows = MemoryTables()
    outcomes = []
    for record in placed(list(events)):  # type: ignore[arg-type]
        before = rows.digest()
        fate = await foretold(rows, record)
        assert rows.digest() == before, "it changes nothing"
        outcomes.append(came_to(rows.process([record])))
        assert fate.outcome == outcomes[-1]
    assert len(set(outcomes)) > 1, "it is not one answer to all"


async def test_a_dry_run_wakes_in_memory_who_waits() -> None:
    rows = MemoryTables()
    refund, capture, again = placed([REFUNDED, CAPTURED, REFUNDED])
    rows.process([refund])
    dry_run = DryRun(rows, Settings(), None, set())
    assert (await dry_run.foretell(replace(capture, partition=MADE_UP, offset=1))).outcome == "applied"
    assert len(rows.parked) == 1, "it still waits in the table"
    assert (await foretold(rows, again)).outcome == "duplicate"
