"""The page Actions: who did what, on what, why, when and from which address; rows of `operator_actions`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ops.console.choosing import place
from ops.console.downloads import PAGE_ROWS, download
from ops.console.visits import page
from ops.dlq_filters import moment
from ops.exports import ACTION_COLUMNS
from ops.operators import WHO_LENGTH_MAX, ActionFilter, ActionPage, list_actions
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit
    from runtime.postgres import Connection

FIELDS: Final = ("who", "action", "since", "until")
KINDS: Final = ("redrive", "dead_letter", "recall", "operator", "console", "ledger")
"""The filter's choices: what an action's name begins with."""


def routes(parts: Parts) -> list[Route]:
    """Return the routes of actions."""
    return [
        page("/actions", show, parts),
        page("/actions.csv", as_csv, parts),
        page("/actions.json", as_json, parts),
    ]


def _written(visit: Visit) -> dict[str, str]:
    return {name: text[:WHO_LENGTH_MAX] for name in FIELDS if (text := visit.query(name))}


def _filter(written: dict[str, str], before: int | None) -> ActionFilter:
    """Return what a query means; raise SettingsError for a time that is none."""
    return ActionFilter(
        who=written.get("who"),
        action=written.get("action"),
        since=moment(written.get("since"), "since"),
        until=moment(written.get("until"), "until"),
        before=before,
    )


async def show(visit: Visit) -> Response:
    """Show what people did and what they were refused, the newest first."""
    written, rows_max = _written(visit), visit.parts.settings.console.rows_max
    found, wrong = ActionPage((), None), ""
    try:
        filters = _filter(written, place(visit.query("before")))
    except SettingsError as error:
        wrong = str(error)
    else:

        async def look(connection: Connection) -> ActionPage:
            return await list_actions(connection, filters, rows_max)

        found = await visit.parts.reader.run(look)
    shown = {
        "written": written,
        "wrong": wrong,
        "found": found,
        "older": urlencode(written | {"before": str(found.before)}) if found.before else "",
        "query": urlencode(written),
        "kinds": KINDS,
    }
    return visit.render("actions.html", HTTPStatus.UNPROCESSABLE_ENTITY if wrong else HTTPStatus.OK, **shown)


async def as_csv(visit: Visit) -> Response:
    """Return the actions that match the filter as CSV, at most `console.export_rows_max`."""
    return await _download(visit, "csv")


async def as_json(visit: Visit) -> Response:
    """Return the actions that match the filter as JSON, at most `console.export_rows_max`."""
    return await _download(visit, "json")


async def _download(visit: Visit, form: str) -> Response:
    written = _written(visit)
    _filter(written, None)

    async def next_page(before: int | None) -> tuple[list[dict[str, Any]], int | None]:
        async def look(connection: Connection) -> ActionPage:
            return await list_actions(connection, _filter(written, before), PAGE_ROWS)

        found = await visit.parts.reader.run(look)
        return list(found.actions), found.before

    return await download("actions", form, ACTION_COLUMNS, next_page, visit.parts.settings.console.export_rows_max)
