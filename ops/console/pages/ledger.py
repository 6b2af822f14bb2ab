"""The page Ledger: runs the reconciliation when somebody asks for it, and shows its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ops.console.visits import action, page

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit


def routes(parts: Parts) -> list[Route]:
    """Return the routes of the ledger."""
    return [
        page("/ledger", show, parts),
        page("/ledger/live", live, parts),
        action("/ledger/check", check, parts),
    ]


def context(visit: Visit) -> dict[str, Any]:
    """Return the template's values: the last result, and whether a check runs."""
    ledger = visit.parts.ledger
    return {"result": ledger.result, "running": ledger.running_seconds, "look": visit.parts.poller.newest}


async def show(visit: Visit) -> Response:
    """Show the last result, and offer a new check."""
    visit.parts.poller.watched()
    return visit.render("ledger.html", **context(visit))


async def live(visit: Visit) -> Response:
    """Return the part that the browser reloads while a check runs."""
    return visit.render("ledger_live.html", **context(visit))


async def check(visit: Visit) -> Response:
    """Begin a check, unless one runs already."""
    visit.parts.ledger.start()
    return visit.redirect("/ledger")
