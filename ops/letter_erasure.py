"""Erases what dead letters hold: one letter's payload on demand, closed letters by age.

Redacting goes through a function of the schema that runs with its owner's rights, changes exactly one row and writes
down who asked, so neither the console nor the command line needs them. The row stays, with its digest: a letter that
is delivered again is known by it, and the ledger is not touched. What was redacted or removed is noted in
`erased_letters`, so that `dlq rebuild` takes nothing of it in again; the DLQ topic itself forgets it when its
retention ends (90 days where we made the topic, `schemas.topics.DLQ_RETENTION_MS`).
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ops.database import fetch
from runtime.sql import statement
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from ops.operators import Operator
    from runtime.postgres import Connection

ROWS_A_STEP: Final = 1000
REFUSALS: Final = {
    "unknown": "there is no dead letter {id}; `ratchet dlq list` shows those there are",
    "redacted_before": "dead letter {id} was redacted before; nothing was done",
    "being_redriven": "dead letter {id} is on its way back to Kafka; look again when its redrive ended",
}


@dataclass(frozen=True, slots=True)
class Redacted:
    """What was redacted, and the letters that came back from redrives with the same bytes and still hold them."""

    id: int
    copies: tuple[int, ...]


async def redact(connection: Connection, letter_id: int, operator: Operator, because: str) -> Redacted:
    """Replace a letter's payload by its digest; an open one becomes `discarded`, for nothing is left to redrive.

    Raises RatchetError where there is no such letter, it was redacted before, or it is being redriven.
    """
    rows = await fetch(connection, "redact_letter", letter_id, operator.who, operator.origin, because)
    refusal = REFUSALS.get(rows[0]["became"])
    if refusal is not None:
        raise RatchetError(refusal.format(id=letter_id))
    return Redacted(letter_id, tuple(row["id"] for row in await fetch(connection, "find_copies", letter_id)))


async def remove_old(connection: Connection, days: int, noted_days: int) -> int:
    """Remove the letters older than so many days that are not open, as the schema's owner; return how many.

    Notes of what was erased are kept for `noted_days`, which must be longer than the DLQ topic keeps its records.
    """
    now, removed = dt.datetime.now(dt.UTC), 0
    before = now - dt.timedelta(days=days)
    while step := await connection.fetch(statement("ops", "remove_letters"), before, ROWS_A_STEP):
        removed += len(step)
    forgotten = now - dt.timedelta(days=noted_days)
    while await connection.execute(statement("ops", "forget_erased"), forgotten, ROWS_A_STEP) != "DELETE 0":
        pass
    return removed
