"""The command `ratchet`: puts the groups of commands together; each group is a file beside this one."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import Final

import typer

from ops import doctor, publish_commands, recall_commands, roles, simulate_commands, status, up
from ops.audit_commands import audit
from ops.dead_letter_commands import dlq
from ops.migrate_commands import migrate
from ops.operator_commands import operator
from ops.output import EXIT_DONE, AsJson, command, emit
from ops.payment_commands import payment
from ops.provider_commands import provider
from ops.schema_commands import schema
from ops.stack_commands import stack

DISTRIBUTION: Final = "ratchet-payments"

app = typer.Typer(
    name="ratchet",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Payment events in, exactly one effect each, nothing lost. Exit: 0 done, 1 a problem, 2 wrong usage",
)
up.add_to(app)
roles.add_to(app)
app.add_typer(stack, name="stack")
app.add_typer(migrate, name="migrate")
status.add_to(app)
app.add_typer(payment, name="payment")
app.add_typer(dlq, name="dlq")
recall_commands.add_to(app)
app.add_typer(audit, name="audit")
app.add_typer(operator, name="operator")
app.add_typer(schema, name="schema")
app.add_typer(provider, name="provider")
publish_commands.add_to(app)
doctor.add_to(app)
simulate_commands.add_to(app)


@app.command("version")
@command
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
