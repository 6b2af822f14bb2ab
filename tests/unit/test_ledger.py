"""The ledger's rows: their hash chain and their times."""

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from consumer.ledger import COLUMNS, LedgerEntry, timestamp, values_of
from schemas.payment import Outcome, Status

pytestmark = pytest.mark.unit

NOON = dt.datetime(2026, 9, 21, 12, tzinfo=dt.UTC)


def row(**columns: Any) -> LedgerEntry:
    return LedgerEntry(
        **{
            "payment_id": UUID(int=1),
            "source": "stripe",
            "event_id": "evt_1",
            "event_type": "charge.captured",
            "outcome": Outcome.APPLIED,
            "from_status": Status.AUTHORIZED,
            "to_status": Status.CAPTURED,
            "amount": 1000,
            "version": 2,
            "facts": "[]",
            "topic": "payments.webhooks",
            "partition": 1,
            "offset": 7,
            "occurred_at": NOON,
            "recorded_at": NOON,
            "relay_xid": 5,
            **columns,
        }
    )


def test_seal_is_the_same_for_the_same_content() -> None:
    one = row()
    assert one.seal(b"") == row().seal(b"") == one.hash
    assert len(one.hash) == 32
    # Pinned: another sum would break the chain of every ledger that stands.
    assert one.hash.hex() == "48d134ab94c85451f372a2e7e78a7b1f6ec790e72a7747508097df2be5f4fa4e"


@pytest.mark.parametrize(
    "change",
    [
        {"payment_id": None},
        {"payment_id": UUID(int=2)},
        {"source": "adyen"},
        {"event_id": "evt_2"},
        {"event_type": "charge.updated"},
        {"outcome": Outcome.NOOP},
        {"from_status": None},
        {"to_status": Status.CANCELED},
        {"amount": None},
        {"amount": 1001},
        {"version": None},
        {"facts": '[["void","a","canceled",null]]'},
        {"occurred_at": None},
        {"occurred_at": NOON + dt.timedelta(microseconds=1)},
        {"recorded_at": NOON + dt.timedelta(microseconds=1)},
        {"topic": "payments.intents"},
        {"partition": 2},
        {"offset": 8},
    ],
)
def test_every_column_that_tells_something_is_sealed(change: dict[str, Any]) -> None:
    assert row(**change).seal(b"") != row().seal(b"")


def test_a_row_is_bound_to_the_one_before() -> None:
    assert row().seal(b"x" * 32) != row().seal(b"")


def test_the_relays_order_is_not_sealed() -> None:
    """After a restore into a new cluster the same rows have other transactions."""
    assert row(relay_xid=9).seal(b"") == row().seal(b"")


def test_rows_of_before_the_place_was_sealed_keep_their_hash() -> None:
    one = row(topic="", partition=0, offset=0)
    # Pinned: ledgers stand whose rows have it.
    assert one.seal_without_place(b"").hex() == "42730086b5aadab8630af0a2bea60b093bd8870286b7d929f54f0c8af1f5cebb"
    assert one.hash == row().seal_without_place(b"")


def test_the_zone_of_a_time_does_not_matter() -> None:
    elsewhere = NOON.astimezone(dt.timezone(dt.timedelta(hours=5)))
    assert row(occurred_at=elsewhere).seal(b"") == row().seal(b"")


def test_columns_and_values_pair() -> None:
    pairs = dict(zip(COLUMNS, values_of(row(hash=b"h")), strict=True))
    assert (pairs["source"], pairs["offset"], pairs["hash"]) == ("stripe", 7, b"h")
    assert replace(row(), **pairs) == row(hash=b"h")


@pytest.mark.parametrize("seconds", [None, -1, 253_402_300_800, float("inf"), float("nan")])
def test_a_time_that_postgres_cannot_hold_is_none(seconds: float | None) -> None:
    assert timestamp(seconds) is None


def test_times_are_utc() -> None:
    assert timestamp(0) == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert timestamp(253_402_300_799) == dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC)


def test_rows_of_before_the_place_was_sealed_are_chained_as_well() -> None:
    assert row().seal_without_place(b"") != row().seal_without_place(b"before")
    assert row(version=3).seal_without_place(b"before") != row().seal_without_place(b"before")
