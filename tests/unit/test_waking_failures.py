"""What becomes of what waits where waking it fails: in an outage, under a lock, by its own fault; and the bounds."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from events import placed, standard

from consumer import retries, waking
from consumer.plan import Letter, Plan
from consumer.waking import TURNS_MAX, Waker
from runtime.settings import ConsumerSettings
from runtime.sql import statement
from schemas.dead_letter import Reason
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from consumer.verdict import Dead

pytestmark = pytest.mark.unit

FOUND, MOVED, DELETED = (statement("consumer", name) for name in ("find_marked", "move_mark", "delete_marks"))
SLOW = asyncpg.QueryCanceledError("statement time-out")
REFUSED = asyncpg.CheckViolationError("refused")
LOCK = asyncpg.LockNotAvailableError("lock time-out")
AWAY = OSError("away")
RECORD = placed([standard("payment.created")])[0]


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "CONFLICT_PAUSE_SECONDS", 0.0)


@dataclass
class Waiting:
    """A pool in which events wait on one mark (7), which is also their writer; it fails as `fails` says of the ids.

    `fails` gets the ids and whether they are to be buried. What is written is gone from what waits.
    """

    parked: list[int] = field(default_factory=list)
    letters: list[int] = field(default_factory=list)
    fails: Callable[[Sequence[int], bool], Exception | None] = lambda _, __: None
    bytes_each: int = 1
    marked_anew: bool = False
    marks: list[int] = field(default_factory=lambda: [7])
    written: list[tuple[str, list[int]]] = field(default_factory=list)
    renewed: int = 0
    held: int = 0
    turns: int = 0

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Waiting]:
        self.held += 1
        await asyncio.sleep(0)
        try:
            yield self
        finally:
            self.held -= 1

    async def fetch(self, sql: str, marks: Sequence[int] | None, count: int) -> list[dict[str, Any]]:
        assert sql == FOUND
        self.turns += 1
        asked = self.marks if marks is None else [one for one in self.marks if one in marks]
        waiting: list[tuple[str, int | None]] = [("parked_id", one) for one in self.parked]
        waiting += [("letter_id", one) for one in self.letters]
        nobody = {"parked_id": None, "letter_id": None, "bytes": self.bytes_each}
        return [
            nobody | {"mark_id": mark, column: one}
            for mark in asked
            for column, one in (waiting[:count] or [("parked_id", None)])
        ]

    async def execute(self, sql: str, *arguments: Any) -> None:
        if sql == DELETED:
            self.marks = [one for one in self.marks if one not in arguments[0]]
        else:
            assert sql == MOVED

    async def expire_connections(self) -> None:
        await asyncio.sleep(0)
        self.renewed += 1

    async def process_parked(self, ids: Sequence[int], dead: Dead | None = None) -> Plan:
        await self._fail(ids, buries=dead is not None)
        self.written.append(("bury" if dead else "wake", list(ids)))
        self.parked = [one for one in self.parked if one not in ids]
        rows: Any = list(ids)
        plan = Plan(woken=list(ids), rows=rows, marks=[7] if self.marked_anew else [])
        if dead:
            plan.letters.append(Letter(RECORD, dead.reason, dead.message))
        return plan

    async def apply_letters(self, ids: Sequence[int]) -> Plan:
        await self._fail(ids, buries=False)
        self.written.append(("apply", list(ids)))
        self.letters = [one for one in self.letters if one not in ids]
        return Plan(applied=list(ids), merges=[(RECORD, RECORD)])  # type: ignore[list-item]

    async def _fail(self, ids: Sequence[int], *, buries: bool) -> None:
        assert self.held == 0, "a session that is held meanwhile is one less for the batches"
        await asyncio.sleep(0)
        if (error := self.fails(ids, buries)) is not None:
            raise error

    def waker(self, **limits: Any) -> Waker:
        settings = ConsumerSettings(twin_retries_max=2, **limits)
        return Waker(self, self, settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [UnavailableError("away"), AWAY, asyncpg.UndefinedTableError("no table"), LOCK])
async def test_an_outage_buries_nobody_and_the_mark_stays(error: Exception) -> None:
    """Also where a lock stays held, and where it is one event alone."""
    for parked in ([1], [1, 2, 3]):
        pool = Waiting(parked, fails=lambda _, buries: None if buries else error)
        with pytest.raises((UnavailableError, OSError, asyncpg.UndefinedTableError)):
            await pool.waker().turn()
        assert (pool.written, pool.parked, pool.marks) == ([], parked, [7])


async def test_a_part_that_is_too_slow_is_halved_until_it_fits() -> None:
    """Tried as a whole again and again it would wake nobody, for ever."""
    pool = Waiting([1, 2, 3, 4], fails=lambda ids, _: SLOW if len(ids) > 2 else None)
    plan = await pool.waker().turn()
    assert plan is not None
    assert (pool.written, plan.woken, pool.marks) == ([("wake", [1, 2]), ("wake", [3, 4])], [1, 2, 3, 4], [])


async def test_one_that_is_too_slow_alone_is_waited_for() -> None:
    pool = Waiting([1], fails=lambda _, __: SLOW)
    with pytest.raises(asyncpg.QueryCanceledError):
        await pool.waker().turn()
    assert (pool.written, pool.marks) == ([], [7])


@pytest.mark.parametrize("refusal", [AWAY, UnavailableError("away"), LOCK])
async def test_a_burial_that_an_outage_prevents_is_made_later(refusal: Exception) -> None:
    """Taken for done the event would wait without a mark, and be buried at its deadline though its payment came."""
    pool = Waiting([1, 2], fails=lambda ids, buries: (refusal if buries else REFUSED) if 2 in ids else None)
    with pytest.raises((OSError, UnavailableError)):
        await pool.waker().turn()
    assert (pool.written, pool.parked, pool.marks) == ([("wake", [1])], [2], [7])


async def test_one_that_is_bad_is_buried_on_a_fresh_session_and_its_neighbours_are_woken() -> None:
    """Only one alone asks for fresh sessions: a part of many would have every session of the consumer replaced."""
    pool = Waiting([1, 2, 3, 4], fails=lambda ids, buries: REFUSED if 2 in ids and not buries else None)
    plan = await pool.waker().turn()
    assert plan is not None
    assert pool.written == [("wake", [1]), ("bury", [2]), ("wake", [3, 4])]
    assert [(one.reason, one.record.value) for one in plan.letters] == [(Reason.DATA_REJECTED, None)], (
        "without its bytes"
    )
    assert (plan.woken, pool.renewed, pool.marks) == ([1, 2, 3, 4], 1, [])


async def test_one_that_can_not_even_be_buried_holds_nobody_up() -> None:
    pool = Waiting([1, 2], fails=lambda ids, _: REFUSED if 2 in ids else None)
    assert await pool.waker().turn() is not None
    assert (pool.written, pool.parked, pool.marks) == ([("wake", [1])], [2], [])


async def test_a_letter_that_can_not_be_applied_stays_one() -> None:
    pool = Waiting(letters=[5, 6], fails=lambda ids, _: REFUSED if 5 in ids else None)
    plan = await pool.waker().turn()
    assert plan is not None
    assert (pool.written, plan.applied, pool.letters, pool.marks) == ([("apply", [6])], [6], [5], [])


async def test_what_is_woken_at_once_fits_the_bound_of_a_batch() -> None:
    pool = Waiting([1, 2, 3, 4, 5], bytes_each=400)
    await pool.waker(batch_bytes_max=1000).turn()
    assert pool.written == [("wake", [1, 2]), ("wake", [3, 4]), ("wake", [5])]


async def test_a_batch_s_plan_tells_all_that_was_woken_after_it() -> None:
    pool, plan = Waiting([1, 2, 3], letters=[5]), Plan(marks=[7], woken=[99])
    await pool.waker(batch_records_max=2).follow(plan)
    assert (plan.woken, plan.applied, len(plan.merges), len(plan.rows)) == ([99, 1, 2, 3], [5], 1, 3)
    assert (pool.parked, pool.letters, pool.marks) == ([], [], [])


async def test_how_much_a_batch_wakes_after_it_is_bounded() -> None:
    """What goes on without end would keep its offsets from being committed: the sweeper does the rest."""
    pool = Waiting(list(range(1, 100)), marked_anew=True)
    async with asyncio.timeout(5):
        await pool.waker(batch_records_max=1).follow(plan := Plan(marks=[7]))
    assert pool.turns == TURNS_MAX == len(plan.woken)
    assert pool.marks == [7]


async def test_what_fails_after_a_batch_is_the_sweeper_s(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(waking.log, "warning", lambda event, **_: lines.append(event))
    pool, plan = Waiting([1], fails=lambda _, __: UnavailableError("away")), Plan(marks=[7])
    await pool.waker().follow(plan)
    assert (lines, plan.woken, pool.marks) == (["waking_put_off"], [], [7])
