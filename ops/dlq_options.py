"""What the commands of `ratchet dlq` share: the options that choose letters, who asks, and whether people agree."""

from __future__ import annotations

import getpass
import socket
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ops import server
from ops.dlq_filters import LetterFilter, moment
from ops.output import out, say
from runtime import settings as configuration
from schemas.dead_letter import Reason
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from runtime.postgres import Connection
    from runtime.settings import Settings

OfReason = Annotated[Reason | None, typer.Option("--reason", help="Only letters with this reason.")]
OfProvider = Annotated[str | None, typer.Option("--provider", help="Only letters of this provider.")]
OfKind = Annotated[str | None, typer.Option("--kind", help="Only letters of this kind of event.")]
OfMessage = Annotated[str | None, typer.Option("--message", help="Only letters whose message has this in it.")]
OfPayment = Annotated[
    str | None, typer.Option("--payment", help="Only letters with this payment reference or event id.")
]
Since = Annotated[str | None, typer.Option("--since", help="Not before this time (ISO 8601).")]
Until = Annotated[str | None, typer.Option("--until", help="Before this time (ISO 8601).")]
Ids = Annotated[list[int] | None, typer.Option("--id", help="Only this letter; may be repeated.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Only the oldest so many of the letters that fit.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
Who = Annotated[
    str | None,
    typer.Option("--who", help="Who asks for it, for the audit; else RATCHET_OPERATOR, else the user and the host."),
]


def chosen(  # noqa: PLR0913 - one argument a filter
    *,
    reason: Reason | None,
    provider: str | None,
    payment: str | None,
    since: str | None,
    until: str | None,
    ids: list[int] | None,
    limit: int | None,
) -> LetterFilter:
    """Return the filter that the options mean; raise SettingsError for a time that is none."""
    return LetterFilter(
        reason=reason,
        provider=provider,
        payment=payment,
        since=moment(since, "--since"),
        until=moment(until, "--until"),
        ids=tuple(ids) if ids else None,
        limit=limit,
    )


def asker(who: str | None) -> str:
    """Return who asks: as given, as RATCHET_OPERATOR names them, or the user and the host.

    Raises SettingsError where somebody is named and a console is asked: there the token says who it is.
    """
    if who is not None and server.given() is not None:
        raise SettingsError("--who: the token says who asks; leave it out with --server")
    named = who if who is not None else configuration.load().operator
    if named is not None:
        return named
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def need_consent(*, yes: bool, as_json: bool) -> None:
    """Raise SettingsError where nobody consented and nobody can be asked."""
    if not yes and (as_json or not (sys.stdin.isatty() and sys.stdout.isatty())):
        raise SettingsError("nobody can be asked here; say --yes to do it, or look first with --dry-run or `dlq list`")


def agreed(shown: RenderableType, question: str) -> bool:
    """Show what is about to happen, and ask."""
    out().print(shown)
    return typer.confirm(question, default=False)


async def take_in_foreign(connection: Connection, settings: Settings) -> None:
    """Take in what other tools put into the DLQ topic, and say so; Kafka away keeps nobody from the table."""
    from ops.dlq_rebuild import take_in

    name = settings.kafka.topics.dlq.name
    try:
        found = await take_in(connection, settings)
    except RatchetError as error:
        say(f"ratchet: {name} was not looked through for letters of other tools: {error}")
        return
    if found.made_anew:
        say(f"ratchet: {name} was deleted and made anew since the last look; it is read from its beginning")
    if found.added:
        say(f"ratchet: took in {found.added} letters that other tools put into {name}")
    if found.unknown_ours:
        say(f"ratchet: {name} holds {found.unknown_ours} letters that the table lost; see `ratchet dlq rebuild`")
    if not found.complete:
        say(f"ratchet: {name} holds more than was looked through; `ratchet dlq rebuild` reads all of it")
