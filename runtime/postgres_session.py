"""A pool's session: when it last sent a statement is noted, and a refusal that makes it unusable closes it."""

from __future__ import annotations

import asyncio
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


class Activity:
    """When the last statement was sent (`at`, monotonic seconds): who still asks Postgres is not stuck."""

    __slots__ = ("at",)

    def __init__(self) -> None:
        self.at = time.monotonic()

    def note(self) -> None:
        """Note that one is sent, now."""
        self.at = time.monotonic()


CANCEL_SECONDS: Final = 1.0
"""How long the server may take to give up a statement that nobody waits for any more; then the session is ended."""
COMMIT: Final = "COMMIT;"
"""How the driver ends a transaction."""
COMMIT_SECONDS_MAX: Final = 24 * 3600.0
_NOTED_BY: Final[ContextVar[Activity | None]] = ContextVar("activity", default=None)


@contextlib.contextmanager
def noting(activity: Activity) -> Iterator[None]:
    """Have the statements that are sent in this context noted."""
    token = _NOTED_BY.set(activity)
    try:
        yield
    finally:
        _NOTED_BY.reset(token)


class Session(_Connection):
    """A connection that is closed, not given back, after a refusal that a fresh session may not meet.

    `waiting_since` is when the statement was sent that it waits for (monotonic seconds), or None.
    """

    spoiled = False
    waiting_since: float | None = None

    @property
    def server(self) -> str | tuple[str, int]:
        """Where it is connected to: host and port, or a socket's path."""
        found: str | tuple[str, int] = self._addr  # type: ignore[attr-defined]
        return found

    def _cancel_current_command(self, *waiters: Any) -> None:
        """Ask the server to give up what is cancelled, as the driver does, but don't wait for that for long.

        Whoever gives the session back waits until the server has answered, and one that hangs never does.
        """
        super()._cancel_current_command(*waiters)  # type: ignore[misc]
        asyncio.get_running_loop().call_later(CANCEL_SECONDS, self._end_if_cancelling)

    def _end_if_cancelling(self) -> None:
        if not self.is_closed() and self._protocol._is_cancelling():  # type: ignore[attr-defined]  # noqa: SLF001
            self.terminate()

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        if (activity := _NOTED_BY.get()) is not None:
            activity.note()
        self.waiting_since = time.monotonic()
        try:
            yield
        except asyncpg.PostgresError as error:
            if error.sqlstate is not None and failure_of(error.sqlstate) is Failure.SESSION:
                self.spoiled = True
            raise
        finally:
            self.waiting_since = None

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


class PatientSession(Session):
    """A session that waits for its COMMIT as long as its server lives, and never has one canceled.

    A COMMIT that waits for a synchronous standby goes on at the server after its client has left, and holds a place
    among the sessions there. One that is canceled counts as committed, and can be read, before the standby has it.
    """

    async def execute(self, *arguments: Any, **options: Any) -> str:
        """As the driver does."""
        if arguments == (COMMIT,):
            options.setdefault("timeout", COMMIT_SECONDS_MAX)
        return await super().execute(*arguments, **options)


async def give_back(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """End a session that is of no more use instead of giving it back; the pool opens a fresh one when it needs it.

    Nothing is reset, which saves a round trip: whoever sets something in a session for longer takes it back, and one
    that comes back inside a transaction is rolled back by the driver all the same.
    """
    if isinstance(connection, Session) and connection.spoiled:
        connection.terminate()
