"""`ratchet payment`: one payment's row and its timeline, for people who answer for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Group
from rich.table import Table

from ops import endpoints, server
from ops.database import connected
from ops.documents import major
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say
from ops.payment_search import PaymentPage, list_payments, read_filter, read_place
from ops.payment_timeline import PaymentTimeline, answer, find, page_document, read_timelines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from ops.payment_search import PaymentFilter, Place
    from ops.server import RemoteConsole
    from runtime.settings import Settings

IDENTITY: Final = ("provider", "account", "merchant_account", "provider_ref", "client", "reference")
OUTCOMES: Final = {
    "applied": "changed the payment",
    "noop": "nothing new",
    "late": "older than what was known",
    "conflict": "contradicts what is known",
}


def payment_table(payment: Mapping[str, Any]) -> Table:
    """Return how a payment stands."""
    test = "" if payment["livemode"] else " (test money)"
    table = Table(title=f"payment {payment['id']}{test}", show_header=False)
    currency = payment["currency"]
    for name in ("status", "refund_status", "dispute_status"):
        table.add_row(name.replace("_", " "), payment[name])
    for name in ("amount", "authorized", "captured", "refunded", "disputed"):
        table.add_row(name, major(payment[name], currency))
    if payment["flags"]:
        table.add_row("does not add up", ", ".join(payment["flags"]))
    for name in (*IDENTITY, "intent_id", "metadata", "created_at", "updated_at"):
        if payment[name]:
            table.add_row(name.replace("_", " "), str(payment[name]))
    return table


def payments_table(title: str, payments: Sequence[Mapping[str, Any]]) -> Table:
    """Return several payments, one a line."""
    table = Table("payment", "provider", "provider's id", "status", "captured", "does not add up", title=title)
    for one in payments:
        status = one["status"] if one["livemode"] else f"{one['status']} (test)"
        table.add_row(
            str(one["id"]),
            "/".join(filter(None, (one["provider"], one["account"], one["merchant_account"]))),
            one["provider_ref"] or "",
            status,
            major(one["captured"], one["currency"]),
            ", ".join(one["flags"]),
        )
    return table


def timeline_table(rows: Sequence[Mapping[str, Any]], currency: str | None) -> Table:
    """Return a payment's timeline: when, what, with which outcome, from where to where, how much."""
    table = Table("when", "what happened", "outcome", "status", "amount", "version", "event")
    for row in rows:
        moved = row["from_status"] != row["to_status"]
        status = f"{row['from_status'] or 'new'} -> {row['to_status']}" if moved else row["to_status"] or ""
        table.add_row(
            (row["occurred_at"] or row["recorded_at"]).isoformat(sep=" ", timespec="seconds"),
            row["event_type"],
            OUTCOMES[row["outcome"]],
            status,
            major(row["amount"], currency),
            str(row["version"] or ""),
            f"{row['source']} {row['event_id']}",
        )
    return table


payment = typer.Typer(no_args_is_help=True, help="Payments, one by one.")


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(payment, name="payment")


@payment.callback()
def _group() -> None:
    """Payments, one by one."""


@payment.command("show")
@command
@server.by_server
def show(
    ref: Annotated[str, typer.Argument(help="Payment id, a provider's id (payment, charge, refund, ..), a reference.")],
    *,
    as_json: AsJson = False,
) -> int:
    """Show a payment, its attempts and its whole timeline; of several under one reference a line each.

    As JSON each of several has its timeline too. Exit 1 where nothing has that name.
    """
    asked = server.given()
    found = _ask_for(asked, ref) if asked else asyncio.run(_read(endpoints.found(endpoints.load()), ref))
    if not found:
        say(f"ratchet: no payment {ref!r}")
        return EXIT_PROBLEM
    if len(found) > 1:
        title = f"payments under {ref!r}"
        emit(answer(found), as_json=as_json, show=lambda: payments_table(title, [one.payment for one in found]))
        return EXIT_DONE
    (one,) = found

    def shown() -> RenderableType:
        attempted = [payments_table("attempts", one.attempts)] if one.attempts else []
        return Group(payment_table(one.payment), *attempted, timeline_table(one.timeline, one.payment["currency"]))

    emit(answer(found), as_json=as_json, show=shown)
    return EXIT_DONE


@payment.command("list")
@command
@server.by_server
def list_found(  # noqa: PLR0913 - one argument a filter
    *,
    status: Annotated[str | None, typer.Option(help="Only payments of this status.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only payments of this provider.")] = None,
    account: Annotated[str | None, typer.Option(help="Only payments of this account.")] = None,
    mode: Annotated[str | None, typer.Option(help="Only live or only test money.")] = None,
    dispute: Annotated[str | None, typer.Option(help="Only payments with this dispute status, or any.")] = None,
    amount: Annotated[str | None, typer.Option(help="Only payments of this amount, as in '12.50 EUR'.")] = None,
    client: Annotated[str | None, typer.Option(help="Only payments of this client.")] = None,
    reference: Annotated[str | None, typer.Option(help="Only payments with this reference.")] = None,
    since: Annotated[str | None, typer.Option(help="Created not before this time (ISO 8601).")] = None,
    until: Annotated[str | None, typer.Option(help="Created before this time (ISO 8601).")] = None,
    after: Annotated[str | None, typer.Option(help="Go on where a page ended: its `after`.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    as_json: AsJson = False,
) -> int:
    """List payments that fit, the newest first by when they were created."""
    written = {"status": status, "provider": provider, "account": account, "mode": mode, "dispute": dispute,
               "amount": amount, "client": client, "reference": reference, "since": since, "until": until}  # fmt: skip
    meant = {name: text for name, text in written.items() if text}
    filters, place, asked = read_filter(meant), read_place(after), server.given()
    if asked:
        page = asked.pages("/payments", "payments", "after", limit, meant, after)
        found = PaymentPage(tuple(server.revived(row) for row in page["payments"]), page["after"])
    else:
        found = asyncio.run(find_page(endpoints.found(endpoints.load()), filters, limit, place))
    title = f"{len(found.payments)} payments" + (f", older ones: --after {found.after}" if found.after else "")
    emit(page_document(found), as_json=as_json, show=lambda: payments_table(title, found.payments))
    return EXIT_DONE


async def find_page(settings: Settings, filters: PaymentFilter, limit: int, after: Place | None) -> PaymentPage:
    """Return a page of the payments that fit."""
    async with connected(settings) as connection:
        return await list_payments(connection, filters, limit, after)


async def _read(settings: Settings, ref: str) -> list[PaymentTimeline]:
    found = await find(settings, ref)
    return await read_timelines(settings, _named(found)) if found else []


def _ask_for(asked: RemoteConsole, ref: str) -> list[PaymentTimeline]:
    """Return what a console says of the payments that a name means; nothing where it knows none."""
    document = asked.find(f"/payments/{server.named(ref)}")
    by_id = {one["payment"]["id"]: one for one in document["payments"]} if document else {}
    meant = _named([one["payment"] for one in by_id.values()]) if by_id else []
    return [_revived(by_id[one["id"]]) for one in meant]


def _revived(one: Mapping[str, Any]) -> PaymentTimeline:
    timeline, attempted = (tuple(map(server.revived, one.get(name, ()))) for name in ("timeline", "attempts"))
    return PaymentTimeline(server.revived(one["payment"]), timeline, attempted)


def _named(found: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Return the payments that a name means: where it is an intent with nothing but its own attempts, the intent."""
    intent, *rest = found
    return found if any(one["intent_id"] != intent["id"] for one in rest) else [intent]
