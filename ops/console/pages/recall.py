"""Webhooks that did not come: in which windows, and how far the providers' own lists have been read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ops.console.visits import page

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit


def routes(parts: Parts) -> list[Route]:
    """Return the route of webhooks that did not come."""
    return [page("/recall", show, parts)]


async def show(visit: Visit) -> Response:
    """Show the windows in which webhooks did not come, the newest first, and the lists that are read."""
    reader, most = visit.parts.reader, visit.parts.settings.console.rows_max
    windows = await reader.fetch("list_lost_windows", most)
    lists = await reader.fetch("list_recall_cursors", most)
    return visit.render("recall.html", windows=windows, lists=lists, rows_max=most)
