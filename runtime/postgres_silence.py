"""Notices a Postgres that hangs: sessions that wait for it are ended, so that their work can go on elsewhere.

A statement may take its time, so its time-out is long. A server that is frozen, or to which packets are lost, looks
like one that works: connections stay open and say nothing. So where a session waits for longer than `QUIET_SECONDS`,
its server is asked by another connection, to that very host. One that does not answer `QUESTIONS` times, each for
`ANSWER_SECONDS`, is away, and all sessions with it are ended; whoever waited gets the error of a lost connection. A
server that answers keeps them, however long they wait: for a lock, or for a standby.

The question is the protocol's SSLRequest, which is answered by a byte before anybody logs in (PostgreSQL's manual,
"Message Formats"): it needs no right, no free place among the sessions, and any pooler knows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakSet

import structlog

from runtime import metrics
from runtime.background import keep_running

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.postgres import Pool
    from runtime.postgres_session import Session

    Connect = Callable[..., Awaitable[Any]]

LOOK_SECONDS: Final = 0.5
QUIET_SECONDS: Final = 2.0
"""How long a session waits before its server is asked whether it lives."""
ANSWER_SECONDS: Final = 1.5
QUESTIONS: Final = 2
SSL_REQUEST: Final = struct.pack(">ii", 8, 80877103)

_log = structlog.get_logger()


async def answers(server: str | tuple[str, int], seconds: float) -> bool:
    """Tell whether a server answers at all, within so many seconds; one that refuses or breaks the connection does not.

    A folder of sockets, as which the driver names a server of this machine, is asked at its socket.
    """
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(seconds):
            opened = (
                asyncio.open_unix_connection(server) if isinstance(server, str) else asyncio.open_connection(*server)
            )
            reader, writer = await opened
            try:
                writer.write(SSL_REQUEST)
                await reader.readexactly(1)
            finally:
                writer.close()
            return True
    return False


class Silence:
    """Watches over the sessions of a pool."""

    def __init__(self) -> None:
        self._sessions: WeakSet[Session] = WeakSet()
        self._task: asyncio.Task[None] | None = None

    def watched(self, connect: Connect) -> Any:
        """Return a pool's `connect` whose sessions are watched."""

        async def connect_watched(*arguments: Any, **options: Any) -> Any:
            session = await connect(*arguments, **options)
            self._sessions.add(session)
            return session

        return connect_watched

    def start(self, pool: Pool) -> None:
        """Watch from now on until the pool is closed."""
        self._task = asyncio.create_task(keep_running("silent Postgres", lambda: self._watch(pool)))

    async def _watch(self, pool: Pool) -> None:
        while not pool.is_closing():
            await asyncio.sleep(LOOK_SECONDS)
            for server in self.waited_for(time.monotonic()):
                if not await self._lives(server):
                    self._end(server)

    def waited_for(self, now: float) -> set[str | tuple[str, int]]:
        """Return the servers for which a session waits longer than is usual."""
        return {
            one.server
            for one in self._sessions
            if one.waiting_since is not None and now - one.waiting_since > QUIET_SECONDS and not one.is_closed()
        }

    @staticmethod
    async def _lives(server: str | tuple[str, int]) -> bool:
        for _ in range(QUESTIONS):
            if await answers(server, ANSWER_SECONDS):
                return True
        return False

    def _end(self, server: str | tuple[str, int]) -> None:
        """End all sessions with a server that is away."""
        ended = [one for one in self._sessions if one.server == server and not one.is_closed()]
        for session in ended:
            session.terminate()
        metrics.POSTGRES_SILENCES.inc()
        host = server if isinstance(server, str) else f"{server[0]}:{server[1]}"
        _log.warning("postgres_silent", server=host, sessions_ended=len(ended))
