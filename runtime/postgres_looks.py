"""What each role looks at in Postgres now and then: how far its clock is from ours, and whether commits wait.

A wrong clock writes wrong times into the ledger, and lets parked events, tokens and time-outs end early or late.
Commits that wait for a standby look like a Postgres that hangs, and it takes somebody with rights there to mend it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from runtime import metrics
from runtime.background import keep_running
from runtime.clock import SystemClock
from runtime.postgres import PASSING_ERRORS
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.clock import Clock
    from runtime.postgres import Pool

LOOK_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 5.0
"""How long a look may wait for a session and for its answer."""
SYSTEM: Final = SystemClock()
WAITING: Final = "commits_waiting_for_standby"


def ahead_seconds(before: float, theirs: float, after: float) -> float:
    """Return how far Postgres's clock is surely ahead of ours, below 0 where it is behind. Pure.

    `theirs` is its time; `before` and `after` are ours when it was asked and when it had answered: an answer that takes
    long proves little.
    """
    return theirs - after if theirs > after else min(0.0, theirs - before)


async def look(pool: Pool, facts: dict[str, object], clock: Clock = SYSTEM) -> None:
    """Look once; show it in a probe's facts and the metrics."""
    async with asyncio.timeout(ANSWER_SECONDS), pool.acquire() as connection:
        before = clock.now()
        (row,) = await connection.fetch(statement("runtime", "read_clock_and_waits"))
        ahead = ahead_seconds(before, row["at"], clock.now())
    metrics.CLOCK_AHEAD.set(ahead)
    facts["postgres_clock_ahead_seconds"] = round(ahead, 3)
    show_waiting(facts, row["waiting"])


def show_waiting(facts: dict[str, object], waiting: int) -> None:
    """Show how many commits of ours wait for a standby."""
    metrics.COMMITS_WAITING.set(waiting)
    facts[WAITING] = waiting


def commits_wait(facts: Mapping[str, object]) -> str | None:
    """Return why nothing is committed, or None, as the last look had it."""
    if not facts.get(WAITING):
        return None
    return "commits wait for a synchronous standby of Postgres (RUNBOOK: RatchetCommitsWait)"


async def keep_looking(pool: Pool, facts: dict[str, object]) -> None:
    """Look until cancelled; while Postgres does not answer, which others report, what was seen last stands."""

    async def look_again() -> None:
        while True:
            with contextlib.suppress(*PASSING_ERRORS):
                await look(pool, facts)
            await asyncio.sleep(LOOK_SECONDS)

    await keep_running("look at Postgres", look_again)
