"""How long passwords and tokens are, which names nobody has, what a reason may be, and who may ask for a dry run."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest

from ops import passwords, people, tokens
from ops.console import rights
from ops.console.persons import EMERGENCY, UNNAMED
from ops.operators import BECAUSE_LENGTH_MAX, Operator, reason_of
from ops.people import PersonRole
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

BOSS = Operator("boss@host")


class Connection:
    """A connection that takes every row."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def fetch(self, *_: Any) -> list[dict[str, Any]]:
        return [{"id": 1, "one_time_until": None, "ends_at": None}]


async def test_nobody_guesses_what_is_made_for_them() -> None:
    connection = cast("Any", Connection())
    one_time = (await people.add(connection, BOSS, "ada", PersonRole.VIEWER, 1)).one_time_password
    token = (await tokens.issue(connection, BOSS, "ada", PersonRole.VIEWER, 1)).token.removeprefix(tokens.PREFIX)
    bits = [len(base64.urlsafe_b64decode(f"{text}==")) * 8 for text in (one_time, token)]
    assert bits == [144, 256]
    assert len(tokens.PREFIX + token) <= tokens.LENGTH_MAX
    assert passwords.LENGTH_MIN == 15, "NIST SP 800-63B-4: of a password that is the only proof"


@pytest.mark.parametrize("name", [EMERGENCY.name, UNNAMED.name, "unknown"])
def test_a_name_that_the_audit_uses_is_nobody_s(name: str) -> None:
    with pytest.raises(SettingsError, match="no person's name"):
        people.checked_name(name)


def test_a_reason_is_there_and_bounded() -> None:
    assert reason_of("  a \n ticket ", "x") == "a ticket"
    assert reason_of("x" * BECAUSE_LENGTH_MAX, "x")
    for text in (None, "", " \n", "x" * (BECAUSE_LENGTH_MAX + 1)):
        with pytest.raises(SettingsError, match="say why"):
            reason_of(text, "it is erased")


def test_a_dry_run_is_for_who_may_order() -> None:
    """It reads as much as an order does, and takes one of the few places for orders."""
    asked = {("GET", "/redrives/new"): rights.LEAST, ("POST", "/admin/v1/redrives/preview"): rights.ADMIN}
    assert {table[route] for route, table in asked.items()} == {PersonRole.OPERATOR}
