"""Accepts connections: a refused one costs an accept, a write and a close, and many of them hold up nobody else.

An event loop makes a protocol and a transport for every connection that waits before it looks at anything else, a
fraction of a millisecond each. A sender that opens thousands of connections would hold up all others. So a connection
that has no place is answered and closed here, and the loop goes round after ACCEPTS_A_TURN of them.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

_log = structlog.get_logger()

ACCEPTS_A_TURN: Final = 32
"""Connections that are taken in before the loop goes round: some milliseconds where all have a place."""
OUT_OF_RESOURCES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE_SECONDS: Final = 1.0
"""Without descriptors or memory every further try would fail at once; connections wait in the kernel meanwhile."""


class Connections(Protocol):
    """What makes a server's connections, in the form that uvicorn's configuration takes."""

    def __call__(self, **parts: Any) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection, from uvicorn's parts."""
        ...

    def refusal_of(self, peer: str, own: tuple[tuple[bytes, bytes], ...]) -> bytes | None:
        """Return what a connection from this address is answered and closed with, or None where a protocol is made.

        `own` are the headers that the server puts on every answer.
        """
        ...


class Acceptor:
    """Takes connections from a listening socket until it is closed; the socket is its owner's."""

    def __init__(
        self,
        listener: socket.socket,
        connect: Callable[[], asyncio.BaseProtocol],
        refusal_of: Callable[[str], bytes | None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener, self._connect, self._refusal_of = listener, connect, refusal_of
        self._making: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self, backlog: int) -> None:
        """Listen; `backlog` connections may wait in the kernel."""
        self._listener.listen(backlog)
        self._loop.add_reader(self._listener, self._take)

    def close(self) -> None:
        """Take no more in. May be called twice."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Wait until every connection that was taken in has its protocol."""
        if self._making:
            await asyncio.wait(self._making)

    def _take(self) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._take_in(connection, address[0])

    def _take_in(self, connection: socket.socket, peer: str) -> None:
        refusal = self._refusal_of(peer)
        if refusal is not None:
            _answer(connection, refusal)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._make(connection))
        self._making.add(task)
        task.add_done_callback(self._making.discard)

    async def _make(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.connect_accepted_socket(self._connect, connection)
        except OSError:  # its other end is gone already
            connection.close()

    def _pause(self, error: OSError) -> None:
        """Leave connections in the kernel for a moment where nothing can be opened; raise what is no such lack."""
        if error.errno not in OUT_OF_RESOURCES:
            raise error
        _log.error("connections_paused", error=error.strerror, seconds=PAUSE_SECONDS)
        self._loop.remove_reader(self._listener)
        self._loop.call_later(PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._take)


def _answer(connection: socket.socket, refusal: bytes) -> None:
    """Write the refusal into the empty buffer of a new connection, and close it."""
    try:
        connection.send(refusal, socket.MSG_DONTWAIT)
    except OSError:
        pass
    finally:
        connection.close()
