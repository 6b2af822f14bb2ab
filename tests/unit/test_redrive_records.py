from __future__ import annotations

import itertools
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from producers.relay.lanes import CursorLane, CursorMove
from producers.relay.records import letter_of
from producers.relay.redrive import COUNT_MAX, RedriveLane, redriven_of, sort_out, too_many
from runtime.lease import Lease
from runtime.settings import RedriveSettings, RelaySettings
from runtime.sql import statement
from schemas.dead_letter import ADDED_HEADERS
from schemas.topics import DEFAULT, INTENTS, RECORD_BYTES_MAX, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit


def letter(**columns: Any) -> dict[str, Any]:
    return {
        "id": 1, "topic": WEBHOOKS.name, "partition": 2, "key": b"k", "value": b"v", "header_names": [b"a"],
        "header_values": [b"1"], "redrive_count": 0, "status": "open", "value_left_out": False,
    } | columns  # fmt: skip


def test_record_has_the_originals_headers_and_the_count_alone():
    names, values = [b"ratchet-redrive-count", b"a", b"a"], [b"4", None, b"2"]
    record = redriven_of(letter(header_names=names, header_values=values, redrive_count=4), INTENTS.name)
    assert (record.topic, record.key, record.value, record.timestamp_ms) == (INTENTS.name, b"k", b"v", None)
    assert record.headers == (("a", None), ("a", b"2"), ("ratchet-redrive-count", b"5"))


def test_record_without_key_stays_on_its_partition_and_the_count_has_an_end():
    record = redriven_of(letter(key=None, value=None, redrive_count=COUNT_MAX), WEBHOOKS.name)
    assert (record.key, record.value, record.spread) == (None, None, 2)
    assert dict(record.headers)["ratchet-redrive-count"] == str(COUNT_MAX).encode()


def test_letters_that_can_not_go_say_why():
    rows = [
        letter(id=1),
        letter(id=2, status="discarded"),
        letter(id=3, topic="elsewhere"),
        letter(id=4, value=bytes(RECORD_BYTES_MAX)),
        letter(id=5, value=None, value_left_out=True),
    ]
    found = sort_out(rows, None)
    assert list(found.going) == [1]
    assert set(found.skipped) == {2, 3, 4, 5}
    assert "discarded" in found.skipped[2]
    assert "elsewhere" in found.skipped[3]
    assert "bytes" in found.skipped[4]
    assert "larger" in found.skipped[5]
    found = sort_out(rows[2:3], INTENTS.name)
    assert found.going[3].topic == INTENTS.name
    assert sort_out(rows[2:3], "payments.dlq").going == {}


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
    database = Parts([letter(id=1, status=first), letter(id=2, status=first)], [letter(id=3)])
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


@pytest.mark.parametrize(
    ("changed", "ends"),
    [
        ({}, True),
        ({"policy": "keep_going"}, False),
        ({"failures_min": 21}, False),
        ({"published": 200}, False),
        ({"failed_before": 15, "published_before": 50}, False),
    ],
)
def test_redrive_fails_above_the_ratio_alone(changed: dict[str, Any], *, ends: bool):
    counted = {
        "failed": 20, "failed_before": 0, "published": 100, "published_before": 0, "policy": "stop_on_failures",
        "failure_ratio_max": 0.1, "failures_min": 10,
    } | changed  # fmt: skip
    found = too_many(counted)
    assert (found is not None) is ends
    if found:
        assert found[0] == "failed"
        assert "20 of 100" in found[1]


def test_added_headers_are_those_that_the_relay_adds():
    row = letter(offset=3, timestamp_ms=1, message="m", reason="orphan", delivery_count=1, digest=b"")
    assert tuple(name for name, _ in letter_of(row).headers[1:]) == ADDED_HEADERS


def test_what_a_redrive_did_before_it_was_resumed_does_not_count() -> None:
    counted = {
        "policy": "stop_on_failures", "failures_min": 5, "failure_ratio_max": 0.2,
        "failed": 10, "failed_before": 5, "published": 110, "published_before": 100,
    }  # fmt: skip
    found = too_many(counted)
    assert found is not None
    assert (found[0], found[1].startswith("5 of 10 published letters")) == ("failed", True)
    assert too_many({**counted, "failed_before": 9}) is None
