"""A session of a pool: each statement is noted as an attempt, and a refusal that ends its use ends it."""

from __future__ import annotations

import contextlib
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from runtime.refusals import Failure, failure_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    _Connection = asyncpg.Connection[asyncpg.Record]
else:
    _Connection = asyncpg.Connection


class Attempts:
    """When the last statement was sent (`at`, monotonic seconds): somebody who tries is not stuck."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = time.monotonic()

    def note(self) -> None:
        """Note an attempt, now."""
        self.at = time.monotonic()


_NOTED_BY: Final[ContextVar[Attempts | None]] = ContextVar("attempts", default=None)


@contextlib.contextmanager
def noting(attempts: Attempts) -> Iterator[None]:
    """Let the statements that are sent in this context count as attempts."""
    token = _NOTED_BY.set(attempts)
    try:
        yield
    finally:
        _NOTED_BY.reset(token)


class Session(_Connection):
    """A connection that is closed, not given back, after a refusal that a fresh session may not meet."""

    spoiled = False

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        if (attempts := _NOTED_BY.get()) is not None:
            attempts.note()
        try:
            yield
        except asyncpg.PostgresError as error:
            if error.sqlstate is not None and failure_of(error.sqlstate) is Failure.SESSION:
                self.spoiled = True
            raise

    async def execute(self, *arguments: Any, **options: Any) -> str:
        """As the driver does."""
        with self._watched():
            return await super().execute(*arguments, **options)

    async def executemany(self, *arguments: Any, **options: Any) -> None:
        """As the driver does."""
        with self._watched():
            await super().executemany(*arguments, **options)

    async def fetch(self, *arguments: Any, **options: Any) -> Any:
        """As the driver does."""
        with self._watched():
            return await super().fetch(*arguments, **options)

    async def fetchrow(self, *arguments: Any, **options: Any) -> Any:
        """As the driver does."""
        with self._watched():
            return await super().fetchrow(*arguments, **options)

    async def fetchval(self, *arguments: Any, **options: Any) -> Any:
        """As the driver does."""
        with self._watched():
            return await super().fetchval(*arguments, **options)

    async def copy_records_to_table(self, *arguments: Any, **options: Any) -> str:
        """As the driver does."""
        with self._watched():
            return await super().copy_records_to_table(*arguments, **options)


async def give_back(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """End a session that is of no more use instead of giving it back; the pool opens a fresh one when it needs it.

    Nothing is reset, which saves a round trip: whoever sets something in a session for longer takes it back, and one
    that comes back inside a transaction is rolled back by the driver all the same.
    """
    if isinstance(connection, Session) and connection.spoiled:
        connection.terminate()
