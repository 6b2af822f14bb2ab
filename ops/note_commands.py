"""`ratchet dlq note`, `notes`, `end-note`: what is known of dead letters, and until when nobody is called for it."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.table import Table

from ops import endpoints, letter_notes, server
from ops.database import connected
from ops.dlq_filters import moment
from ops.dlq_options import Who, asker
from ops.letter_notes import Note, Subject
from ops.operators import Operator
from ops.output import EXIT_DONE, AsJson, command, emit
from schemas.dead_letter import Reason  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from runtime.postgres import Connection

    Done = TypeVar("Done")

LISTED_MAX = 1000


async def _run(work: Callable[[Connection], Awaitable[Done]]) -> Done:
    async with connected(endpoints.found(endpoints.load())) as connection:
        return await work(connection)


@command
@server.by_server
def note(  # noqa: PLR0913 - one argument an option
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is known, as in 'ticket 123, until Friday'.")],
    *,
    until: Annotated[str, typer.Option("--until", help="When it ends (ISO 8601), within 90 days.")],
    reason: Annotated[Reason | None, typer.Option("--reason", help="The group's reason.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="The group's source, as `dlq list` has it.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="The group's kind of event.")] = None,
    redrive: Annotated[int | None, typer.Option("--redrive", min=1, help="What came back from this redrive.")] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Note what is known of a group of open dead letters, or of a redrive: its alert is silent until then."""
    subject = Subject(None if reason is None else reason.value, source, kind, redrive)
    end, operator, asked = moment(until, "--until"), Operator(asker(who)), server.given()
    if asked:
        named = {"reason": subject.reason, "source": source, "kind": kind, "redrive": redrive}
        number = int(asked.post("/notes", note=text, until=until, **named)["note"])
    else:
        number = asyncio.run(_run(lambda connection: letter_notes.add(connection, operator, subject, text, end)))
    emit({"note": number}, as_json=as_json, show=lambda: f"note {number} on {subject.text()} stands until {until}")
    return EXIT_DONE


def _table(found: Sequence[Note]) -> Table:
    table = Table("note", "on", "letters", "says", "who", "until")
    for one in found:
        about = Subject(one.reason, one.source, one.event_type, one.redrive_id).text()
        until = one.silent_until.isoformat(sep=" ", timespec="minutes")
        table.add_row(str(one.id), about, f"{one.letters:,}", one.note, one.author, until)
    return table


@command
@server.by_server
def notes(*, as_json: AsJson = False) -> int:
    """List the notes that stand, and how many open dead letters each speaks of."""
    asked = server.given()
    if asked:
        rows = asked.get("/notes", limit=LISTED_MAX)["notes"]
        found = tuple(Note(**server.revived(row)) for row in rows)
    else:
        found = asyncio.run(_run(lambda connection: letter_notes.list_notes(connection, LISTED_MAX)))
    emit({"notes": [asdict(one) for one in found]}, as_json=as_json, show=lambda: _table(found))
    return EXIT_DONE


@command
@server.by_server
def end_note(
    note_id: Annotated[int, typer.Argument(metavar="NOTE", min=1, help="Its number, as `dlq notes` shows it.")],
    *,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """End a note before its time: its dead letters call people again."""
    operator, asked = Operator(asker(who)), server.given()
    if asked:
        asked.post(f"/notes/{note_id}/end")
    else:
        asyncio.run(_run(lambda connection: letter_notes.end(connection, operator, note_id)))
    emit({"ended": note_id}, as_json=as_json, show=lambda: f"note {note_id} has ended")
    return EXIT_DONE


def add_to(dlq: typer.Typer) -> None:
    """Add the commands."""
    dlq.command("note")(note)
    dlq.command("notes")(notes)
    dlq.command("end-note")(end_note)
