"""Actions: who did what, on what, why, when and from where."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from ops.console.choosing import place
from ops.console.visits import page
from ops.dlq_filters import moment
from ops.operators import WHO_LENGTH_MAX, ActionFilter, ActionPage, list_actions
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit
    from runtime.postgres import Connection

FIELDS: Final = ("who", "action", "since", "until")
KINDS: Final = ("redrive", "dead_letter", "operator", "console", "ledger")
"""What an action's name begins with."""


def routes(parts: Parts) -> list[Route]:
    """Return the routes of actions."""
    return [page("/actions", show, parts)]


async def show(visit: Visit) -> Response:
    """Show what people did, the newest first; what was refused stands there too."""
    written = {name: text[:WHO_LENGTH_MAX] for name in FIELDS if (text := visit.query(name))}
    rows_max = visit.parts.settings.console.rows_max
    found, said = ActionPage((), None), ""
    try:
        filters = ActionFilter(
            who=written.get("who"),
            action=written.get("action"),
            since=moment(written.get("since"), "since"),
            until=moment(written.get("until"), "until"),
            before=place(visit.query("before")),
        )
    except SettingsError as error:
        said = str(error)
    else:

        async def look(connection: Connection) -> ActionPage:
            return await list_actions(connection, filters, rows_max)

        found = await visit.parts.reader.run(look)
    older = urlencode(written | {"before": str(found.before)}) if found.before else ""
    status = HTTPStatus.UNPROCESSABLE_ENTITY if said else HTTPStatus.OK
    return visit.render("actions.html", status, written=written, said=said, found=found, older=older, kinds=KINDS)
