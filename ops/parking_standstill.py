"""Whether time counts against parked events now, and if not, since when and why: for `status` and `doctor`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops.database import connected, fetch

if TYPE_CHECKING:
    from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class ParkingStandstill:
    """A standstill of the parking clock: its time is added to every deadline. `since` is ISO 8601, `parked` a count."""

    since: str
    seconds: float
    waits_for: str
    parked: int

    @property
    def shown(self) -> str:
        """Return it in one line."""
        why = self.waits_for or "no consumer runs"
        return f"time has not counted against {self.parked:,} parked events since {self.since}: {why}"


async def read_standstill(settings: Settings) -> ParkingStandstill | None:
    """Return the standstill of the parking clock; None while time counts. Raise RatchetError where it can't be read."""
    shortest = dt.timedelta(seconds=settings.parking.standstill_seconds_min)
    async with connected(settings) as connection:
        for row in await fetch(connection, "read_parking_clock", shortest):
            return ParkingStandstill(row["since"].isoformat(timespec="seconds"), *list(row.values())[1:])
    return None
