"""The ingress role: its routes, its server, and the order in which it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from starlette.routing import Route, Router

from producers.ingress.access_log import AccessLog, line_of
from producers.ingress.answers import of_problem, send_answer
from producers.ingress.clock_check import ClockCheck
from producers.ingress.hints import Hints
from producers.ingress.http.protocol import HttpBounds, HttpConnections
from producers.ingress.intents.wiring import intents_routes
from producers.ingress.publishing.publisher import Publisher
from producers.ingress.publishing.spool import Spool
from producers.ingress.rate_limits import RateLimits
from producers.ingress.readiness import Checked, HealthPage, Readiness
from producers.ingress.routes import PREFIX
from producers.ingress.transactions import Transactions
from producers.ingress.verification.certificates import Certificates, client_bounds
from producers.ingress.webhooks import UNKNOWN_PATH, Webhooks
from runtime.background import end_all, keep_running
from runtime.clock import SystemClock
from runtime.http import HttpClient
from runtime.http_server import configure, listen, serve_http
from runtime.redis import RedisLink
from runtime.topic_binding import bind
from schemas import problems
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Receive, Scope, Send

    from runtime.health import Probe
    from runtime.settings import IngressSettings, Settings


async def serve(settings: Settings, stop: asyncio.Event, probe: Probe) -> None:
    """Run the ingress until `stop` is set, then finish what is in flight.

    Opens without waiting for Kafka or Postgres. Raises SettingsError for endpoints or an address that can't be.
    """
    clock = SystemClock()
    clocks = ClockCheck(clock)
    spool, transactions = Spool(settings, clocks, probe.facts), Transactions(settings)
    hint_transactions = Transactions(settings, role="ingress hints", connections=settings.ingress.hint_connections_max)
    publisher = Publisher(settings, spool)
    stores: dict[str, Checked] = {"kafka": publisher, "postgres": spool}
    readiness = Readiness(stores, clocks, probe, settings.ingress.ready_interval_seconds)
    link = RedisLink(settings.redis)
    bounds = settings.ingress.certificates
    async with HttpClient(client_bounds(settings.http, bounds)) as client:
        certificates = Certificates(client, bounds)
        rates = RateLimits(settings, link)
        webhooks = settings.kafka.topics.webhooks.name
        hints = Hints(hint_transactions, settings.refetch, clock, webhooks)
        app = build_app(settings, publisher, readiness, clocks, certificates, transactions, rates, hints)
        probe.unready = readiness.unready
        background = [asyncio.create_task(keep_running("kafka connection", publisher.run))]
        try:
            await asyncio.gather(publisher.first_try(), _bind_topics(transactions, settings))
            background.append(asyncio.create_task(keep_running("readiness", readiness.run)))
            listener = listen(settings.ingress.bind, "RATCHET_INGRESS__BIND")
            await serve_http(_configuration(app, settings.ingress), listener, stop, probe)
        finally:
            await end_all(background)
            await certificates.close()
            await publisher.close()
            await spool.close()
            await transactions.close()
            await hint_transactions.close()
            await link.close()


async def _bind_topics(transactions: Transactions, settings: Settings) -> None:
    """Raise SettingsError where the database belongs to other topics; where it can't be asked, the ingress opens."""
    if settings.postgres.dsn is None:
        return
    with contextlib.suppress(TimeoutError, UnavailableError):
        async with asyncio.timeout(settings.ingress.ready_timeout_seconds):
            await transactions.run(lambda connection: bind(connection, settings.kafka.topic_prefix))


def build_app(  # noqa: PLR0913, PLR0917 - what the ingress is made of, once
    settings: Settings,
    publisher: Publisher,
    readiness: Readiness,
    clocks: ClockCheck,
    certificates: Certificates,
    transactions: Transactions,
    rates: RateLimits,
    hints: Hints,
) -> ASGIApp:
    """Return the whole ingress as one ASGI application."""
    webhooks = Webhooks(settings, publisher, clocks, certificates, rates, hints)
    routes = [
        *intents_routes(settings, transactions, clocks.clock, rates),
        Route("/livez", HealthPage("/livez")),
        Route("/readyz", HealthPage("/readyz", readiness)),
    ]
    router = Router(routes, redirect_slashes=False, default=_not_found)

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        """Send webhooks straight to their endpoint: it knows its paths, and nearly every request is one."""
        await (webhooks if scope["path"].startswith(PREFIX) else router)(scope, receive, send)

    return AccessLog(route, settings.ingress.retry_after_seconds, settings.ingress.trusted_proxies)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - ASGI
    line_of(scope).refuse(UNKNOWN_PATH)
    await send_answer(send, of_problem(problems.UNKNOWN_PATH))


def _configuration(app: ASGIApp, ingress: IngressSettings) -> uvicorn.Config:
    """Return the server's configuration, with the ingress' bounds."""
    bounds = HttpBounds(
        deadline_seconds=ingress.receipt_deadline_seconds,
        head_bytes_max=ingress.header_bytes_max,
        head_fields_max=ingress.header_fields_max,
        linger_seconds=ingress.linger_seconds,
        connections_max=ingress.connections_max,
        connections_per_address_max=ingress.connections_per_address_max,
        crowded_deadline_seconds=ingress.crowded_deadline_seconds,
        write_deadline_seconds=ingress.write_deadline_seconds,
        trusted_proxies=ingress.trusted_proxies,
        retry_after_seconds=ingress.retry_after_seconds,
    )
    return configure(
        app,
        HttpConnections(bounds),
        backlog=ingress.backlog_connections,
        keep_alive_seconds=ingress.keep_alive_seconds,
        drain_seconds=ingress.drain_seconds,
    )
