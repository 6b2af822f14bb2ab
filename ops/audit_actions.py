"""Walks the chain of what people did: each row's hash follows from the row before, and the end is where it was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ops.database import fetch
from ops.operators import hash_action

if TYPE_CHECKING:
    from runtime.postgres import Connection

ROWS_A_STEP: Final = 5000
CHANGED: Final = "this action of people, or one before it, is not what was written"
MISSING: Final = "actions of people are missing at the end of their chain"
SEALED: Final = "this action of people was sealed, and is gone or is another one now"


class SealedActions(NamedTuple):
    """Where the chain ended when it was looked at: the last row's id, 0 where there was none, and its hash."""

    id: int
    hash: bytes


class ActionWalk(NamedTuple):
    """How many rows were read, and what is wrong: the row's id and why; the first wrong row speaks for those after."""

    rows: int
    broken: tuple[tuple[int, str], ...]


async def read_head(connection: Connection) -> SealedActions:
    """Return where the chain ends now."""
    rows = await fetch(connection, "read_action_head")
    return SealedActions(rows[0]["last_id"], rows[0]["hash"]) if rows else SealedActions(0, b"")


async def walk_actions(connection: Connection, sealed: SealedActions | None = None) -> ActionWalk:
    """Check the chain up to where it ends now; with a seal also that its row is the one that was sealed."""
    head = await read_head(connection)
    at, before, rows = 0, b"", 0
    found = sealed is None or sealed.id == 0
    while step := await fetch(connection, "read_actions", at, head.id, ROWS_A_STEP):
        rows += len(step)
        for row in step:
            if hash_action(before, row) != row["hash"]:
                return ActionWalk(rows, ((row["id"], CHANGED),))
            at, before = row["id"], row["hash"]
            found = found or (at, before) == sealed
    wrong = [] if found or sealed is None else [(sealed.id, SEALED)]
    if (at, before) != head:
        wrong.append((head.id, MISSING))
    return ActionWalk(rows, tuple(wrong))
