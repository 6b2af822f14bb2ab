"""The ingress role: its routes, its server, and the order in which it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import uvicorn
from starlette.routing import Route, Router

from producers.ingress.answers import of_problem, send_answer
from producers.ingress.certificates import Certificates, client_bounds
from producers.ingress.intents.pool import Transactions
from producers.ingress.intents.wiring import intents_routes
from producers.ingress.lines import CanonicalLines, line_of
from producers.ingress.publisher import Publisher
from producers.ingress.readiness import HealthPage, MetricsPage, Readiness
from producers.ingress.receipt import ReceiptBounds, protocol_class
from producers.ingress.spool import Spool
from producers.ingress.webhooks import UNKNOWN_PATH, Webhooks
from runtime.clock import SystemClock
from runtime.health import join_address, split_address
from runtime.http import HttpClient
from schemas import problems
from schemas.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Receive, Scope, Send

    from runtime.clock import Clock
    from runtime.health import Probe
    from runtime.settings import IngressSettings, Settings


async def serve(settings: Settings, stop: asyncio.Event, probe: Probe) -> None:
    """Run the door until `stop` is set, then finish what is in flight.

    Opens without waiting for Kafka or Postgres. Raises SettingsError for endpoints or an address that can't be.
    """
    spool, transactions = Spool(settings), Transactions(settings)
    publisher = Publisher(settings, spool)
    readiness = Readiness({"kafka": publisher, "postgres": spool}, probe, settings.ingress.ready_interval_seconds)
    bounds = settings.ingress.certificates
    async with HttpClient(client_bounds(settings.http, bounds)) as client:
        certificates = Certificates(client, bounds)
        app = build_app(settings, publisher, readiness, SystemClock(), certificates, transactions)
        probe.unready = readiness.unready
        background = [asyncio.create_task(publisher.run())]
        try:
            await publisher.first_try()
            background.append(asyncio.create_task(readiness.run()))
            await _serve_http(app, settings.ingress, stop, probe)
        finally:
            for task in background:
                task.cancel()
            await asyncio.wait(background)
            await certificates.close()
            await publisher.close()
            await spool.close()
            await transactions.close()


def build_app(  # noqa: PLR0913, PLR0917 - what the door is made of, once
    settings: Settings,
    publisher: Publisher,
    readiness: Readiness,
    clock: Clock,
    certificates: Certificates,
    transactions: Transactions,
) -> ASGIApp:
    """Return the whole door as one ASGI application."""
    routes = [
        Route("/webhooks/{rest:path}", Webhooks(settings, publisher, clock, certificates)),
        *intents_routes(settings, transactions, clock),
        Route("/livez", HealthPage("/livez")),
        Route("/readyz", HealthPage("/readyz", readiness)),
        Route("/metrics", MetricsPage()),
    ]
    router = Router(routes, redirect_slashes=False, default=_not_found)
    return CanonicalLines(router, settings.ingress.retry_after_seconds)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    line_of(scope).refuse(UNKNOWN_PATH)
    await send_answer(send, of_problem(problems.UNKNOWN_PATH))


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: `stop` is how a role ends. `listening` is set once it accepts."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.listening.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _serve_http(app: ASGIApp, door: IngressSettings, stop: asyncio.Event, probe: Probe) -> None:
    listener = _listen(door)
    server = _Server(_configuration(app, door))
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


def _listen(door: IngressSettings) -> socket.socket:
    host, port = split_address(door.bind)
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
        raise SettingsError(f"RATCHET_INGRESS__BIND: {door.bind} cannot be listened on: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def _configuration(app: ASGIApp, door: IngressSettings) -> uvicorn.Config:
    """Return uvicorn's configuration with nothing left to its defaults that a sender could feel."""
    bounds = ReceiptBounds(
        deadline_seconds=door.receipt_deadline_seconds,
        head_bytes_max=door.header_bytes_max,
        linger_seconds=door.linger_seconds,
        connections_max=door.connections_max,
        retry_after_seconds=door.retry_after_seconds,
    )
    return uvicorn.Config(
        app,
        http=protocol_class(bounds),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=True,
        backlog=door.backlog_connections,
        timeout_keep_alive=max(1, round(door.keep_alive_seconds)),
        timeout_graceful_shutdown=max(1, round(door.drain_seconds)),
    )
