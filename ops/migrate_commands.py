"""`ratchet migrate`: the schema's history."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ops import endpoints
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.migrations import MigrationStatus

migrate = typer.Typer(no_args_is_help=True, help="The database's schema; needs RATCHET_POSTGRES__OWNER_DSN.")


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(migrate, name="migrate")


async def _up(owner_dsn: str, app_role: str) -> list[str]:
    from producers.relay.rebase import rebase_if_restored
    from runtime.migrations import migrate_up

    titles = await migrate_up(owner_dsn, app_role)
    await rebase_if_restored(owner_dsn)
    return list(titles)


def _shown(titles: Sequence[str], done: str) -> str:
    return "\n".join(f"{done} {title}" for title in titles) or "nothing to do"


@migrate.command("up")
@command
def up(*, as_json: AsJson = False) -> int:
    """Apply every migration that is pending, and set the grants of the application's role.

    A database that was restored from a dump is rebased too.
    """
    settings = endpoints.found(endpoints.load())
    titles = asyncio.run(_up(endpoints.owner_dsn(settings), endpoints.app_role(settings)))
    emit({"applied": titles}, as_json=as_json, show=lambda: _shown(titles, "applied"))
    return EXIT_DONE


@migrate.command("down")
@command
def down(
    *,
    steps: Annotated[int, typer.Option(min=1, help="How many migrations to undo, the newest first.")] = 1,
    as_json: AsJson = False,
) -> int:
    """Undo the newest migrations. What their tables hold is gone."""
    from runtime.migrations import migrate_down

    settings = endpoints.found(endpoints.load())
    titles = asyncio.run(migrate_down(endpoints.owner_dsn(settings), endpoints.app_role(settings), steps=steps))
    emit({"undone": titles}, as_json=as_json, show=lambda: _shown(titles, "undone"))
    return EXIT_DONE


def _table(statuses: Sequence[MigrationStatus]) -> Table:
    table = Table("migration", "state", "applied at")
    for one in statuses:
        table.add_row(f"{one.version:04d} {one.name}", one.state, str(one.applied_at or ""))
    return table


@migrate.command("status")
@command
def status(*, as_json: AsJson = False) -> int:
    """Show where each migration stands. Exit 1 unless all of them are applied as they are."""
    from runtime.migrations import migration_status

    settings = endpoints.found(endpoints.load())
    dsn = settings.postgres.owner_dsn or settings.postgres.dsn
    statuses = asyncio.run(migration_status(dsn.get_secret_value() if dsn else ""))
    document = {"migrations": [asdict(one) for one in statuses]}
    emit(document, as_json=as_json, show=lambda: _table(statuses))
    return EXIT_DONE if all(one.state == "applied" for one in statuses) else EXIT_PROBLEM


@migrate.command("rebase")
@command
def rebase(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking; every role must be stopped.")] = False,
    as_json: AsJson = False,
) -> int:
    """After a restore from a dump: give rows transaction ids of this cluster; until then the relay stays halted."""
    from ops.dlq_options import agreed, need_consent
    from producers.relay.rebase import rebase as rebase_rows

    need_consent(yes=yes, as_json=as_json)
    settings = endpoints.found(endpoints.load())
    if not yes and not agreed("Every role must be stopped.", "Rebase the database?"):
        return EXIT_PROBLEM
    pending = asyncio.run(rebase_rows(endpoints.owner_dsn(settings)))
    emit({"pending": pending}, as_json=as_json, show=lambda: f"rebased; to be published: {pending}")
    return EXIT_DONE
