"""The console role: its parts, and the order in which they start and stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ops.availability import keep_naming
from ops.console.actions import Actions
from ops.console.app import build_app, make_templates
from ops.console.backlog import BacklogReader
from ops.console.board_poller import BoardPoller
from ops.console.ledger_check import LedgerCheck
from ops.console.outcomes import OutcomeCounter
from ops.console.parts import Parts
from ops.console.passwords import Password, Tries
from ops.console.reader import Reader
from ops.console.session_rows import SessionRows
from ops.console.sessions import Sessions
from ops.console.sso import SignOn, check_sso
from ops.console.static_files import StaticFiles
from ops.exposure import check_exposure
from producers.ingress.http.protocol import HttpBounds, HttpConnections
from runtime.background import end_all, keep_running
from runtime.http_server import configure, listen, serve_http

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

    from runtime.health import Probe
    from runtime.settings import ConsoleSettings, Settings

BACKLOG_CONNECTIONS: Final = 2048
"""Connections that the system holds until they are accepted."""


async def serve(settings: Settings, stop: asyncio.Event, probe: Probe) -> None:
    """Run the console until `stop` is set. Opens without waiting for Kafka or Postgres.

    Raises SettingsError for an address that can't be, or that others could reach without a password.
    """
    check_exposure(settings.console)
    check_sso(settings.console)
    listener = listen(settings.console.bind, "RATCHET_CONSOLE__BIND")
    files, reader, backlog = StaticFiles(), Reader(settings), BacklogReader(settings)
    outcomes = OutcomeCounter(settings, reader)
    poller, ledger = BoardPoller(settings, reader, backlog, outcomes, probe.facts), LedgerCheck(settings)
    password = Password(settings.console.password)
    rows = SessionRows(settings, password)
    parts = Parts(
        settings=settings,
        sessions=Sessions(settings.console, rows),
        tries=Tries(settings.console),
        password=password,
        rows=rows,
        sso=SignOn(settings.console),
        reader=reader,
        poller=poller,
        actions=Actions(settings),
        ledger=ledger,
        templates=make_templates(files),
    )
    looking = [
        asyncio.create_task(poller.run()),
        asyncio.create_task(keep_running("naming Postgres", lambda: keep_naming(settings, probe.facts))),
    ]
    try:
        await serve_http(configuration(build_app(parts, files), settings.console), listener, stop, probe)
    finally:
        await end_all(looking)
        await ledger.close()
        await backlog.close()
        await outcomes.close()
        await reader.close()
        await rows.close()


def configuration(app: ASGIApp, console: ConsoleSettings) -> uvicorn.Config:
    """Return the server's configuration, bounded as the ingress' is."""
    bounds = HttpBounds(
        deadline_seconds=console.receipt_deadline_seconds,
        head_bytes_max=console.header_bytes_max,
        head_fields_max=console.header_fields_max,
        linger_seconds=console.linger_seconds,
        connections_max=console.connections_max,
        connections_per_address_max=console.connections_per_address_max,
        crowded_deadline_seconds=console.crowded_deadline_seconds,
        write_deadline_seconds=console.write_deadline_seconds,
        trusted_proxies=console.trusted_proxies,
        retry_after_seconds=1,
    )
    return configure(
        app,
        HttpConnections(bounds),
        backlog=BACKLOG_CONNECTIONS,
        keep_alive_seconds=console.keep_alive_seconds,
        drain_seconds=console.drain_seconds,
    )
