"""The database and the sessions in which worlds are explored."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import asyncpg
from consumer_harness import Tables, read_all_tables, settings_for

from consumer import retries
from consumer.role import PLANNER
from model.database import Observer, Rows
from model.exploring import DEADLOCK_SECONDS
from model.stepping import Process, SteppedPool
from runtime.postgres import open_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SESSIONS = 4
NOW = 1_790_000_100.0


class Clock:
    """Time that somebody else moves."""

    def __init__(self, now: float = NOW) -> None:
        self._now = now

    def now(self) -> float:
        return self._now


class Arena:
    """See `exploring.Arena`; `observer` is the explorer's, `hand` that of a world's own processes."""

    def __init__(
        self, observers: list[Observer], pool: Any, connections: list[Any], settings: Any, empty: Rows
    ) -> None:
        self.observer, self.hand = observers
        self.settings, self._pool = settings, pool
        self._connections, self._empty = connections, empty
        self.notes: list[Any] = []
        self.steps: list[tuple[str, str]] = []
        self._taken = 0

    async def clear(self) -> None:
        """Make the database what a fresh one is."""
        await self.observer.put_back(self._empty)

    async def begin(self, rows: Rows) -> None:
        """Begin a try."""
        await self.observer.put_back(rows)
        self.notes, self.steps, self._taken = [], [], 0

    def process(self, name: str, *, may_crash: bool = False) -> Process:
        """Make a process with a session of its own."""
        self._taken += 1
        return Process(name, self._connections[self._taken - 1], self.steps, may_crash=may_crash)

    def pool_of(self, process: Process) -> SteppedPool:
        return SteppedPool(process)

    def plain_pool(self) -> Any:
        """Give a pool whose statements are no steps: for what comes before and after."""
        return self._pool

    async def tables(self) -> Tables:
        return await read_all_tables(self._pool)

    def first(self, name: str, step: str) -> int:
        """Return when a process first took a step, or a number that is larger than any."""
        return next((number for number, one in enumerate(self.steps) if one == (name, step)), 1 << 30)


@contextlib.asynccontextmanager
async def arena(superuser_dsn: str, dsn: str) -> AsyncIterator[Arena]:
    """Open what is needed in a migrated database that nobody else uses."""
    name = urlsplit(dsn).path.strip("/")
    superusers = [await asyncpg.connect(superuser_dsn) for _ in range(2)]
    await superusers[0].execute(f"alter database {name} set deadlock_timeout = '{int(DEADLOCK_SECONDS * 1000)}ms'")
    settings = settings_for(dsn)
    pause, retries.CONFLICT_PAUSE_SECONDS = retries.CONFLICT_PAUSE_SECONDS, 0.0
    pool = await open_pool(settings.postgres, role="model", connections=SESSIONS + 2, parameters=PLANNER)
    taken = [await pool.acquire() for _ in range(SESSIONS)]
    try:
        observers = [Observer(superuser) for superuser in superusers]
        for observer in observers:
            await observer.prepare()
        yield Arena(observers, pool, taken, settings, await observers[0].keep())
    finally:
        retries.CONFLICT_PAUSE_SECONDS = pause
        for one in taken:
            await pool.release(one)
        await pool.close()
        for superuser in superusers:
            await superuser.close()
