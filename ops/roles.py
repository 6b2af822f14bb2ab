"""The roles, each its own process, and the commands that run one in the foreground."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from ops import endpoints
from ops.output import command
from runtime.lifecycle import leave, run_role

if TYPE_CHECKING:
    from collections.abc import Callable

    import typer

    from runtime.lifecycle import Serve

ROLES: Final[dict[str, str]] = {
    "ingress": "producers.ingress.app",
    "consumer": "consumer.role",
    "relay": "producers.relay",
    "dispatcher": "consumer.dispatcher.role",
    "console": "ops.console.role",
}
"""A role's name and the module whose `serve` does its work."""
HELP: Final[dict[str, str]] = {
    "ingress": "Take webhooks in over HTTP and publish them.",
    "consumer": "Turn Kafka's records into the ledger.",
    "relay": "Publish what the ledger and the spool hold to Kafka.",
    "dispatcher": "Ask providers' APIs again and send SMS.",
    "console": "Show people how things go, in a browser.",
}


def serve_of(role: str) -> Serve:
    """Return what does the role's work; imported late, so that a role loads its own packages alone."""
    serve: Serve = import_module(ROLES[role]).serve
    return serve


def run(role: str) -> int:
    """Run one role until it is asked to stop; leaves the process, and returns only when the settings are wrong."""
    settings = endpoints.found(endpoints.load())
    leave(run_role(role, settings, serve_of(role)))


def add_to(app: typer.Typer) -> None:
    """Add one command a role."""
    for role in ROLES:

        def run_this(role: str = role) -> int:
            return run(role)

        app.command(role, help=f"{HELP[role]} One role in the foreground; SIGTERM stops it cleanly.")(_bare(run_this))


def _bare(function: Callable[[], int]) -> Callable[[], None]:
    """Hide the closure's default from typer, which would make an option of it."""

    @command
    def bare() -> int:
        return function()

    return bare
