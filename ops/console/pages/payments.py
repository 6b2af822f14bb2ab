"""The page Payments: found by filters or by any reference; each with its row, its picture and its timeline."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from ops.console.downloads import PAGE_ROWS, download
from ops.console.timeline import draw
from ops.console.visits import page
from ops.exports import PAYMENT_COLUMNS
from ops.payloads import phone
from ops.payment_search import (
    ANY,
    DISPUTES,
    FIELDS,
    MODES,
    STATUSES,
    list_payments,
    read_filter,
    read_place,
)
from ops.payment_timeline import FOUND_MAX
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit
    from ops.payment_search import PaymentPage, Place
    from runtime.postgres import Connection

REF_LENGTH_MAX: Final = 400
MONEY: Final = ("amount", "authorized", "captured", "refunded", "disputed")


def routes(parts: Parts) -> list[Route]:
    """Return the routes of payments."""
    return [
        page("/payments", search, parts),
        page("/payments.csv", as_csv, parts),
        page("/payments.json", as_json, parts),
        page("/payments/{ref}", show, parts),
    ]


async def search(visit: Visit) -> Response:
    """Find payments by a reference and go to it if there is one; without a reference list what matches the filters."""
    ref = visit.query("q")[:REF_LENGTH_MAX]
    if not ref:
        return await _filtered(visit)
    rows = await visit.parts.reader.fetch("find_payments", ref, FOUND_MAX, package="ops")
    if len(rows) == 1:
        return visit.redirect(f"/payments/{rows[0]['id']}")
    return _found(visit, HTTPStatus.OK if rows else HTTPStatus.NOT_FOUND, rows, ref=ref)


async def _filtered(visit: Visit) -> Response:
    """Show a page of the payments that fit, the newest first."""
    written, rows_max = _written(visit), visit.parts.settings.console.rows_max
    try:
        filters, after = read_filter(written), read_place(visit.query("after"))
    except SettingsError as error:
        return _found(visit, HTTPStatus.UNPROCESSABLE_ENTITY, (), written=written, problem=str(error))

    async def look(connection: Connection) -> PaymentPage:
        return await list_payments(connection, filters, rows_max, after)

    found = await visit.parts.reader.run(look)
    older = urlencode(written | {"after": found.after}) if found.after else ""
    return _found(visit, HTTPStatus.OK, found.payments, written=written, older=older, begins=after is None)


def _found(visit: Visit, status: HTTPStatus, rows: Sequence[Mapping[str, Any]], **more: Any) -> Response:
    written = more.get("written", {})
    shown = {"ref": "", "written": written, "problem": "", "older": "", "begins": True, "query": urlencode(written)}
    words = {"statuses": STATUSES, "disputes": (ANY, *DISPUTES), "modes": tuple(MODES)}
    return visit.render("payments.html", status, rows=rows, **(shown | words | more))


def _written(visit: Visit) -> dict[str, str]:
    return {name: text for name in FIELDS if (text := visit.query(name))}


async def as_csv(visit: Visit) -> Response:
    """Return the payments that match the filters as CSV, at most `console.export_rows_max`."""
    return await _download(visit, "csv")


async def as_json(visit: Visit) -> Response:
    """Return the payments that match the filters as JSON, at most `console.export_rows_max`."""
    return await _download(visit, "json")


async def _download(visit: Visit, form: str) -> Response:
    filters = read_filter(_written(visit))

    async def next_page(place: Place | None) -> tuple[list[dict[str, Any]], Place | None]:
        async def look(connection: Connection) -> PaymentPage:
            return await list_payments(connection, filters, PAGE_ROWS, place)

        found = await visit.parts.reader.run(look)
        return list(found.payments), read_place(found.after)

    return await download("payments", form, PAYMENT_COLUMNS, next_page, visit.parts.settings.console.export_rows_max)


async def show(visit: Visit) -> Response:
    """Show the payment that a reference finds; a list where it finds several, 404 where it finds none."""
    ref = visit.request.path_params["ref"][:REF_LENGTH_MAX]
    reader = visit.parts.reader
    found = await reader.fetch("find_payments", ref, FOUND_MAX, package="ops")
    if len(found) != 1:
        return _found(visit, HTTPStatus.OK if found else HTTPStatus.NOT_FOUND, found, ref=ref)
    payment = found[0]
    rows_max = visit.parts.settings.ops.timeline_rows_max
    rows = await reader.fetch("read_timeline", payment["id"], rows_max, package="ops")
    return visit.render(
        "payment.html",
        payment=payment,
        phone=phone(payment["phone"]),
        metadata=json.loads(payment["metadata"] or "{}"),
        money=[(name, payment[name]) for name in MONEY],
        rows=rows,
        whole=len(rows) < rows_max,
        picture=draw(rows, payment["currency"]) if rows else None,
        refs=await reader.fetch("list_payment_refs", payment["id"], visit.parts.settings.console.rows_max),
        letters=await reader.fetch("find_letters_of_payment", payment["id"], visit.parts.settings.console.rows_max),
        messages=await reader.fetch("list_messages", payment["id"]),
    )
