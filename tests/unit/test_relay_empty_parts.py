"""Parts of which a relay publishes nothing: what is behind them still comes."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from producers.relay.lanes import CursorLane, CursorMove
from producers.relay.redrive import RedriveLane
from runtime.lease import Lease
from runtime.settings import RedriveSettings, RelaySettings
from runtime.sql import statement
from schemas.topics import DEFAULT, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit


def letter(own: int, status: str = "open") -> dict[str, Any]:
    return {
        "id": own, "topic": WEBHOOKS.name, "partition": 2, "key": b"k", "value": b"v", "header_names": [],
        "header_values": [], "redrive_count": 0, "status": status, "value_left_out": False,
    }  # fmt: skip


class Parts:
    """A database with one order, whose letters come in these parts; it notes how the order ends."""

    def __init__(self, *parts: list[dict[str, Any]]) -> None:
        self.parts = list(parts)
        self.ended: list[tuple[Any, ...]] = []
        self.skipped: list[int] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def fetchval(self, _sql: str, *_: Any) -> int:
        return 1

    async def fetchrow(self, sql: str, *_: Any) -> dict[str, Any] | None:
        if sql != statement("producers", "read_redrive"):
            return None
        return {"id": 9, "target_topic": None, "stop_requested_by": None, "rate_per_second": 100}

    async def fetch(self, sql: str, *_: Any) -> list[dict[str, Any]]:
        return self.parts.pop(0) if sql == statement("producers", "read_redrive_next") and self.parts else []

    async def execute(self, sql: str, *arguments: Any) -> None:
        if sql == statement("producers", "end_redrive"):
            self.ended.append(arguments)
        if sql == statement("producers", "skip_redrive_messages"):
            self.skipped += arguments[1]


@pytest.mark.parametrize("first", ["discarded", "redriven", "open"])
async def test_a_part_of_which_no_letter_goes_is_not_the_end_of_an_order(first: str) -> None:
    """Somebody may have discarded a whole part meanwhile; what is behind it is still to go."""
    database = Parts([letter(1, first), letter(2, first)], [letter(3)])
    clock = itertools.count(0.0, 10.0)
    lane = RedriveLane(
        RelaySettings(), RedriveSettings(), Lease("relay", "me", 1), DEFAULT, monotonic=lambda: next(clock)
    )
    gone: list[int] = []
    for _ in range(4):
        assert database.ended == []
        batch = await lane.read(database)  # type: ignore[arg-type]
        gone += batch.mark.letter_ids if batch is not None else []
        if 3 in gone:
            break
    assert (gone, database.skipped) == (([1, 2, 3], []) if first == "open" else ([3], [1, 2]))
    assert database.ended == []
    assert await lane.read(database) is None  # type: ignore[arg-type]
    assert database.ended == [(9, "done", None)]


async def test_a_part_of_rows_that_make_no_record_moves_the_cursor_behind_it() -> None:
    """Ledger rows of no payment make no change: where they fill a part, what is behind them must still come."""
    rows = [{"relay_xid": 5, "id": 1}, {"relay_xid": 7, "id": 2}]

    async def fetch(*_: Any) -> list[dict[str, int]]:
        return rows

    class Cursor:
        async def fetchrow(self, _sql: str, *_: Any) -> dict[str, int]:
            return {"relay_xid": 4, "id": 9}

    lane = CursorLane("changes", RelaySettings(), fetch, lambda _row: None, full_rows=2)
    batch = await lane.read(Cursor())  # type: ignore[arg-type]
    assert batch is not None
    assert (batch.rows, batch.records, batch.mark, batch.more) == (2, [], CursorMove((4, 9), (7, 2)), True)
