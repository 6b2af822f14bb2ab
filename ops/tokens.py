"""Tokens: what opens `/admin/v1` for a person, for so many days, and for no more than the person may do.

A token is shown once. What is kept is its SHA-256: it has 256 random bits, so nothing is won by guessing at it, and no
slow hash is needed. Who is removed takes their tokens along.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ops.database import fetch
from ops.operators import note_action
from ops.people import PersonRole
from schemas.errors import RatchetError

if TYPE_CHECKING:
    import datetime as dt

    from ops.operators import Operator
    from runtime.postgres import Connection

PREFIX: Final = "ratchet_"
"""What a token begins with, so that a scanner for secrets knows one."""
TOKEN_BYTES: Final = 32
LENGTH_MAX: Final = 128


@dataclass(frozen=True, slots=True)
class Issued:
    """A token that was made: it is shown once and kept nowhere."""

    id: int
    name: str
    role: PersonRole
    token: str
    ends_at: dt.datetime


@dataclass(frozen=True, slots=True)
class ListedToken:
    """A token as people see it."""

    id: int
    name: str
    role: PersonRole
    ends_at: dt.datetime
    made_by: str
    made_at: dt.datetime


def digest(token: str) -> bytes:
    """Return what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


async def issue(connection: Connection, operator: Operator, name: str, role: PersonRole, days: int) -> Issued:
    """Make a token for a person; raise RatchetError where there is no such person."""
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    async with connection.transaction():
        rows = await fetch(connection, "add_token", name, role, digest(token), days, operator.who)
        if not rows:
            raise RatchetError(f"there is no {name[:63]!r}; `ratchet operator add` adds people")
        await note_action(connection, operator, "operator.issue_token", f"{name}, {role}, token {rows[0]['id']}", "")
    return Issued(rows[0]["id"], name, role, token, rows[0]["ends_at"])


async def list_tokens(connection: Connection) -> tuple[ListedToken, ...]:
    """Return every token, by name; those that ended too."""
    rows = await fetch(connection, "list_tokens")
    return tuple(ListedToken(**row | {"role": PersonRole(row["role"])}) for row in rows)


async def revoke(connection: Connection, operator: Operator, token_id: int) -> str:
    """Take a token back; return whose it was; raise RatchetError where there is no such token."""
    async with connection.transaction():
        rows = await fetch(connection, "remove_token", token_id)
        if not rows:
            raise RatchetError(f"there is no token {token_id}; `ratchet operator tokens` shows those there are")
        await note_action(connection, operator, "operator.revoke_token", f"{rows[0]['name']}, token {token_id}", "")
    return str(rows[0]["name"])
