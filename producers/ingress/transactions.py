"""The connections of intents and hints to Postgres: opened at the first use, a unit of work one bounded transaction."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from runtime.postgres import CONFLICT_ERRORS, PASSING_ERRORS, LazyPool, open_pool
from runtime.postgres_session import PatientSession
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings

Result = TypeVar("Result")
PLANNER: Final = {"enable_seqscan": "off", "jit": "off"}
"""Every statement looks rows up by key: plans made on empty or un-analyzed tables must not stay bad."""


@dataclass(slots=True)
class _Progress:
    """How far a transaction has come: whether its work is done, so that only its COMMIT is to be answered."""

    commits: bool = False


class Transactions:
    """Runs work in transactions; the ingress opens while Postgres is away."""

    def __init__(self, settings: Settings, *, role: str = "ingress intents", connections: int | None = None) -> None:
        self._bounds = settings.intents
        size = connections or settings.intents.connections_max
        self._pool = LazyPool(lambda: _open_pool(settings, role, size))
        self._left: set[asyncio.Task[Any]] = set()

    async def run(self, work: Callable[[Connection], Awaitable[Result]]) -> Result:
        """Return what the work returns once it is committed.

        Raises UnavailableError where that is not known, the work's own exceptions after a rollback, and conflicts
        (`runtime.postgres.CONFLICT_ERRORS`) as they are. A COMMIT that outlasts the time-out keeps its session until it
        is answered: one that waits for a standby goes on at the server whatever we do, and each new session in its
        place would wait beside it until Postgres has none left.
        """
        progress = _Progress()
        task = asyncio.create_task(self._transact(work, progress))
        try:
            done, _ = await asyncio.wait((task,), timeout=self._bounds.timeout_seconds)
            if done:
                return await task
            raise UnavailableError(f"Postgres: no answer in {self._bounds.timeout_seconds:g} s")
        except PASSING_ERRORS as error:
            raise UnavailableError(f"Postgres: {type(error).__name__}") from error
        finally:
            self._leave(task, progress)

    async def close(self) -> None:
        """Close the pool; what hangs is dropped."""
        for task in self._left:
            task.cancel()
        await self._pool.close()

    async def _transact(self, work: Callable[[Connection], Awaitable[Result]], progress: _Progress) -> Result:
        pool = await self._pool.get()
        async with pool.acquire() as connection:
            try:
                async with connection.transaction():
                    result = await work(connection)
                    progress.commits = True
            except CONFLICT_ERRORS:
                raise
            except BaseException:
                connection.terminate()  # A hung server must not hold up the release, nor a half-done statement.
                raise
            return result

    def _leave(self, task: asyncio.Task[Any], progress: _Progress) -> None:
        """Let a COMMIT that nobody waits for any more come to its end; end whatever else is not done."""
        if task.done():
            return
        if not progress.commits:
            task.cancel()
        self._left.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains that nobody did


async def _open_pool(settings: Settings, role: str, connections: int) -> Pool:
    wait_ms = str(int(settings.intents.twin_wait_seconds * 1000))
    return await open_pool(
        settings.postgres,
        role=role,
        connections=connections,
        parameters={"lock_timeout": wait_ms, **PLANNER},
        session=PatientSession,
    )
