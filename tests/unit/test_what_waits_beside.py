"""Events of a known payment are applied whatever else waits, in any order, also where they don't add up."""

from __future__ import annotations

import pytest
from events import placed, standard
from hypothesis import given
from hypothesis import strategies as st
from paper_books import PaperBooks

pytestmark = pytest.mark.unit

KNOWN, UNKNOWN = "pay_1", "pay_9"
OPENING = {
    "created": standard("payment.created", payment=KNOWN),
    "captured": standard("payment.captured", payment=KNOWN),
}
FOLLOWING = {f"refund {n}": standard("refund.succeeded", payment=KNOWN, child=f"r{n}", amount=400) for n in range(4)}
"""Together more than was captured: flagged, and applied all the same."""
WAITING = {f"stranger {n}": standard("refund.succeeded", payment=UNKNOWN, child=f"s{n}", amount=1) for n in range(3)}
EVENTS = OPENING | FOLLOWING | WAITING


def books_of(names: list[str], batch: int) -> PaperBooks:
    books = PaperBooks()
    records = placed([EVENTS[name] for name in names])
    for begin in range(0, len(records), batch):
        books.settle(records[begin : begin + batch])
    return books


@given(st.permutations(sorted(EVENTS)), st.integers(1, 6), st.integers(1, 6))
def test_every_subset_that_is_true_together_settles_whatever_waits_beside_it(
    order: list[str], count: int, batch: int
) -> None:
    names = order[:count]
    books = books_of(names, batch)
    opened = any(name in OPENING for name in names)
    waits = [name for name in names if name in WAITING or (name in FOLLOWING and not opened)]
    assert len(books.parked) == len(waits)
    assert len(books.ledger) == count - len(waits)
    assert books.letters == []
    alone = books_of(sorted(set(names) - set(WAITING)), count)
    assert books.standing == alone.standing
