"""The command `ratchet`: puts the groups of commands together; each group is a file beside this one."""

from __future__ import annotations

import platform
from functools import cache
from importlib import import_module, metadata
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Final

import typer
from typer.core import TyperGroup

from ops import server
from ops.output import EXIT_DONE, EXIT_USAGE, AsJson, command, emit, fail
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer._click import Command, Context  # typer's own copy of click; only for the types

DISTRIBUTION: Final = "ratchet-payments"
MODULES: Final[dict[str, str]] = {
    "up": "ops.up",
    "down": "ops.up",
    "ingress": "ops.roles",
    "consumer": "ops.roles",
    "relay": "ops.roles",
    "dispatcher": "ops.roles",
    "console": "ops.roles",
    "stack": "ops.stack_commands",
    "migrate": "ops.migrate_commands",
    "status": "ops.status",
    "payment": "ops.payment_commands",
    "dlq": "ops.dead_letter_commands",
    "recall": "ops.recall_commands",
    "audit": "ops.audit_commands",
    "operator": "ops.operator_commands",
    "schema": "ops.schema_commands",
    "provider": "ops.provider_commands",
    "publish": "ops.publish_commands",
    "doctor": "ops.doctor",
    "simulate": "ops.simulate_commands",
}
"""Each command, in the order of the help, and the module whose `add_to` adds it."""


class Commands(TyperGroup):
    """The commands, each imported when it is asked for.

    A role's process needs one of these modules; all of them together took 0.6 of the 1.6 s of CPU of its start. How:
    click's documentation, "Lazily Loading Subcommands".
    """

    def list_commands(self, ctx: Context) -> list[str]:
        """Return the names, as the help lists them."""
        return list(dict.fromkeys([*MODULES, *super().list_commands(ctx)]))

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        """Return the command of that name, None where there is none."""
        if cmd_name in MODULES and cmd_name not in self.commands:
            self.commands.update(_commands_in(MODULES[cmd_name]))
        return super().get_command(ctx, cmd_name)


@cache
def _commands_in(module: str) -> Mapping[str, Command]:
    """Return what the module holds; made once, however often one process is asked for commands."""
    part = typer.Typer(callback=lambda: None)  # With a callback one command alone is a group too.
    import_module(module).add_to(part)
    group = typer.main.get_command(part)
    assert isinstance(group, TyperGroup)
    return group.commands


app = typer.Typer(
    name="ratchet",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Payment events in, exactly one effect each, nothing lost. Exit: 0 done, 1 a problem, 2 wrong usage",
)


@app.callback()
def _choose_server(
    url: Annotated[
        str | None,
        typer.Option("--server", metavar="URL", help="Ask this console, by its /admin/v1, instead of a database."),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", metavar="FILE", help="Where the token for it is: `ratchet operator token`."),
    ] = None,
) -> None:
    try:
        server.choose(server.read(url, token_file))
    except SettingsError as error:
        raise fail(str(error), EXIT_USAGE) from None


@app.command("version")
@command
@server.by_server
def version(*, as_json: AsJson = False) -> int:
    """Print the version."""
    document = {"version": metadata.version(DISTRIBUTION), "python": platform.python_version()}
    emit(document, as_json=as_json, show=lambda: f"ratchet {document['version']} (Python {document['python']})")
    return EXIT_DONE


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
