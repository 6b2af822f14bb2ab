"""Payments: found by any of their names, each with its row, its picture and its ledger."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ops.console.timeline import draw
from ops.console.visits import page
from ops.payloads import phone
from ops.payment_commands import FOUND_MAX

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from ops.console.parts import Parts
    from ops.console.visits import Visit

REF_LENGTH_MAX: Final = 400
MONEY: Final = ("amount", "authorized", "captured", "refunded", "disputed")


def routes(parts: Parts) -> list[Route]:
    """Return the routes of payments."""
    return [page("/payments", search, parts), page("/payments/{ref}", show, parts)]


async def search(visit: Visit) -> Response:
    """Find payments by a name, and go to the only one; without a name show the newest."""
    ref = visit.query("q")[:REF_LENGTH_MAX]
    reader = visit.parts.reader
    if not ref:
        rows = await reader.fetch("list_newest_payments", visit.parts.settings.console.rows_max)
        return visit.render("payments.html", ref="", rows=rows)
    rows = await reader.fetch("find_payments", ref, FOUND_MAX, package="ops")
    if len(rows) == 1:
        return visit.redirect(f"/payments/{rows[0]['id']}")
    return visit.render("payments.html", HTTPStatus.OK if rows else HTTPStatus.NOT_FOUND, ref=ref, rows=rows)


async def show(visit: Visit) -> Response:
    """Show one payment; a merged one as what it became."""
    ref = visit.request.path_params["ref"][:REF_LENGTH_MAX]
    reader = visit.parts.reader
    found = await reader.fetch("find_payments", ref, FOUND_MAX, package="ops")
    if len(found) != 1:
        return visit.render("payments.html", HTTPStatus.OK if found else HTTPStatus.NOT_FOUND, ref=ref, rows=found)
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
        names=await reader.fetch("list_payment_names", payment["id"], visit.parts.settings.console.rows_max),
        letters=await reader.fetch("find_letters_of_payment", payment["id"], visit.parts.settings.console.rows_max),
        messages=await reader.fetch("list_messages", payment["id"]),
    )
