"""`ratchet stack`: only the brokers."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from ops import endpoints
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit, say
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from runtime.settings import Settings
    from runtime.stack import Endpoints

stack = typer.Typer(no_args_is_help=True, help="The embedded brokers: Kafka, Postgres and Redis of this user.")


def add_to(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(stack, name="stack")


async def _serve(settings: Settings) -> None:
    from runtime.stack import serve

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    def on_ready(found: Endpoints) -> None:
        say(f"Kafka {found.kafka}; Postgres and Redis beside it. Ctrl-C or `ratchet stack down` stops them.")
        say('In another shell: eval "$(ratchet stack env)"')

    await serve(settings.home, stop, settings=settings.stack, on_ready=on_ready, report=say)


@stack.command("up")
@command
def up() -> int:
    """Start the brokers and keep them in the foreground until Ctrl-C, SIGTERM or `ratchet stack down`."""
    settings = endpoints.load()
    running = endpoints.running_stack(settings)
    if running is not None:
        raise SettingsError(
            f"a stack runs in {settings.home} already (pid {running.owner.pid}); stop it with `ratchet stack down`, "
            "or set RATCHET_HOME to another folder"
        )
    asyncio.run(_serve(settings))
    return EXIT_DONE


@stack.command("down")
@command
def down(*, as_json: AsJson = False) -> int:
    """Stop the brokers of this home, and whoever started them (`stack up` or `up`)."""
    from runtime.stack import request_stop

    stopped = asyncio.run(request_stop(endpoints.load().home))
    words = "stopped" if stopped else "no stack runs in this home"
    emit({"stopped": stopped}, as_json=as_json, show=lambda: words)
    return EXIT_DONE


def _table(document: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("broker", "state", "pid", "address")
    for name, broker in document.items():
        table.add_row(name, broker["state"], str(broker["pid"] or ""), broker["address"] or "")
    return table


@stack.command("status")
@command
def status(*, as_json: AsJson = False) -> int:
    """Show each broker's state, pid and address. Exit 1 unless all that this machine can run do run."""
    from runtime.stack import read_status

    settings = endpoints.load()
    document: dict[str, Any] = dict(asyncio.run(read_status(settings.home, settings.stack)))
    emit(document, as_json=as_json, show=lambda: _table(document))
    fine = all(broker["state"] in ("running", "absent") for broker in document.values())
    return EXIT_DONE if fine else EXIT_PROBLEM


def export_lines(environment: Mapping[str, str]) -> str:
    """Return lines that a POSIX shell can evaluate."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())


@stack.command("env")
@command
def env(
    *,
    superuser: Annotated[bool, typer.Option("--superuser", help="Also the DSN of Postgres' superuser.")] = False,
    as_json: AsJson = False,
) -> int:
    """Print what makes other processes use these brokers: eval "$(ratchet stack env)". Holds passwords."""
    settings = endpoints.load()
    running = endpoints.running_stack(settings)
    if running is None:
        say(f"ratchet: no stack runs in {settings.home}; start one with `ratchet stack up`")
        return EXIT_PROBLEM
    environment = running.endpoints.environment()
    if superuser:
        environment["RATCHET_POSTGRES__SUPERUSER_DSN"] = running.endpoints.superuser_dsn
    if as_json:
        emit(environment, as_json=True, show=str)
    else:
        sys.stdout.write(export_lines(environment))
    return EXIT_DONE
