"""What in Postgres holds up others: a transaction that stays open, a standby that lags. Who leads samples it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runtime import metrics
from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runtime.postgres import Pool

SHOWN_SECONDS = 1.0
"""Batches last for milliseconds; who is there for longer is shown."""


@dataclass(slots=True)
class Holdups:
    """Remembers the oldest open transaction: since when it is open, Postgres shows to its own role alone."""

    facts: dict[str, object]
    """What `/readyz?verbose` shows."""
    monotonic: Callable[[], float] = time.monotonic
    _xid: str | None = None
    _since: float = 0.0

    async def sample(self, pool: Pool) -> None:
        """Look once."""
        async with pool.acquire() as connection:
            oldest = await connection.fetchrow(statement("runtime", "read_oldest_transaction"))
            (replication,) = await connection.fetch(statement("runtime", "read_replication"))
        self.note(None if oldest is None else dict(oldest))
        self.note_standby(dict(replication))

    def note(self, oldest: Mapping[str, Any] | None) -> None:
        """Take the oldest transaction of a look; another one than before has been seen for no time."""
        now, xid = self.monotonic(), None if oldest is None else oldest["xid"]
        if xid != self._xid:
            self._xid, self._since = xid, now
        seconds = now - self._since if xid is not None else 0.0
        metrics.OLDEST_TRANSACTION_SECONDS.set(seconds)
        if oldest is None or seconds < SHOWN_SECONDS:
            self.facts.pop("held_up_by", None)
            return
        who = {name: oldest[name] for name in ("pid", "role", "application", "gid") if oldest[name]}
        self.facts["held_up_by"] = who | {"seen_for_seconds": round(seconds)}

    def note_standby(self, replication: Mapping[str, Any]) -> None:
        """Take what `read_replication.sql` found; `lag_bytes` is None where it is not shown to us."""
        metrics.STANDBY_LAG_BYTES.set(replication["lag_bytes"] or 0)
        if not replication["standbys"] and not replication["names"]:
            self.facts.pop("standby", None)
            return
        shown = ("names", "standbys", "furthest", "lag_bytes")
        self.facts["standby"] = {name: replication[name] for name in shown}

    def clear(self) -> None:
        """Show nothing: another relay looks from now on."""
        self.note(None)
        self.facts.pop("standby", None)
        metrics.STANDBY_LAG_BYTES.set(0)
