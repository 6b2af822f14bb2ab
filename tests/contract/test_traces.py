"""Every trace of every provider: whatever the order, the repetitions and the cuts, one row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from discovery import LIVES, NAMES, Life, lives, moves_payments
from events import placed
from hypothesis import given
from hypothesis import strategies as st
from memory_tables import MemoryTables, by_ref
from profiles import FEW, examples

from consumer.decode import Event, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.record import Record

pytestmark = pytest.mark.unit


def processed_in_cuts(data: st.DataObject, records: Sequence[Record]) -> MemoryTables:
    """Process the records in this order, cut into batches anyhow."""
    tables, rest = MemoryTables(), list(records)
    while rest:
        size = data.draw(st.integers(1, len(rest)), label="batch")
        tables.process(placed(rest[:size]))
        rest = rest[size:]
    return tables


def reported(tables: MemoryTables, *expected: Life) -> None:
    """Assert that all of the lives is processed, and nothing else."""
    assert not tables.letters
    assert not tables.parked
    assert tables.counted == sorted((row for life in expected for row in life.rows), key=by_ref)
    assert len(tables.ledger) == sum(len(life.records) for life in expected)


@pytest.mark.parametrize("provider", NAMES)
def test_who_speaks_of_payments_has_a_trace(provider: str) -> None:
    assert bool(lives(provider)) is moves_payments(provider)


@pytest.mark.parametrize("life", LIVES, ids=str)
def test_a_trace_is_understood_and_about_one_payment(life: Life) -> None:
    events = [decode(one) for one in life.records]
    assert all(isinstance(one, Event) and not one.hint for one in events)
    assert len({(one.source, one.event_id) for one in events if isinstance(one, Event)}) == len(events)


@pytest.mark.parametrize("life", LIVES, ids=str)
def test_the_trace_and_its_reverse_come_to_the_row(life: Life) -> None:
    for order in (life.records, life.records[::-1]):
        for batches in ([[one] for one in order], [list(order)]):
            tables = MemoryTables()
            for batch in batches:
                tables.process(batch)
            reported(tables, life)


@pytest.mark.parametrize("life", LIVES, ids=str)
@examples(FEW)
@given(data=st.data())
def test_any_order_repetition_and_cut_gives_one_row(life: Life, data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(life.records), max_size=6), label="again")
    tables = processed_in_cuts(data, data.draw(st.permutations([*life.records, *again]), label="order"))
    reported(tables, life)
    assert tables.duplicates == len(again)


@given(data=st.data())
def test_payments_of_several_providers_keep_apart(data: st.DataObject) -> None:
    reporting = data.draw(st.lists(st.sampled_from([name for name in NAMES if lives(name)]), unique=True, max_size=4))
    chosen = [data.draw(st.sampled_from(lives(name)), label=name) for name in reporting]
    once = [one for life in chosen for one in life.records]
    tables = processed_in_cuts(data, data.draw(st.permutations(once), label="order"))
    reported(tables, *chosen)
