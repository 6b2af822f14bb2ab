"""Redrives as stored instructions: what the command line and the console do with dead letters.

Every function takes one asyncpg connection (of a pool or not) that is in no transaction, and leaves it so. What carries
a job out is the relay (`producers.relay.redrive`); here it is written, looked at and stopped.

    page = await list_letters(connection, LetterFilter(reason=Reason.ORPHAN), limit=50)
    groups = await group_letters(connection, LetterFilter(status=LetterStatus.OPEN))
    seen = await preview(connection, settings, RedriveRequest(LetterFilter(reason=Reason.ORPHAN)))
    for one in seen.messages: one.id, one.would, one.why
    begun = await start(connection, settings, RedriveRequest(LetterFilter(...), "alice", rate_per_second=50))
    if begun.redrive_id is not None:                     # None: nothing is to be published
        now = await progress(connection, begun.redrive_id)   # poll; now.ended, now.status, now.published, now.selected
        await stop(connection, begun.redrive_id, "alice")    # the relay ends it after the batch in hand
        await resume(connection, begun.redrive_id, "alice")  # one that was stopped or has failed goes on
    gone = await discard(connection, LetterFilter(ids=(7,)), who="alice", because="a test's leftover")

Errors: SettingsError for what can't be meant (a rate above the bound, a topic that is not ours), RatchetError for an id
that does not exist, and what the driver raises.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from ops.database import fetch
from ops.dlq_filters import LetterFilter
from ops.operators import BECAUSE_LENGTH_MAX, TERMINAL, WHO_LENGTH_MAX, Operator, note_action
from ops.redrive_preview import Choice, LeftOut, Prediction, Preview, PreviewAnswer, find_closed, foresee
from runtime.sql import statement
from schemas.dead_letter import LetterStatus
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    import datetime as dt

    from runtime.postgres import Connection
    from runtime.settings import RedriveSettings, Settings
    from schemas.topics import Topics

__all__ = [
    "Discarded",
    "LeftOut",
    "LetterFilter",
    "LetterGroup",
    "LetterPage",
    "Policy",
    "Prediction",
    "Preview",
    "PreviewAnswer",
    "RedriveProgress",
    "RedriveRequest",
    "RedriveStatus",
    "Started",
    "choose",
    "discard",
    "group_letters",
    "list_letters",
    "list_redrives",
    "list_rows",
    "preview",
    "progress",
    "read_messages",
    "resume",
    "start",
    "stop",
]

GROUPS_MAX: Final = 100
"""Groups that are shown at most."""


class Policy(StrEnum):
    """What a redrive does when letters come back although the dry run foresaw that they would not."""

    STOP_ON_FAILURES = "stop_on_failures"
    KEEP_GOING = "keep_going"


class RedriveStatus(StrEnum):
    """Where a redrive stands. `stopped` by people, `failed` because too many letters came back."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class RedriveRequest:
    """What is to be redriven, and how. `rate_per_second` of None is the configured one.

    `messages_max` bounds what is published; `force` sends also what the loop guard holds back; `target_topic` is where
    letters go whose own topic is unknown. `origin` is where the asker is, `because` why they ask, where they give a
    reason. `only_applied` publishes only letters whose event would be applied.
    """

    filters: LetterFilter = field(default_factory=LetterFilter)
    requested_by: str = "ratchet"
    rate_per_second: float | None = None
    messages_max: int | None = None
    force: bool = False
    policy: Policy = Policy.STOP_ON_FAILURES
    target_topic: str | None = None
    origin: str = TERMINAL
    because: str = ""
    only_applied: bool = False


@dataclass(frozen=True, slots=True)
class LetterPage:
    """Some letters, newest first: rows as in `dlq list --json`. `total` counts all that fit, on every page.

    `before` leads to the older ones: the id that they are below; None where there are none.
    """

    total: int
    letters: tuple[dict[str, Any], ...]
    before: int | None = None


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Open letters alike: of one reason, source and event type; `sample_id` is the newest of them, `message` its."""

    reason: str
    source: str | None
    event_type: str | None
    letters: int
    oldest: dt.datetime
    newest: dt.datetime
    sample_id: int
    message: str


@dataclass(frozen=True, slots=True)
class Started:
    """A job as it was stored; `redrive_id` is None where nothing is to be published, so nothing was stored."""

    redrive_id: int | None
    preview: Preview


@dataclass(frozen=True, slots=True)
class RedriveProgress:
    """How far a redrive is.

    `selected` letters are to go, of which `published` are in Kafka and `skipped` were not open any more when their
    turn came. `returned` came back as new letters by now, `failed` of them against the prediction (as of the relay's
    last look).
    """

    id: int
    status: RedriveStatus
    requested_by: str
    filter: dict[str, Any]
    rate_per_second: float
    policy: Policy
    forced: bool
    matched: int
    selected: int
    published: int
    skipped: int
    failed: int
    returned: int
    stopping: bool
    stop_reason: str | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    updated_at: dt.datetime
    ended_at: dt.datetime | None

    @property
    def ended(self) -> bool:
        """Tell whether the relay is through with it."""
        return self.ended_at is not None


@dataclass(frozen=True, slots=True)
class Discarded:
    """What was given up: the letters' ids, of `matched` that fitted the filter.

    `left_out` are those that were asked for by id and are not open.
    """

    matched: int
    ids: tuple[int, ...]
    left_out: tuple[LeftOut, ...] = ()


async def list_letters(
    connection: Connection, filters: LetterFilter, limit: int, before: int | None = None
) -> LetterPage:
    """Return the newest `limit` letters that fit, older than the letter `before`; without a filter of every status."""
    rows, older = await list_rows(connection, filters, limit, before)
    if before is None and older is None:
        return LetterPage(len(rows), tuple(rows))
    total = (await fetch(connection, "count_letters", *filters.arguments()))[0]["total"]
    return LetterPage(total, tuple(rows), older)


async def list_rows(
    connection: Connection, filters: LetterFilter, limit: int, before: int | None = None
) -> tuple[list[dict[str, Any]], int | None]:
    """Return the same letters without counting all that fit, and the id that the older ones are below."""
    rows = await fetch(connection, "list_letters", *filters.arguments(), limit + 1, before)
    return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None


async def group_letters(connection: Connection, filters: LetterFilter) -> tuple[LetterGroup, ...]:
    """Return the letters that fit (open ones where the filter names no status) by what is alike, largest first."""
    asked = replace(filters, status=filters.status or LetterStatus.OPEN)
    rows = await fetch(connection, "group_letters", *asked.arguments(), filters.limit or GROUPS_MAX)
    return tuple(LetterGroup(**row) for row in rows)


async def preview(connection: Connection, settings: Settings, wanted: RedriveRequest) -> Preview:
    """Say for each open letter that fits what a redrive would do now; nothing is written and nothing is locked."""
    _check(wanted, settings.redrive, settings.kafka.topics)
    return await foresee(
        connection, settings, Choice(wanted.filters, wanted.messages_max, wanted.force, wanted.target_topic)
    )


async def start(
    connection: Connection, settings: Settings, wanted: RedriveRequest, seen: Preview | None = None
) -> Started:
    """Store the job for the relay, with what is foreseen for each letter: `seen`, or else a preview made now."""
    seen = seen or await preview(connection, settings, wanted)
    if wanted.only_applied:
        seen = replace(seen, messages=tuple(one for one in seen.messages if one.would is PreviewAnswer.APPLY))
    if not seen.messages:
        return Started(None, seen)
    bounds = settings.redrive
    async with connection.transaction():
        redrive_id = await connection.fetchval(
            statement("ops", "insert_redrive"),
            wanted.requested_by,
            json.dumps(wanted.filters.document()),
            wanted.target_topic,
            wanted.rate_per_second or bounds.rate_per_second,
            wanted.messages_max,
            wanted.policy,
            bounds.failure_ratio_max,
            bounds.failures_min,
            wanted.force,
            seen.matched,
            [one.id for one in seen.messages],
            [one.would for one in seen.messages],
        )
        chosen = json.dumps(wanted.filters.document())
        target = f"redrive {redrive_id}, {len(seen.messages)} of {seen.matched} dead letters, filter {chosen}"
        await note_action(connection, _operator(wanted), "redrive.start", target, wanted.because)
    return Started(redrive_id, seen)


async def progress(connection: Connection, redrive_id: int) -> RedriveProgress:
    """Return how far a redrive is; raise RatchetError where there is no such one."""
    rows = await fetch(connection, "read_redrives", redrive_id, 1)
    if not rows:
        raise RatchetError(f"there is no redrive {redrive_id}")
    return _progress_of(rows[0])


async def list_redrives(connection: Connection, limit: int) -> tuple[RedriveProgress, ...]:
    """Return the newest redrives, the newest first."""
    return tuple(_progress_of(row) for row in await fetch(connection, "read_redrives", None, limit))


async def read_messages(connection: Connection, redrive_id: int) -> tuple[dict[str, Any], ...]:
    """Return the audit of a redrive, one row a letter in the order of publishing.

    Keys: id, would, status, detail, published_at, returned_id (the letter it came back as, or None).
    """
    return tuple(await fetch(connection, "read_redrive_messages", redrive_id))


async def stop(connection: Connection, redrive_id: int, who: str, origin: str = TERMINAL) -> RedriveProgress:
    """Ask the relay to end a redrive after the batch in hand; one that has ended stays as it is."""
    await _order_anew(connection, "stop_redrive", redrive_id, Operator(_named(who), origin))
    return await progress(connection, redrive_id)


async def resume(connection: Connection, redrive_id: int, who: str, origin: str = TERMINAL) -> RedriveProgress:
    """Let a redrive go on that was stopped, is to be, or failed, its failures forgiven; others are left as they are."""
    await _order_anew(connection, "resume_redrive", redrive_id, Operator(_named(who), origin))
    return await progress(connection, redrive_id)


async def _order_anew(connection: Connection, name: str, redrive_id: int, operator: Operator) -> None:
    """Stop or resume a redrive, and write down who did; one that this changes nothing of is left alone."""
    async with connection.transaction():
        changed = await connection.execute(statement("ops", name), redrive_id, operator.who)
        if changed != "UPDATE 0":
            await note_action(
                connection, operator, f"redrive.{name.removesuffix('_redrive')}", f"redrive {redrive_id}", ""
            )


async def discard(
    connection: Connection, filters: LetterFilter, *, who: str, because: str, origin: str = TERMINAL
) -> Discarded:
    """Give up the open letters that fit: their status becomes `discarded`; who, why and when are kept.

    Raises SettingsError for a reason that is empty or too long.
    """
    because = because.strip()
    if not 0 < len(because) <= BECAUSE_LENGTH_MAX:
        raise SettingsError(f"say why the letters are given up, in 1 to {BECAUSE_LENGTH_MAX} characters")
    async with connection.transaction():
        left_out = await find_closed(connection, filters)
        chosen = await choose(connection, filters)
        rows = await fetch(connection, "discard_letters", [row["id"] for row in chosen], _named(who), because)
        if rows:
            ids = ", ".join(str(row["id"]) for row in rows)
            target = f"dead letter {ids}" if len(rows) == 1 else f"{len(rows)} dead letters: {ids}"
            await note_action(connection, Operator(_named(who), origin), "dead_letter.discard", target, because)
    matched = chosen[0]["total"] if chosen else 0
    return Discarded(matched, tuple(row["id"] for row in rows), left_out)


async def choose(connection: Connection, filters: LetterFilter) -> list[dict[str, Any]]:
    """Return the open letters that fit, oldest first: `id`, `topic`, and the `total` that fits on each."""
    return await fetch(connection, "choose_letters", *filters.arguments(), filters.limit)


def _check(wanted: RedriveRequest, bounds: RedriveSettings, topics: Topics) -> None:
    """Raise SettingsError for a request that can't be meant."""
    rate = wanted.rate_per_second
    if rate is not None and not 0 < rate <= bounds.rate_per_second_max:
        raise SettingsError(
            f"the rate must be above 0 and at most {bounds.rate_per_second_max:g} a second, not {rate:g}"
        )
    if wanted.messages_max is not None and wanted.messages_max < 1:
        raise SettingsError(f"the most to publish must be 1 at least, not {wanted.messages_max}")
    if wanted.target_topic is not None and topics.consumed_topic(wanted.target_topic) is None:
        known = ", ".join(sorted(topics.consumed_names))
        raise SettingsError(f"{wanted.target_topic} is none of the topics that Ratchet reads: {known}")
    _named(wanted.requested_by)


def _operator(wanted: RedriveRequest) -> Operator:
    return Operator(_named(wanted.requested_by), wanted.origin)


def _named(who: str) -> str:
    """Return a name as the audit keeps it; raise SettingsError for an empty one."""
    name = who.replace("\x00", "").strip()[:WHO_LENGTH_MAX]
    if not name:
        raise SettingsError("say who asks for it")
    return name


def _progress_of(row: dict[str, Any]) -> RedriveProgress:
    fields = {**row, "filter": json.loads(row["filter"])}
    return RedriveProgress(**fields | {"status": RedriveStatus(row["status"]), "policy": Policy(row["policy"])})
