"""Leases: one process at a time may act, and Postgres refuses the writes of one that no longer may.

A lease is a row of `leases`. Postgres issues its fencing token (one more at each take-over, never less) and decides by
its own clock when it expires, so clocks of processes need not agree. A guarded write checks in its own transaction that
its token and its holder still stand: a holder that was paused past its time finds its write refused, not applied. The
holder is compared too, for a replica that was promoted may not know of a take-over and give its token a second time.
(M. Kleppmann, How to do distributed locking, 2016: a lease without a fencing token protects nothing.)

`Leases` is the seam: `lease_redis` asks Redis first and waits on it; tokens come from Postgres whoever is asked first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from runtime import metrics
from runtime.postgres import OUTAGE_ERRORS
from runtime.sql import statement
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.postgres import Connection, Pool

    Work = Callable[["Lease", asyncio.Event], Awaitable[None]]

RENEW_PART: Final = 1 / 3
"""A lease is renewed each third of its time: two renewals may fail before it is lost."""
WATCH_PART: Final = 1 / 10
"""How often one that waits for a lease asks for it, and how soon a failed renewal is tried again, in parts of it."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as it was given: `token` and `holder` together fence the holder's writes."""

    name: str
    holder: str
    token: int

    @property
    def fence(self) -> tuple[str, int, str]:
        """Name, token and holder: what every guarded statement compares, in this order."""
        return self.name, self.token, self.holder


class Leases(Protocol):
    """Gives, renews and takes back leases; raises what the driver raises when it can't be asked."""

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take the lease for so many seconds, or return None while one stands: the holder itself gets None too."""
        ...

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Extend the lease from now; False when it has expired or is another's."""
        ...

    async def release(self, lease: Lease) -> None:
        """Give the lease back, so that a successor need not wait; harmless when it is lost already."""
        ...

    async def wait(self, name: str, seconds: float, stop: asyncio.Event) -> None:
        """Wait until it is worth asking again, `seconds` at most, or until `stop`."""
        ...


class PostgresLeases:
    """Leases in the table `leases`."""

    def __init__(self, pool: Pool | Connection) -> None:
        self._pool = pool

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        """Take the lease in one statement; see `Leases`."""
        token = await self._pool.fetchval(statement("runtime", "acquire_lease"), name, holder, seconds)
        return None if token is None else Lease(name, holder, token)

    async def renew(self, lease: Lease, seconds: float) -> bool:
        """Extend the lease in one statement; see `Leases`."""
        token = await self._pool.fetchval(statement("runtime", "renew_lease"), *lease.fence, seconds)
        return token is not None

    async def release(self, lease: Lease) -> None:
        """Give the lease back in one statement; see `Leases`."""
        await self._pool.execute(statement("runtime", "release_lease"), *lease.fence)

    async def wait(self, name: str, seconds: float, stop: asyncio.Event) -> None:  # noqa: ARG002 - see `Leases`
        """Wait for the whole time: Postgres gives no signal of a release."""
        await wait_for_event(stop, seconds)


async def guard(connection: Connection, lease: Lease) -> None:
    """Raise LeaseLostError unless the lease stands; call it first in the transaction whose writes it guards.

    The lease can't be taken over before that transaction ends, so keep the transaction short.
    """
    if await connection.fetchval(statement("runtime", "guard_lease"), *lease.fence) is None:
        raise LeaseLostError(f"lease {lease.name!r} with token {lease.token} expired or was taken over")


def holder_name() -> str:
    """Name this process as a holder: host, pid, and something random since pids come again."""
    return f"{socket.gethostname()[:80]}:{os.getpid()}:{os.urandom(4).hex()}"


class Leader:
    """Leads while it can: takes the lease, works under it, renews it, and cancels the work when it is lost.

    `seconds` is the lease's time; after a holder's sudden death another one leads `seconds * (1 + WATCH_PART)` later at
    the latest. `leading` tells whether this one holds the lease.
    """

    def __init__(self, leases: Leases, name: str, holder: str, seconds: float) -> None:
        self._leases = leases
        self._name = name
        self._holder = holder
        self._seconds = seconds
        self._valid_until = 0.0
        self.leading = False

    async def run(self, stop: asyncio.Event, work: Work) -> None:
        """Lead term after term until `stop`.

        `work` gets the lease and an event that asks it to finish what it has in hand and return; it is cancelled when
        the lease is lost. An end of `work` by LeaseLostError is the end of a term; any other error ends the run.
        """
        while not stop.is_set():
            lease = await self._try_acquire()
            if lease is None:
                await self._leases.wait(self._name, self._seconds * WATCH_PART, stop)
                continue
            self.leading = True
            metrics.LEASE_HELD.labels(lease.name).set(1)
            metrics.LEASE_TOKEN.labels(lease.name).set(lease.token)
            metrics.LEASE_LOSSES.labels(lease.name)  # at zero: an alert must see the first one too
            _log.info("lease_acquired", lease=lease.name, holder=lease.holder, fencing_token=lease.token)
            try:
                await self._serve_term(lease, stop, work)
            finally:
                self.leading = False
                metrics.LEASE_HELD.labels(lease.name).set(0)

    async def _try_acquire(self) -> Lease | None:
        """Ask once; an issuer that is away is no lease."""
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(self._seconds):
                lease = await self._leases.acquire(self._name, self._holder, self._seconds)
        except OUTAGE_ERRORS as error:
            _log.warning("lease_unavailable", lease=self._name, error=f"{type(error).__name__}: {error}")
            return None
        self._valid_until = asked_at + self._seconds
        return lease

    async def _serve_term(self, lease: Lease, stop: asyncio.Event, work: Work) -> None:
        """Work under one lease until the work ends, `stop` is set or the lease is lost."""
        ending = asyncio.Event()
        worker = asyncio.ensure_future(work(lease, ending))
        keeper = asyncio.ensure_future(self._keep(lease))
        stopping = asyncio.ensure_future(stop.wait())
        lost = False
        try:
            await asyncio.wait({worker, keeper, stopping}, return_when=asyncio.FIRST_COMPLETED)
            ending.set()
            await asyncio.wait({worker, keeper}, return_when=asyncio.FIRST_COMPLETED)
            lost = keeper.done() and not worker.done()
            if lost:
                worker.cancel()
                metrics.LEASE_LOSSES.labels(lease.name).inc()
                _log.warning("lease_lost", lease=lease.name, fencing_token=lease.token)
            await asyncio.wait({worker})  # who cancels us meanwhile is not taken for the end of the work
            with contextlib.suppress(LeaseLostError, *((asyncio.CancelledError,) if lost else ())):
                worker.result()
        finally:
            for task in (keeper, stopping) if lost else (worker, keeper, stopping):
                task.cancel()  # once: a second time it cuts short how the work ends
            await asyncio.gather(worker, keeper, stopping, return_exceptions=True)
            await self._release(lease)

    async def _keep(self, lease: Lease) -> None:
        """Renew until the lease is lost: refused, or not renewed within its time by this process's own clock."""
        pause = self._seconds * RENEW_PART
        while True:
            await asyncio.sleep(pause)
            asked_at = time.monotonic()
            try:
                async with asyncio.timeout(self._valid_until - asked_at):
                    if not await self._leases.renew(lease, self._seconds):
                        return
                self._valid_until = asked_at + self._seconds
                pause = self._seconds * RENEW_PART
            except OUTAGE_ERRORS as error:
                _log.warning("lease_not_renewed", lease=lease.name, error=f"{type(error).__name__}: {error}")
                if time.monotonic() >= self._valid_until:
                    return
                pause = self._seconds * WATCH_PART
            except Exception:  # noqa: BLE001 - who can't renew has lost it, whatever the reason
                _log.exception("lease_not_renewed", lease=lease.name)
                return

    async def _release(self, lease: Lease) -> None:
        """Give the lease back if the issuer answers; otherwise it expires by itself."""
        with contextlib.suppress(*OUTAGE_ERRORS):
            async with asyncio.timeout(self._seconds):
                await self._leases.release(lease)


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, at most so long; tell whether it is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()
