"""The dry run of letters: as what they are read, by which bounds, and what later letters make of earlier ones."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pytest
from events import placed, standard
from memory_tables import MemoryTables
from msgspec.structs import replace

from consumer.planner import Planner
from consumer.verdict import Dead
from ops.dry_run import MADE_UP, DryRun, Foretold, TrippedError, record_of
from runtime.settings import ConsumerSettings, Settings
from schemas.dead_letter import Reason
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.ledger_reader import Needs
    from consumer.plan import Known
    from schemas.record import Record

pytestmark = pytest.mark.unit

CAPTURED = standard("payment.captured", child="c", amount=1000)
REFUNDED = standard("refund.succeeded", child="r", amount=400)
AGAIN = standard("refund.succeeded", child="r2", amount=100)


class Snapshot:
    """Reads tables as the snapshot's reader does: the same object again, grown; what is in memory stays."""

    def __init__(self, tables: MemoryTables) -> None:
        self._tables = tables
        self._known: Known | None = None

    async def read(self, needs: Needs) -> Known:
        found = await self._tables.read(needs)
        known = self._known = self._known or found
        for one in fields(found):
            new, held = getattr(found, one.name), getattr(known, one.name)
            if isinstance(new, dict):
                for key, value in new.items():
                    held.setdefault(key, value)
        known.parked = found.parked
        return known


def letter(record: Record, number: int, **columns: Any) -> dict[str, Any]:
    names = [name.encode() for name, _ in record.headers]
    row = {"id": number, "topic": record.topic, "reason": "conflict", "timestamp_ms": record.timestamp_ms}
    row |= {"key": record.key, "value": record.value, "header_names": names}
    return row | {"header_values": [value for _, value in record.headers]} | columns


def dry(tables: MemoryTables, target: str | None = None, tripped: Sequence[int] = (), **bounds: int) -> DryRun:
    consumer = ConsumerSettings().model_copy(update=bounds)
    return DryRun(Snapshot(tables), Settings().model_copy(update={"consumer": consumer}), target, set(tripped))


async def fates(run: DryRun, *rows: dict[str, Any]) -> list[str]:
    for row in rows:
        await run.play([row], [row["id"]])
    return [run.fates[row["id"]].outcome for row in rows]


async def test_a_letter_that_waits_is_woken_by_a_later_one_and_stays_as_it_ended() -> None:
    run = dry(MemoryTables())
    waiting, waker = letter(REFUNDED, 1), letter(CAPTURED, 2)
    assert await fates(run, waiting) == ["parked"]
    assert await fates(run, waker) == ["applied"]
    assert run.fates[1] == Foretold("applied")
    assert await fates(run, letter(CAPTURED, 3), letter(AGAIN, 4)) == ["duplicate", "applied"]
    assert [run.fates[number].outcome for number in (1, 2)] == ["applied", "applied"]


async def test_what_waits_in_the_table_is_woken_in_memory_once() -> None:
    tables = MemoryTables()
    tables.process(placed([REFUNDED]))
    run = dry(tables)
    assert await fates(run, letter(CAPTURED, 1)) == ["applied"]
    (payment,) = {one.id: one for one in run._known.payments.values()}.values()
    version = payment.version
    assert await fates(run, letter(AGAIN, 2)) == ["applied"]
    assert payment.version == version + 1, "the letter's own; who was woken counts no second time"
    assert len(tables.parked) == 1


async def test_a_letter_that_ended_the_process_is_not_tried() -> None:
    run = dry(MemoryTables())
    assert await fates(run, letter(CAPTURED, 1, reason=Reason.FATAL)) == ["dead"]
    assert run.fates[1].reason == Reason.FATAL


async def test_a_letter_of_a_topic_of_ours_goes_there_and_a_foreign_one_where_it_was_stated() -> None:
    foreign = letter(CAPTURED, 1, topic="another.topic")
    assert await fates(dry(MemoryTables(), "payments.webhooks"), foreign) == ["applied"]
    assert await fates(dry(MemoryTables(), "payments.intents"), foreign) == ["dead"]
    assert await fates(dry(MemoryTables(), "payments.intents"), letter(CAPTURED, 1)) == ["applied"]


async def test_each_bound_is_the_setting_of_its_name() -> None:
    rows = letter(CAPTURED, 1), letter(REFUNDED, 2)
    assert await fates(dry(MemoryTables(), facts_per_payment_max=1, payments_per_promise_max=99), *rows) == [
        "applied",
        "dead",
    ]
    assert await fates(dry(MemoryTables(), facts_per_payment_max=99, payments_per_promise_max=1), *rows) == [
        "applied",
        "applied",
    ]


async def test_a_letter_that_trips_the_fold_is_named_and_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Planner.plan

    def tripping(self: Planner, items: Any) -> Any:
        if any(record.offset == 2 and not isinstance(item, Dead) for record, item in items):
            raise ZeroDivisionError
        return plan(self, items)

    monkeypatch.setattr(Planner, "plan", tripping)
    rows = [letter(CAPTURED, 1), letter(REFUNDED, 2), letter(AGAIN, 3)]
    with pytest.raises(TrippedError) as raised:
        await dry(MemoryTables()).play(rows, [1, 2, 3])
    assert raised.value.letter_ids == {2}
    run = dry(MemoryTables(), tripped=[2])
    await run.play(rows, [1, 2, 3])
    assert [run.fates[number].outcome for number in (1, 2, 3)] == ["applied", "dead", "applied"]
    assert run.fates[2].reason == Reason.UNEXPECTED


async def test_letters_that_trip_it_together_alone_are_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = Planner.plan

    def tripping(self: Planner, items: Any) -> Any:
        if len(items) > 1:
            raise ZeroDivisionError
        return plan(self, items)

    monkeypatch.setattr(Planner, "plan", tripping)
    with pytest.raises(RatchetError, match="redrive fewer of them at once") as raised:
        await dry(MemoryTables()).play([letter(CAPTURED, 1), letter(REFUNDED, 2)], [1, 2])
    assert not isinstance(raised.value, TrippedError)


def test_a_letter_is_the_record_that_it_was_whatever_bytes_its_headers_names_have() -> None:
    row = letter(CAPTURED, 7, header_names=[b"a\xff", b"\xc3\xa9"], header_values=[b"1", None])
    found = record_of(row, "payments.webhooks")
    assert found.headers == (("a\udcff", b"1"), ("é", None))
    assert (found.topic, found.partition, found.offset, found.value) == (
        "payments.webhooks", MADE_UP, 7, CAPTURED.value,
    )  # fmt: skip
    assert replace(found, headers=CAPTURED.headers, partition=0, offset=0) == CAPTURED
