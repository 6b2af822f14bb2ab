"""Time counts against a parked event only while what it waits for could have come.

The watermark is up to when all that had come in is processed: the least over the partitions and the spool. Time in
which it does not advance is added to the deadlines, and nobody is buried whose deadline lies behind it. It also stops
while no consumer runs and while Postgres is away, for nobody moves it then; a restored copy tells when it was made.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from runtime import metrics
from runtime.lease import guard
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from consumer.caught_up import Reading
    from runtime.lease import Lease
    from runtime.postgres import Connection, Pool
    from runtime.settings import ParkingSettings

    Look = Callable[[float], Awaitable[Reading]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ParkingClock:
    """The row of `parking_clock`: the watermark and when it was seen to advance.

    `began_at` to `ended_at` is a standstill that is over and whose time is being added to the deadlines of parked
    events; those up to `after_id` have it.
    """

    watermark: dt.datetime | None = None
    moved_at: dt.datetime | None = None
    began_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    after_id: int = 0


def advance(
    clock: ParkingClock, seen: dt.datetime | None, now: dt.datetime, standstill_min: dt.timedelta
) -> ParkingClock:
    """Return the clock after a look that saw all processed up to `seen`. Pure.

    A standstill ends when the watermark advances; one shorter than `standstill_min` is the pace of steady work. While
    the last one is still being added to deadlines, the clock stays as it is. The first look of all starts it.
    """
    if clock.moved_at is None:
        return ParkingClock(seen, now)
    if seen is None or clock.began_at is not None or (clock.watermark is not None and seen <= clock.watermark):
        return clock
    if now - clock.moved_at > standstill_min:
        return ParkingClock(seen, now, clock.moved_at, now)
    return ParkingClock(seen, now)


def standstill(clock: ParkingClock, now: dt.datetime, standstill_min: dt.timedelta) -> dt.timedelta:
    """Return for how long the clock has stood still; zero where that is the pace of steady work. Pure."""
    stood = now - clock.moved_at if clock.moved_at is not None else dt.timedelta()
    return stood if stood > standstill_min else dt.timedelta()


async def tick(
    pool: Pool, now: float, reading: Reading, parking: ParkingSettings, lease: Lease | None = None
) -> dt.datetime | None:
    """Move the clock; return before when deadlines count as passed, None while none does.

    Raises LeaseLostError, and moves nothing, where `lease` does not stand any more.
    """
    at, shortest = dt.datetime.fromtimestamp(now, dt.UTC), dt.timedelta(seconds=parking.standstill_seconds_min)
    async with pool.acquire() as connection, connection.transaction():
        if lease is not None:
            await guard(connection, lease)
        row = dict((await connection.fetch(statement("consumer", "read_parking_clock")))[0])
        spooled_since = row.pop("spooled_since")
        clock = advance(ParkingClock(**row), _least(reading.caught_up, spooled_since), at, shortest)
        stood = standstill(clock, at, shortest)
        if clock.began_at is not None:
            clock = await _lengthen(connection, clock, parking.lengthen_records_max)
        waits_for = _shown(reading, spooled_since) if stood else ""
        await connection.execute(
            statement("consumer", "move_parking_clock"),
            clock.watermark, clock.moved_at, clock.began_at, clock.ended_at, clock.after_id, waits_for,
        )  # fmt: skip
    _show(stood, waits_for)
    return clock.watermark if clock.began_at is None else None


def _least(caught_up: float | None, spooled_since: dt.datetime | None) -> dt.datetime | None:
    if caught_up is None:
        return None
    seen = dt.datetime.fromtimestamp(caught_up, dt.UTC)
    return seen if spooled_since is None else min(seen, spooled_since)


def _shown(reading: Reading, spooled_since: dt.datetime | None) -> str:
    if reading.waits_for or spooled_since is None:
        return reading.waits_for[:1000]
    return f"the spool: its oldest record waits since {spooled_since:%Y-%m-%d %H:%M:%S} UTC to go to Kafka"


async def _lengthen(connection: Connection, clock: ParkingClock, records_max: int) -> ParkingClock:
    """Add the standstill that is over to the next deadlines."""
    arguments = (clock.after_id, clock.began_at, clock.ended_at, records_max)
    (done,) = await connection.fetch(statement("consumer", "lengthen_deadlines"), *arguments)
    if done["events"] == records_max:
        return replace(clock, after_id=done["last_id"])
    log.warning("deadlines_lengthened", seconds=(clock.ended_at - clock.began_at).total_seconds())  # type: ignore[operator]
    return ParkingClock(clock.watermark, clock.moved_at)


def _show(stood: dt.timedelta, waits_for: str) -> None:
    metrics.PARKING_STANDSTILL_SECONDS.set(stood.total_seconds())
    if stood:
        log.info("parking_clock_stands", seconds=stood.total_seconds(), waits_for=waits_for)
