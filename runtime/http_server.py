"""An HTTP server of a role: where it listens, and its life between start and drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from runtime.health import join_address, split_address
from runtime.http_accept import Acceptor
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from runtime.health import Probe
    from runtime.http_accept import Connections


class Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: `stop` is how a role ends. `listening` is set once it accepts."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen on the sockets with our own acceptors, in place of the loop's servers."""
        await self.lifespan.startup()
        connections = cast("Connections", self.config.http)

        def connect() -> asyncio.BaseProtocol:
            return connections(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        def refusal_of(peer: str) -> bytes | None:
            return connections.refusal_of(peer, tuple(self.server_state.default_headers))

        acceptors = [Acceptor(one, connect, refusal_of) for one in sockets or ()]
        for acceptor in acceptors:
            acceptor.start(self.config.backlog)
        self.servers = cast("Any", acceptors)  # uvicorn closes them, and waits until they are
        self.started = True
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def configure(
    app: ASGIApp,
    connections: Connections,
    *,
    backlog: int,
    keep_alive_seconds: float,
    drain_seconds: float,
) -> uvicorn.Config:
    """Return uvicorn's configuration with nothing left to its defaults that a sender could feel.

    `connections` makes the protocol of a connection from uvicorn's parts.
    """
    return uvicorn.Config(
        app,
        http=cast("Any", connections),  # uvicorn keeps it; `Server` makes the connections
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        backlog=backlog,
        timeout_keep_alive=max(1, round(keep_alive_seconds)),
        timeout_graceful_shutdown=max(1, round(drain_seconds)),
    )


def listen(bind: str, setting: str) -> socket.socket:
    """Return a socket bound to `host:port`; raise SettingsError naming the setting where that can't be."""
    host, port = split_address(bind)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise SettingsError(f"{setting}: {bind} cannot be listened on: {error.strerror}") from error
    listener.setblocking(False)
    return listener


async def serve_http(config: uvicorn.Config, listener: socket.socket, stop: asyncio.Event, probe: Probe) -> None:
    """Serve on the socket until `stop` is set, then finish what is in flight; the probe learns address and state."""
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping, listening = asyncio.create_task(stop.wait()), asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait((serving, listening), return_when=asyncio.FIRST_COMPLETED)
        probe.facts["address"] = join_address(*listener.getsockname()[:2])
        probe.state = "running"
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
        probe.state = "stopping"
        server.should_exit = True
        await serving
    finally:
        server.should_exit = server.force_exit = True
        stopping.cancel()
        listening.cancel()
        await asyncio.wait((serving, stopping, listening))
        listener.close()
