"""Wakes what waits on references which a payment has got: in transactions of their own, part by part.

Parked events are processed, and so are dead letters of orphans, whose payment came after their deadline. A part is what
a batch may be, in events and in bytes, for what waits may be far more than fits into memory. The transaction that bound
the references left marks, so a crash loses nothing: the sweeper goes on with what is marked. A parked event that can't
be woken becomes a dead letter by itself, and a dead letter stays one; that costs neither their neighbours nor the
waking batch anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import structlog
from msgspec.structs import replace

from consumer.fetched import portions
from consumer.plan import Letter, Plan
from consumer.retries import Retries, retry, too_slow, verdict_on
from runtime import metrics
from runtime.postgres import classify
from runtime.refusals import PASSING
from runtime.sql import statement
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import asyncpg

    from consumer.verdict import Dead
    from runtime.postgres import Pool
    from runtime.settings import ConsumerSettings

TURNS_MAX: Final = 8
"""How many turns follow a batch at once; what is left then the sweeper does."""

log = structlog.get_logger()


class ParkedWriter(Protocol):
    """Processes what is woken, each call in one transaction; returns what was written."""

    async def process_parked(self, parked_ids: Sequence[int], dead: Dead | None = None) -> Plan:
        """Process parked events, or bury them where `dead` is given."""

    async def apply_letters(self, letter_ids: Sequence[int]) -> Plan:
        """Process the events of orphans' dead letters, as far as they can be processed now."""


Process = Callable[["Sequence[int]"], Awaitable[Plan]]
"""Processes those with these ids in one transaction."""
GiveUp = Callable[[int, Exception], Awaitable[list[Plan]]]
"""Does what is to be done about the one that could not be processed by itself; returns what was written."""


class Waker:
    """Wakes who waits on marked references; at most as many events, and bytes of them, at once as a batch may have."""

    def __init__(self, pool: Pool, writer: ParkedWriter, limits: ConsumerSettings) -> None:
        self._pool = pool
        self._writer = writer
        self._events_max = limits.batch_records_max
        self._bytes_max = limits.batch_bytes_max
        self._limits = limits

    async def follow(self, plan: Plan) -> None:
        """Wake who waits on what a committed plan marked, and add to it what was written; never raises.

        The batch is processed: what fails here is no fault of its records, and the sweeper goes on with it.
        """
        marks = plan.marks
        try:
            for _ in range(TURNS_MAX):
                if not marks:
                    return
                marks = await self._turn(marks, plan) or []
        except Exception as error:  # noqa: BLE001 - the marks stay
            log.warning("waking_put_off", error=type(error).__name__, failure=classify(error))

    async def turn(self) -> Plan | None:
        """Wake a part of all who wait on marked references; return what was written, None where none is marked.

        Raises what the driver raises, and UnavailableError where other transactions stay in the way.
        """
        plan = Plan()
        return None if await self._turn(None, plan) is None else plan

    async def _turn(self, marks: Sequence[int] | None, plan: Plan) -> list[int] | None:
        """Wake one part, of all where `marks` is None; return the marks to go on with, None where there was none."""
        async with self._pool.acquire() as connection:
            found = await connection.fetch(statement("consumer", "find_marked"), marks, self._events_max)
        if not found:
            return None
        further: list[int] = []
        for ids in self._portions(found, "parked_id"):
            further += _add(plan, await self._divide(ids, self._writer.process_parked, self._bury))
        for ids in self._portions(found, "letter_id"):
            further += _add(plan, await self._divide(ids, self._writer.apply_letters, self._leave))
        done = await self._note_done(found)
        return [*(mark for mark in marks or () if mark not in done), *further]

    def _portions(self, found: Sequence[asyncpg.Record], column: str) -> Iterator[list[int]]:
        """Divide the ids of one kind among those that wait into what is processed at once."""
        sizes = {row[column]: row["bytes"] for row in found if row[column] is not None}
        return portions(sorted(sizes), sizes.__getitem__, self._bytes_max)

    async def _note_done(self, found: Sequence[asyncpg.Record]) -> set[int]:
        """Note how far marks are done; return those that are done with. The last one of a full part may go on."""
        done = {row["mark_id"] for row in found}
        last_mark = found[-1]["mark_id"]
        of_last = [row for row in found if row["mark_id"] == last_mark]
        parked_ids, letter_ids = _ids(of_last, "parked_id"), _ids(of_last, "letter_id")
        async with self._pool.acquire() as connection:
            if len(found) == self._events_max and (parked_ids or letter_ids):
                done.discard(last_mark)
                reached = max(parked_ids, default=None), max(letter_ids, default=None)
                await connection.execute(statement("consumer", "move_mark"), last_mark, *reached)
            await connection.execute(statement("consumer", "delete_marks"), sorted(done))
        return done

    async def _divide(self, ids: Sequence[int], process: Process, give_up: GiveUp) -> list[Plan]:
        """Process these in one transaction where none of them is bad; halve them until the bad one stands alone."""
        try:
            return [await self._commit(partial(process, ids), len(ids))]
        except Exception as error:
            if isinstance(error, UnavailableError):
                raise
            if classify(error) in PASSING and not too_slow(len(ids), error):
                raise
            if len(ids) == 1:
                return await give_up(ids[0], error)
        metrics.BISECTIONS.inc()
        middle = len(ids) // 2
        return await self._divide(ids[:middle], process, give_up) + await self._divide(ids[middle:], process, give_up)

    async def _commit(self, process: Callable[[], Awaitable[Plan]], size: int) -> Plan:
        return await retry(process, Retries(size, self._limits), self._pool.expire_connections)

    async def _bury(self, parked_id: int, error: Exception) -> list[Plan]:
        """Make a dead letter of one; where not even that can be written it waits on, until its deadline."""
        dead = verdict_on(error)
        log.warning("waking_failed", parked_id=parked_id, reason=dead.reason, detail=dead.message)
        try:
            return [await self._commit(partial(self._writer.process_parked, [parked_id], dead), 1)]
        except Exception as refusal:
            if isinstance(refusal, UnavailableError) or classify(refusal) in PASSING:
                raise
            log.warning("parked_event_stays", parked_id=parked_id, error=type(refusal).__name__)
            return []

    async def _leave(self, letter_id: int, error: Exception) -> list[Plan]:
        """Leave a dead letter that can't be applied what it is."""
        log.warning("dead_letter_not_applied", letter_id=letter_id, detail=verdict_on(error).message)
        return []


def _add(plan: Plan, written: Sequence[Plan]) -> list[int]:
    """Add to a plan what was written, without the records' bytes; return the marks that were left."""
    for one in written:
        plan.rows += one.rows
        plan.woken += one.woken
        plan.applied += one.applied
        plan.letters += [_without_bytes(letter) for letter in one.letters]
        plan.merges += one.merges
    return [mark for one in written for mark in one.marks]


def _without_bytes(letter: Letter) -> Letter:
    """Return a dead letter that is written, for counting: all that were woken at once would fill the memory."""
    return Letter(replace(letter.record, key=None, value=None, headers=()), letter.reason, letter.message)


def _ids(found: Sequence[asyncpg.Record], column: str) -> list[int]:
    """Return the ids of one kind among those that wait, sorted."""
    return sorted({row[column] for row in found if row[column] is not None})
