"""What a redrive would do now, letter by letter: the consumer's own interpretation and fold, without writing.

`foresee` chooses the letters and runs them dry in the order of publishing, in one read-only transaction without locks:
what one letter does to a payment is there for the next. What is reported is where each ends up when all are through, so
an orphan whose payment a later letter brings is an `apply`. Letters that ended a process are not touched again here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ops.database import fetch
from schemas.dead_letter import LetterStatus
from schemas.topics import DEFAULT, Topics

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from ops.dlq_filters import LetterFilter
    from ops.dry_run import Foretold
    from runtime.postgres import Connection
    from runtime.settings import RedriveSettings, Settings


class PreviewAnswer(StrEnum):
    """What becomes of a letter that is redriven now."""

    APPLY = "apply"
    """It gets a row in the ledger that says something new."""
    NOOP = "noop"
    """Its event is processed already, or changes nothing."""
    ILLEGAL = "illegal"
    """It becomes a dead letter again."""
    ORPHAN = "orphan"
    """It is parked: its payment, or what it builds on, is not there."""


WOULD: Final = {
    "applied": PreviewAnswer.APPLY,
    "late": PreviewAnswer.APPLY,
    "conflict": PreviewAnswer.APPLY,
    "noop": PreviewAnswer.NOOP,
    "duplicate": PreviewAnswer.NOOP,
    "parked": PreviewAnswer.ORPHAN,
    "dead": PreviewAnswer.ILLEGAL,
}
"""By how a letter ends: the ledger's outcomes, and `duplicate`, `parked`, `dead`."""


CLOSED: Final[Mapping[str | None, str]] = {
    LetterStatus.APPLIED: "it was applied already, when its payment came after all",
    LetterStatus.REDRIVEN: "it was redriven already; where it failed again, that is a new letter",
    LetterStatus.DISCARDED: "it was discarded",
}
"""Why a letter that is not open is never redriven, by its status."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What would become of one letter.

    `outcome` is the ledger's, or `duplicate`, `parked` or the reason of the new letter; `why` says more where there is
    more to say.
    """

    id: int
    would: PreviewAnswer
    outcome: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A letter that fits, or was asked for by id, and is not redriven; `guarded` ones go with --force."""

    id: int
    why: str
    guarded: bool


@dataclass(frozen=True, slots=True)
class Preview:
    """What would become of each letter, in the order of publishing. `matched` counts all that fit the filter.

    `messages` are those that would be published; `left_out` are those that would not, and why.
    """

    matched: int
    messages: tuple[Prediction, ...]
    left_out: tuple[LeftOut, ...] = ()

    def counts(self) -> dict[str, int]:
        """Return how many letters would end how, every way named."""
        found = {would.value: 0 for would in PreviewAnswer}
        for one in self.messages:
            found[one.would] += 1
        return found


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the letters that fit is to be redriven, and where those go whose own topic is unknown."""

    filters: LetterFilter
    messages_max: int | None = None
    force: bool = False
    target_topic: str | None = None


def prediction_of(letter_id: int, fate: Foretold) -> Prediction:
    """Say what a fate means for the one who redrives. Pure."""
    outcome = fate.reason if fate.outcome == "dead" and fate.reason else fate.outcome
    return Prediction(letter_id, WOULD[fate.outcome], outcome, fate.why)


def held_back(
    row: Mapping[str, Any], choice: Choice, settings: RedriveSettings, topics: Topics = DEFAULT
) -> LeftOut | None:
    """Tell why a letter is left out whatever would become of it; None where it may go. Pure."""
    if topics.consumed_topic(row["topic"]) is None and choice.target_topic is None:
        why = f"it came from {row['topic']}, which Ratchet does not read; name a topic with --to"
        return LeftOut(row["id"], why, guarded=False)
    if row["redrive_count"] >= settings.returns_max and not choice.force:
        return LeftOut(row["id"], f"it came back {row['redrive_count']} times; --force sends it again", guarded=True)
    return None


def closed(row: Mapping[str, Any]) -> LeftOut:
    """Say why a letter that is asked for by id and is not open (`status` null: not there) is left out. Pure."""
    why = CLOSED.get(row["status"], "there is no such dead letter")
    return LeftOut(row["id"], why, guarded=False)


def comes_back_again(row: Mapping[str, Any], would: PreviewAnswer, choice: Choice) -> LeftOut | None:
    """Leave a letter out that came back before and would do so again, unless forced. Pure."""
    if row["redrive_count"] == 0 or would is not PreviewAnswer.ILLEGAL or choice.force:
        return None
    why = "it came back from its last redrive and would come back again; --force sends it all the same"
    return LeftOut(row["id"], why, guarded=True)


def parts(rows: Sequence[Mapping[str, Any]], records_max: int, bytes_max: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Cut rows into parts of at most so many records and bytes; a larger row stands alone. Pure."""
    begin, size = 0, 0
    for position, row in enumerate(rows):
        if position > begin and (position - begin >= records_max or size + row["bytes"] > bytes_max):
            yield rows[begin:position]
            begin, size = position, 0
        size += row["bytes"]
    if begin < len(rows):
        yield rows[begin:]


async def foresee(connection: Connection, settings: Settings, choice: Choice) -> Preview:
    """Say for each open letter that fits what a redrive would do now; see the module."""
    from ops.dry_run import TrippedError

    tripped: set[int] = set()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        limit = min(choice.filters.limit or settings.redrive.letters_max, settings.redrive.letters_max)
        rows = await fetch(connection, "choose_letters", *choice.filters.arguments(), limit)
        refused = await find_closed(connection, choice.filters)
        while True:
            try:
                seen = await _run_dry(connection, settings, choice, rows, tripped)
                return replace(seen, left_out=(*refused, *seen.left_out))
            except TrippedError as error:
                tripped |= error.letter_ids


async def find_closed(connection: Connection, filters: LetterFilter) -> tuple[LeftOut, ...]:
    """Find the letters that are asked for by id and are not open: nothing is done with them."""
    return tuple(map(closed, await fetch(connection, "find_closed_letters", list(filters.ids or ()))))


async def _run_dry(
    connection: Connection,
    settings: Settings,
    choice: Choice,
    rows: Sequence[Mapping[str, Any]],
    tripped: set[int],
) -> Preview:
    """Run the letters dry, part by part; one that trips the fold raises TrippedError, and all begins anew."""
    from ops.dry_run import DryRun  # the consumer's modules: a fifth of the start of `ratchet dlq list`
    from ops.snapshot_reader import SnapshotReader

    bounds, topics = settings.redrive, settings.kafka.topics
    left_out = [one for row in rows if (one := held_back(row, choice, bounds, topics)) is not None]
    out = {one.id for one in left_out}
    willing = [row for row in rows if row["id"] not in out]
    room = choice.messages_max or len(willing)
    dry_run = DryRun(SnapshotReader(connection, settings), settings, choice.target_topic, tripped)
    going: list[int] = []
    while willing and room > len(going):
        records_max = min(bounds.preview_records_max, room - len(going))
        part = next(parts(willing, records_max, bounds.preview_bytes_max))
        willing = willing[len(part) :]
        ids = [row["id"] for row in part]
        await dry_run.play(await fetch(connection, "read_letter_records", ids), ids)
        for row in part:
            again = comes_back_again(row, prediction_of(row["id"], dry_run.fates[row["id"]]).would, choice)
            if again is None:
                going.append(row["id"])
            else:
                left_out.append(again)
    matched = rows[0]["total"] if rows else 0
    messages = tuple(prediction_of(letter_id, dry_run.fates[letter_id]) for letter_id in going)
    return Preview(matched, messages, tuple(sorted(left_out, key=lambda one: one.id)))
