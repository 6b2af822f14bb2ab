"""`ratchet recall`: asks a provider's own list for what never came, and for history."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group
from rich.table import Table

from ops import endpoints, recalls, server
from ops.dlq_filters import moment
from ops.dlq_options import Who, asker
from ops.operators import Operator
from ops.output import EXIT_DONE, AsJson, command, emit, say
from ops.recall_order import RecallOrder
from ops.redrive_follow import ProgressWatch
from runtime import settings as configuration
from schemas.errors import RatchetError, SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import RenderableType

    from consumer.dispatcher.recall_found import RecallFound

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
@server.by_server
def recall(  # noqa: PLR0913 - one argument an option
    *,
    provider: Annotated[str, typer.Option(help="The provider whose list is asked.")],
    since: Annotated[str, typer.Option(help="Not before this time (ISO 8601).")],
    until: Annotated[str | None, typer.Option(help="Before this time (ISO 8601); else now.")] = None,
    account: Annotated[str, typer.Option(help="The account of the endpoint, as in /webhooks/provider/account.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what it would bring.")] = False,
    because: Annotated[str, typer.Option("--because", help="Why; it is kept with who and when.")] = "",
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Ask a provider's own list for webhooks that never came, and for history; what is known costs nothing."""
    begin, end = moment(since, "--since"), moment(until, "--until") or dt.datetime.now(dt.UTC)
    assert begin is not None, "it is a required option"
    if begin >= end:
        raise SettingsError("--since must be before --until")

    def report(found: RecallFound) -> None:
        if found.pages % PAGES_A_LINE == 0:
            say(f"{found.pages:,} pages, {sum(found.new.values()):,} new events, {found.known:,} known")

    operator, asked = Operator(asker(who)), server.given()
    if asked:
        order = RecallOrder(provider.lower(), account.lower(), begin, end, dry_run, because)
        return _ask_console(asked, order, as_json=as_json)
    settings, span = endpoints.found(endpoints.load()), recalls.RecallRange(begin, end)
    found = asyncio.run(
        recalls.recall(
            settings,
            provider.lower(),
            account,
            span,
            dry_run=dry_run,
            operator=operator,
            because=because,
            report=report,
        )
    )
    emit(found.document(dry_run=dry_run), as_json=as_json, show=lambda: shown(found.document(dry_run=dry_run)))
    return EXIT_DONE


def _ask_console(asked: server.RemoteConsole, order: RecallOrder, *, as_json: bool) -> int:
    """Have the dispatcher read the list, and follow it; what it found is printed as if it had been read here."""
    number = int(asked.post("/recalls", **_fields(order))["recall"])
    say(f"recall {number}: the dispatcher reads the list; Ctrl-C leaves it at work")
    ended = _follow(asked, number)
    document = _document(ended)
    emit(document, as_json=as_json, show=lambda: shown(document))
    if ended["status"] == "done":
        return EXIT_DONE
    why = ended["error"] if ended["status"] == "failed" else f"{ended['stopped_by']} stopped it"
    raise RatchetError(f"recall {number} was not read to its end: {why}")


def _fields(order: RecallOrder) -> dict[str, Any]:
    """Return an order as `/admin/v1` takes it."""
    span = {"since": order.since.isoformat(), "until": order.until.isoformat()}
    return (
        {"provider": order.provider, "account": order.account, "dry_run": order.dry_run}
        | span
        | {"because": order.because or None}
    )


def _follow(asked: server.RemoteConsole, number: int) -> dict[str, Any]:
    """Return the reading once it has ended; raise UnavailableError where nothing moves, or answers, for too long."""
    bounds = configuration.load().redrive
    watch = ProgressWatch(bounds.follow_patience_seconds)
    while True:
        try:
            now = asked.get(f"/recalls/{number}")
        except UnavailableError as error:
            watch.miss(error)
            time.sleep(bounds.follow_interval_seconds)
            continue
        if now["ended_at"] is not None:
            return now
        pages = now["pages"]
        waited = watch.waited(pages)
        if not waited and pages and pages % PAGES_A_LINE == 0:
            say(f"{pages:,} pages, {now['new']:,} new events, {now['known']:,} known")
        if waited > bounds.follow_patience_seconds:
            raise UnavailableError(
                f"recall {number} is {now['status']} and read nothing for {bounds.follow_patience_seconds:.0f} s"
                f"{': ' + now['error'] if now['error'] else ''}; is a dispatcher at work (`ratchet status`)? "
                "It goes on when there is one"
            )
        time.sleep(bounds.follow_interval_seconds)


def _document(ended: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was found as a reading from here has it."""
    same = ("source", "dry_run", "pages", "known", "new", "history", "kinds", "secret_since")
    return {name: ended[name] for name in same} | {
        "asked_since": ended["asked_since"] or ended["since"],
        "first": ended["first_at"],
        "last": ended["last_at"],
        "recall": ended["id"],
        "status": ended["status"],
    }
