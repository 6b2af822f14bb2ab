"""`ratchet provider`: the providers that are there, and whether one keeps the contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

import providers
from ops import provider_check
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from ops.provider_check import CheckedPart

provider = typer.Typer(no_args_is_help=True, help="Providers: those that are there, and the contract that they keep.")


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(provider, name="provider")


@provider.command("list")
@command
def list_providers(*, as_json: AsJson = False) -> int:
    """List the providers, those of installed packages with the package."""
    outside = {name: one.dist.name if one.dist else one.value for name, one in providers.from_outside().items()}
    rows = {name: outside.get(name) for name in sorted(providers.names())}

    def shown() -> Table:
        table = Table("provider", "package")
        for name, package in rows.items():
            table.add_row(name, package or "")
        return table

    emit({"providers": rows}, as_json=as_json, show=shown)
    return EXIT_DONE


@provider.command("check")
@command
def check(
    name: Annotated[str, typer.Argument(help="The provider's name.")],
    *,
    folder: Annotated[Path, typer.Option(help="Holds vectors/NAME.json and traces/NAME.json.")] = Path(
        "tests/contract"
    ),
    as_json: AsJson = False,
) -> int:
    """Hold a provider against the contract; exit 1 where it does not keep it."""
    if name not in providers.names():
        raise SettingsError(f"{name!r} is no provider; there are {', '.join(sorted(providers.names()))}")
    parts = provider_check.check(name, *provider_check.read_folder(folder, name))
    failed = any(part.problems for part in parts)
    document = {
        "provider": name,
        "holds": not failed,
        "checked": [{"name": part.name, "tried": part.tried, "problems": part.problems} for part in parts],
    }
    emit(document, as_json=as_json, show=lambda: _table(name, parts))
    return EXIT_PROBLEM if failed else EXIT_DONE


def _table(name: str, parts: list[CheckedPart]) -> Table:
    outcome = "fails" if any(part.problems for part in parts) else "holds"
    table = Table("what", "tried", "does not hold", title=f"{name} {outcome}")
    for part in parts:
        table.add_row(part.name, f"{part.tried:,}", "\n".join(part.problems))
    return table
