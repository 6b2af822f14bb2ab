"""The page Dead letters: listed and grouped, shown one by one, discarded or redacted with a reason."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from starlette.exceptions import HTTPException

from ops import letter_erasure, letter_notes, redrives
from ops.console.choosing import choose, place
from ops.console.downloads import PAGE_ROWS, download
from ops.console.visits import action, page
from ops.database import fetch
from ops.dlq_filters import LetterFilter
from ops.exports import LETTER_COLUMNS
from ops.operators import BECAUSE_LENGTH_MAX, note_action, reason_of
from ops.payloads import show_headers, show_payload, show_text
from schemas.dead_letter import LetterStatus, Reason
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit
    from ops.letter_erasure import Redacted
    from ops.letter_notes import Note
    from ops.redrives import Discarded, LetterGroup, LetterPage
    from runtime.postgres import Connection

GROUPS_MAX: Final = 40
WORDS: Final = {"reasons": [reason.value for reason in Reason], "statuses": [status.value for status in LetterStatus]}


def routes(parts: Parts) -> list[Route]:
    """Return the routes of dead letters."""
    return [
        page("/dead-letters", show_all, parts),
        page("/dead-letters.csv", as_csv, parts),
        page("/dead-letters.json", as_json, parts),
        page("/dead-letters/{id}", show_one, parts),
        action("/dead-letters/{id}/discard", discard, parts),
        action("/dead-letters/{id}/unmask", unmask, parts),
        action("/dead-letters/{id}/redact", redact, parts),
    ]


async def show_all(visit: Visit) -> Response:
    """Show the letters that match the filter, and their groups by reason, source and event type."""
    chosen, rows_max = choose(visit.request.query_params), visit.parts.settings.console.rows_max
    before = place(visit.query("before"))
    limit = min(rows_max, chosen.filters.limit or rows_max)

    async def look(connection: Connection) -> tuple[LetterPage, tuple[LetterGroup, ...], tuple[Note, ...]]:
        found = await redrives.list_letters(connection, chosen.filters, limit, before)
        groups = () if before else await redrives.group_letters(connection, chosen.filters)
        return found, groups, await letter_notes.list_notes(connection, rows_max) if groups else ()

    found, groups, notes = await visit.parts.reader.run(look)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if chosen.problem else HTTPStatus.OK
    return visit.render(
        "letters.html",
        status,
        chosen=chosen,
        found=found,
        groups=groups[:GROUPS_MAX],
        groups_total=len(groups),
        notes=notes,
        begins=before is None,
        older=urlencode(chosen.written | {"before": str(found.before)}) if found.before else "",
        **WORDS,
    )


async def as_csv(visit: Visit) -> Response:
    """Return the matching dead letters as CSV without their payloads, at most `console.export_rows_max`."""
    return await _download(visit, "csv")


async def as_json(visit: Visit) -> Response:
    """Return the matching dead letters as JSON without their payloads, at most `console.export_rows_max`."""
    return await _download(visit, "json")


async def _download(visit: Visit, form: str) -> Response:
    chosen = choose(visit.request.query_params)
    if chosen.problem:
        raise SettingsError(chosen.problem)

    async def next_page(before: int | None) -> tuple[list[dict[str, Any]], int | None]:
        async def look(connection: Connection) -> tuple[list[dict[str, Any]], int | None]:
            return await redrives.list_rows(connection, chosen.filters, PAGE_ROWS, before)

        return await visit.parts.reader.run(look)

    return await download("dead-letters", form, LETTER_COLUMNS, next_page, visit.parts.settings.console.export_rows_max)


async def show_one(visit: Visit) -> Response:
    """Show one letter: its reason, its redrives and discard, and its headers and payload, masked. 404 if unknown."""
    reader, letter_id = visit.parts.reader, visit.number("id")
    found = await reader.fetch("read_letter", letter_id, package="ops")
    if not found:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    letter = found[0]
    return visit.render(
        "letter.html",
        letter=letter,
        key=show_text(letter["key"]),
        payload=show_payload(letter["value"], visit.parts.settings.console.payload_bytes_max),
        headers=show_headers(letter["header_names"], letter["header_values"]),
        redriven=await reader.fetch("list_redrives_of_letter", letter_id),
        discarded=[
            row | {"because": show_text(row["because"])} for row in await reader.fetch("read_discard", letter_id)
        ],
        because_length_max=BECAUSE_LENGTH_MAX,
    )


async def discard(visit: Visit) -> Response:
    """Discard one letter. Raises RatchetError where it is not open any more."""
    letter_id, because = visit.number("id"), visit.form.get("because", "")

    async def give_up(connection: Connection) -> Discarded:
        chosen = LetterFilter(ids=(letter_id,))
        return await redrives.discard(connection, chosen, who=visit.who, because=because, origin=visit.origin)

    given_up = await visit.parts.actions.run(give_up)
    if not given_up.ids:
        raise RatchetError(f"dead letter {letter_id} is not open any more; nothing was done")
    return visit.redirect(f"/dead-letters/{letter_id}")


async def unmask(visit: Visit) -> Response:
    """Show one letter's bytes unmasked; who looked and why is written before anything of it is shown."""
    letter_id = visit.number("id")
    because = reason_of(visit.form.get("because"), "you need the payload in clear")

    async def look(connection: Connection) -> dict[str, Any]:
        rows = await fetch(connection, "read_letter", letter_id)
        if not rows:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        await note_action(connection, visit.operator, "dead_letter.show_raw", f"dead letter {letter_id}", because)
        return rows[0]

    letter = await visit.parts.actions.run(look)
    names, values = letter["header_names"], letter["header_values"]
    return visit.render(
        "letter_clear.html",
        letter=letter,
        because=because,
        key=_clear(letter["key"]),
        payload=_clear(letter["value"]),
        headers=[(_clear(name), _clear(value)) for name, value in zip(names, values, strict=True)],
    )


def _clear(value: bytes | None) -> str:
    return "" if value is None else value.decode(errors="replace")


async def redact(visit: Visit) -> Response:
    """Replace one letter's payload by its digest, by which a copy is still known. This can't be undone."""
    letter_id = visit.number("id")
    because = reason_of(visit.form.get("because"), "the payload is erased")

    async def erase(connection: Connection) -> Redacted:
        return await letter_erasure.redact(connection, letter_id, visit.operator, because)

    await visit.parts.actions.run(erase)
    return visit.redirect(f"/dead-letters/{letter_id}")
