"""Waiting through outages of Postgres: an outage never gives up and never makes a dead letter."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

import structlog

from consumer.retries import explain
from runtime import metrics
from runtime.postgres import classify
from runtime.refusals import PASSING
from runtime.retry import delays
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from runtime.postgres_session import Activity
    from runtime.settings import ConsumerSettings

log = structlog.get_logger()
Result = TypeVar("Result")


class Outages:
    """Says `why` Postgres can't be used and `since` which monotonic time, or None; whoever asks it reports here."""

    def __init__(self, settings: ConsumerSettings, activity: Activity) -> None:
        self._settings = settings
        self.activity = activity
        self.why: str | None = None
        self.since: float | None = None

    def pauses(self) -> Iterator[float]:
        """Yield the seconds to wait before each retry of one thing, without end."""
        return delays(self._settings.backoff_initial_seconds, self._settings.backoff_max_seconds)

    async def away(self, error: Exception, pauses: Iterator[float]) -> None:
        """Note that Postgres can't be used, and wait until it is time to try again."""
        self.why = explain(error)
        if self.since is None:
            self.since = time.monotonic()
            metrics.POSTGRES_AWAY.set(1)
            log.warning("postgres_away", detail=self.why)
        await asyncio.sleep(next(pauses))

    def back(self) -> None:
        """Note that Postgres has taken something."""
        if self.since is not None:
            log.info("postgres_back", away_seconds=round(time.monotonic() - self.since, 3))
            self.since = self.why = None
            metrics.POSTGRES_AWAY.set(0)

    async def through(self, work: Callable[[], Awaitable[Result]]) -> Result:
        """Do the work again until Postgres takes it; raise what is no outage."""
        pauses = self.pauses()
        while True:
            self.activity.note()
            try:
                result = await work()
            except Exception as error:
                if not isinstance(error, UnavailableError) and classify(error) not in PASSING:
                    raise
                await self.away(error, pauses)
            else:
                self.back()
                return result
