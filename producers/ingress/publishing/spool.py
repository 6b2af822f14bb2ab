"""The spool: accepted records wait in Postgres while Kafka is away; the relay brings them there.

Requests that come together share a transaction (`group_commit`): a failure is the answer of all its members, and
nothing of it is half accepted.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from producers.ingress.commits import Commits
from producers.ingress.publishing.group_commit import GroupCommit
from runtime.postgres import OUTAGE_ERRORS, LazyPool, open_pool
from runtime.postgres_looks import show_waiting
from runtime.postgres_session import COMMIT_SECONDS_MAX
from runtime.sql import statement
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from producers.ingress.clock_check import ClockCheck
    from producers.ingress.commits import CommitState
    from producers.ingress.publishing.group_commit import Row
    from producers.ingress.publishing.records import Outgoing
    from runtime.postgres import Connection
    from runtime.settings import Settings

    Work = Callable[[Connection, CommitState], Awaitable[None]]

COLUMNS: Final = ("topic", "key", "value", "header_names", "header_values")


TAKES_RECORDS = "insert into spool (topic) select topic from spool where false"
"""Writes nothing, and is refused by a server that takes no writes."""


class Spool:
    """Opens its pool at the first use, so the ingress opens while Postgres is away; `facts` are the probe's."""

    def __init__(self, settings: Settings, clocks: ClockCheck, facts: dict[str, object] | None = None) -> None:
        self._clocks = clocks
        self._facts = {} if facts is None else facts
        self._timeout_seconds = seconds = settings.ingress.spool_timeout_seconds
        ingress = settings.ingress
        self._writers_max = writers = ingress.spool_connections_max
        # One session more than may write: who looks is let in while all others wait for a standby.
        self._pool = LazyPool(
            lambda: open_pool(settings.postgres, role="ingress", connections=writers + 1, any_schema=True)
        )
        self._places = asyncio.Semaphore(writers)
        self._late = f"Postgres: the spool took no record in {seconds:g} s"
        self._commits = Commits(seconds, self._late)
        self._groups = GroupCommit(
            self._copy,
            writers=writers,
            rows_max=ingress.spool_group_records_max,
            bytes_max=ingress.spool_group_bytes_max,
        )

    async def store(self, records: Sequence[Outgoing]) -> None:
        """Insert all records in one transaction; raise UnavailableError when that is not known to be committed."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._groups.add([row_of(record) for record in records], sum(len(one.value) for one in records))
        except TimeoutError:
            raise UnavailableError(self._late) from None

    async def check(self) -> None:
        """Return if the spool takes records, else raise UnavailableError: a server may answer and be read-only.

        The clocks are compared on the way, and who waits for a standby is counted.
        """
        await self._wait_for(lambda state: self._with_session(self._look, state))
        if self._commits.left >= self._writers_max:
            raise UnavailableError(self._late)

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._groups.close()
        await self._commits.close(self._pool.close)

    async def _copy(self, rows: Sequence[Row]) -> None:
        """Write the rows in one COPY, which is a transaction of its own.

        One that outlasts the time-out keeps its session: all but its COMMIT is bounded by the server.
        """

        async def copy(connection: Connection, state: CommitState) -> None:
            state.commits = True
            await connection.copy_records_to_table("spool", records=rows, columns=COLUMNS, timeout=COMMIT_SECONDS_MAX)

        async def in_place(state: CommitState) -> None:
            async with self._places:  # until the server has answered, not only as long as anybody waits
                await self._with_session(copy, state)

        await self._wait_for(in_place)

    async def _look(self, connection: Connection, _: CommitState) -> None:
        now = self._clocks.clock.now
        before = now()
        (row,) = await connection.fetch(statement("runtime", "read_clock_and_waits"))
        self._clocks.look(before, row["at"], now())
        show_waiting(self._facts, row["waiting"])
        await connection.execute(TAKES_RECORDS)

    async def _wait_for(self, work: Callable[[CommitState], Coroutine[Any, Any, None]]) -> None:
        try:
            await self._commits.wait_for(work)
        except (*OUTAGE_ERRORS, asyncpg.PostgresError) as error:
            raise UnavailableError(f"Postgres: the spool failed with {type(error).__name__}") from error

    async def _with_session(self, work: Work, state: CommitState) -> None:
        pool = await self._pool.get()
        async with pool.acquire() as connection:
            try:
                await work(connection, state)
            except BaseException:
                connection.terminate()  # A hung server must not hold up the release, nor a half-done statement.
                raise


def row_of(record: Outgoing) -> Row:
    """Return a record as a row of the spool."""
    names = [name.encode() for name, _ in record.headers]
    return record.topic, record.key, record.value, names, [value for _, value in record.headers]
