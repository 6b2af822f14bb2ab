"""Each role has a command that runs it, and no other."""

from __future__ import annotations

from importlib import import_module

import pytest
from typer.testing import CliRunner

from ops import roles
from ops.cli import app

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("role", roles.ROLES)
def test_a_command_runs_the_role_of_its_name(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(roles, "run", lambda name: ran.append(name) or 0)
    assert CliRunner().invoke(app, [role]).exit_code == 0
    assert ran == [role]


def test_what_serves_a_role_is_of_that_role() -> None:
    places = {role: import_module(module).serve.__module__ for role, module in roles.ROLES.items()}
    assert places == {
        "ingress": "producers.ingress.app",
        "consumer": "consumer.role",
        "relay": "producers.relay.role",
        "dispatcher": "consumer.dispatcher.role",
        "console": "ops.console.role",
    }
