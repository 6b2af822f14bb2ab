"""Dead letters as groups, as a redrive orders them, and as retention takes them: which, and which not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from plain_rows import DAY, MOMENT, add, lying

from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration


async def test_the_largest_groups_are_shown_and_of_those_alike_the_newest(database: Database) -> None:
    async with lying(database.owner_dsn) as owner:
        for kind in range(12):
            for _ in range(1 + kind % 3):
                await add(owner, "dead_letters", event_type=f"{kind}")
        for rows, wanted in ((1, [11]), (3, [11, 8, 5]), (6, [11, 8, 5, 2, 10, 7])):
            groups = await owner.fetch(statement("ops", "group_letters"), *[None] * 9, rows)
            assert [int(row["event_type"]) for row in groups] == wanted, rows


async def test_a_redrive_is_ordered_with_what_was_foreseen_of_each_letter(database: Database) -> None:
    async with lying(database.owner_dsn) as owner:
        letters = [await add(owner, "dead_letters") for _ in range(3)]
        order = ("alice", '{"reason": "orphan"}', "payments.webhooks", 50.0, 7, "keep_going", 0.5, 10, True, 3)
        redrive = await owner.fetchval(statement("ops", "insert_redrive"), *order, letters[:0:-1], ["apply", "noop"])
        (row,) = await owner.fetch(
            """select requested_by, filter, target_topic, rate_per_second, messages_max, policy, failure_ratio_max,
                failures_min, forced, matched, selected, status, id from redrives"""
        )
        assert tuple(row) == (*order, 2, "queued", redrive)
        messages = await owner.fetch("select redrive_id, dead_letter_id, would, status from redrive_messages")
        assert sorted(map(tuple, messages)) == [
            (redrive, letters[1], "noop", "queued"),
            (redrive, letters[2], "apply", "queued"),
        ]


async def test_a_letter_that_is_open_stays_however_old_it_is(database: Database) -> None:
    async with lying(database.owner_dsn) as owner:
        for status in ("open", "redriven", "open", "applied", "discarded"):
            await add(owner, "dead_letters", status=status, created_at=MOMENT - 999 * DAY)
        assert len(await owner.fetch(statement("ops", "remove_letters"), MOMENT, 9)) == 3
        assert [row[0] for row in await owner.fetch("select status from dead_letters")] == ["open", "open"]
