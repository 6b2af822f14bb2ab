"""What to do when a batch fails: try again, find the bad record, wait, or halt.

A batch that fails on data is halved until the bad record stands alone; its neighbours commit, it becomes a dead letter.
Twins (another transaction did the same, or was in the way) are read and folded again. An outage is raised to the caller
and never makes a dead letter. A run of bad records with no success between halts: a bad deploy must not pour a topic
into the DLQ.
"""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import asyncpg

from consumer.rows import redrive_count_of
from consumer.verdict import Dead
from runtime import metrics
from runtime.postgres import Failure, classify
from schemas.dead_letter import Reason
from schemas.errors import HaltedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from consumer.batch import Item
    from consumer.plan import Plan
    from runtime.settings import ConsumerSettings

TWIN_PAUSE_SECONDS = 0.005
"""Mean pause before a twin is tried again; random, so that two twins don't meet again."""

_FOREBODING = frozenset({Reason.UNEXPECTED, Reason.DATA_REJECTED})


class PoisonRun:
    """Counts bad records with no success between; past the bound it halts. Redriven records don't count."""

    def __init__(self, length_max: int) -> None:
        self._length_max = length_max
        self._length = 0

    @property
    def length(self) -> int:
        """How many bad records came in a row."""
        return self._length

    @property
    def spent(self) -> bool:
        """Whether the next bad record is one too many."""
        return self._length >= self._length_max

    def rewind(self, length: int) -> None:
        """Forget what an attempt counted that came to nothing and is made again."""
        self._length = min(self._length, length)

    def succeeded(self) -> None:
        """Note that an event was settled: what is wrong is wrong with single records."""
        self._length = 0

    def failed(self, item: Item) -> None:
        """Note a bad record; raise HaltedError when it is one too many."""
        self._length += 1
        if self._length > self._length_max:
            record = item[0]
            raise HaltedError(
                record.topic,
                record.partition,
                f"{self._length} records in a row failed with no success between, the last at offset {record.offset}; "
                "look at the newest dead letters and at the last deploy, then restart the consumer",
            )


class Isolator:
    """Settles batches whatever they hold. Raises UnavailableError in an outage, HaltedError after a run of failures."""

    def __init__(
        self, settle: Callable[[Sequence[Item]], Awaitable[Plan]], run: PoisonRun, settings: ConsumerSettings
    ) -> None:
        self._settle = settle
        self._run = run
        self._twin_retries_max = settings.twin_retries_max

    async def settle(self, items: Sequence[Item]) -> list[Plan]:
        """Settle all items, in one transaction where none of them is bad; return what was written."""
        counted = self._run.length
        try:
            return await self._count(items)
        except UnavailableError:
            self._run.rewind(counted)
            raise

    async def _count(self, items: Sequence[Item]) -> list[Plan]:
        """Count what decoding found bad, and settle; what stands before one too many shows first if it succeeds."""
        plans: list[Plan] = []
        begin = 0
        for position, item in enumerate(items):
            if isinstance(item[1], Dead) and item[1].reason in _FOREBODING and not redrive_count_of(item[0]):
                if self._run.spent and position > begin:
                    plans += await self._note_success(items[begin:position])
                    begin = position
                self._run.failed(item)
        return plans + await self._note_success(items[begin:])

    async def _note_success(self, items: Sequence[Item]) -> list[Plan]:
        plans = await self._divide(items)
        if any(plan.rows or plan.duplicates for plan in plans):
            self._run.succeeded()
        return plans

    async def _divide(self, items: Sequence[Item]) -> list[Plan]:
        try:
            return [await self._attempt(items)]
        except Exception as error:
            if isinstance(error, UnavailableError):
                raise
            if len(items) == 1:
                return [await self._bury(items[0], error)]
        metrics.BISECTIONS.inc()
        middle = len(items) // 2
        plans = await self._divide(items[:middle])
        if any(plan.rows for plan in plans):
            self._run.succeeded()
        return plans + await self._divide(items[middle:])

    async def _attempt(self, items: Sequence[Item]) -> Plan:
        try:
            return await self._retry_twins(items)
        except Exception as error:
            if classify(error) is not Failure.OUTAGE or _too_slow(items, error):
                raise
            raise UnavailableError(f"Postgres does not take the batch: {type(error).__name__}: {error}") from error

    async def _retry_twins(self, items: Sequence[Item]) -> Plan:
        """Try while another transaction is in the way; a lock that stays taken is an outage, not bad data."""
        for _ in range(self._twin_retries_max):
            try:
                return await self._settle(items)
            except Exception as error:
                if classify(error) is not Failure.TWIN:
                    raise
                metrics.TWIN_RETRIES.inc()
                last = error
                await asyncio.sleep(random.uniform(0, 2 * TWIN_PAUSE_SECONDS))  # noqa: S311 - jitter
        if isinstance(last, asyncpg.UniqueViolationError):
            raise last
        raise UnavailableError(f"other transactions stay in the way: {last}") from last

    async def _bury(self, item: Item, error: Exception) -> Plan:
        if not redrive_count_of(item[0]):
            self._run.failed(item)
        reason = Reason.UNEXPECTED if classify(error) is Failure.UNEXPECTED else Reason.DATA_REJECTED
        return await self._attempt([(item[0], Dead(reason, _without_values(error)))])


def _too_slow(items: Sequence[Item], error: Exception) -> bool:
    """Tell whether the batch did not fit the statement time-out; its halves may."""
    return len(items) > 1 and isinstance(error, asyncpg.QueryCanceledError)


def _without_values(error: Exception) -> str:
    """Describe an error without the values that it quotes: they may be secrets."""
    if isinstance(error, asyncpg.PostgresError):
        place = [getattr(error, name, None) for name in ("table_name", "column_name", "constraint_name")]
        named = ".".join(str(part) for part in place if part)
        return f"{type(error).__name__} {error.sqlstate} {named}".strip()
    return f"{type(error).__name__} while settling the record"
