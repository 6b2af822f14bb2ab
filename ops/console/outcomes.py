"""What became of events, counted as it happens and kept for a week, for the board's chart and its sentence.

The ledger and the dead letters are read on from a cursor that one console at a time holds, so that every row counts
once however many consoles run; what the ingress refused is nowhere in Postgres, and is taken from its metrics.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from dataclasses import dataclass
from itertools import starmap
from typing import TYPE_CHECKING, Any, Final

from ops.console.reader import open_pool_for, run_on
from ops.console.refusals import Refusals
from runtime.postgres import LazyPool
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.console.reader import Reader
    from runtime.postgres import Connection
    from runtime.settings import Settings

PURGE_SECONDS: Final = 600.0
"""How often rows that are too old are removed."""
LONG_SPANS_SECONDS: Final = 20.0
"""How often the day and the week are read anew: their last column changes slowly."""
RECENT: Final = dt.timedelta(minutes=15)
"""A provider's minutes are looked through for a cause where something of it failed so recently."""
REFUSED: Final = "refused"
DEAD: Final = "dead_letter"
ORDER: Final = ("applied", "noop", "late", "parked", "conflict", DEAD, REFUSED)
"""From the bottom of a column to its top: what is well first."""


@dataclass(frozen=True, slots=True)
class ChartSpan:
    """A length of time that the chart can show, in columns of so many seconds each."""

    name: str
    title: str
    seconds: int
    columns: int

    def begins(self, now: dt.datetime) -> dt.datetime:
        """Return when the first column of a chart begins."""
        last = int(now.timestamp()) // self.seconds * self.seconds
        return dt.datetime.fromtimestamp(last - (self.columns - 1) * self.seconds, dt.UTC)


SPANS: Final = (
    ChartSpan("5m", "5 minutes", 60, 5),
    ChartSpan("day", "day", 600, 144),
    ChartSpan("week", "week", 3600, 168),
)


@dataclass(frozen=True, slots=True)
class Minute:
    """So many events of a provider that became the same within a minute."""

    began_at: dt.datetime
    provider: str
    outcome: str
    detail: str
    events: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What was counted: each span's columns (beginning and outcome to events), and minutes to find a cause in."""

    spans: Mapping[str, Mapping[tuple[dt.datetime, str], int]]
    minutes: tuple[Minute, ...]

    def totals(self, span: str) -> dict[str, int]:
        """Return the events of a whole span, by outcome, in the chart's order."""
        counts: Counter[str] = Counter()
        for (_, outcome), events in self.spans.get(span, {}).items():
            counts[outcome] += events
        return {outcome: counts[outcome] for outcome in ORDER}


class OutcomeCounter:
    """Counts on from where any console got to, and reads what was counted."""

    def __init__(self, settings: Settings, reader: Reader) -> None:
        self._settings = settings
        self._reader = reader
        self._pool = LazyPool(lambda: open_pool_for(settings, 1, {}))
        self._refusals = Refusals(settings)
        self._uncounted: Counter[tuple[str, str]] = Counter()
        self._purged_at = float("-inf")
        self._read_at: dict[str, float] = {}
        self._spans: dict[str, Mapping[tuple[dt.datetime, str], int]] = {}

    async def read(self) -> Outcomes:
        """Count what is new, then return what the board shows; raise UnavailableError where Postgres is away."""
        for provider, reason, count in await self._refusals.fresh():
            self._uncounted[provider, reason] += count

        async def work(connection: Connection) -> bool:
            async with connection.transaction():
                return await self._count(connection, [(*key, count) for key, count in self._uncounted.items()])

        if await run_on(self._settings, self._pool, work):
            self._uncounted.clear()  # till then they wait: Postgres may be away, another console may count
        now = dt.datetime.now(dt.UTC)
        for span in SPANS:
            await self._sum(span, now)
        found = await self._reader.fetch("list_failing_minutes", now - dt.timedelta(hours=24), now - RECENT)
        return Outcomes(dict(self._spans), tuple(Minute(**row) for row in found))

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._pool.close()

    async def _count(self, connection: Connection, refused: Sequence[tuple[str, str, int]]) -> bool:
        """Count on from the cursor; return whether that was done, False while another console has it."""
        cursor = await connection.fetchrow(_sql("lock_outcome_cursor"))
        if cursor is None:
            return False
        rows = await connection.fetch(_sql("count_fresh_outcomes"), *cursor, self._settings.console.look_rows_max)
        fresh = [(row["minute"], row["provider"], row["outcome"], row["detail"], row["events"]) for row in rows]
        minute = dt.datetime.now(dt.UTC).replace(second=0, microsecond=0)
        fresh += [(minute, provider, REFUSED, reason, count) for provider, reason, count in refused]
        if fresh:
            await connection.execute(_sql("add_outcome_counts"), *map(list, zip(*fresh, strict=True)))
        if rows:
            places = ("ledger_xid", "ledger_id", "letters_xid", "letters_id", "parked_id")
            await connection.execute(_sql("move_outcome_cursor"), *(rows[0][name] for name in places))
        if time.monotonic() - self._purged_at > PURGE_SECONDS:
            self._purged_at = time.monotonic()
            await connection.execute(_sql("remove_old_outcome_counts"))
        return True

    async def _sum(self, span: ChartSpan, now: dt.datetime) -> None:
        every = 0.0 if span is SPANS[0] else LONG_SPANS_SECONDS
        if time.monotonic() - self._read_at.get(span.name, float("-inf")) < every:
            return
        rows = await self._reader.fetch("sum_outcomes", span.seconds, span.begins(now))
        self._spans[span.name] = dict(starmap(_keyed, (row.values() for row in rows)))
        self._read_at[span.name] = time.monotonic()


def _keyed(began_at: dt.datetime, outcome: str, events: int) -> tuple[tuple[dt.datetime, str], int]:
    return (began_at, outcome), events


def _sql(name: str) -> Any:
    return statement("ops.console", name)
