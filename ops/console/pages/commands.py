"""The page Commands: those that no executor answered in time, and the newest ones with their state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.console.visits import page
from ops.payloads import show_text

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit


def routes(parts: Parts) -> list[Route]:
    """Return the route of commands."""
    return [page("/commands", show, parts)]


async def show(visit: Visit) -> Response:
    """Show the commands that expired without a final answer, the oldest first, and the newest of all."""
    settings = visit.parts.settings
    most, grace = settings.console.rows_max, settings.intents.command_grace_seconds
    unanswered, newest = [
        [_masked(row) for row in await visit.parts.reader.fetch(name, most, grace)]
        for name in ("list_unanswered_commands", "list_newest_commands")
    ]
    return visit.render("commands.html", unanswered=unanswered, newest=newest, rows_max=most)


def _masked(row: dict[str, Any]) -> dict[str, Any]:
    """Return a command whose refusal, which an executor wrote as it likes, is masked as a payload is."""
    return row | {"refusal": None if row["refusal"] is None else show_text(row["refusal"])}
