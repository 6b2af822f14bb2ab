"""The page Notes: what people noted on dead letters, and until when alerts about them are silent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops import letter_notes
from ops.console.visits import action, page
from ops.dlq_filters import moment
from ops.letter_notes import Subject
from ops.operators import BECAUSE_LENGTH_MAX
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit
    from ops.letter_notes import Note
    from runtime.postgres import Connection

FIELDS: Final = ("reason", "source", "kind", "redrive")
DIGITS_MAX: Final = 18


def routes(parts: Parts) -> list[Route]:
    """Return the routes of notes."""
    return [page("/notes", show, parts), action("/notes", add, parts), action("/notes/{id}/end", end, parts)]


def subject_of(source: Mapping[str, str]) -> Subject:
    """Return the dead letters that a form or query is about. Raises SettingsError where `redrive` is no number."""
    text = {name: source[name].strip() for name in FIELDS if source.get(name, "").strip()}
    redrive = text.get("redrive")
    if redrive is not None and not (redrive.isascii() and redrive.isdigit() and len(redrive) <= DIGITS_MAX):
        raise SettingsError(f"redrive: {redrive[:40]!r} is no number")
    return Subject(text.get("reason"), text.get("source"), text.get("kind"), None if redrive is None else int(redrive))


async def show(visit: Visit) -> Response:
    """Show the notes in force; with a subject in the query also the form for a new one."""
    most = visit.parts.settings.console.rows_max

    async def look(connection: Connection) -> tuple[Note, ...]:
        return await letter_notes.list_notes(connection, most)

    written = {name: visit.query(name) for name in FIELDS if visit.query(name)}
    subject = subject_of(written) if written else None
    return visit.render(
        "notes.html",
        found=await visit.parts.reader.run(look),
        written=written,
        subject=subject,
        note_length_max=BECAUSE_LENGTH_MAX,
        days_max=letter_notes.DAYS_MAX,
    )


async def add(visit: Visit) -> Response:
    """Write a note."""
    subject, until = subject_of(visit.form), moment(visit.form.get("until", "").strip() or None, "until")
    text = visit.form.get("note", "")

    async def write(connection: Connection) -> int:
        return await letter_notes.add(connection, visit.operator, subject, text, until)

    await visit.parts.actions.run(write)
    return visit.redirect("/notes")


async def end(visit: Visit) -> Response:
    """End a note before its time."""
    number = visit.number("id")

    async def write(connection: Connection) -> None:
        await letter_notes.end(connection, visit.operator, number)

    await visit.parts.actions.run(write)
    return visit.redirect("/notes")
