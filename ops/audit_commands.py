"""`ratchet audit`: proof that the ledger is what was written."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from ops import endpoints
from ops.audit import Audit, Evidence, walk
from ops.cleaning import clean
from ops.database import as_owner, connected
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say
from ops.retention import DAYS_MIN, remove_old
from ops.seal import SealReader, SealWriter, key_of

if TYPE_CHECKING:
    from rich.console import RenderableType

    from runtime.settings import Settings

BROKEN_SHOWN_MAX: Final = 100

audit = typer.Typer(no_args_is_help=True, help="The ledger as evidence.")


@audit.callback()
def _group() -> None:
    """Prove the ledger."""


async def _verify(settings: Settings, seal: Path | None) -> tuple[Audit, SealReader | None]:
    secret = settings.audit.seal_key
    key = None if secret is None and seal is None else key_of(secret)
    reader = None if seal is None or key is None else SealReader(seal, key)
    async with connected(settings) as connection:
        return await walk(connection, BROKEN_SHOWN_MAX, Evidence(key, reader)), reader


async def _seal(settings: Settings, path: Path) -> tuple[Audit, int]:
    """Walk the ledger and write where each chain ends; nothing is written where anything is broken."""
    key = key_of(settings.audit.seal_key)
    writer = SealWriter(path, key, dt.datetime.now(dt.UTC))
    try:
        async with connected(settings) as connection:
            found = await walk(connection, BROKEN_SHOWN_MAX, Evidence(key, note=writer.add))
    except BaseException:
        writer.give_up()
        raise
    if found.ok:
        writer.finish()
    else:
        writer.give_up()
    return found, writer.payments


def _shown(found: Audit, seal: SealReader | None = None) -> RenderableType:
    if found.ok:
        sealed = f", and all that was sealed at {seal.sealed_at:%Y-%m-%d %H:%M:%S} UTC is there" if seal else ""
        return f"{found.rows:,} ledger rows: every chain holds{sealed}"
    table = Table("ledger row", "payment", "what is wrong", title=f"{found.rows:,} ledger rows: broken")
    for one in found.broken:
        table.add_row("" if one.id is None else str(one.id), str(one.payment_id or ""), one.why)
    return table


@audit.command("verify")
@command
def verify(
    *,
    seal: Annotated[
        Path | None, typer.Option("--seal", metavar="FILE", help="Also hold the ledger against this seal.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Walk the hash chain of every payment, hold its row against it, and name what is broken. Exit 1 where anything is.

    With a seal: also that no sealed row is gone or another one, but for what retention took and signed.
    """
    found, reader = asyncio.run(_verify(endpoints.found(endpoints.load()), seal))
    document = {"ok": found.ok, "rows": found.rows, "broken": [asdict(one) for one in found.broken]}
    emit(document, as_json=as_json, show=lambda: _shown(found, reader))
    return EXIT_DONE if found.ok else EXIT_PROBLEM


@audit.command("seal")
@command
def seal(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Where the seal goes; a file that is there stays.")],
    *,
    as_json: AsJson = False,
) -> int:
    """Write a signed, dated list of where every chain ends (key: RATCHET_AUDIT__SEAL_KEY). Keep it elsewhere.

    Exit 1, and no file, where the ledger does not hold by itself.
    """
    found, payments = asyncio.run(_seal(endpoints.found(endpoints.load()), path))
    document = {"ok": found.ok, "rows": found.rows, "payments": payments, "file": str(path)}
    shown = f"{payments:,} payments and {found.rows:,} ledger rows sealed in {path}"
    emit(document, as_json=as_json, show=lambda: shown if found.ok else _shown(found))
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

    With RATCHET_AUDIT__SEAL_KEY the anchors are signed, so that a seal of before still verifies.
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
        secret = settings.audit.seal_key
        removed = {"removed": await remove_old(connection, days, now, key_of(secret) if secret else None)}
        return removed | await clean(connection, settings.retention, now)
