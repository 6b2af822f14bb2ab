"""`ratchet payment`: one payment's row and its story, for people who answer for it."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.console import Group
from rich.table import Table

from ops import endpoints
from ops.database import connected, fetch
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say
from schemas.currencies import exponent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from runtime.settings import Settings

FOUND_MAX: Final = 20
"""Payments that one reference may name before we stop listing them."""
OUTCOMES: Final = {
    "applied": "changed the payment",
    "noop": "nothing new",
    "late": "older than what was known",
    "conflict": "contradicts what is known",
}


def major(amount: int | None, currency: str | None) -> str:
    """Return an amount in the currency's own units, as in 12.50 EUR; empty for None."""
    if amount is None:
        return ""
    digits = exponent(currency or "")
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f} {currency or ''}".strip()


def plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as JSON takes it: bytes in hex, jsonb as what it holds, everything else by its text."""
    shown: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, bytes):
            shown[name] = value.hex()
        elif name == "facts" and isinstance(value, str):
            shown[name] = json.loads(value)
        else:
            shown[name] = value if value is None or isinstance(value, int | float | str | bool) else str(value)
    return shown


async def find(settings: Settings, ref: str) -> list[dict[str, Any]]:
    """Return the payments that a reference names, merged ones as what they became."""
    async with connected(settings) as connection:
        return await fetch(connection, "find_payments", ref, FOUND_MAX)


async def timeline(settings: Settings, payment_id: Any) -> list[dict[str, Any]]:
    """Return the ledger rows of a payment and of those merged into it, oldest first."""
    async with connected(settings) as connection:
        return await fetch(connection, "read_timeline", payment_id, settings.ops.timeline_rows_max)


def payment_table(payment: Mapping[str, Any]) -> Table:
    """Return how a payment stands."""
    table = Table(title=f"payment {payment['id']}", show_header=False)
    currency = payment["currency"]
    for name in ("status", "refund_status", "dispute_status"):
        table.add_row(name.replace("_", " "), payment[name])
    for name in ("amount", "authorized", "captured", "refunded", "disputed"):
        table.add_row(name, major(payment[name], currency))
    for name in ("provider", "account", "provider_ref", "client", "reference", "created_at", "updated_at"):
        if payment[name]:
            table.add_row(name.replace("_", " "), str(payment[name]))
    return table


def timeline_table(rows: Sequence[Mapping[str, Any]], currency: str | None) -> Table:
    """Return a payment's story: when, what, with which outcome, from where to where, how much."""
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


@payment.callback()
def _group() -> None:
    """Payments, one by one."""


@payment.command("show")
@command
def show(
    ref: Annotated[str, typer.Argument(help="Payment id, a provider's id (payment, charge, refund, ..), a reference.")],
    *,
    as_json: AsJson = False,
) -> int:
    """Show a payment and its whole timeline. Exit 1 where nothing, or more than one payment, has that name."""
    settings = endpoints.found(endpoints.load())
    found = asyncio.run(find(settings, ref))
    if len(found) != 1:
        ids = ", ".join(f"{one['id']} ({one['provider']})" for one in found)
        say(f"ratchet: {ref!r} names several payments: {ids}; ask by id" if found else f"ratchet: no payment {ref!r}")
        return EXIT_PROBLEM
    row, rows = found[0], asyncio.run(timeline(settings, found[0]["id"]))

    def shown() -> RenderableType:
        return Group(payment_table(row), timeline_table(rows, row["currency"]))

    emit({"payment": plain(row), "timeline": [plain(one) for one in rows]}, as_json=as_json, show=shown)
    return EXIT_DONE
