"""The notes by which the record is found that kills the process: who is counted, who is excused, who is convicted."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import asyncpg
import pytest

from consumer.marks import Marks, QuarantineRule
from runtime.ends import PurposefulEnds
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable
    from pathlib import Path

    from conftest import Database

    from runtime.postgres import Pool

pytestmark = pytest.mark.integration

PLACE = ("payments.webhooks", 0)
WINDOW = 8000
RULE = QuarantineRule(unclean_ends_max=2, window_records=WINDOW)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(database.dsn, min_size=1, max_size=2) as made:
        yield made


class Processes:
    """Consumers one after the other, each with a token of its own; one that is only dropped ended uncleanly."""

    def __init__(self, pool: Pool, home: Path) -> None:
        self.pool, self.home = pool, home

    def start(self, owner: uuid.UUID | None = None) -> Marks:
        return Marks(self.pool, owner or uuid.uuid4(), RULE, PurposefulEnds(self.home, "consumer"))

    async def die_with(self, start: int, *touched: int) -> int | None:
        """Take the partition up, touch records one by one, and end with the last one in hand."""
        marks = self.start()
        until = await marks.start(PLACE, start)
        for offset in touched:
            assert not await marks.probe(PLACE, offset)
        return until


@pytest.fixture
def processes(pool: Pool, tmp_path: Path) -> Processes:
    return Processes(pool, tmp_path)


async def test_two_unclean_ends_at_one_start_begin_a_quarantine(processes: Processes) -> None:
    assert await processes.die_with(100) is None
    assert await processes.die_with(100) is None
    assert await processes.die_with(100) == 100 + WINDOW


async def test_ends_with_progress_between_begin_no_quarantine(processes: Processes) -> None:
    assert [await processes.die_with(start) for start in (100, 100, 120, 120, 140)] == [None] * 5


async def quarantined(processes: Processes, start: int = 100) -> None:
    for _ in range(2):
        await processes.die_with(start)


async def test_a_record_that_was_in_hand_at_two_ends_is_convicted(processes: Processes) -> None:
    await quarantined(processes)
    await processes.die_with(100, 150)
    assert await processes.die_with(149, 149, 150), "the quarantine lasts where progress was committed"
    marks = processes.start()
    await marks.start(PLACE, 149)
    assert not await marks.probe(PLACE, 149)
    assert await marks.probe(PLACE, 150)


async def test_two_ends_at_two_records_convict_neither(processes: Processes) -> None:
    await quarantined(processes)
    await processes.die_with(100, 150)
    await processes.die_with(100, 120)
    marks = processes.start()
    await marks.start(PLACE, 100)
    assert [await marks.probe(PLACE, offset) for offset in (120, 150)] == [False, False]


async def test_a_record_that_survived_is_blamed_for_nothing_of_before(processes: Processes) -> None:
    await quarantined(processes)
    await processes.die_with(100, 150)
    await processes.die_with(100, 150, 151)
    await processes.die_with(100, 150)
    marks = processes.start()
    await marks.start(PLACE, 100)
    assert not await marks.probe(PLACE, 150)


async def test_a_rebalance_is_no_unclean_end(processes: Processes) -> None:
    """Five members get the partition in turn, each with a batch in flight; no process ends.

    Where the partition is hunted through, members that come and go do not make the hunt any longer.
    """
    for _ in range(5):
        member = processes.start()
        assert await member.start(PLACE, 100) is None
        await member.let_go(clean=True)
    await quarantined(processes)
    for offset in (100, 150, 150, 150, 150):
        member = processes.start()
        assert await member.start(PLACE, offset) == 100 + WINDOW
        assert not await member.probe(PLACE, offset)
        await member.let_go(clean=True)


async def test_a_process_that_could_not_let_go_takes_the_note_back_when_it_can(processes: Processes) -> None:
    """An outage hid that it gave the partition up; it lives, so nothing that it had in hand killed it."""
    await quarantined(processes)
    alive = [processes.start(), processes.start()]
    for member in alive:
        await member.start(PLACE, 100)
        await member.probe(PLACE, 100)
    await processes.die_with(100)
    await alive[0].start(("payments.webhooks", 1), 0)
    marks = processes.start()
    await marks.start(PLACE, 100)
    assert not await marks.probe(PLACE, 100)


async def test_a_zombie_notes_nothing_and_takes_nothing_from_the_new_owner(processes: Processes, pool: Pool) -> None:
    await quarantined(processes)
    zombie, owner = processes.start(), uuid.uuid4()
    await zombie.start(PLACE, 100)
    await processes.start(owner).start(PLACE, 100)
    assert not await zombie.probe(PLACE, 105)
    await zombie.end_quarantine(PLACE)
    await zombie.let_go(clean=True)
    row = await pool.fetchrow("select owner, probing_offset, careful_until from consumer_marks")
    assert row is not None
    assert tuple(row) == (owner, None, 100 + WINDOW)


async def test_who_was_ended_on_purpose_is_no_evidence(processes: Processes, tmp_path: Path) -> None:
    """The supervisor notes the kill before it kills; the next start takes that for what it is."""
    await quarantined(processes)
    await processes.die_with(100, 150)
    for _ in range(3):
        token = uuid.uuid4()
        killed = processes.start(token)
        await killed.start(PLACE, 100)
        assert not await killed.probe(PLACE, 150)
        PurposefulEnds(tmp_path, "consumer").note(token)
    marks = processes.start()
    assert await marks.start(PLACE, 100), "it counts as an end all the same: who hangs goes record by record"
    assert PurposefulEnds(tmp_path, "consumer").read() == []
    assert not await marks.probe(PLACE, 150)


async def test_a_kill_that_is_reported_after_another_took_over_is_taken_back(
    processes: Processes, tmp_path: Path
) -> None:
    await quarantined(processes)
    await processes.die_with(100, 150)
    token = uuid.uuid4()
    killed = processes.start(token)
    await killed.start(PLACE, 100)
    await killed.probe(PLACE, 150)
    elsewhere = Marks(processes.pool, uuid.uuid4(), RULE, PurposefulEnds(tmp_path / "another", "consumer"))
    await elsewhere.start(PLACE, 100)
    PurposefulEnds(tmp_path, "consumer").note(token)
    await processes.start().start(("payments.webhooks", 1), 0)
    assert not await elsewhere.probe(PLACE, 150)


async def test_a_stop_in_the_hunt_lets_the_next_start_go_on_with_it(processes: Processes, pool: Pool) -> None:
    """A liveness probe that stops the process again and again must not let the killer start from zero."""
    await quarantined(processes)
    await processes.die_with(100, 150)
    for clean in (True, False):
        stopped = processes.start()
        assert await stopped.start(PLACE, 100)
        await stopped.probe(PLACE, 120)
        await stopped.let_go(clean=clean)
    await processes.die_with(120, 150)
    marks = processes.start()
    assert await marks.start(PLACE, 150)
    assert await marks.probe(PLACE, 150)
    await marks.end_quarantine(PLACE)
    await marks.let_go(clean=True)
    assert await pool.fetchval("select count(*) from consumer_marks") == 0


async def test_what_was_given_up_unfinished_begins_a_quarantine(processes: Processes) -> None:
    """A batch that hangs is ended from outside, again and again: its records are looked at one by one."""
    for expected in (None, None, 100 + WINDOW):
        stopped = processes.start()
        assert await stopped.start(PLACE, 100) == expected
        await stopped.let_go(clean=False)


async def test_a_topic_made_anew_begins_with_a_clean_record(processes: Processes) -> None:
    await quarantined(processes)
    for _ in range(2):
        await processes.die_with(100, 150)
    marks = processes.start()
    assert await marks.start(PLACE, 0) is None
    assert not await marks.probe(PLACE, 150)


TOPIC = "payments.webhooks"
AROUND = [(TOPIC, 1), ("payments.intents", 0)]
"""Partitions that differ from the one under test in one of their two parts."""


@pytest.fixture
async def owners(pool: Pool) -> tuple[uuid.UUID, uuid.UUID]:
    """Give two processes: the first holds the partition and those around it, the second one that is nobody's business.

    All are hunted through, and two processes ended with records 148 to 151 of each in hand.
    """
    mine, theirs = uuid.uuid4(), uuid.uuid4()
    await pool.executemany(
        "insert into consumer_marks (topic, partition, owner, start_offset, unclean_ends, careful_until, "
        "probing_offset, updated_at) values ($1, $2, $3, 100, 2, 200, 120, 'epoch')",
        [(*PLACE, mine), *((*place, mine) for place in AROUND), (TOPIC, 2, theirs)],
    )
    await pool.executemany(
        'insert into consumer_ends (topic, partition, "offset", owner) values ($1, $2, $3, $4)',
        [(*place, offset, one) for place in (PLACE, *AROUND) for offset in range(148, 152) for one in (mine, theirs)],
    )
    return mine, theirs


async def ends(pool: Pool) -> set[tuple[str, int, int]]:
    found = await pool.fetch('select distinct topic, partition, "offset" from consumer_ends')
    return {(row["topic"], row["partition"], row["offset"]) for row in found}


async def marks_of(pool: Pool) -> dict[tuple[str, int], tuple[object, ...]]:
    """Return by partition: owner, unclean ends, end of the hunt, the record in hand, whether it was noted just now."""
    found = await pool.fetch("select *, updated_at > 'epoch' as now from consumer_marks")
    names = ("owner", "unclean_ends", "careful_until", "probing_offset", "now")
    return {(row["topic"], row["partition"]): tuple(row[name] for name in names) for row in found}


def run(pool: Pool, name: str, *arguments: object) -> Awaitable[list[asyncpg.Record]]:
    return pool.fetch(statement("consumer", name), *arguments)


async def test_touching_a_record_clears_those_before_it_in_its_partition(
    pool: Pool, owners: tuple[uuid.UUID, uuid.UUID]
) -> None:
    mine, theirs = owners
    before, others = await ends(pool), dict.fromkeys(AROUND, (mine, 2, 200, 120, False))
    assert await run(pool, "note_probe", *PLACE, 100, theirs) == [], "the partition is another's by now"
    assert await run(pool, "note_probe", *PLACE, 99, mine) == [], "it begins behind that record"
    ((counted,),) = await run(pool, "note_probe", *PLACE, 150, mine)
    assert counted == 2
    assert await ends(pool) == before - {(*PLACE, 148), (*PLACE, 149)}
    found = await marks_of(pool)
    assert found.pop((TOPIC, 2)) == (theirs, 2, 200, 120, False)
    assert found == {PLACE: (mine, 2, 200, 150, True), **others}
    assert await run(pool, "note_probe", *PLACE, 100, mine) == [(0,)], "the first that is to be touched"


async def test_the_end_of_a_hunt_is_that_of_one_partition_of_its_owner(
    pool: Pool, owners: tuple[uuid.UUID, uuid.UUID]
) -> None:
    mine, theirs = owners
    before = await marks_of(pool)
    await run(pool, "end_quarantine", *PLACE, theirs)
    assert await marks_of(pool) == before
    await run(pool, "end_quarantine", *PLACE, mine)
    assert await marks_of(pool) == before | {PLACE: (mine, 0, None, None, True)}


async def test_ends_are_forgotten_in_one_partition_up_to_a_record_or_all(
    pool: Pool, owners: tuple[uuid.UUID, uuid.UUID]
) -> None:
    before = await ends(pool)
    await run(pool, "forget_ends", *PLACE, 150, False)
    assert await ends(pool) == before - {(*PLACE, 148), (*PLACE, 149)}
    await run(pool, "forget_ends", *PLACE, 150, True)
    assert await ends(pool) == {one for one in before if one[:2] != PLACE}


async def test_only_who_was_ended_on_purpose_is_excused(pool: Pool, owners: tuple[uuid.UUID, uuid.UUID]) -> None:
    mine, theirs = owners
    await run(pool, "excuse_owners", [theirs])
    assert {place: one[3] for place, one in (await marks_of(pool)).items()} == {
        **dict.fromkeys((PLACE, *AROUND), 120),
        (TOPIC, 2): None,
    }
    await run(pool, "excuse_ends", [theirs])
    assert {row["owner"] for row in await pool.fetch("select owner from consumer_ends")} == {mine}


async def test_letting_go_keeps_the_hunt_and_drops_what_wants_none(
    pool: Pool, owners: tuple[uuid.UUID, uuid.UUID]
) -> None:
    mine, theirs = owners
    await pool.execute("update consumer_marks set careful_until = null where partition = 2")
    await pool.execute("update consumer_marks set careful_until = null where topic <> $1", TOPIC)
    await run(pool, "let_go", mine, False)
    unfinished = await marks_of(pool)
    assert unfinished.pop((TOPIC, 2)) == (theirs, 2, None, 120, False)
    assert {one[0] for one in unfinished.values()} == {mine}, "who gave up unfinished work is known by it"
    assert [one[3:] for one in unfinished.values()] == [(None, True)] * 3
    await run(pool, "drop_marks", mine)
    assert set(await marks_of(pool)) == {PLACE, (TOPIC, 1), (TOPIC, 2)}
    await run(pool, "let_go", mine, True)
    assert {place: one[0] for place, one in (await marks_of(pool)).items()} == {
        PLACE: None,
        (TOPIC, 1): None,
        (TOPIC, 2): theirs,
    }


async def test_a_partition_is_taken_up_with_all_that_is_noted_of_it(
    pool: Pool, owners: tuple[uuid.UUID, uuid.UUID]
) -> None:
    _, theirs = owners
    before = await marks_of(pool)
    await run(pool, "write_mark", *PLACE, theirs, 130, 3, 300)
    assert await marks_of(pool) == before | {PLACE: (theirs, 3, 300, None, True)}
    assert (
        await pool.fetchval("select start_offset from consumer_marks where owner = $1 and partition = 0", theirs) == 130
    )
    (row,) = await run(pool, "read_mark", *PLACE)
    assert tuple(row) == (theirs, 130, 3, 300, None)
    for end in (149, 150, 150):
        await run(pool, "note_end", *PLACE, end, theirs)
    assert await pool.fetchval("select count(*) from consumer_ends where owner = $1", theirs) == 12
    await run(pool, "write_mark", *PLACE, theirs, 90, 0, None)
    (row,) = await run(pool, "read_mark", *PLACE)
    assert tuple(row) == (theirs, 90, 0, None, None), "where the group went back, it begins there"


async def test_who_takes_a_partition_up_waits_for_who_is_about_to(
    pool: Pool, owners: tuple[uuid.UUID, uuid.UUID]
) -> None:
    """Two starts at once would both count from what they read: an unclean end less."""
    sql = statement("consumer", "read_mark")
    async with pool.acquire() as first, pool.acquire() as second, first.transaction():
        await first.fetch(sql, *PLACE)
        await second.execute("set lock_timeout = '200ms'")
        assert len(await second.fetch(sql, *AROUND[0])) == 1
        with pytest.raises(asyncpg.LockNotAvailableError):
            await second.fetch(sql, *PLACE)
