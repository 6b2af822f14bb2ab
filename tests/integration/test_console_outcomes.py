"""Counting what became of events: each row once, in its minute, ten minutes and hour, by one console at a time."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from ops.console.outcomes import OutcomeCounter
from ops.console.reader import Reader
from tests.integration import console_harness
from tests.integration.console_harness import add_letter, console_settings, process_one_more

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.conftest import Database

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

place, owner, letters = console_harness.place, console_harness.owner, console_harness.letters
"""The fixtures of the console's tests: under these names pytest finds them."""


@pytest.fixture
async def counters(place: Database, tmp_path: Path) -> AsyncIterator[tuple[OutcomeCounter, OutcomeCounter]]:
    """Return the counters of two consoles on one database."""
    settings = console_settings(tmp_path, "127.0.0.1:9", place.dsn)
    reader = Reader(settings)
    both = OutcomeCounter(settings, reader), OutcomeCounter(settings, reader)
    yield both
    for one in both:
        await one.close()
    await reader.close()


async def kept(owner: Any, seconds: int) -> dict[tuple[str, str, str], int]:
    rows = await owner.fetch(
        "select provider, outcome, detail, sum(events)::bigint as events from outcome_counts where seconds = $1"
        " group by provider, outcome, detail",
        seconds,
    )
    return {(row["provider"], row["outcome"], row["detail"]): row["events"] for row in rows}


async def test_each_row_counts_once_however_many_consoles_look(
    counters: tuple[OutcomeCounter, OutcomeCounter], owner: Any, letters: list[int]
) -> None:
    for number in range(5):
        await process_one_more(owner, number)
    await add_letter(owner, "orphan")
    for _ in range(3):
        looks = await asyncio.gather(*(one.read() for one in counters))
    wanted = {
        ("stripe", "applied", ""): 3,
        ("stripe", "late", ""): 1,
        ("stripe", "noop", ""): 5,
        ("stripe", "parked", "orphan"): 1,
        ("stripe", "dead_letter", "unknown_kind"): 1,
        ("stripe", "dead_letter", "undecodable"): 1,
        ("stripe", "dead_letter", "orphan"): 1,
    }
    for seconds in (60, 600, 3600):
        assert await kept(owner, seconds) == wanted
    totals = looks[1].totals("5m")
    assert (totals["noop"], totals["dead_letter"], totals["parked"], totals["refused"]) == (5, 3, 1, 0)
    assert {one.detail for one in looks[1].minutes if one.outcome == "dead_letter"} == {
        "unknown_kind", "undecodable", "orphan"
    }  # fmt: skip


async def test_what_another_console_counts_is_left_to_it(
    counters: tuple[OutcomeCounter, OutcomeCounter], place: Database, owner: Any, letters: list[int]
) -> None:
    await counters[0].read()
    before = await kept(owner, 60)
    await process_one_more(owner, 99)
    other = await asyncpg.connect(place.dsn)
    async with other.transaction():
        await other.fetch("select from outcome_cursors for update")
        await counters[0].read()
        assert await kept(owner, 60) == before
    await other.close()
    await counters[0].read()
    assert (await kept(owner, 60))["stripe", "noop", ""] == before.get(("stripe", "noop", ""), 0) + 1


async def test_old_stretches_are_removed(
    counters: tuple[OutcomeCounter, OutcomeCounter], owner: Any, letters: list[int]
) -> None:
    now = dt.datetime.now(dt.UTC)
    ages = {60: (25, 27), 600: (25, 27), 3600: (24 * 7, 24 * 9)}
    for seconds, hours in ages.items():
        for age in hours:
            await owner.execute(
                "insert into outcome_counts values ($1, $2, 'old', 'applied', '', 1)",
                seconds,
                now - dt.timedelta(hours=age),
            )
    await counters[1].read()
    rows = await owner.fetch("select seconds from outcome_counts where provider = 'old' order by seconds")
    assert [row["seconds"] for row in rows] == [60, 600, 3600], "the younger of each stays"
