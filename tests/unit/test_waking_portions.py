from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.fetched import portions
from consumer.plan import Plan
from consumer.waking import Waker
from runtime.settings import ConsumerSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

pytestmark = pytest.mark.unit


@given(st.dictionaries(st.integers(1, 1000), st.integers(0, 300)), st.integers(1, 400))
def test_portions_keep_the_order_leave_none_out_and_fit_the_bound(sizes: dict[int, int], bound: int):
    found = list(portions(sorted(sizes), sizes.__getitem__, bound))
    assert [one for portion in found for one in portion] == sorted(sizes)
    for portion in found:
        assert portion
        assert len(portion) == 1 or sum(sizes[one] for one in portion) <= bound
    for one, after in itertools.pairwise(found):
        assert sum(sizes[each] for each in one) + sizes[after[0]] > bound, "none is cut short"


class PaperMarks:
    """A pool that shows one full part of what waits, and keeps what is noted of the marks."""

    def __init__(self, *found: tuple[int, int | None, int | None]) -> None:
        self.found = [
            {"mark_id": mark, "parked_id": parked, "letter_id": letter, "bytes": 1} for mark, parked, letter in found
        ]
        self.noted: list[tuple[Any, ...]] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[PaperMarks]:
        yield self

    async def fetch(self, *_: Any) -> list[dict[str, Any]]:
        return self.found

    async def execute(self, _sql: str, *arguments: Any) -> None:
        self.noted.append(arguments)

    async def expire_connections(self) -> None: ...

    async def process_parked(self, _ids: Sequence[int], _dead: Any = None) -> Plan:
        return Plan()

    async def apply_letters(self, _ids: Sequence[int]) -> Plan:
        return Plan()


@pytest.mark.parametrize(
    ("found", "reached"),
    [
        ([(1, 50, None), (2, 10, None)], (2, 10, None)),
        ([(1, None, 50), (2, None, 10)], (2, None, 10)),
        ([(1, 50, None), (2, None, 10)], (2, None, 10)),
    ],
)
async def test_a_mark_is_moved_to_the_last_of_its_own_that_was_woken(
    found: list[tuple[int, int | None, int | None]], reached: tuple[int, int | None, int | None]
) -> None:
    """What waits on the name of another mark may have come later: its ids say nothing of this one."""
    pool = PaperMarks(*found)
    await Waker(pool, pool, ConsumerSettings(batch_records_max=2)).turn()  # type: ignore[arg-type]
    assert pool.noted == [reached, ([1],)], "the first is done with, the second may go on"


async def test_marks_of_a_part_that_is_not_full_are_done_with() -> None:
    pool = PaperMarks((1, 50, None), (2, None, 10))
    await Waker(pool, pool, ConsumerSettings(batch_records_max=3)).turn()  # type: ignore[arg-type]
    assert pool.noted == [([1, 2],)]
