"""Figures as people read them: ages, times, amounts, names that are too long; pure."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from ops.documents import major

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
LONG_NAME: Final = 22
KEPT_ENDS: Final = (12, 6)

OUTCOMES: Final = {
    "applied": "changed the payment",
    "noop": "nothing new",
    "late": "outranked by what was known already, though it may have come last",
    "conflict": "contradicts what is known",
}
"""What each outcome of the ledger means."""
BECAME: Final = {
    **OUTCOMES,
    "parked": "had to wait: its payment was not known yet",
    "dead_letter": "could not be processed, and waits for a person",
    "refused": "the ingress did not let it in: signature, rate, shape",
}
"""What can become of what is sent to us: the outcomes of the ledger, and what never got there."""
FIGURES: Final = {
    "rate": "events that reached the ledger since the last look",
    "lag": "records in Kafka that the consumer has still to read",
    "oldest": "age of the oldest event that was accepted and is not in the ledger yet",
    "outbox": "changes and dead letters still to be published to Kafka",
    "spool": "requests taken while Kafka was away, still to be published",
    "letters": "records that could not be processed and wait for a person",
    "parked": "events that wait for a payment not known yet",
}
"""What each figure of the board counts."""
WOULD: Final = {
    "apply": "would change its payment now",
    "noop": "would change nothing: what it reports is known already",
    "illegal": "would be refused again, and come back as a dead letter",
    "orphan": "its payment is still not known: it would wait, and come back after the deadline",
}
"""What each answer of a redrive's dry run means."""
REASONS: Final = {
    "undecodable": "no JSON, wrong shape, missing or impossible fields",
    "unknown_kind": "a kind of event that nobody taught us",
    "conflict": "contradicts what is known",
    "orphan": "its payment did not appear before the deadline",
    "data_rejected": "it could be read, and Postgres refused to write what it holds",
    "unexpected": "reading it or writing what it says raised an error that nobody foresaw",
    "fatal": "it ended the process that touched it, twice",
}
"""What each reason of a dead letter means."""


def age(seconds: float | None) -> str:
    """Return a length of time in its two largest units."""
    if seconds is None:
        return "unknown"
    if seconds < 10:  # noqa: PLR2004 - below that the tenths say something
        return f"{max(0.0, seconds):.1f} s"
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    for size, name, below, small in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", 1, "s")):
        if seconds >= size:
            rest = int(seconds % size // below)
            return f"{int(seconds // size)} {name}" + (f" {rest} {small}" if rest else "")
    raise AssertionError("one of the sizes fits")


def until(moment: dt.datetime, now: dt.datetime) -> str:
    """Return how far away a moment is, and on which side of now."""
    seconds = (moment - now).total_seconds()
    return f"in {age(seconds)}" if seconds >= 0 else f"{age(-seconds)} ago"


def utc(moment: dt.datetime | None) -> str:
    """Return a moment in UTC to the second."""
    return "" if moment is None else moment.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S")


def precise(moment: dt.datetime) -> str:
    """Return a moment in UTC to the millisecond."""
    return f"{utc(moment)}.{moment.microsecond // 1000:03d}"


def number(value: float | None) -> str:
    """Return a figure with its thousands apart; a dash where it is unknown."""
    if value is None:
        return "–"  # noqa: RUF001 - a dash, for nothing to show
    return f"{value:,.1f}" if value < 100 and value % 1 else f"{value:,.0f}"  # noqa: PLR2004 - tenths of few say something


def short(name: str | None) -> str:
    """Return a name without its middle where it is long."""
    if not name or len(name) <= LONG_NAME:
        return name or ""
    return f"{name[: KEPT_ENDS[0]]}…{name[-KEPT_ENDS[1] :]}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def spaced(slug: str | None) -> str:
    """Return a slug as words."""
    return (slug or "").replace("_", " ")


FILTERS: Final[dict[str, Callable[..., str]]] = {
    "age": age,
    "major": major,
    "number": number,
    "plural": plural,
    "precise": precise,
    "short": short,
    "spaced": spaced,
    "until": until,
    "utc": utc,
}
"""What the templates call."""
