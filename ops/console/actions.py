"""What the console does beyond reading: few at a time, each on a connection of its own, bounded in time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

import asyncpg

from ops.database import connected
from runtime.postgres import CONFLICT_ERRORS
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.postgres import Connection
    from runtime.settings import Settings

    Done = TypeVar("Done")

AT_ONCE_MAX: Final = 2
"""Dry runs and orders under way; a later one waits, and the waiting counts in its time-out."""


class Actions:
    """Runs dry runs and orders, `AT_ONCE_MAX` at a time, each within `console.action_timeout_seconds`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seconds = settings.console.action_timeout_seconds
        self._places = asyncio.Semaphore(AT_ONCE_MAX)

    async def run(self, work: Callable[[Connection], Awaitable[Done]]) -> Done:
        """Return what the work returns; raise UnavailableError where it can't be done in time."""
        try:
            async with asyncio.timeout(self._seconds), self._places, connected(self._settings) as connection:
                return await work(connection)
        except TimeoutError as error:
            raise UnavailableError(
                f"this took longer than {self._seconds:g} s and was given up; choose fewer letters, or use ratchet dlq"
            ) from error
        except (*CONFLICT_ERRORS, asyncpg.QueryCanceledError) as error:
            raise UnavailableError(f"somebody else was in the way ({type(error).__name__}); try again") from error
