"""The page Redrives: choose dead letters, see a dry run, order, follow and stop redrives. The relay executes them."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ops import letter_notes, redrives
from ops.console.choosing import Chosen, choose, rate, whole_number
from ops.console.pages.letters import WORDS
from ops.console.sparkline import bar
from ops.console.visits import action, checked, page
from ops.operators import BECAUSE_LENGTH_MAX
from ops.redrives import Policy, PreviewAnswer, RedriveRequest
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit
    from ops.letter_notes import Note
    from ops.operators import Operator
    from ops.redrives import Preview, RedriveProgress, Started
    from runtime.postgres import Connection

ORDER_FIELDS: Final = ("rate", "max", "force", "keep_going")
SHOWN_MAX: Final = 50
TYPED_FROM: Final = 1000
"""From so many dead letters on, the operator has to type their number to confirm."""


def routes(parts: Parts) -> list[Route]:
    """Return the routes of redrives."""
    return [
        page("/redrives", show_all, parts),
        action("/redrives", start, parts),
        page("/redrives/new", prepare, parts),
        page("/redrives/{id}", show_one, parts),
        page("/redrives/{id}/live", live, parts),
        action("/redrives/{id}/stop", stop, parts),
        action("/redrives/{id}/resume", resume, parts),
    ]


async def show_all(visit: Visit) -> Response:
    """Show the newest redrives."""
    rows_max = visit.parts.settings.console.rows_max

    async def look(connection: Connection) -> tuple[RedriveProgress, ...]:
        return await redrives.list_redrives(connection, rows_max)

    return visit.render("redrives.html", found=await visit.parts.reader.run(look))


def request_of(source: Mapping[str, str], chosen: Chosen, operator: Operator) -> RedriveRequest:
    """Return the redrive that a form orders. Raises SettingsError for values that can't be read."""
    return RedriveRequest(
        filters=chosen.filters,
        requested_by=operator.who,
        origin=operator.origin,
        because=" ".join(source.get("because", "").split())[:BECAUSE_LENGTH_MAX],
        rate_per_second=rate(source),
        messages_max=whole_number(source, "max"),
        force=checked(source, "force"),
        policy=Policy.KEEP_GOING if checked(source, "keep_going") else Policy.STOP_ON_FAILURES,
    )


async def prepare(visit: Visit) -> Response:
    """Ask which letters to redrive; once they are chosen, show what would become of each. Writes nothing."""
    query = visit.request.query_params
    chosen = choose(query)
    written = chosen.written | {name: query[name] for name in ORDER_FIELDS if query.get(name, "").strip()}
    problem, seen = chosen.problem, None
    if query.get("preview") and not problem:
        try:
            seen = await _foresee(visit, request_of(query, chosen, visit.operator))
        except SettingsError as error:
            problem = str(error)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if problem else HTTPStatus.OK
    bounds = visit.parts.settings.redrive
    return visit.render(
        "redrive_new.html",
        status,
        chosen=chosen,
        written=written,
        problem=problem,
        bounds=bounds,
        **_seen(seen),
        **WORDS,
    )


async def _foresee(visit: Visit, wanted: RedriveRequest) -> Preview:
    async def look(connection: Connection) -> Preview:
        return await redrives.preview(connection, visit.parts.settings, wanted)

    return await visit.parts.actions.run(look)


def _seen(seen: Preview | None) -> dict[str, Any]:
    """Return what a page shows of a preview."""
    if seen is None:
        return {"seen": None}
    counts = list(seen.counts().items())
    return {
        "seen": seen,
        "typed_from": TYPED_FROM,
        "gain": seen.counts()[PreviewAnswer.APPLY],
        "counts": counts,
        "shares": bar(counts),
        "shown": seen.messages[:SHOWN_MAX],
    }


async def start(visit: Visit) -> Response:
    """Order a redrive of the letters that would be applied, and redirect to its page.

    Raises SettingsError where many would go and their number was not typed, or is another one by now.
    """
    chosen = choose(visit.form)
    if chosen.problem:
        raise SettingsError(chosen.problem)
    wanted = replace(request_of(visit.form, chosen, visit.operator), only_applied=True)

    async def write(connection: Connection) -> Started:
        seen = await redrives.preview(connection, visit.parts.settings, wanted)
        check_typed(seen.counts()[PreviewAnswer.APPLY], visit.form.get("typed", ""))
        return await redrives.start(connection, visit.parts.settings, wanted, seen)

    begun = await visit.parts.actions.run(write)
    if begun.redrive_id is None:
        raise RatchetError("no open dead letter that fits would be applied now; nothing was ordered")
    return visit.redirect(f"/redrives/{begun.redrive_id}")


def check_typed(count: int, typed: str, done: str = "sent") -> None:
    """Raise SettingsError where `count` is large and `typed` is not it; `done` says in the message what is done."""
    if count >= TYPED_FROM and "".join(typed.split()).replace(",", "") != str(count):
        raise SettingsError(f"{count:,} dead letters would be {done} now; type that number to go on")


async def _look(visit: Visit) -> dict[str, Any]:
    """Return what a page shows of one redrive; raise 404 where there is no such one."""
    redrive_id = visit.number("id")

    async def look(connection: Connection) -> RedriveProgress:
        return await redrives.progress(connection, redrive_id)

    progress = await visit.parts.reader.find(look)
    done = progress.published + progress.skipped
    return {
        "progress": progress,
        "done": done,
        "percent": 100 * done / progress.selected,
        "messages": await visit.parts.reader.fetch("list_redrive_messages", redrive_id, SHOWN_MAX),
    }


async def show_one(visit: Visit) -> Response:
    """Show how far a redrive is."""
    redrive_id = visit.number("id")

    async def look(connection: Connection) -> tuple[Note, ...]:
        return await letter_notes.list_notes(connection, SHOWN_MAX, redrive_id)

    return visit.render("redrive.html", **await _look(visit), notes=await visit.parts.reader.run(look))


async def live(visit: Visit) -> Response:
    """Return the part that the browser reloads."""
    return visit.render("redrive_live.html", **await _look(visit))


async def stop(visit: Visit) -> Response:
    """Stop a redrive: the relay ends it after its current batch."""
    redrive_id = visit.number("id")

    async def write(connection: Connection) -> RedriveProgress:
        return await redrives.stop(connection, redrive_id, visit.who, visit.origin)

    await visit.parts.actions.run(write)
    return visit.redirect(f"/redrives/{redrive_id}")


async def resume(visit: Visit) -> Response:
    """Resume a stopped or failed redrive where it ended."""
    redrive_id = visit.number("id")

    async def write(connection: Connection) -> RedriveProgress:
        return await redrives.resume(connection, redrive_id, visit.who, visit.origin)

    await visit.parts.actions.run(write)
    return visit.redirect(f"/redrives/{redrive_id}")
