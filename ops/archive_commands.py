"""`ratchet audit archive`: old ledger rows to Parquet files, proved before they count."""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated

import typer

from ops import endpoints
from ops.archive_opening import open_archive
from ops.database import connected
from ops.dlq_options import Who, asker
from ops.operators import Operator, note_action
from ops.output import EXIT_DONE, AsJson, command, emit
from ops.seal import key_of
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from ops.archive_run import ArchivedRows
    from runtime.settings import Settings


def add_to(audit: typer.Typer) -> None:
    """Add the command to its group."""
    audit.command("archive")(archive)


@command
def archive(  # noqa: PLR0913 - one argument an option
    *,
    days: Annotated[int, typer.Option("--days", min=1, help="Archive ledger rows that are older than this.")],
    folder: Annotated[
        Path | None,
        typer.Option("--archive", metavar="DIR", help="The folder, if it is not RATCHET_AUDIT__ARCHIVE."),
    ] = None,
    seal: Annotated[
        Path | None, typer.Option("--seal", metavar="FILE", help="The newest seal: only what it covers is archived.")
    ] = None,
    seal_topic: Annotated[
        str | None, typer.Option("--seal-topic", metavar="TOPIC", help="Or the newest seal of this Kafka topic.")
    ] = None,
    who: Who = None,
    as_json: AsJson = False,
) -> int:
    """Write ledger rows older than that to Parquet files, each proved by its chains and the seal before it counts.

    A signed manifest a file (RATCHET_AUDIT__SEAL_KEY) says that it counts. Nothing is removed: `ratchet audit retain`
    may remove what is archived. Run it again at any time: it goes on where the archive ends. Needs pyarrow, the extra
    `archive`.
    """
    settings = endpoints.found(endpoints.load())
    there = folder or settings.audit.archive
    if there is None:
        raise SettingsError("where to? --archive DIR, or RATCHET_AUDIT__ARCHIVE")
    if (seal is None) == (seal_topic is None):
        raise typer.BadParameter("proved by which seal? --seal FILE or --seal-topic TOPIC")
    done = asyncio.run(_archive(settings, there, days, (seal, seal_topic), Operator(asker(who))))
    document = {**asdict(done), "folder": str(there)}
    shown = f"{done.rows:,} ledger rows in {done.files:,} files, {done.bytes:,} bytes, archived in {there}"
    emit(document, as_json=as_json, show=lambda: shown)
    return EXIT_DONE


async def _archive(
    settings: Settings, folder: Path, days: int, seal: tuple[Path | None, str | None], operator: Operator
) -> ArchivedRows:
    from ops.audit_commands import seal_of

    key = key_of(settings.audit.seal_key)
    archive = open_archive(folder, key)
    from ops.archive_run import Archiving, archive_old

    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    async with seal_of(settings, *seal) as path, connected(settings) as connection:
        assert path is not None, "one of both was given"
        await note_action(connection, operator, "ledger.archive", f"ledger rows older than {days} days", "")
        how = Archiving(before, settings.audit.archive_file_rows_max, key, path)
        return await archive_old(connection, archive, how)
