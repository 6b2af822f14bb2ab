"""The board's poller: reads everything the board shows, again and again, and remembers it for a while.

One look serves however many visitors there are, so the board costs the same for one as for a hundred; when nobody
watches it looks more rarely. Each part has its own time-out, and its failure takes away that part alone.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ops.roles import ROLES
from ops.status import RoleStatus, role_status
from runtime import log
from schemas.dead_letter import Reason
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ops.console.backlog import Backlog, BacklogReader
    from ops.console.outcomes import OutcomeCounter, Outcomes
    from ops.console.reader import Reader
    from runtime.settings import Settings

    Part = TypeVar("Part")

_log = log.get("console")


@dataclass(frozen=True, slots=True)
class Queues:
    """What waits in Postgres. `spool_since`, `parked_until` and `flagged_since` are None where nothing waits.

    `flagged` counts payments of live money whose facts do not add up.
    """

    outbox: int
    spool: int
    spool_since: dt.datetime | None
    parked: int
    parked_until: dt.datetime | None
    flagged: int = 0
    flagged_since: dt.datetime | None = None


@dataclass(frozen=True, slots=True)
class BoardLook:
    """One look. A part that could not be known is None, and `problems` says why.

    `processed` counts events by outcome since the look before, `seconds` ago (0 for the first). `oldest_seconds` is the
    age of the oldest event that is accepted and not processed; 0 where there is none. `letters_since` are the times of
    the oldest and the newest open dead letter; of `noted` ones a note says what is known.
    """

    at: dt.datetime
    seconds: float
    processed: Mapping[str, int] | None
    lag: Mapping[str, int] | None
    oldest_seconds: float | None
    queues: Queues | None
    letters: Mapping[str, int] | None
    roles: tuple[RoleStatus, ...]
    problems: tuple[str, ...]
    outcomes: Outcomes | None = None
    letters_since: tuple[dt.datetime, dt.datetime] | None = None
    noted: int = 0

    @property
    def rate(self) -> float | None:
        """Events processed a second since the look before."""
        if self.processed is None or self.seconds <= 0:
            return None
        return sum(self.processed.values()) / self.seconds


@dataclass(slots=True)
class BoardPoller:
    """Looks at everything again and again. `history` has the newest look last, and only that one has the outcomes."""

    settings: Settings
    reader: Reader
    backlog: BacklogReader
    outcomes: OutcomeCounter
    facts: Mapping[str, Any] = field(default_factory=dict)
    history: deque[BoardLook] = field(default_factory=deque)
    _place: tuple[int, int] | None = None
    _looked_at: float | None = None
    _watched_at: float = field(default_factory=time.monotonic)
    _awaited: asyncio.Event = field(default_factory=asyncio.Event)

    def watched(self) -> None:
        """Note that somebody watches."""
        self._watched_at = time.monotonic()
        self._awaited.set()

    @property
    def newest(self) -> BoardLook | None:
        """The newest look, or None before the first one."""
        return self.history[-1] if self.history else None

    async def run(self) -> None:
        """Look until cancelled."""
        console = self.settings.console
        while True:
            began = time.monotonic()
            try:
                self.remember(await self.look())
            except Exception:  # noqa: BLE001 - one look that failed must not end the board; its figures show their age
                _log.exception("console_look_failed")
            idle = time.monotonic() - self._watched_at > console.idle_after_seconds
            self._awaited.clear()
            pause = (console.idle_look_seconds if idle else console.look_seconds) - (time.monotonic() - began)
            if idle:
                await _wait(self._awaited, pause)
            else:
                await asyncio.sleep(max(0.0, pause))

    def remember(self, look: BoardLook) -> None:
        """Keep a look, and none that is older than the history reaches back.

        Only the newest keeps its outcomes: a day's minutes of each provider that fails, which no curve is drawn from.
        """
        if self.history:
            self.history[-1] = replace(self.history[-1], outcomes=None)
        self.history.append(look)
        horizon = look.at - dt.timedelta(seconds=self.settings.console.history_seconds)
        while self.history[0].at < horizon:
            self.history.popleft()

    async def look(self) -> BoardLook:
        """Look at everything once."""
        problems: list[str] = []

        async def known(read: Callable[[], Awaitable[Part]]) -> Part | None:
            try:
                return await read()
            except RatchetError as error:
                if str(error) not in problems:
                    problems.append(str(error))
                return None

        backlog, queues, letters, processed, outcomes, roles = await asyncio.gather(
            known(self.backlog.read),
            known(self._read_queues),
            known(self._count_letters),
            known(self._count_processed),
            known(self.outcomes.read),
            self._roles(),
        )
        now, before = time.monotonic(), self._looked_at
        if processed is not None:
            self._looked_at = now
        return BoardLook(
            at=dt.datetime.now(dt.UTC),
            seconds=0.0 if before is None else now - before,
            processed=processed,
            lag=None if backlog is None else backlog.lag,
            oldest_seconds=oldest(backlog, queues, time.time()),
            queues=queues,
            letters=None if letters is None else {row["reason"]: row["open"] for row in letters},
            roles=tuple(roles),
            problems=(*self._away(), *problems),
            outcomes=outcomes,
            letters_since=_since(letters),
            noted=sum(row["noted"] for row in letters or ()),
        )

    async def _roles(self) -> list[RoleStatus]:
        return await asyncio.gather(*(role_status(self.settings, role) for role in ROLES))

    def _away(self) -> list[str]:
        """Return which servers are away, which disks fill up and what is wrong of Postgres, as our probe shows it."""
        return [line for name in ("away", "disks", "postgres") for line in self.facts.get(name, ())]

    async def _read_queues(self) -> Queues:
        return Queues(**(await self.reader.fetch("read_queues", self.settings.console.count_max))[0])

    async def _count_letters(self) -> list[dict[str, Any]]:
        reasons = [reason.value for reason in Reason]
        return await self.reader.fetch("count_open_letters", reasons, self.settings.console.count_max)

    async def _count_processed(self) -> dict[str, int]:
        """Count what the ledger took in since the last time; at the first time only find its end."""
        if self._place is None:
            ends = await self.reader.fetch("find_ledger_end")
            self._place = (ends[0]["relay_xid"], ends[0]["id"]) if ends else (0, 0)
            return {}
        rows = await self.reader.fetch("count_processed", *self._place, self.settings.console.look_rows_max)
        if rows:
            self._place = rows[0]["relay_xid"], rows[0]["id"]
        return {row["outcome"]: row["events"] for row in rows}


def _since(letters: list[dict[str, Any]] | None) -> tuple[dt.datetime, dt.datetime] | None:
    """Return the times of the oldest and the newest of all open dead letters; None where there are none."""
    if not letters:
        return None
    return min(row["oldest"] for row in letters), max(row["newest"] for row in letters)


def oldest(backlog: Backlog | None, queues: Queues | None, now: float) -> float | None:
    """Return the age of the oldest event that waits in Kafka or the spool; None where that can't be known."""
    if backlog is None or queues is None:
        return None
    since = [backlog.since] if backlog.since is not None else []
    since += [queues.spool_since.timestamp()] if queues.spool_since is not None else []
    return max(0.0, now - min(since)) if since else 0.0


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await event.wait()
    except TimeoutError:
        return
