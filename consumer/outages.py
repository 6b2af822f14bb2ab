"""Waiting through outages of Postgres: whatever is tried there is tried until it is taken."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import structlog

from consumer.isolate import told
from runtime import metrics
from runtime.postgres import classify
from runtime.refusals import PASSING
from runtime.retry import delays
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.postgres_session import Attempts
    from runtime.settings import ConsumerSettings

log = structlog.get_logger()
Result = TypeVar("Result")


class Outages:
    """Tries until Postgres takes it. `why` it can't be used and `since` which monotonic time, or None."""

    def __init__(self, settings: ConsumerSettings, attempts: Attempts) -> None:
        self._settings = settings
        self._attempts = attempts
        self.why: str | None = None
        self.since: float | None = None

    async def through(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Try until Postgres takes it; an outage never gives up and never dead-letters."""
        pauses = delays(self._settings.backoff_initial_seconds, self._settings.backoff_max_seconds)
        while True:
            self._attempts.note()
            try:
                result = await attempt()
            except Exception as error:
                if not isinstance(error, UnavailableError) and classify(error) not in PASSING:
                    raise
                self._note_away(str(error) if isinstance(error, UnavailableError) else told(error))
                await asyncio.sleep(next(pauses))
            else:
                self._note_back()
                return result

    def _note_away(self, why: str) -> None:
        self.why = why
        if self.since is None:
            self.since = time.monotonic()
            metrics.POSTGRES_AWAY.set(1)
            log.warning("postgres_away", detail=why)

    def _note_back(self) -> None:
        if self.since is not None:
            log.info("postgres_back", away_seconds=round(time.monotonic() - self.since, 3))
            self.since = self.why = None
            metrics.POSTGRES_AWAY.set(0)
