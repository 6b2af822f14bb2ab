"""Whose turn it is, what a redrive counts as its failures, and since when it counts as begun."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import asyncpg
import pytest
from relay_rows import add_letter

from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration

REDRIVE = """
insert into redrives (requested_by, filter, rate_per_second, policy, failure_ratio_max, failures_min, forced, matched,
    selected)
values ('alice', '{}', 1, 'keep_going', 0.5, 1, false, 1, 1) returning id
"""
SENT = """
insert into redrive_messages (redrive_id, dead_letter_id, would, status, claimed_at, published_at)
values ($1, $2, $3, 'published', now(), now())
"""


async def test_a_letter_that_came_back_is_a_failure_unless_that_was_foreseen(database: Database) -> None:
    """One that was to wait for its payment may have waited in vain."""
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        for would in ("apply", "noop", "illegal", "orphan"):
            for reason in ("orphan", "conflict", "fatal"):
                named = {"source": "s", "event_id": uuid.uuid4().hex, "digest": uuid.uuid4().bytes * 2}
                redrive = await owner.fetchval(REDRIVE)
                await owner.execute(SENT, redrive, await add_letter(owner, **named, redrive_count=0), would)
                await add_letter(owner, **named, reason=reason, redrive_count=1)
                failed = would in {"apply", "noop"} or (would == "orphan" and reason == "fatal")
                counted = await owner.fetchrow(statement("producers", "count_redrive_failures"), redrive)
                assert counted is not None
                assert counted["failed"] == failed, (would, reason)
    finally:
        await owner.close()


async def test_a_redrive_that_goes_on_keeps_when_it_began(database: Database) -> None:
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        for began in ("now() - interval '1 day'", "null"):
            redrive = await owner.fetchval(REDRIVE)
            before = await owner.fetchval(
                f"update redrives set started_at = {began} where id = $1 returning started_at", redrive
            )
            await owner.execute(statement("producers", "start_redrive"), redrive)
            row = await owner.fetchrow("select status, started_at from redrives where id = $1", redrive)
            assert row is not None
            assert (row["status"], row["started_at"] is not None) == ("running", True)
            assert before in {None, row["started_at"]}
    finally:
        await owner.close()


async def test_the_redrive_under_way_comes_before_an_older_one_that_was_resumed(database: Database) -> None:
    """Of those that wait the oldest is next, and one that has ended never."""
    owner = await asyncpg.connect(database.owner_dsn)
    become = "update redrives set status = $2 where id = $1"

    async def read() -> int | None:
        found: int | None = await owner.fetchval(statement("producers", "read_redrive"))
        return found

    try:
        await owner.execute("update redrives set status = 'done', ended_at = now()")
        assert await read() is None
        resumed, under_way, waits = [await owner.fetchval(REDRIVE) for _ in range(3)]
        assert await read() == resumed
        await owner.execute(become, under_way, "running")
        assert await read() == under_way
        for ended, then in ((under_way, resumed), (resumed, waits), (waits, None)):
            await owner.execute("update redrives set status = 'stopped', ended_at = now() where id = $1", ended)
            assert await read() == then
    finally:
        await owner.close()
