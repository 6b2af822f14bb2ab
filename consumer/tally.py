"""What batches came to, counted once a batch: for the canonical line, the metrics and the batch's span.

The hot path pays here for work in C alone: one count over the rows, one sort of the records' times.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import providers
from runtime import metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.plan import Letter, Plan
    from schemas.record import Record

OWN_KINDS: Final = frozenset({"intents", "events"})
"""What stands before a client's or a service's name in a source."""
OTHER: Final = "other"
"""The source that a publisher made up: it must not make series."""

_verdict_of: Final = attrgetter("source", "outcome")


@dataclass(slots=True)
class Tally:
    """What some transactions wrote. `rows` counts ledger rows by (source, outcome)."""

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    transactions: int = 0
    duplicates: int = 0
    parked: int = 0
    woken: int = 0
    applied_letters: int = 0
    merges: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def dead_letters(self) -> int:
        """How many dead letters were made."""
        return self.reasons.total()

    def outcomes(self) -> dict[str, int]:
        """Return the number of ledger rows by outcome."""
        found: dict[str, int] = {}
        for (_, outcome), count in self.rows.items():
            found[outcome] = found.get(outcome, 0) + count
        return found


def tally(plans: Sequence[Plan]) -> Tally:
    """Count what was written; pure."""
    total = Tally(transactions=len(plans))
    for plan in plans:
        total.rows.update(map(_verdict_of, plan.rows))
        total.duplicates += plan.duplicates
        total.parked += len(plan.parkings)
        total.woken += len(plan.woken)
        total.applied_letters += len(plan.applied)
        total.merges += len(plan.merges)
        total.reasons.update(letter.reason for letter in plan.letters)
    return total


def source_label(source: str) -> str:
    """Return the provider of a source, or intents, events or other: a closed set."""
    kind = source.partition("/")[0]
    return kind if kind in OWN_KINDS or providers.find(kind) is not None else OTHER


def count(total: Tally, records: Sequence[Record], seconds: float) -> None:
    """Add a batch that took so long to the metrics; `records` are those that are processed now."""
    metrics.BATCH_RECORDS.observe(len(records))
    metrics.BATCH_SECONDS.observe(seconds)
    metrics.END_TO_END_SECONDS.observe_times([record.timestamp_ms for record in records], time.time() * 1000)
    _count_written(total)


def count_woken(plan: Plan) -> None:
    """Add what the sweeper's waking wrote to the metrics."""
    _count_written(tally([plan]))


def _count_written(total: Tally) -> None:
    for (source, outcome), rows in total.rows.items():
        metrics.LEDGER_ROWS.labels(source_label(source), outcome).inc(rows)
    counts = {
        **total.outcomes(),
        "duplicate": total.duplicates,
        "parked": total.parked,
        "woken": total.woken,
        "dead_letter": total.dead_letters,
    }
    for verdict, events in counts.items():
        if events:
            metrics.CONSUMER_EVENTS.labels(verdict).inc(events)
    metrics.DEAD_LETTERS_APPLIED.inc(total.applied_letters)
    for reason, letters in total.reasons.items():
        metrics.DEAD_LETTERS.labels(reason).inc(letters)


def count_buried(letters: Sequence[Letter]) -> None:
    """Add parked events past their deadline, now dead letters, to the metrics."""
    for reason, buried in Counter(letter.reason for letter in letters).items():
        metrics.DEAD_LETTERS.labels(reason).inc(buried)
    metrics.CONSUMER_EVENTS.labels("dead_letter").inc(len(letters))
