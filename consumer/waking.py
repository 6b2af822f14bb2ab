"""Wakes the parked events that wait on names which a payment has got: in transactions of their own, part by part.

The transaction that bound the names left marks, so a crash loses nothing: the sweeper goes on with what is marked. One
that can't be woken becomes a dead letter by itself, which costs neither its neighbours nor the waking batch anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import structlog

from consumer.isolate import retry, too_slow, verdict_on
from consumer.plan import Plan
from runtime import metrics
from runtime.postgres import classify
from runtime.refusals import PASSING
from runtime.sql import statement
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.verdict import Dead
    from runtime.postgres import Pool
    from runtime.settings import ConsumerSettings

TURNS_MAX: Final = 8
"""How many turns follow a batch at once; what is left then the sweeper does."""

log = structlog.get_logger()


class SettleParked(Protocol):
    """Settles parked events in one transaction, or buries them where `dead` is given."""

    async def __call__(self, parked_ids: Sequence[int], dead: Dead | None = None) -> Plan:
        """Return what was written."""


class Waker:
    """Wakes who waits on marked names."""

    def __init__(self, pool: Pool, settle: SettleParked, limits: ConsumerSettings) -> None:
        self._pool = pool
        self._settle = settle
        self._events_max = limits.batch_records_max
        self._twin_retries_max = limits.twin_retries_max

    async def follow(self, plan: Plan) -> None:
        """Wake who waits on what a committed plan marked, and add to it what was written; never raises.

        The batch is settled: what fails here is no fault of its records, and the sweeper goes on with it.
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
        """Wake a part of all who wait on marked names; return what was written, None where no name is marked.

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
        more = await self._divide(sorted({row["parked_id"] for row in found if row["parked_id"] is not None}))
        for one in more:
            plan.rows += one.rows
            plan.woken += one.woken
            plan.letters += one.letters
            plan.merges += one.merges
        done = await self._note_done([(row["mark_id"], row["parked_id"]) for row in found])
        return [*(mark for mark in marks or () if mark not in done), *(mark for one in more for mark in one.marks)]

    async def _note_done(self, found: Sequence[tuple[int, int | None]]) -> set[int]:
        """Note how far marks are done; return those that are done with. The last one of a full part may go on."""
        done = {mark_id for mark_id, _ in found}
        last_mark, last_id = found[-1]
        async with self._pool.acquire() as connection:
            if len(found) == self._events_max and last_id is not None:
                done.discard(last_mark)
                await connection.execute(statement("consumer", "move_mark"), last_mark, last_id)
            await connection.execute(statement("consumer", "delete_marks"), sorted(done))
        return done

    async def _divide(self, parked_ids: Sequence[int]) -> list[Plan]:
        """Settle these in one transaction where none of them is bad; halve them until the bad one stands alone."""
        if not parked_ids:
            return []
        try:
            return [await self._attempt(parked_ids)]
        except Exception as error:
            if isinstance(error, UnavailableError):
                raise
            if classify(error) in PASSING and not too_slow(parked_ids, error):
                raise
            if len(parked_ids) == 1:
                return await self._bury(parked_ids[0], verdict_on(error))
        metrics.BISECTIONS.inc()
        middle = len(parked_ids) // 2
        return await self._divide(parked_ids[:middle]) + await self._divide(parked_ids[middle:])

    async def _attempt(self, parked_ids: Sequence[int], dead: Dead | None = None) -> Plan:
        return await retry(
            lambda: self._settle(parked_ids, dead),
            len(parked_ids),
            self._twin_retries_max,
            self._pool.expire_connections,
        )

    async def _bury(self, parked_id: int, dead: Dead) -> list[Plan]:
        """Make a dead letter of one; where not even that can be written it waits on, until its deadline."""
        log.warning("waking_failed", parked_id=parked_id, reason=dead.reason, detail=dead.message)
        try:
            return [await self._attempt([parked_id], dead)]
        except Exception as error:
            if isinstance(error, UnavailableError) or classify(error) in PASSING:
                raise
            log.warning("parked_event_stays", parked_id=parked_id, error=type(error).__name__)
            return []
