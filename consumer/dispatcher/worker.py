"""The loop of one worker: do one thing, then the next; wait when there is none or Postgres is away.

`turn` of a job is one pass without any waiting for work; the loop decides when the next one comes.
"""

from __future__ import annotations

import datetime as dt
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from consumer.dispatcher.recall_rows import spool_new
from runtime.lease import guard, wait_for_event
from runtime.postgres import CONFLICT_ERRORS, OUTAGE_ERRORS
from runtime.retry import pause_seconds
from runtime.sql import statement
from schemas.errors import LeaseLostError
from schemas.record import source_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Sequence

    import asyncpg

    from consumer.dispatcher.recall import ListRange
    from consumer.dispatcher.recall_rows import Shown
    from runtime.lease import Lease
    from runtime.postgres import Connection, Pool
    from runtime.settings import DispatcherSettings

    Row = asyncpg.Record

log = structlog.get_logger()


CALLS_PART: Final = 0.5
"""Part of `claim_seconds` that all calls of one try may take, so that they are over before the claim expires."""


class Job(Protocol):
    """Does one kind of work, one thing a turn."""

    name: str

    async def turn(self, lease: Lease) -> bool:
        """Claim one thing, do it and note its result; False where nothing is due. Raises LeaseLostError."""
        ...


@dataclass(slots=True)
class Health:
    """What a worker tells of itself. `ended_at` is when its last turn ended, well or not (monotonic seconds)."""

    name: str
    ended_at: float = field(default_factory=time.monotonic)
    failure: str | None = None
    failures_in_row: int = 0

    def succeeded(self) -> None:
        """Note a turn that ended well."""
        self.ended_at, self.failure, self.failures_in_row = time.monotonic(), None, 0

    def failed(self, reason: str) -> None:
        """Note a turn that did not."""
        self.ended_at, self.failure = time.monotonic(), reason
        self.failures_in_row += 1


async def work(job: Job, lease: Lease, ending: asyncio.Event, limits: DispatcherSettings, health: Health) -> None:
    """Take turns until `ending`; an outage is waited out, a lost lease is raised."""
    health.ended_at = time.monotonic()
    while not ending.is_set():
        try:
            busy = await job.turn(lease)
        except LeaseLostError:
            raise
        except Exception as error:  # noqa: BLE001 - one job's trouble must not stop the other
            await _recover(error, ending, limits, health)
        else:
            health.succeeded()
            if not busy:
                await wait_for_event(ending, limits.poll_interval_seconds)


async def _recover(error: Exception, ending: asyncio.Event, limits: DispatcherSettings, health: Health) -> None:
    """Say what failed and wait; what was claimed comes again when its claim expires."""
    foreseen = isinstance(error, OUTAGE_ERRORS + CONFLICT_ERRORS)
    health.failed(f"{health.name}: {type(error).__name__}")
    write = log.warning if foreseen else log.error
    write("dispatch_failed", desk=health.name, error=type(error).__name__, exc_info=not foreseen)
    pause = pause_seconds(health.failures_in_row, limits.backoff_initial_seconds, limits.backoff_max_seconds)
    await wait_for_event(ending, pause)


class GuardedRows:
    """Runs a job's statements, each in a transaction of its own that a lost lease refuses.

    `webhooks` names the topic that events of providers' lists go to.
    """

    def __init__(self, pool: Pool, connect_timeout_seconds: float, webhooks: str) -> None:
        self._pool = pool
        self.webhooks = webhooks
        self._timeout_seconds = connect_timeout_seconds

    async def finish_sent(self, lease: Lease, sid: str, *arguments: object) -> None:
        """Record what was sent, not beside a delivery report of it that is just coming in."""
        async with self._pool.acquire(timeout=self._timeout_seconds) as connection, connection.transaction():
            await guard(connection, lease)
            await connection.execute(statement("consumer", "lock_reported_messages"), [sid])
            await connection.execute(statement("consumer.dispatcher", "finish_sms"), *arguments, sid)

    async def fetch_one(self, lease: Lease, name: str, *arguments: object) -> Row | None:
        """Run a statement of the dispatcher; raise LeaseLostError, and write nothing, where the lease is another's."""
        async with self._pool.acquire(timeout=self._timeout_seconds) as connection, connection.transaction():
            await guard(connection, lease)
            return await connection.fetchrow(statement("consumer.dispatcher", name), *arguments)

    async def fetch_all(self, lease: Lease, name: str, *arguments: object) -> list[Row]:
        """Run one statement like `fetch_one`; return all its rows."""
        async with self._pool.acquire(timeout=self._timeout_seconds) as connection, connection.transaction():
            await guard(connection, lease)
            return await connection.fetch(statement("consumer.dispatcher", name), *arguments)

    async def spool_page(  # noqa: PLR0913, PLR0917 - a page, and where it stands
        self,
        lease: Lease,
        cursor: tuple[str, str, str, int],
        span: ListRange,
        following: str | None,
        shown: Sequence[Shown],
        began_at: dt.datetime,
    ) -> int:
        """Spool what is new of a page and move its list's cursor, at once or not at all; return how many were new.

        `cursor` is provider, account, list and its turns as they were read; nothing is written where they have changed.
        """
        since, until = (dt.datetime.fromtimestamp(moment, dt.UTC) for moment in (span.since, span.until))
        more = (since, until, following, None) if following is not None else (None, None, None, until)
        async with self._pool.acquire(timeout=self._timeout_seconds) as connection, connection.transaction():
            await guard(connection, lease)
            if await connection.fetchrow(statement("consumer.dispatcher", "move_recall"), *cursor, *more) is None:
                return 0
            source = source_of(*cursor[:2])
            return len(await spool_new(connection, self.webhooks, source, shown, began_at))

    @asynccontextmanager
    async def guarded(self, lease: Lease) -> AsyncIterator[Connection]:
        """Give a connection in a transaction that a lost lease refuses."""
        async with self._pool.acquire(timeout=self._timeout_seconds) as connection, connection.transaction():
            await guard(connection, lease)
            yield connection
