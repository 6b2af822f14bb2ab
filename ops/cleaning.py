"""Removes rows that nothing needs any more and that name people or grow without end, as the schema's owner.

Text messages bear phone numbers; payments that were read again and digests of bodies only grow. None of them is part of
the ledger: what is removed changes no payment, no chain and no event's identity. Each goes by a setting of its own
(`RATCHET_RETENTION__..._DAYS`), in steps that lock few rows.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

from runtime.sql import statement

if TYPE_CHECKING:
    from runtime.postgres import Connection
    from runtime.settings import RetentionSettings

ROWS_A_STEP: Final = 5000


async def clean(connection: Connection, settings: RetentionSettings, now: dt.datetime) -> dict[str, int]:
    """Remove what is older than the settings say; return how many rows of each kind went."""
    kinds = {
        "messages": ("remove_messages", settings.sms_days),
        "refetches": ("remove_refetches", settings.refetches_days),
        "body_claims": ("remove_body_claims", 0),
    }
    return {
        kind: await _remove(connection, name, now - dt.timedelta(days=days)) for kind, (name, days) in kinds.items()
    }


async def _remove(connection: Connection, name: str, before: dt.datetime) -> int:
    removed = 0
    while True:
        done = await connection.execute(statement("ops", name), before, ROWS_A_STEP)
        step = int(done.rpartition(" ")[2])
        removed += step
        if step < ROWS_A_STEP:
            return removed
