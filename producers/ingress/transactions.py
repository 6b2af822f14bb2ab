"""The connections of intents and hints to Postgres: opened at the first use, a unit of work one bounded transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from producers.ingress.commits import Commits
from runtime.postgres import CONFLICT_ERRORS, PASSING_ERRORS, LazyPool, open_pool
from runtime.postgres_session import PatientSession
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from producers.ingress.commits import CommitState
    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings

Result = TypeVar("Result")
PLANNER: Final = {"enable_seqscan": "off", "jit": "off"}
"""Every statement looks rows up by key: plans made on empty or un-analyzed tables must not stay bad."""


class Transactions:
    """Runs work in transactions; the ingress opens while Postgres is away."""

    def __init__(self, settings: Settings, *, role: str = "ingress intents", connections: int | None = None) -> None:
        size = connections or settings.intents.connections_max
        seconds = settings.intents.timeout_seconds
        self._pool = LazyPool(lambda: _open_pool(settings, role, size))
        self._commits = Commits(seconds, f"Postgres: no answer in {seconds:g} s")

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Return what the work returns once it is committed.

        Raises UnavailableError where that is not known, the work's own exceptions after a rollback, and conflicts
        (`runtime.postgres.CONFLICT_ERRORS`) as they are. A COMMIT that outlasts the time-out keeps its session.
        """
        try:
            return await self._commits.wait_for(lambda state: self._transact(work, state))
        except PASSING_ERRORS as error:
            raise UnavailableError(f"Postgres: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        await self._commits.close(self._pool.close)

    async def _transact(self, work: Callable[[Connection], Awaitable[Result]], state: CommitState) -> Result:
        pool = await self._pool.get()
        async with pool.acquire() as connection:
            try:
                async with connection.transaction():
                    result = await work(connection)
                    state.commits = True
            except CONFLICT_ERRORS:
                raise
            except BaseException:
                connection.terminate()  # A hung server must not hold up the release, nor a half-done statement.
                raise
            return result


async def _open_pool(settings: Settings, role: str, connections: int) -> Pool:
    wait_ms = str(int(settings.intents.twin_wait_seconds * 1000))
    return await open_pool(
        settings.postgres,
        role=role,
        connections=connections,
        parameters={"lock_timeout": wait_ms, **PLANNER},
        session=PatientSession,
    )
