"""`ratchet audit`: proof that the ledger is what was written."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import typer
from rich.table import Table

from ops import endpoints
from ops.audit import Audit, walk
from ops.database import connected
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit

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
