"""`ratchet dlq`: the records that could not be settled."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from ops import endpoints, redrive_commands
from ops.database import connected, fetch
from ops.dlq_filters import LetterFilter, moment
from ops.dlq_options import Ids, OfPayment, OfProvider, OfReason, Since, Until, take_in_foreign
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say
from ops.payment_commands import plain
from ops.redrives import LetterPage
from ops.redrives import list_letters as read_letters
from schemas.dead_letter import LetterStatus  # noqa: TC001 - typer reads the annotations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from runtime.settings import Settings

dlq = typer.Typer(no_args_is_help=True, help="Dead letters: records that could not be settled, byte for byte.")
redrive_commands.add_to(dlq)

PREVIEW_BYTES_MAX = 2000


async def read_list(settings: Settings, filters: LetterFilter, limit: int) -> LetterPage:
    """Return the letters that fit the filters, newest first; those that other tools made are taken in before."""
    async with connected(settings) as connection:
        await take_in_foreign(connection, settings)
        return await read_letters(connection, filters, limit)


async def read_one(settings: Settings, letter_id: int) -> dict[str, Any] | None:
    """Return one letter, or None."""
    async with connected(settings) as connection:
        rows = await fetch(connection, "read_letter", letter_id)
        return rows[0] if rows else None


def letters_table(rows: Sequence[Mapping[str, Any]], total: int) -> Table:
    """Return letters, one a row."""
    table = Table("id", "reason", "status", "what", "where", "redriven", "when", title=f"{len(rows)} of {total:,}")
    for row in rows:
        what = " ".join(str(row[name]) for name in ("source", "event_type", "event_id") if row[name])
        place = f"{row['topic']}/{row['partition']}@{row['offset']}"
        when = row["created_at"].isoformat(sep=" ", timespec="seconds")
        table.add_row(str(row["id"]), row["reason"], row["status"], Text(what), place, str(row["redrive_count"]), when)
    return table


@dlq.command("list")
@command
def list_letters(  # noqa: PLR0913 - one argument a filter
    *,
    reason: OfReason = None,
    provider: OfProvider = None,
    payment: OfPayment = None,
    since: Since = None,
    until: Until = None,
    letter_id: Ids = None,
    status: Annotated[LetterStatus | None, typer.Option(help="Only letters of this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many; `total` counts all.")] = 100,
    as_json: AsJson = False,
) -> int:
    """List dead letters, newest first; without a filter those of every status."""
    bounds = moment(since, "--since"), moment(until, "--until")
    filters = LetterFilter(reason, provider, payment, *bounds, tuple(letter_id) if letter_id else None, status)
    page = asyncio.run(read_list(endpoints.found(endpoints.load()), filters, limit))
    document = {"total": page.total, "dead_letters": [plain(row) for row in page.letters]}
    emit(document, as_json=as_json, show=lambda: letters_table(page.letters, page.total))
    return EXIT_DONE


def letter_document(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a letter with its bytes: key and value in base64, headers as text where they are text."""
    names, values = row["header_names"], row["header_values"]
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in zip(names, values, strict=True)]
    rest = {name: value for name, value in row.items() if name not in ("key", "value", "header_names", "header_values")}
    encoded = {
        f"{name}_base64": None if row[name] is None else base64.b64encode(row[name]).decode()
        for name in ("key", "value")
    }
    return plain(rest) | encoded | {"headers": headers}


def _shown(row: Mapping[str, Any], document: Mapping[str, Any]) -> RenderableType:
    table = Table(title=f"dead letter {row['id']}", show_header=False)
    for name, value in document.items():
        if name not in ("id", "headers", "key_base64", "value_base64", "digest") and value is not None:
            table.add_row(name.replace("_", " "), Text(str(value)))
    for name, value in document["headers"]:
        table.add_row(Text(name), Text(value))
    value = row["value"] or b""
    return Group(table, f"{len(value):,} bytes:", Text(value[:PREVIEW_BYTES_MAX].decode(errors="replace")))


@dlq.command("show")
@command
def show_letter(
    letter_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="The letter's id, as `dlq list` shows it.")],
    *,
    as_json: AsJson = False,
) -> int:
    """Show one dead letter: why it is here, where it came from, its headers and its bytes."""
    row = asyncio.run(read_one(endpoints.found(endpoints.load()), letter_id))
    if row is None:
        say(f"ratchet: there is no dead letter {letter_id}; `ratchet dlq list` shows those there are")
        return EXIT_PROBLEM
    document = letter_document(row)
    emit(document, as_json=as_json, show=lambda: _shown(row, document))
    return EXIT_DONE
