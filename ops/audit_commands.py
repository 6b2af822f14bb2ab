"""`ratchet audit`: proof that the ledger is what was written."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from ops import endpoints
from ops.audit import Audit, walk
from ops.cleaning import clean
from ops.database import as_owner, connected
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say
from ops.retention import DAYS_MIN, remove_old

if TYPE_CHECKING:
    from rich.console import RenderableType

    from runtime.settings import Settings

BROKEN_SHOWN_MAX: Final = 100

audit = typer.Typer(no_args_is_help=True, help="The ledger as evidence.")


@audit.callback()
def _group() -> None:
    """Prove the ledger."""


async def _verify(settings: Settings) -> Audit:
    async with connected(settings) as connection:
        return await walk(connection, BROKEN_SHOWN_MAX)


def _shown(found: Audit) -> RenderableType:
    if found.ok:
        return f"{found.rows:,} ledger rows: every chain holds"
    table = Table("ledger row", "payment", "what is wrong", title=f"{found.rows:,} ledger rows: broken")
    for one in found.broken:
        table.add_row("" if one.id is None else str(one.id), str(one.payment_id or ""), one.why)
    return table


@audit.command("verify")
@command
def verify(*, as_json: AsJson = False) -> int:
    """Walk the hash chain of every payment and name what is broken. Exit 1 where anything is."""
    found = asyncio.run(_verify(endpoints.found(endpoints.load())))
    broken = [asdict(one) for one in found.broken]
    document = {"ok": found.ok, "rows": found.rows, "broken": broken}
    emit(document, as_json=as_json, show=lambda: _shown(found))
    return EXIT_DONE if found.ok else EXIT_PROBLEM


@audit.command("retain")
@command
def retain(
    *,
    days: Annotated[int, typer.Option("--days", min=DAYS_MIN, help="Keep this many days of ledger rows.")],
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it nothing is done.")] = False,
    as_json: AsJson = False,
) -> int:
    """Remove ledger rows older than that, as the schema's owner, and leave anchors by which the rest is proved.

    Old text messages, refetches and claims on bodies go too (RATCHET_RETENTION__SMS_DAYS, __REFETCHES_DAYS).
    """
    if not yes:
        say("ratchet: rows would be removed for good; say --yes")
        return EXIT_PROBLEM
    removed = asyncio.run(_retain(endpoints.found(endpoints.load()), days))
    said = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in removed.items())
    emit(removed, as_json=as_json, show=lambda: f"removed: {said}")
    return EXIT_DONE


async def _retain(settings: Settings, days: int) -> dict[str, int]:
    async with connected(as_owner(settings, "ledger rows")) as connection:
        now = dt.datetime.now(dt.UTC)
        removed = {"removed": await remove_old(connection, days, now)}
        return removed | await clean(connection, settings.retention, now)
