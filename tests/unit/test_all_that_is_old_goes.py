"""What is removed step by step is removed to its end in one run, however many steps that takes."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ops import cleaning, letter_erasure, retention
from producers.relay import cleaning as relay_cleaning
from runtime.lease import Lease
from runtime.settings import IntentsSettings, RetentionSettings
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
LEASE = Lease("relay", "me", 1)
KINDS = ("messages", "refetches", "body_claims")


class Table:
    """Gives up rows in steps, of as many rows as it is asked for at once; each statement has so many."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.left: dict[str, int] = {}
        self.before: dict[str, object] = {}

    def take(self, sql: str, most: int) -> int:
        left = self.left.setdefault(sql, self.rows)
        step = min(left, most)
        self.left[sql] = left - step
        return step

    async def execute(self, sql: str, before: object, most: int) -> str:
        self.before[sql] = before
        return f"DELETE {self.take(sql, most)}"

    async def fetch(self, sql: str, _before: object, most: int) -> list[object]:
        return [object()] * self.take(sql, most)


@pytest.mark.parametrize("over", [-1, 0, 1, cleaning.ROWS_A_STEP + 3])
async def test_rows_that_name_people(over: int) -> None:
    table = Table(cleaning.ROWS_A_STEP + over)
    removed = await cleaning.clean(table, RetentionSettings(), NOW)  # type: ignore[arg-type]
    assert removed == dict.fromkeys(KINDS, table.rows)


async def test_each_kind_goes_by_its_own_days() -> None:
    """A text message bears a phone number, a refetch none: one's days in the other's place keep it, or lose it."""
    table = Table(1)
    await cleaning.clean(table, RetentionSettings(sms_days=33, refetches_days=44), NOW)  # type: ignore[arg-type]
    days = {"remove_messages": 33, "remove_refetches": 44, "remove_body_claims": 0}
    assert table.before == {statement("ops", name): NOW - dt.timedelta(days=number) for name, number in days.items()}


@pytest.mark.parametrize("over", [-1, 0, 1, letter_erasure.ROWS_A_STEP + 3])
async def test_closed_dead_letters_and_notes_of_what_was_erased(over: int) -> None:
    table = Table(letter_erasure.ROWS_A_STEP + over)
    assert await letter_erasure.remove_old(table, 30, 120) == table.rows  # type: ignore[arg-type]
    assert list(table.left.values()) == [0, 0]


async def test_rows_of_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    steps, renewed, released = [5000, 5000, 3, 0], [], []

    class PaperLeases:
        def __init__(self, _connection: object) -> None: ...
        async def acquire(self, *_: object) -> Lease:
            return LEASE

        async def renew(self, *_: object) -> None:
            renewed.append(len(steps))

        async def release(self, _lease: Lease) -> None:
            released.append(len(steps))

    async def step(*_: object) -> int:
        return steps.pop(0)

    monkeypatch.setattr(retention, "PostgresLeases", PaperLeases)
    monkeypatch.setattr(retention, "remove_step", step)
    assert await retention.remove_old(None, 400, NOW) == 10_003  # type: ignore[arg-type]
    assert (renewed, released) == ([3, 2, 1], [0])


@pytest.mark.parametrize("full", ["records", "commands"])
async def test_records_and_commands_are_cleaned_without_a_pause_while_a_step_is_full(
    full: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounds, ending, pauses, rounds = IntentsSettings(), asyncio.Event(), [], []

    class PaperPool:
        @asynccontextmanager
        async def acquire(self, **_: Any) -> AsyncIterator[None]:
            yield

    def cleaned(kind: str) -> Any:
        async def clean(*_: object) -> int:
            rounds.append(kind)
            return bounds.clean_rows_max if kind == full and rounds.count(kind) < 3 else 0

        return clean

    async def wait(event: asyncio.Event, _seconds: float) -> None:
        pauses.append(rounds.count(full))
        event.set()

    monkeypatch.setattr(relay_cleaning, "clean_idempotency_records", cleaned("records"))
    monkeypatch.setattr(relay_cleaning, "clean_commands", cleaned("commands"))
    monkeypatch.setattr(relay_cleaning, "wait_for_event", wait)
    async with asyncio.timeout(5):
        await relay_cleaning.keep_clean(PaperPool(), bounds, LEASE, ending)  # type: ignore[arg-type]
    assert pauses == [3]
