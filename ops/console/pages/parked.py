"""The page Parked events: which events wait, for which reference, and until when."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from ops.console.visits import page

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit

REF_LENGTH_MAX: Final = 400


def routes(parts: Parts) -> list[Route]:
    """Return the routes of parked events."""
    return [page("/parked", show, parts)]


async def show(visit: Visit) -> Response:
    """Show parked events, the next deadline first; with a reference only those that wait for it."""
    ref, console = visit.query("q")[:REF_LENGTH_MAX], visit.parts.settings.console
    rows = await visit.parts.reader.fetch("list_parked", ref or None, console.rows_max)
    return visit.render("parked.html", ref=ref, rows=rows, now=dt.datetime.now(dt.UTC), rows_max=console.rows_max)
