"""Figures that somebody must count in Postgres: sampled by the relay that leads, so by one process, now and then."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from producers.relay.depth import outbox_depth
from producers.relay.holdups import Holdups
from runtime import metrics
from runtime.lease import wait_for_event
from runtime.postgres import OUTAGE_ERRORS
from runtime.postgres_disk import disk_use
from runtime.sql import statement
from schemas.dead_letter import Reason
from schemas.intents import Command
from schemas.payment import Flag

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from runtime.postgres import Pool
    from runtime.settings import OpsSettings, Settings

TIME_PART: Final = 1 / 20
"""Part of the time that sampling may take: over a large backlog it looks less often."""

_GAUGES: Final = {
    "parked": metrics.PARKED_EVENTS,
    "open": metrics.DEAD_LETTERS_OPEN,
    "noted": metrics.DEAD_LETTERS_NOTED,
}

_log = structlog.get_logger()


async def sample(pool: Pool, rows_max: int) -> None:
    """Count once and show it; a reason or flag that nothing has any more is zero."""
    async with pool.acquire() as connection:
        depth = await outbox_depth(connection)
        rows = await connection.fetch(statement("producers", "sample_waiting"), rows_max)
    counted = {(row["kind"], row["reason"]): row["count"] for row in rows}
    for lane, waiting in depth.items():
        metrics.OUTBOX_ROWS.labels(lane).set(waiting)
    for kind, gauge in _GAUGES.items():
        for reason in Reason:
            if kind != "parked" or reason in (Reason.ORPHAN, Reason.CONFLICT):
                gauge.labels(reason).set(counted.get((kind, reason), 0))
    for command in (Command.CAPTURE, Command.CANCEL, Command.REFUND):
        metrics.COMMANDS_UNANSWERED.labels(command).set(counted.get(("unanswered", command), 0))
    oldest = {row["reason"]: row["seconds"] for row in rows if row["kind"] == "flagged"}
    for flag in Flag:
        metrics.FLAGGED_PAYMENTS.labels(flag).set(counted.get(("flagged", flag), 0))
        metrics.FLAGGED_SECONDS.labels(flag).set(oldest.get(flag, 0.0))


async def sample_disk(pool: Pool, settings: OpsSettings) -> None:
    """Look how much room Postgres has left, where the size of its disk is known."""
    if settings.postgres_disk_bytes is not None:
        async with pool.acquire() as connection:
            use = await disk_use(connection, settings.postgres_disk_bytes)
        metrics.POSTGRES_DISK_LOW.set(use.free_bytes < settings.disk_free_bytes_min)


async def _take(look: Callable[[], Awaitable[None]]) -> None:
    """Look once; one that fails, as a count over a large backlog may, keeps no other from being taken."""
    try:
        await look()
    except OUTAGE_ERRORS as error:
        _log.warning("sampling_failed", error=type(error).__name__)
    except Exception:  # noqa: BLE001 - figures are missing; what the lanes carry must not wait for them
        _log.exception("sampling_failed")


async def keep_sampling(pool: Pool, settings: Settings, facts: dict[str, object], ending: asyncio.Event) -> None:
    """Sample until `ending`; then, or when it is cancelled, show nothing: another relay counts from now on.

    `facts` are the probe's.
    """
    holdups = Holdups(facts)
    looks = (
        partial(holdups.sample, pool),
        partial(sample, pool, settings.metrics.sample_rows_max),
        partial(sample_disk, pool, settings.ops),
    )
    try:
        while not ending.is_set():
            began = time.monotonic()
            for look in looks:
                await _take(look)
            took = time.monotonic() - began
            await wait_for_event(ending, max(settings.metrics.sample_interval_seconds, took / TIME_PART))
    finally:
        flagged = metrics.FLAGGED_PAYMENTS, metrics.FLAGGED_SECONDS
        for gauge in (metrics.OUTBOX_ROWS, metrics.COMMANDS_UNANSWERED, *flagged, *_GAUGES.values()):
            gauge.clear()
        metrics.POSTGRES_DISK_LOW.set(0)
        holdups.clear()
