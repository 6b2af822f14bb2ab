"""What a role opens at its start and closes at its end, whose brokers may be away: waited for, and not waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from runtime.lease import wait_for_event
from runtime.postgres import OUTAGE_ERRORS
from runtime.retry import delays
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.postgres import Pool

Part = TypeVar("Part")


async def open_when_there(
    open_part: Callable[[], Awaitable[Part]],
    stop: asyncio.Event,
    note: Callable[[Exception | None, int], None],
    *,
    initial_seconds: float,
    max_seconds: float,
) -> Part | None:
    """Open a part of a role, however long what it needs is away; None where the role is stopped first.

    `note` gets each failure and how many there were in a row, and None when the part is open. The pauses grow from
    `initial_seconds` to `max_seconds`.
    """
    for failures, pause in enumerate(delays(initial_seconds, max_seconds), start=1):
        if stop.is_set():
            break
        try:
            part = await open_part()
        except (UnavailableError, *OUTAGE_ERRORS) as error:
            note(error, failures)
            await wait_for_event(stop, pause)
        else:
            note(None, 0)
            return part
    return None


async def close_pool(pool: Pool, within_seconds: float) -> None:
    """Close a role's pool; a Postgres that does not answer is left alone."""
    try:
        async with asyncio.timeout(within_seconds):
            await pool.close()
    except OUTAGE_ERRORS:
        pool.terminate()
