"""Redis: one client a process, with named bounds. It holds only what may be lost, so away is a state, not an error.

`ask` never raises for Redis: what is asked while it is away, or not configured, gets AWAY at once, and the caller does
without. A failure opens a breaker; from then on nobody waits for Redis but one background ping now and then, and its
first answer closes the breaker again.
"""

from __future__ import annotations

import asyncio
import time
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from runtime import metrics
from runtime.breaker import Breaker, BreakerState
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.settings import RedisSettings

OUTAGE_ERRORS: Final = (RedisError, OSError, TimeoutError, RuntimeError)
"""What Redis being away, hung, full, read-only or refusing our password looks like.

RuntimeError is what uvloop raises for a write to a connection that was just lost.
"""

_log = structlog.get_logger()

Answer = TypeVar("Answer")


class Away(Enum):
    """The answer of a Redis that gives none."""

    AWAY = "away"


AWAY: Final = Away.AWAY


class RedisLink:
    """The process's way to Redis. Close it at the end; without a URL it is away for good."""

    def __init__(self, settings: RedisSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.client: Client | None = None if settings.url is None else _open_client(settings)
        self.timeout_seconds = settings.timeout_seconds
        self.key_prefix = settings.key_prefix
        self._breaker = Breaker(settings.breaker_seconds)
        self._monotonic = monotonic
        self._probe: asyncio.Task[None] | None = None
        if self.client is not None:
            metrics.BREAKERS.watch("redis", self._breaker)

    @property
    def away(self) -> bool:
        """Tell whether a question would get AWAY now."""
        return self.client is None or self._breaker.state is not BreakerState.CLOSED

    async def ask(self, question: Callable[[Client], Awaitable[Answer]]) -> Answer | Away:
        """Return the answer, or AWAY; raises nothing but what the question raises beside Redis's own errors."""
        if self.client is None or self.away:
            self._probe_again()
            return AWAY
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await question(self.client)
        except OUTAGE_ERRORS as error:
            self._failed(error)
            return AWAY

    async def close(self) -> None:
        """Drop all connections."""
        if self._probe is not None:
            self._probe.cancel()
            await asyncio.wait((self._probe,))
        if self.client is not None:
            await self.client.connection_pool.disconnect()

    def _failed(self, error: Exception) -> None:
        if not self.away:
            _log.warning("redis_away", error=f"{type(error).__name__}: {error}")
        self._breaker.failed(self._monotonic())

    def _probe_again(self) -> None:
        """Look after Redis in the background once its pause is over, so that no request waits for a dead one."""
        if self.client is not None and self._breaker.allows(self._monotonic()):
            self._probe = asyncio.create_task(self._ping(self.client))

    async def _ping(self, client: Client) -> None:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await client.ping()
        except OUTAGE_ERRORS:
            self._breaker.failed(self._monotonic())
        except BaseException:
            self._breaker.abandoned(self._monotonic())
            raise
        else:
            self._breaker.succeeded()
            _log.info("redis_back")


def _open_client(settings: RedisSettings) -> Client:
    """Return a client that has not connected yet; a caller beyond `connections_max` waits within the time-out.

    No time-out for the socket beside that of `ask`: the library would wait with `asyncio.wait_for`, which before
    Python 3.12 loses a cancellation that comes together with the answer.
    """
    assert settings.url is not None
    try:
        pool = BlockingConnectionPool.from_url(
            settings.url.get_secret_value(),
            max_connections=settings.connections_max,
            timeout=settings.timeout_seconds,
            socket_timeout=None,
            socket_connect_timeout=settings.timeout_seconds,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
    except ValueError:
        raise SettingsError("RATCHET_REDIS__URL is no redis://, rediss:// or unix:// URL") from None
    return Client(connection_pool=pool)
