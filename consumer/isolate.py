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
from runtime.postgres import classify
from runtime.refusals import PASSING, Failure
from schemas.dead_letter import Reason
from schemas.errors import HaltedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from consumer.offsets import Place
    from consumer.plan import Item, Plan
    from runtime.settings import ConsumerSettings
    from schemas.record import Record

TWIN_PAUSE_SECONDS = 0.005
"""Mean pause before a twin is tried again; random, so that two twins don't meet again."""

_FOREBODING = frozenset({Reason.UNEXPECTED, Reason.DATA_REJECTED})


class PoisonRun:
    """Counts a partition's bad records with no success between; past the bound it halts. Redriven ones don't count."""

    def __init__(self, length_max: int) -> None:
        self._length_max = length_max
        self._lengths: dict[Place, int] = {}

    def length(self, place: Place) -> int:
        """How many bad records of the partition came in a row."""
        return self._lengths.get(place, 0)

    def spent(self, place: Place) -> bool:
        """Whether the partition's next bad record is one too many."""
        return self.length(place) >= self._length_max

    def counted(self) -> dict[Place, int]:
        """Return what was counted so far, for `rewind`."""
        return dict(self._lengths)

    def rewind(self, counted: Mapping[Place, int]) -> None:
        """Forget what an attempt counted that came to nothing and is made again."""
        self._lengths = {place: min(length, counted.get(place, 0)) for place, length in self._lengths.items()}

    def succeeded(self, places: Iterable[Place]) -> None:
        """Note that events of these partitions were settled: what is wrong is wrong with single records."""
        for place in places:
            self._lengths.pop(place, None)

    def failed(self, item: Item) -> None:
        """Note a bad record; raise HaltedError when it is one too many."""
        record = item[0]
        length = self._lengths[place_of(record)] = self.length(place_of(record)) + 1
        if length > self._length_max:
            raise HaltedError(
                record.topic,
                record.partition,
                f"{length} records in a row failed with no success between, the last at offset {record.offset}; "
                "look at the newest dead letters and at the last deploy, then restart the consumer",
            )


async def _nothing_to_renew() -> None:
    """Stand for a pool of which no session needs to be replaced."""


class Isolator:
    """Settles batches whatever they hold. Raises UnavailableError in an outage, HaltedError after a run of failures.

    `renew` lets the sessions that are open be replaced by fresh ones before they are used again.
    """

    def __init__(
        self,
        settle: Callable[[Sequence[Item]], Awaitable[Plan]],
        run: PoisonRun,
        settings: ConsumerSettings,
        renew: Callable[[], Awaitable[None]] = _nothing_to_renew,
    ) -> None:
        self._settle = settle
        self._run = run
        self._twin_retries_max = settings.twin_retries_max
        self._renew = renew

    async def settle(self, items: Sequence[Item]) -> list[Plan]:
        """Settle all items, in one transaction where none of them is bad; return what was written."""
        counted = self._run.counted()
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
                if self._run.spent(place_of(item[0])) and position > begin:
                    plans += await self._note_success(items[begin:position])
                    begin = position
                self._run.failed(item)
        return plans + await self._note_success(items[begin:])

    async def _note_success(self, items: Sequence[Item]) -> list[Plan]:
        plans = await self._divide(items)
        self._run.succeeded(_successful(items, plans))
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
        self._run.succeeded({(row.topic, row.partition) for plan in plans for row in plan.rows})
        return plans + await self._divide(items[middle:])

    async def _attempt(self, items: Sequence[Item]) -> Plan:
        try:
            return await retry(lambda: self._settle(items), len(items), self._twin_retries_max, self._renew)
        except Exception as error:
            if classify(error) not in PASSING or too_slow(items, error):
                raise
            raise UnavailableError(f"Postgres does not take the batch: {told(error)}") from error

    async def _bury(self, item: Item, error: Exception) -> Plan:
        if not redrive_count_of(item[0]):
            self._run.failed(item)
        return await self._attempt([(item[0], verdict_on(error))])


async def retry(
    attempt: Callable[[], Awaitable[Plan]],
    size: int,
    tries_max: int,
    renew: Callable[[], Awaitable[None]] = _nothing_to_renew,
) -> Plan:
    """Try while another transaction is in the way; a lock that stays taken is an outage, not bad data.

    What is wrong with the session, or with a single record for all that is known yet, is tried once more on a fresh
    session: it may be the session that is wrong. `size` is how many records the attempt settles.
    """
    renewed = False
    last: Exception | None = None
    for _ in range(tries_max):
        try:
            return await attempt()
        except Exception as error:
            failure = classify(error)
            if failure is Failure.TWIN:
                metrics.TWIN_RETRIES.inc()
                await asyncio.sleep(random.uniform(0, 2 * TWIN_PAUSE_SECONDS))  # noqa: S311 - jitter
            elif renewed or not _worth_a_fresh_session(size, failure):
                raise
            else:
                renewed = True
                await renew()
            last = error
    if isinstance(last, asyncpg.IntegrityConstraintViolationError):
        raise last
    raise UnavailableError(f"other transactions stay in the way: {last}") from last


def place_of(record: Record) -> Place:
    """Return the topic and partition that a record stands in."""
    return record.topic, record.partition


def told(error: Exception) -> str:
    """Describe why Postgres can't be used, and what to do where waiting alone does not help."""
    said = f"{type(error).__name__}: {error}"
    if classify(error) is Failure.SETUP:
        return f"{said}; the schema or a right does not fit this version: run `ratchet migrate up`"
    return said


def verdict_on(error: Exception) -> Dead:
    """Return what becomes of a record that failed by itself."""
    reason = Reason.UNEXPECTED if classify(error) is Failure.UNEXPECTED else Reason.DATA_REJECTED
    return Dead(reason, _without_values(error))


def _successful(items: Sequence[Item], plans: Sequence[Plan]) -> set[Place]:
    """Return the partitions of which an event was settled; one that parks or becomes a dead letter is none."""
    written = {(row.topic, row.partition) for plan in plans for row in plan.rows}
    if any(plan.duplicates for plan in plans):
        lost = {(*place_of(letter.record), letter.record.offset) for plan in plans for letter in plan.letters}
        taken = (record for record, decoded in items if not isinstance(decoded, Dead))
        written |= {place_of(record) for record in taken if (*place_of(record), record.offset) not in lost}
    return written


def _worth_a_fresh_session(size: int, failure: Failure) -> bool:
    return failure is Failure.SESSION or (size == 1 and failure in (Failure.DATA, Failure.UNEXPECTED))


def too_slow(items: Sequence[object], error: Exception) -> bool:
    """Tell whether the batch did not fit the statement time-out; its halves may."""
    return len(items) > 1 and isinstance(error, asyncpg.QueryCanceledError)


def _without_values(error: Exception) -> str:
    """Describe an error without the values that it quotes: they may be secrets."""
    if isinstance(error, asyncpg.PostgresError):
        place = [getattr(error, name, None) for name in ("table_name", "column_name", "constraint_name")]
        named = ".".join(str(part) for part in place if part)
        return f"{type(error).__name__} {error.sqlstate} {named}".strip()
    return f"{type(error).__name__} while settling the record"
