"""`ratchet dlq`: the records that could not be processed."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from ops import endpoints, erasure_commands, note_commands, redrive_commands, server
from ops.database import connected, fetch
from ops.dlq_filters import LetterFilter, moment
from ops.dlq_options import Ids, OfKind, OfMessage, OfPayment, OfProvider, OfReason, Since, Until, Who, asker
from ops.documents import letter_document, plain, raw_document
from ops.operators import Operator, note_action, reason_of
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say
from ops.redrives import LetterPage
from ops.redrives import list_letters as read_letters
from schemas.dead_letter import LetterStatus  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from ops.server import RemoteConsole
    from runtime.settings import Settings

dlq = typer.Typer(no_args_is_help=True, help="Dead letters: records that could not be processed, byte for byte.")


redrive_commands.add_to(dlq)
erasure_commands.add_to(dlq)
note_commands.add_to(dlq)

PREVIEW_LENGTH_MAX = 2000


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(dlq, name="dlq")


async def read_list(settings: Settings, filters: LetterFilter, limit: int) -> LetterPage:
    """Return the letters that fit the filters, newest first; reads the table alone, and writes nothing."""
    async with connected(settings) as connection:
        return await read_letters(connection, filters, limit)


async def read_one(
    settings: Settings, letter_id: int, *, operator: Operator, because: str | None = None
) -> dict[str, Any] | None:
    """Return one letter, or None; with a reason it is written down first that somebody looks at it in clear."""
    async with connected(settings) as connection:
        rows = await fetch(connection, "read_letter", letter_id)
        if rows and because is not None:
            await note_action(connection, operator, "dead_letter.show_raw", f"dead letter {letter_id}", because)
        return rows[0] if rows else None


def _ask_for(asked: RemoteConsole, filters: LetterFilter, limit: int) -> LetterPage:
    """Return the same letters as a console has them."""
    answer = asked.pages("/dead-letters", "dead_letters", "before", limit, server.filter_fields(filters))
    return LetterPage(answer["total"], tuple(map(server.revived, answer["dead_letters"])), answer["before"])


def letters_table(rows: Sequence[Mapping[str, Any]], total: int) -> Table:
    """Return letters, one a row."""
    table = Table("id", "reason", "status", "what", "where", "redriven", "when", title=f"{len(rows)} of {total:,}")
    for row in rows:
        what = " ".join(str(row[name]) for name in ("source", "event_type", "event_id") if row[name])
        place = f"{row['topic']}/{row['partition']}@{row['offset']}"
        when = row["created_at"].isoformat(sep=" ", timespec="seconds")
        table.add_row(str(row["id"]), row["reason"], row["status"], what, place, str(row["redrive_count"]), when)
    return table


@dlq.command("list")
@command
@server.by_server
def list_letters(  # noqa: PLR0913 - one argument a filter
    *,
    reason: OfReason = None,
    provider: OfProvider = None,
    payment: OfPayment = None,
    kind: OfKind = None,
    message: OfMessage = None,
    since: Since = None,
    until: Until = None,
    letter_id: Ids = None,
    status: Annotated[LetterStatus | None, typer.Option(help="Only letters of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many; `total` counts all.")] = 100,
    as_json: AsJson = False,
) -> int:
    """List dead letters, newest first; without a filter those of every status.

    Only reads. What other tools put into the DLQ topic is here after `ratchet dlq rebuild` or a redrive.
    """
    bounds = moment(since, "--since"), moment(until, "--until")
    filters = LetterFilter(reason, provider, payment, *bounds, tuple(letter_id) if letter_id else None, status,
                           message=message, kind=kind)  # fmt: skip
    asked = server.given()
    page = (
        _ask_for(asked, filters, limit)
        if asked
        else asyncio.run(read_list(endpoints.found(endpoints.load()), filters, limit))
    )
    document = {"total": page.total, "dead_letters": [plain(row) for row in page.letters]}
    emit(document, as_json=as_json, show=lambda: letters_table(page.letters, page.total))
    return EXIT_DONE


def _shown(document: Mapping[str, Any]) -> RenderableType:
    table = Table(title=f"dead letter {document['id']}", show_header=False)
    hidden = ("id", "headers", "payload", "key_base64", "value_base64", "digest")
    for name, value in document.items():
        if name not in hidden and value is not None:
            table.add_row(name.replace("_", " "), str(value))
    for name, value in document["headers"]:
        table.add_row(name, value)
    if "payload" in document:
        text, length = document["payload"]["text"], document["payload"]["bytes_total"]
    else:
        value = base64.b64decode(document["value_base64"] or "")
        text, length = value.decode(errors="replace"), len(value)
    return Group(table, f"{length:,} bytes:", text[:PREVIEW_LENGTH_MAX])


@dlq.command("show")
@command
@server.by_server
def show_letter(
    letter_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="The letter's id, as `dlq list` shows it.")],
    *,
    raw: Annotated[bool, typer.Option("--raw", help="Its bytes as they came; needs --because.")] = False,
    because: Annotated[str | None, typer.Option("--because", help="Why you need them; kept with who and when.")] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Show one dead letter: why it is here, where it came from, its headers and its payload, masked."""
    why = reason_of(because, "you need the bytes as they came (--because)") if raw else None
    operator = Operator(asker(who))
    asked = server.given()
    document = (
        _ask_for_one(asked, letter_id, why)
        if asked
        else asyncio.run(_read_document(endpoints.found(endpoints.load()), letter_id, operator, why))
    )
    if document is None:
        say(f"ratchet: there is no dead letter {letter_id}; `ratchet dlq list` shows those there are")
        return EXIT_PROBLEM
    emit(document, as_json=as_json, show=lambda: _shown(document))
    return EXIT_DONE


def _ask_for_one(asked: RemoteConsole, letter_id: int, because: str | None) -> dict[str, Any] | None:
    path = f"/dead-letters/{letter_id}"
    return asked.find(path) if because is None else asked.find(f"{path}/unmask", because=because)


async def _read_document(
    settings: Settings, letter_id: int, operator: Operator, because: str | None
) -> dict[str, Any] | None:
    row = await read_one(settings, letter_id, operator=operator, because=because)
    return None if row is None else letter_document(row) if because is None else raw_document(row)
