"""A dry run reads through the port that a batch reads through: in memory it foretells what the batch then does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from events import placed, standard
from msgspec.structs import replace
from paper_books import PaperBooks

from ops.redrive_rehearsal import REHEARSED, Fate, Rehearsal
from runtime.settings import Settings

if TYPE_CHECKING:
    from consumer.ledger_reader import LedgerReader
    from consumer.plan import Plan
    from schemas.record import Record

pytestmark = pytest.mark.unit

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


async def foretold(reader: LedgerReader, record: Record) -> Fate:
    made_up = replace(record, partition=REHEARSED, offset=7)
    return await Rehearsal(reader, Settings(), None, set()).foretell(made_up)


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
    books = PaperBooks()
    outcomes = []
    for record in placed(list(events)):  # type: ignore[arg-type]
        before = books.digest()
        fate = await foretold(books, record)
        assert books.digest() == before, "it changes nothing"
        outcomes.append(came_to(books.settle([record])))
        assert fate.outcome == outcomes[-1]
    assert len(set(outcomes)) > 1, "it is not one answer to all"


async def test_a_dry_run_wakes_in_memory_who_waits() -> None:
    books = PaperBooks()
    refund, capture, again = placed([REFUNDED, CAPTURED, REFUNDED])
    books.settle([refund])
    rehearsal = Rehearsal(books, Settings(), None, set())
    assert (await rehearsal.foretell(replace(capture, partition=REHEARSED, offset=1))).outcome == "applied"
    assert len(books.parked) == 1, "it still waits in the table"
    assert (await foretold(books, again)).outcome == "duplicate"
