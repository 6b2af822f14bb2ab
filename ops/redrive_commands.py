"""`ratchet dlq redrive`, `stop`, `redrives`, `discard`: letters on their way back, or given up."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ops import endpoints, redrive_asking, redrives, server
from ops.database import connected
from ops.dlq_options import (
    Ids,
    Limit,
    OfPayment,
    OfProvider,
    OfReason,
    Since,
    Until,
    Who,
    Yes,
    agreed,
    asker,
    chosen,
    need_consent,
    take_in_foreign,
)
from ops.documents import progress_document, redrive_document
from ops.operators import BECAUSE_LENGTH_MAX
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say
from ops.redrive_follow import follow
from ops.redrives import LetterFilter, Policy, PreviewAnswer, RedriveRequest, RedriveStatus
from runtime import settings as configuration
from schemas.dead_letter import LetterStatus
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from ops.redrives import LeftOut, Preview, RedriveProgress
    from ops.server import RemoteConsole
    from runtime.settings import Settings

SHOWN_ROWS_MAX = 50
INTERRUPTED = 130
RedriveId = Annotated[int, typer.Argument(metavar="ID", min=1, help="The redrive's id.")]


def preview_shown(seen: Preview) -> RenderableType:
    """Return what a redrive would do, as people read it. Pure."""
    counts = ", ".join(f"{count:,} {would}" for would, count in seen.counts().items() if count) or "nothing"
    table = Table("letter", "would", "because", title=f"{len(seen.messages):,} of {seen.matched:,}: {counts}")
    for one in seen.messages[:SHOWN_ROWS_MAX]:
        table.add_row(str(one.id), one.would, Text(f"{one.outcome}: {one.why}" if one.why else one.outcome))
    lines: list[RenderableType] = [table]
    if len(seen.messages) > SHOWN_ROWS_MAX:
        lines.append(f"and {len(seen.messages) - SHOWN_ROWS_MAX:,} more; --json lists all")
    lines += [Text(f"left out {one.id}: {one.why}") for one in seen.left_out[:SHOWN_ROWS_MAX]]
    return Group(*lines)


def ended_shown(now: RedriveProgress) -> str:
    """Say how a redrive stands, in a line. Pure."""
    line = f"redrive {now.id} {now.status}: {now.published:,} of {now.selected:,} published"
    line += f", {now.skipped:,} skipped" if now.skipped else ""
    line += f", {now.returned:,} came back by now" if now.returned else ""
    return line + (f"; {now.stop_reason}" if now.stop_reason and now.status is not RedriveStatus.DONE else "")


def _console() -> RemoteConsole:
    asked = server.given()
    assert asked is not None, "without settings a console is asked"
    return asked


async def _preview(settings: Settings, wanted: RedriveRequest, *, only_look: bool) -> Preview:
    """Return what the redrive would do; unless people only look, letters that other tools made are taken in before."""
    async with connected(settings) as connection:
        if not only_look:
            await take_in_foreign(connection, settings)
        return await redrives.preview(connection, settings, wanted)


async def _start(settings: Settings, wanted: RedriveRequest, seen: Preview) -> int | None:
    async with connected(settings) as connection:
        return (await redrives.start(connection, settings, wanted, seen)).redrive_id


def _found() -> Settings | None:
    """Return where the database is; None where a console is asked."""
    return None if server.given() else endpoints.found(endpoints.load())


def _followed(settings: Settings | None, redrive_id: int) -> RedriveProgress:
    """Follow to the end; an interruption leaves the redrive running and says so."""
    try:
        if settings is not None:
            return asyncio.run(follow(settings, redrive_id))
        return redrive_asking.follow(_console(), redrive_id, configuration.load().redrive)
    except KeyboardInterrupt:
        say(
            f"redrive {redrive_id} runs on. Follow it: `ratchet dlq redrive --resume {redrive_id}`; "
            f"end it: `ratchet dlq stop {redrive_id}`"
        )
        raise typer.Exit(INTERRUPTED) from None


def _show(seen: Preview, now: RedriveProgress | None, *, as_json: bool) -> int:
    """Print how a redrive stands, or what a dry run found (`now` of None); return the exit status."""
    emit(
        redrive_document(seen, now),
        as_json=as_json,
        show=lambda: ended_shown(now) if now else preview_shown(seen),
    )
    return EXIT_DONE if now is None or now.status is RedriveStatus.DONE else EXIT_PROBLEM


@command
@server.by_server
def redrive(  # noqa: PLR0913 - one argument an option
    *,
    reason: OfReason = None,
    provider: OfProvider = None,
    payment: OfPayment = None,
    since: Since = None,
    until: Until = None,
    letter_id: Ids = None,
    limit: Limit = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would become of each letter.")] = False,
    rate: Annotated[float | None, typer.Option("--rate", help="Letters a second; else the configured rate.")] = None,
    most: Annotated[int | None, typer.Option("--max", min=1, help="Publish so many at most.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Also letters that came back too often.")] = False,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Don't stop when too many come back.")] = False,
    to: Annotated[str | None, typer.Option("--to", help="The topic for letters whose own one is unknown.")] = None,
    yes: Yes = False,
    because: Annotated[str, typer.Option("--because", help="Why; kept with who and when.")] = "",
    resume: Annotated[int | None, typer.Option("--resume", min=1, help="Go on with this redrive.")] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Publish open dead letters once more, and follow until that is done.

    Exit 1 where it stopped or failed, or where none of the letters named by --id may go.
    """
    filters = chosen(
        reason=reason, provider=provider, payment=payment, since=since, until=until, ids=letter_id, limit=limit
    )
    policy = Policy.KEEP_GOING if keep_going else Policy.STOP_ON_FAILURES
    wanted = RedriveRequest(
        filters, asker(who), rate, most, force, policy, to, because=" ".join(because.split())[:BECAUSE_LENGTH_MAX]
    )
    if resume is not None:
        return _resume(resume, wanted, as_json=as_json)
    return _redrive(wanted, dry_run=dry_run, yes=yes, as_json=as_json)


def _redrive(wanted: RedriveRequest, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Look what the redrive would do, ask for consent, and follow it to its end; a dry run ends after the look."""
    if not dry_run:
        need_consent(yes=yes, as_json=as_json)
    settings = _found()
    seen = (
        asyncio.run(_preview(settings, wanted, only_look=dry_run))
        if settings
        else redrive_asking.preview(_console(), wanted)
    )
    _say_left_out(seen.left_out)
    going = len(seen.messages) if settings else seen.counts()[PreviewAnswer.APPLY]
    if dry_run or not going:
        status = _show(seen, None, as_json=as_json)
        return EXIT_PROBLEM if wanted.filters.ids and not dry_run else status
    if not yes and not agreed(preview_shown(seen), f"Redrive {going:,} letters?"):
        say("nothing was done")
        return EXIT_PROBLEM
    redrive_id = (
        asyncio.run(_start(settings, wanted, seen)) if settings else redrive_asking.start(_console(), wanted, going)
    )
    if redrive_id is None:
        raise RatchetError("nothing would be applied any more; nothing was ordered")
    return _show(seen, _followed(settings, redrive_id), as_json=as_json)


def _say_left_out(left_out: Sequence[LeftOut]) -> None:
    for one in left_out[:SHOWN_ROWS_MAX]:
        say(f"ratchet: letter {one.id} is left out: {one.why}")


def _resume(redrive_id: int, wanted: RedriveRequest, *, as_json: bool) -> int:
    """Let a redrive go on and follow it; what it does was shown when it was ordered."""
    if wanted != RedriveRequest(LetterFilter(), wanted.requested_by, because=wanted.because):
        raise SettingsError("--resume goes on with a redrive as it was ordered; it takes no filter and no rate")
    settings = _found()
    if settings:
        asyncio.run(_resumed(settings, redrive_id, wanted.requested_by))
    else:
        _console().post(f"/redrives/{redrive_id}/resume")
    now = _followed(settings, redrive_id)
    audit = asyncio.run(_audit(settings, redrive_id)) if settings else ()
    messages = [{"id": row["id"], "would": row["would"]} for row in audit]
    document = {"redrive_id": now.id, "matched": now.matched, "published": now.published, "messages": messages}
    emit(document | progress_document(now), as_json=as_json, show=lambda: ended_shown(now))
    return EXIT_DONE if now.status is RedriveStatus.DONE else EXIT_PROBLEM


async def _resumed(settings: Settings, redrive_id: int, who: str) -> None:
    async with connected(settings) as connection:
        await redrives.resume(connection, redrive_id, who)


async def _audit(settings: Settings, redrive_id: int) -> Sequence[dict[str, Any]]:
    async with connected(settings) as connection:
        return await redrives.read_messages(connection, redrive_id)


async def _stopped(settings: Settings, redrive_id: int, who: str) -> None:
    async with connected(settings) as connection:
        await redrives.stop(connection, redrive_id, who)


@command
@server.by_server
def stop(redrive_id: RedriveId, *, who: Who = None, as_json: AsJson = False) -> int:
    """End a redrive after the batch in hand, and wait for that; what it has not published stays open."""
    settings, operator = _found(), asker(who)
    if settings:
        asyncio.run(_stopped(settings, redrive_id, operator))
    else:
        _console().post(f"/redrives/{redrive_id}/stop")
    now = _followed(settings, redrive_id)
    document = {"redrive_id": now.id, "matched": now.matched, "published": now.published} | progress_document(now)
    emit(document, as_json=as_json, show=lambda: ended_shown(now))
    return EXIT_DONE


def _redrives_table(found: Sequence[RedriveProgress]) -> Table:
    table = Table(
        "redrive", "status", "published", "skipped", "came back", "a second", "who", "ordered", "why it ended"
    )
    for one in found:
        when = one.created_at.isoformat(sep=" ", timespec="seconds")
        figures = f"{one.published:,} of {one.selected:,}", f"{one.skipped:,}", f"{one.returned:,}"
        rest = Text(one.requested_by), when, Text(one.stop_reason or "")
        table.add_row(str(one.id), one.status, *figures, f"{one.rate_per_second:g}", *rest)
    return table


@command
@server.by_server
def list_redrives(
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    as_json: AsJson = False,
) -> int:
    """List the redrives, newest first: who ordered them, how they stand, how they ended."""
    settings = _found()
    found = asyncio.run(_newest(settings, limit)) if settings else redrive_asking.list_redrives(_console(), limit)
    rows = [
        {"redrive_id": one.id, "matched": one.matched, "published": one.published, "filter": one.filter}
        | progress_document(one)
        for one in found
    ]
    emit({"redrives": rows}, as_json=as_json, show=lambda: _redrives_table(found))
    return EXIT_DONE


async def _newest(settings: Settings, limit: int) -> Sequence[RedriveProgress]:
    async with connected(settings) as connection:
        return await redrives.list_redrives(connection, limit)


async def _choose(settings: Settings, filters: LetterFilter) -> int:
    async with connected(settings) as connection:
        return len(await redrives.choose(connection, filters))


def _count(filters: LetterFilter) -> int:
    """Count what a console would give up."""
    fields = server.filter_fields(filters) | {"status": LetterStatus.OPEN}
    total = int(_console().get("/dead-letters", **fields | {"limit": 1})["total"])
    return total if filters.limit is None else min(total, filters.limit)


async def _give_up(settings: Settings, filters: LetterFilter, who: str, because: str) -> redrives.Discarded:
    async with connected(settings) as connection:
        return await redrives.discard(connection, filters, who=who, because=because)


@command
@server.by_server
def discard(  # noqa: PLR0913 - one argument an option
    *,
    because: Annotated[str, typer.Option("--because", help="Why they are given up; kept with who and when.")],
    reason: OfReason = None,
    provider: OfProvider = None,
    payment: OfPayment = None,
    since: Since = None,
    until: Until = None,
    letter_id: Ids = None,
    limit: Limit = None,
    yes: Yes = False,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Give open dead letters up: they become `discarded` and are never redriven. Their bytes stay.

    Exit 1 where none of the letters named by --id is open.
    """
    filters = chosen(
        reason=reason, provider=provider, payment=payment, since=since, until=until, ids=letter_id, limit=limit
    )
    need_consent(yes=yes, as_json=as_json)
    settings, operator = _found(), asker(who)
    count = asyncio.run(_choose(settings, filters)) if settings else _count(filters)
    if not yes and not agreed(f"{count:,} open letters fit", f"Discard {count:,} letters?"):
        say("nothing was done")
        return EXIT_PROBLEM
    done = (
        asyncio.run(_give_up(settings, filters, operator, because))
        if settings
        else redrive_asking.discard(_console(), filters, because, count)
    )
    _say_left_out(done.left_out)
    document = {
        "matched": done.matched,
        "discarded": len(done.ids),
        "messages": [{"id": one} for one in done.ids],
        "left_out": [asdict(one) for one in done.left_out],
    }
    emit(document, as_json=as_json, show=lambda: f"discarded {len(done.ids):,} of {done.matched:,} letters")
    return EXIT_PROBLEM if letter_id and not done.ids else EXIT_DONE


@command
def rebuild(*, as_json: AsJson = False) -> int:
    """Read the DLQ topic again and take in every letter that the table does not know, whoever put it there."""
    from ops.dlq_rebuild import rebuild as read_all

    settings = endpoints.found(endpoints.load())

    async def read() -> dict[str, int]:
        async with connected(settings) as connection:
            found = await read_all(connection, settings)
        return {"read": found.read, "added": found.added, "added_foreign": found.added_foreign}

    done = asyncio.run(read())
    line = (
        f"read {done['read']:,} records, took in {done['added']:,}, {done['added_foreign']:,} of them from other tools"
    )
    emit(done, as_json=as_json, show=lambda: line)
    return EXIT_DONE


def add_to(dlq: typer.Typer) -> None:
    """Add the commands."""
    dlq.command("redrive")(redrive)
    dlq.command("stop")(stop)
    dlq.command("redrives")(list_redrives)
    dlq.command("discard")(discard)
    dlq.command("rebuild")(rebuild)
