"""Commands that nobody answered in time, and what became of the newest ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.console.visits import page

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit


def routes(parts: Parts) -> list[Route]:
    """Return the route of commands."""
    return [page("/commands", show, parts)]


async def show(visit: Visit) -> Response:
    """Show the commands that expired without an answer that ends them, the oldest first, and the newest of all."""
    settings = visit.parts.settings
    most, grace = settings.console.rows_max, settings.intents.command_grace_seconds
    unanswered = await visit.parts.reader.fetch("list_unanswered_commands", most, grace)
    newest = await visit.parts.reader.fetch("list_newest_commands", most, grace)
    return visit.render("commands.html", unanswered=unanswered, newest=newest, rows_max=most)
