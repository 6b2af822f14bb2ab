"""No sequence of events breaks the ledger, legal or not: true, altered, of payments nobody knows, hints, all mixed.

`MemoryTables.check` looks after every batch: captured <= authorized, refunded <= captured, versions 1..n, hashes in a
chain, no event twice, and each row is what its ledger folds to.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pytest
from discovery import LIVES, NAMES, events_of
from events import placed, record
from hypothesis import given
from hypothesis import strategies as st
from memory_tables import MemoryTables
from msgspec.structs import replace
from profiles import FEW, MANY, examples

from consumer.decode import Event, decode
from schemas.facts import Meaning
from schemas.record import TRUST_HEADER

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

_NUMBER: Final = re.compile(rb'(?<=[:>"])-?[0-9]+(?:\.[0-9]+)?(?=[,}<"])')
_TEXT: Final = re.compile(rb'"([A-Za-z0-9_-]{2,40})"')
AMOUNTS: Final = (b"0", b"1", b"-1", b"400", b"1000", b"1001", b"99999999999999", b"12.50", b"10000.01")


@cache
def reported() -> tuple[Record, ...]:
    """Return every event of every trace and of every genuine request."""
    traced = [one for life in LIVES for one in life.records]
    single = [
        record(name, one.event_id or f"{name}:{place}", one.kind or "", one.body)
        for name in NAMES
        for place, one in enumerate(events_of(name))
    ]
    return (*traced, *single)


@cache
def reported_by(source: str) -> tuple[Record, ...]:
    return tuple(one for one in reported() if one.header("ce_source") == source)


def renamed(one: Record, event_id: str) -> Record:
    """Return the record under another event id."""
    headers = tuple((name, event_id.encode() if name == "ce_id" else value) for name, value in one.headers)
    return replace(one, headers=headers)


def altered(data: st.DataObject, one: Record) -> Record:
    """Change a number of the body, put a word of it where another stands, or a word of another event's body."""
    body = one.value or b""
    pattern = data.draw(st.sampled_from([_NUMBER, _NUMBER, _TEXT]))
    places = list(pattern.finditer(body))
    if not places:
        return one
    place = data.draw(st.sampled_from(places))
    if pattern is _NUMBER:
        other = data.draw(st.sampled_from(AMOUNTS))
    else:
        source = data.draw(st.sampled_from(reported_by(one.header("ce_source") or "")))
        other = data.draw(st.sampled_from([*_TEXT.findall(source.value or b""), b"nobody", b"pay_1"]))
        other = b'"' + other + b'"'
    return replace(one, value=body[: place.start()] + other + body[place.end() :])


@st.composite
def anything(draw: st.DrawFn) -> Record:
    """Draw an event: as it was reported, under another id, altered, or as a hint."""
    data: Any = draw(st.data())
    one: Record = draw(st.sampled_from(reported()))
    how = draw(st.sampled_from(["same", "same", "again", "altered", "altered", "altered twice", "hint", "copied"]))
    for _ in range({"altered": 1, "altered twice": 2, "copied": 1}.get(how, 0)):
        one = altered(data, one)
    if how == "hint":
        return replace(
            one, headers=tuple((name, b"hint" if name == TRUST_HEADER else value) for name, value in one.headers)
        )
    return one if how in ("same", "copied") else renamed(one, f"{one.header('ce_id')}#{draw(st.integers(0, 3))}")


def hold(tables: MemoryTables, records: list[Record]) -> None:
    """Assert that every record is one ledger row, one parked event, one dead letter or a duplicate.

    Sums are what was reported: a row whose sums do not add up says so by its flags.
    """
    for row in tables.payments.values():
        if row["captured"] > row["authorized"] > 0:
            assert "over_captured" in row["flags"]
        if row["refunded"] > row["captured"]:
            assert "over_refunded" in row["flags"]
    reported = [row for row in tables.ledger if row.source != "ratchet"]
    assert len(reported) + len(tables.parked) + len(tables.letters) + tables.duplicates == len(records)


@examples(MANY)
@given(batches=st.lists(st.lists(anything(), min_size=1, max_size=8), min_size=1, max_size=5))
def test_no_sequence_breaks_the_ledger(batches: list[list[Record]]) -> None:
    tables, taken = MemoryTables(), []
    for batch in batches:
        tables.process(placed(batch))
        taken += batch
        hold(tables, taken)


@pytest.mark.parametrize("life", LIVES, ids=str)
@examples(FEW)
@given(data=st.data())
def test_no_alteration_of_a_life_breaks_its_payment(life: Any, data: st.DataObject) -> None:
    """All of a life is about one payment, so what is altered meets what is true."""
    extra = [
        renamed(altered(data, data.draw(st.sampled_from(life.records))), f"altered {place}")
        for place in range(data.draw(st.integers(1, 5)))
    ]
    order = data.draw(st.permutations([*life.records, *extra]))
    tables, taken = MemoryTables(), []
    for one in order:
        tables.process([one])
        taken.append(one)
    hold(tables, taken)


@pytest.mark.parametrize("life", LIVES, ids=str)
def test_a_hint_moves_nothing(life: Any) -> None:
    """Whatever every provider's body says, unsigned it leaves payments and their names as they are, byte for byte."""
    reported_before = [one for one in life.records if one.topic == "payments.webhooks"]
    hints = [
        replace(one, headers=tuple((name, b"hint" if name == TRUST_HEADER else value) for name, value in one.headers))
        for one in reported_before
    ]
    nobody, tables = MemoryTables(), MemoryTables()
    nobody.process(hints)
    assert not nobody.payments
    assert not nobody.refs
    assert all(item.hint and item.meaning == Meaning() for item in map(decode, hints) if isinstance(item, Event))
    tables.process(life.records[: len(life.records) // 2])
    payments, names, parked = repr(tables.payments), repr(tables.refs), len(tables.parked)
    ledger, letters = len(tables.ledger), len(tables.letters)
    tables.process(hints)
    assert (repr(tables.payments), repr(tables.refs), len(tables.parked)) == (payments, names, parked)
    assert len(tables.letters) == letters
    assert {(row.payment_id, row.outcome, row.facts) for row in tables.ledger[ledger:]} == {(None, "noop", "[]")}
    tables.process(life.records)
    assert len(tables.letters) == letters, "a hint under a genuine event's id swallows it not"
