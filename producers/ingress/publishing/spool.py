"""The spool: accepted records wait in Postgres while Kafka is away; the relay brings them there.

Requests that come together share a transaction (`group_commit`): a failure is the answer of all its members, and
nothing of it is half accepted.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import asyncpg

from producers.ingress.publishing.group_commit import GroupCommit
from runtime.postgres import OUTAGE_ERRORS, LazyPool, open_pool
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from producers.ingress.clock_check import ClockCheck
    from producers.ingress.publishing.group_commit import Row
    from producers.ingress.publishing.records import Outgoing
    from runtime.postgres import Connection
    from runtime.settings import Settings

    Work = Callable[[Connection], Awaitable[object]]

COLUMNS: Final = ("topic", "key", "value", "header_names", "header_values")


TELLS_THE_TIME = "select extract(epoch from clock_timestamp())::float8"
TAKES_RECORDS = "insert into spool (topic) select topic from spool where false"
"""Writes nothing, and is refused by a server that takes no writes."""


class Spool:
    """Opens its pool at the first use, so the ingress opens while Postgres is away."""

    def __init__(self, settings: Settings, clocks: ClockCheck) -> None:
        self._clocks = clocks
        self._timeout_seconds = settings.ingress.spool_timeout_seconds
        ingress = settings.ingress
        connections = ingress.spool_connections_max
        self._pool = LazyPool(
            lambda: open_pool(settings.postgres, role="ingress", connections=connections, any_schema=True)
        )
        self._groups = GroupCommit(
            self._copy,
            writers=connections,
            rows_max=ingress.spool_group_records_max,
            bytes_max=ingress.spool_group_bytes_max,
        )

    async def store(self, records: Sequence[Outgoing]) -> None:
        """Insert all records in one transaction; raise UnavailableError when that is not known to be committed."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._groups.add([row_of(record) for record in records], sum(len(one.value) for one in records))
        except TimeoutError:
            raise self._too_slow() from None

    async def check(self) -> None:
        """Return if the spool takes records, else raise UnavailableError: a server may answer and be read-only.

        The clocks are compared on the way.
        """
        await self._run(self._look)

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._groups.close()
        await self._pool.close()

    async def _copy(self, rows: Sequence[Row]) -> None:
        """Write the rows in one COPY, which is a transaction of its own."""
        await self._run(lambda connection: connection.copy_records_to_table("spool", records=rows, columns=COLUMNS))

    async def _look(self, connection: Connection) -> None:
        now = self._clocks.clock.now
        before = now()
        theirs = await connection.fetchval(TELLS_THE_TIME)
        self._clocks.look(before, theirs, now())
        await connection.execute(TAKES_RECORDS)

    def _too_slow(self) -> UnavailableError:
        return UnavailableError(f"Postgres: the spool took no record in {self._timeout_seconds:g} s")

    async def _run(self, work: Work) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                pool = await self._pool.get()
                connection = await pool.acquire()
                try:
                    await work(connection)
                except BaseException:
                    connection.terminate()  # A hung server must not hold up the release, nor a half-done statement.
                    raise
                finally:
                    await pool.release(connection)
        except TimeoutError:
            raise self._too_slow() from None
        except (*OUTAGE_ERRORS, asyncpg.PostgresError) as error:
            raise UnavailableError(f"Postgres: the spool failed with {type(error).__name__}") from error


def row_of(record: Outgoing) -> Row:
    """Return a record as a row of the spool."""
    names = [name.encode() for name, _ in record.headers]
    return record.topic, record.key, record.value, names, [value for _, value in record.headers]
