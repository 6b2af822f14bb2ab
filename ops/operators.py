"""What people do and why: one row each in `operator_actions`, which a trigger of the schema chains by their hashes.

A row is written in the transaction of what it speaks of, or before what no transaction can take back. The chain makes
writers wait for one another until they commit: where there is a transaction, the row comes last in it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ops.database import fetch
from ops.payloads import show_text
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runtime.postgres import Connection

WHO_LENGTH_MAX: Final = 128
TARGET_LENGTH_MAX: Final = 400
BECAUSE_LENGTH_MAX: Final = 500
TERMINAL: Final = "terminal"
EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Operator:
    """A person who acts: `who`, and from where (`origin`: terminal, or console and address)."""

    who: str
    origin: str = TERMINAL


def reason_of(because: str | None, what: str) -> str:
    """Return the reason that was given; raise SettingsError where there is none, or it is too long."""
    text = " ".join((because or "").split())
    if not 0 < len(text) <= BECAUSE_LENGTH_MAX:
        raise SettingsError(f"say why {what}, in 1 to {BECAUSE_LENGTH_MAX} characters; it is kept with who and when")
    return text


async def note_action(connection: Connection, operator: Operator, action: str, target: str, because: str) -> None:
    """Write down what is done or about to be; where that fails, it must not be done."""
    arguments = operator.who[:WHO_LENGTH_MAX], operator.origin[:WHO_LENGTH_MAX], action, target[:TARGET_LENGTH_MAX]
    await fetch(connection, "note_action", *arguments, because)


@dataclass(frozen=True, slots=True)
class ActionFilter:
    """Which actions are meant; None means any. `action` is a whole name, or what stands before its dot."""

    who: str | None = None
    action: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class ActionPage:
    """Some actions, the newest first; `before` leads to the older ones, None where there are none."""

    actions: tuple[dict[str, Any], ...]
    before: int | None


async def list_actions(connection: Connection, filters: ActionFilter, limit: int) -> ActionPage:
    """Return the newest actions that fit, at most `limit`; texts that people wrote are masked as payloads are."""
    asked = filters.who, filters.action, filters.since, filters.until, filters.before
    rows = await fetch(connection, "list_actions", *asked, limit + 1)
    shown = tuple(row | {name: show_text(row[name]) for name in ("target", "because")} for row in rows[:limit])
    return ActionPage(shown, shown[-1]["id"] if len(rows) > limit else None)


def hash_action(before: bytes, row: Mapping[str, Any]) -> bytes:
    """Return the hash that an action's row must have: as `hash_operator_action` of the schema computes it."""
    microseconds = (row["acted_at"] - EPOCH) // dt.timedelta(microseconds=1)
    columns = [row[name] for name in ("who", "origin", "action", "target", "because", "db_role")]
    fields = [text.encode() for text in (str(row["id"]), str(microseconds), *columns)]
    return hashlib.sha256(before + b"".join(b"%d:%b" % (len(field), field) for field in fields)).digest()
