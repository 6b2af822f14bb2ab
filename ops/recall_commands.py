"""`ratchet recall`: asks a provider's own list for what never came, and for history."""

from __future__ import annotations

import asyncio
import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from ops import endpoints, recalls
from ops.dlq_filters import moment
from ops.dlq_options import Who, asker
from ops.operators import Operator
from ops.output import EXIT_DONE, AsJson, command, emit, say
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

PAGES_A_LINE = 20


def shown(document: Mapping[str, Any]) -> RenderableType:
    """Return what people read of the answer."""
    verb = "would be brought" if document["dry_run"] else "are on their way to the ledger"
    table = Table("kind", "events", title=f"{document['source']}: {document['new']:,} events {verb}")
    for kind, count in document["kinds"].items():
        table.add_row(kind, f"{count:,}")
    lines = [
        f"{document['known']:,} were known; {document['pages']:,} pages since {document['asked_since']}",
        f"{document['history']:,} of the new ones are history, from before {document['secret_since']}",
    ]
    if document["first"]:
        lines.append(f"the new ones happened from {document['first']} to {document['last']}")
    return Group(table, *lines) if document["kinds"] else Group(table.title or "", *lines)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("recall")(recall)


@command
def recall(  # noqa: PLR0913 - one argument an option
    *,
    provider: Annotated[str, typer.Option(help="The provider whose list is asked.")],
    since: Annotated[str, typer.Option(help="Not before this time (ISO 8601).")],
    until: Annotated[str | None, typer.Option(help="Before this time (ISO 8601); else now.")] = None,
    account: Annotated[str, typer.Option(help="The account of the endpoint, as in /webhooks/provider/account.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what it would bring.")] = False,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Ask a provider's own list for webhooks that never came, and for history; what is known costs nothing."""
    begin, end = moment(since, "--since"), moment(until, "--until") or dt.datetime.now(dt.UTC)
    assert begin is not None, "it is a required option"
    if begin >= end:
        raise SettingsError("--since must be before --until")

    def tell(found: recalls.Found) -> None:
        if found.pages % PAGES_A_LINE == 0:
            say(f"{found.pages:,} pages, {sum(found.new.values()):,} new events, {found.known:,} known")

    settings, operator = endpoints.found(endpoints.load()), Operator(asker(who))
    span = recalls.Span(begin, end)
    found = asyncio.run(
        recalls.recall(settings, provider.lower(), account, span, dry_run=dry_run, operator=operator, tell=tell)
    )
    emit(found.document(dry_run=dry_run), as_json=as_json, show=lambda: shown(found.document(dry_run=dry_run)))
    return EXIT_DONE
