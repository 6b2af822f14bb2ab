"""The page Webhooks: windows in which none came, how far providers' lists are read, and recalls that people order."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from consumer.dispatcher.lists import with_list
from ops.console import recall_orders
from ops.console.visits import action, checked, page
from ops.dlq_filters import moment
from ops.operators import BECAUSE_LENGTH_MAX
from ops.recall_order import RecallOrder
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.recall_orders import RecallProgress
    from ops.console.visits import Visit
    from runtime.postgres import Connection

FIELDS: Final = ("provider", "account", "since", "until")


def routes(parts: Parts) -> list[Route]:
    """Return the routes of webhooks that did not come."""
    return [
        page("/recall", show, parts),
        action("/recall", start, parts),
        page("/recall/{id}", show_one, parts),
        page("/recall/{id}/live", live, parts),
        action("/recall/{id}/stop", stop, parts),
    ]


def recall_of(source: Mapping[str, str]) -> RecallOrder:
    """Return the recall that a form orders; without `until` it ends now. Raises SettingsError for a bad time."""
    text = {name: source.get(name, "").strip() for name in (*FIELDS, "because")}
    since = moment(text["since"] or None, "since")
    if since is None:
        raise SettingsError("since: say from when on, as in 2026-11-23 or 2026-11-23T14:00Z")
    return RecallOrder(
        provider=text["provider"].lower(),
        account=text["account"].lower(),
        since=since,
        until=moment(text["until"] or None, "until") or dt.datetime.now(dt.UTC),
        dry_run=checked(source, "dry_run"),
        because=" ".join(text["because"].split()),
    )


async def show(visit: Visit) -> Response:
    """Show the windows without webhooks, the lists that are read, and the newest recalls."""
    reader, most = visit.parts.reader, visit.parts.settings.console.rows_max

    async def look(connection: Connection) -> tuple[RecallProgress, ...]:
        return await recall_orders.list_recalls(connection, most)

    windows = await reader.fetch("list_lost_windows", most)
    lists = await reader.fetch("list_recall_cursors", most)
    yesterday = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    written = {"since": yesterday} | {name: visit.query(name) for name in FIELDS if visit.query(name)}
    return visit.render(
        "recall.html",
        windows=windows,
        lists=lists,
        rows_max=most,
        orders=await reader.run(look),
        written=written,
        providers=with_list(),
        because_length_max=BECAUSE_LENGTH_MAX,
    )


async def start(visit: Visit) -> Response:
    """Order a recall, which the dispatcher carries out, and redirect to its page."""
    order, open_max = recall_of(visit.form), visit.parts.settings.recall.orders_open_max

    async def write(connection: Connection) -> int:
        return await recall_orders.order_recall(connection, visit.operator, order, open_max)

    return visit.redirect(f"/recall/{await visit.parts.actions.run(write)}")


async def _look(visit: Visit) -> dict[str, Any]:
    """Return what a page shows of one order; raise 404 where there is no such one."""
    number = visit.number("id")

    async def look(connection: Connection) -> RecallProgress:
        return await recall_orders.recall_progress(connection, number)

    progress = await visit.parts.reader.find(look)
    return {"order": progress, "because_length_max": BECAUSE_LENGTH_MAX}


async def show_one(visit: Visit) -> Response:
    """Show how far a recall is and what it found."""
    return visit.render("recall_order.html", **await _look(visit))


async def live(visit: Visit) -> Response:
    """Return the part that the browser reloads."""
    return visit.render("recall_order_live.html", **await _look(visit))


async def stop(visit: Visit) -> Response:
    """Stop a recall: the dispatcher ends it before it reads the next page of the list."""
    number = visit.number("id")

    async def write(connection: Connection) -> RecallProgress:
        return await recall_orders.stop_recall(connection, visit.operator, number)

    await visit.parts.actions.run(write)
    return visit.redirect(f"/recall/{number}")
