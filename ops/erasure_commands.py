"""`ratchet dlq redact`, `retain`: what dead letters hold goes for good."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ops import endpoints, server
from ops.database import as_owner, connected
from ops.dlq_options import Who, Yes, agreed, asker, need_consent
from ops.letter_erasure import Redacted, remove_old
from ops.letter_erasure import redact as redact_letter
from ops.operators import Operator, note_action, reason_of
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say

if TYPE_CHECKING:
    from runtime.settings import Settings

DAYS_MIN: Final = 7
"""Closed letters stay for a week at least: so long a redrive may still be looked into."""
Because = Annotated[str, typer.Option("--because", help="Why; kept with who and when.")]


async def _redact(settings: Settings, letter_id: int, operator: Operator, because: str) -> Redacted:
    async with connected(settings) as connection:
        return await redact_letter(connection, letter_id, operator, because)


def _shown(done: Redacted) -> str:
    text = f"dead letter {done.id} holds its digest alone; the DLQ topic keeps its copy until its retention ends"
    copies = ", ".join(map(str, done.copies))
    return f"{text}; the same bytes are in {copies}: redact them too" if copies else text


@command
@server.by_server
def redact(
    letter_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="The letter's id, as `dlq list` shows it.")],
    *,
    because: Because,
    yes: Yes = False,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Replace one letter's payload by its digest, for good; the row, its reason and its place stay."""
    why = reason_of(because, "the payload is erased")
    need_consent(yes=yes, as_json=as_json)
    asked, operator = server.given(), Operator(asker(who))
    settings = None if asked else endpoints.found(endpoints.load())
    if not yes and not agreed(f"the payload of dead letter {letter_id} would be gone for good", "Redact it?"):
        say("nothing was done")
        return EXIT_PROBLEM
    if settings:
        done = asyncio.run(_redact(settings, letter_id, operator, why))
    else:
        assert asked, "there are settings, or a console is asked"
        answer = asked.post(f"/dead-letters/{letter_id}/redact", because=why)
        done = Redacted(answer["id"], tuple(answer["copies"]))
    emit({"redacted": done.id, "copies": list(done.copies)}, as_json=as_json, show=lambda: _shown(done))
    return EXIT_DONE


async def _retain(settings: Settings, days: int, operator: Operator) -> int:
    async with connected(as_owner(settings, "dead letters")) as connection:
        await note_action(connection, operator, "dead_letter.retain", f"closed ones older than {days} days", "")
        return await remove_old(connection, days, settings.redrive.erased_letters_days)


@command
def retain(
    *,
    days: Annotated[int, typer.Option("--days", min=DAYS_MIN, help="Keep closed letters for this many days.")],
    yes: Yes = False,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Remove letters older than that which are not open, as the schema's owner; open ones always stay."""
    if not yes:
        say("ratchet: letters would be removed for good; say --yes")
        return EXIT_PROBLEM
    removed = asyncio.run(_retain(endpoints.found(endpoints.load()), days, Operator(asker(who))))
    emit({"removed": removed}, as_json=as_json, show=lambda: f"{removed:,} closed dead letters removed")
    return EXIT_DONE


def add_to(dlq: typer.Typer) -> None:
    """Add the commands."""
    dlq.command("redact")(redact)
    dlq.command("retain")(retain)
