"""Who may do what: people, each with a role, added and removed by name.

A person begins with a one-time password that a terminal shows once; it opens nothing but the page on which they choose
their own. Roles are ordered: `viewer` sees what is masked, `operator` also redrives and discards, `admin` also sees one
payload in clear, erases, and removes people.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ops.database import fetch
from ops.operators import note_action
from ops.passwords import hashed
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    import datetime as dt

    from ops.operators import Operator
    from runtime.postgres import Connection

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,62}")
RESERVED: Final = ("emergency", "unnamed", "unknown")
"""Names that the audit uses for those who have none."""
ONE_TIME_BYTES: Final = 18


class PersonRole(StrEnum):
    """What somebody may do at most; each role may all that those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def covers(self, least: PersonRole) -> bool:
        """Tell whether this role is the least that is asked for, or more."""
        order = list(PersonRole)
        return order.index(self) >= order.index(least)


@dataclass(frozen=True, slots=True)
class Added:
    """A person who was added: the password is shown once and kept nowhere."""

    name: str
    role: PersonRole
    one_time_password: str
    one_time_until: dt.datetime


@dataclass(frozen=True, slots=True)
class ListedPerson:
    """A person as people see it. `one_time_until`: the own password was not chosen yet."""

    name: str
    role: PersonRole
    one_time_until: dt.datetime | None
    added_by: str
    added_at: dt.datetime
    signed_in_at: dt.datetime | None


def checked_name(name: str) -> str:
    """Return the name; raise SettingsError for one that nobody can have."""
    if not NAME.fullmatch(name):
        raise SettingsError(f"{name!r} is no name: up to 63 of a-z 0-9 . _ @ + -, the first a letter or a digit")
    if name in RESERVED:
        raise SettingsError(f"{name!r} is no person's name: the audit uses it for those who have none")
    return name


async def add(connection: Connection, operator: Operator, name: str, role: PersonRole, one_time_hours: int) -> Added:
    """Add a person with a one-time password; raise RatchetError where somebody has that name already."""
    password = secrets.token_urlsafe(ONE_TIME_BYTES)
    arguments = checked_name(name), role, hashed(password), one_time_hours, operator.who
    async with connection.transaction():
        rows = await fetch(connection, "add_operator", *arguments)
        if not rows:
            raise RatchetError(f"{name} is there already; `ratchet operator remove {name}` first, to begin anew")
        await note_action(connection, operator, "operator.add", f"{name}, {role}", "")
    return Added(name, role, password, rows[0]["one_time_until"])


async def list_people(connection: Connection) -> tuple[ListedPerson, ...]:
    """Return everybody, by name."""
    rows = await fetch(connection, "list_operators")
    return tuple(ListedPerson(**row | {"role": PersonRole(row["role"])}) for row in rows)


async def remove(connection: Connection, operator: Operator, name: str, because: str = "") -> PersonRole:
    """Remove a person, signed out at once; return the role; raise RatchetError where there is no such person."""
    async with connection.transaction():
        rows = await fetch(connection, "remove_operator", name)
        if not rows:
            raise RatchetError(f"there is no {name[:63]!r}; `ratchet operator list` shows who is there")
        role = PersonRole(rows[0]["role"])
        await note_action(connection, operator, "operator.remove", f"{name}, {role}", because)
    return role
