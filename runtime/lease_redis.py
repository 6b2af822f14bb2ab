"""Leases with Redis in front: contenders ask it first and wait on it, Postgres still decides.

A key says who holds the lease, `token:holder`. It is a hint with an end: that a lease is taken is believed for
`trust_seconds` since Postgres was last asked, so a key that is stolen, stale or kept for ever delays a take-over by no
more than that; a key that is lost (Redis flushed, restarted, failed over) lets a contender through to Postgres, which
refuses it while the lease stands. Tokens are issued and checked by Postgres alone, so whatever Redis says, two writers
never both count. While Redis is away the lease is taken in Postgres as if there were none.

What is gained: a contender's question is one SET in memory, and a release wakes the one that waits longest at once.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from runtime.lease import PostgresLeases, wait_for_event
from runtime.redis import AWAY, RedisLink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from redis.asyncio import Redis

    from runtime.lease import Lease, Leases
    from runtime.postgres import Pool
    from runtime.settings import RedisSettings

_LATER_HOLDS: Final = """
local function token(value) return tonumber(string.match(value or '', '^(%d+):')) or 0 end
local held = token(redis.call('get', KEYS[1]))
if held > token(ARGV[1]) then return 0 end
"""
_MARK: Final = _LATER_HOLDS + "redis.call('set', KEYS[1], ARGV[1], 'px', ARGV[2]) return 1"
"""KEYS: the lease. ARGV: `token:holder`, milliseconds. A holder with a later token is never overwritten."""
_FREE: Final = (
    _LATER_HOLDS
    + """
redis.call('del', KEYS[1])
redis.call('del', KEYS[2])
redis.call('rpush', KEYS[2], 'free')
redis.call('pexpire', KEYS[2], ARGV[2])
return 1
"""
)
"""KEYS: the lease, its bell. ARGV: `token:holder`, milliseconds that the bell rings. One of the waiting hears it."""


class RedisLeases:
    """Leases of Postgres with Redis in front; see `Leases`."""

    def __init__(
        self, decided: Leases, link: RedisLink, trust_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._decided = decided
        self._link = link
        self._trust_seconds = trust_seconds
        self._monotonic = monotonic
        self._asked: dict[str, float] = {}

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take the lease, or return None where Redis or Postgres says that it is another's."""
        if not await self._may_be_free(name, holder, seconds):
            return None
        self._asked[name] = self._monotonic()
        lease = await self._decided.acquire(name, holder, seconds)
        if lease is not None:
            await self._mark(lease, seconds)
        return lease

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Extend the lease in Postgres; its key follows, also where it was lost."""
        stands = await self._decided.renew(lease, seconds)
        if stands:
            await self._mark(lease, seconds)
        return stands

    async def release(self, lease: Lease) -> None:
        """Give the lease back, and wake the one that waits longest."""
        await self._decided.release(lease)
        await self._run(_FREE, (self._key(lease.name), self._bell(lease.name)), lease, self._trust_seconds)

    async def wait(self, name: str, seconds: float, stop: asyncio.Event) -> None:
        """Wait for a release, or for part of the time: how long Redis may take to answer bounds a single wait."""
        patience = min(seconds, self._link.timeout_seconds / 2)

        async def listen(client: Redis) -> bool:
            return await cast("Awaitable[Any]", client.blpop([self._bell(name)], timeout=patience)) is not None

        listening = asyncio.ensure_future(self._link.ask(listen))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((listening, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (listening, stopping):
                task.cancel()
            await asyncio.wait((listening, stopping))
        if not listening.cancelled() and listening.result() is AWAY:
            await wait_for_event(stop, seconds)

    async def _may_be_free(self, name: str, holder: str, seconds: float) -> bool:
        """Reserve the lease in Redis; True also where Redis is away, or was believed for long enough."""
        if self._monotonic() - self._asked.setdefault(name, self._monotonic()) >= self._trust_seconds:
            return True
        milliseconds = _milliseconds(min(seconds, self._trust_seconds))
        reserved = await self._link.ask(
            lambda client: client.set(self._key(name), f"0:{holder}", nx=True, px=milliseconds)
        )
        return reserved is not None

    async def _mark(self, lease: Lease, seconds: float) -> None:
        await self._run(_MARK, (self._key(lease.name),), lease, seconds)

    async def _run(self, script: str, keys: tuple[str, ...], lease: Lease, seconds: float) -> None:
        value = f"{lease.token}:{lease.holder}"
        await self._link.ask(lambda client: client.eval(script, len(keys), *keys, value, _milliseconds(seconds)))

    def _key(self, name: str) -> str:
        return f"{self._link.key_prefix}lease:{{{name}}}"

    def _bell(self, name: str) -> str:
        return f"{self._key(name)}:bell"


@asynccontextmanager
async def open_leases(pool: Pool, settings: RedisSettings) -> AsyncIterator[Leases]:
    """Give a role its leases: of Postgres, with Redis in front where there is one."""
    link = RedisLink(settings)
    try:
        yield RedisLeases(PostgresLeases(pool), link, settings.lease_trust_seconds)
    finally:
        await link.close()


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
