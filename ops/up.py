"""`ratchet up`: brokers, schema, topics, roles, the sample and its reconciliation; everything ends with it.

The order of the start is the order of the `async with` blocks; a signal cancels the innermost one, so that the end runs
backwards: the roles first, then the brokers.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import signal
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import aiohttp
import psutil
import typer
from rich.table import Table
from rich.text import Text

from ops import binds, detach, endpoints
from ops.board import Reporter, wants_board
from ops.exposure import check_exposure
from ops.output import EXIT_DONE, EXIT_PROBLEM, EXIT_USAGE, AsJson, command, emit
from ops.roles import ROLES
from ops.run_sample import choose_signers, make_run
from ops.supervisor import Supervisor, reason_in
from runtime.folders import make_private
from runtime.lifecycle import EXIT_FORCED, read_run_file
from schemas.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from ops.run_sample import Run
    from runtime.settings import Settings

ENDS_IN_ROW_MAX = 4
"""Ends of a role that was never healthy, after which `up` gives up: a restart won't mend what is wrong."""
READY_POLL_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line says."""

    once: bool
    sample: bool
    as_json: bool
    released_by_stdin: bool = False


@contextlib.contextmanager
def alone(home: Path) -> Iterator[None]:
    """Hold the home for one `up`; the kernel gives it back with the process. Raises SettingsError where one runs."""
    path = detach.lock_path(home)
    make_private(path.parent)
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            pid = (file.read().split() or ["unknown"])[0]
            raise SettingsError(
                f"`ratchet up` runs in {home} already (pid {pid}); "
                "`ratchet down` ends it, or set RATCHET_HOME to another folder"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()} {psutil.Process().create_time()}")
        file.flush()
        yield


@contextlib.asynccontextmanager
async def brokers(settings: Settings, reporter: Reporter) -> AsyncIterator[Settings]:
    """Yield the settings with endpoints: those configured, those of a stack that runs here, or of one of our own."""
    if not settings.embedded() or endpoints.running_stack(settings):
        yield endpoints.found(settings)
        return
    from runtime.stack import Stack, watch

    stack, stop = Stack(settings.home, settings.stack), asyncio.Event()
    reporter.report("starting Kafka, Postgres and Redis")
    found = await stack.start()
    watching = asyncio.create_task(watch(stack, stop, settings.stack, reporter.report))
    try:
        yield endpoints.with_endpoints(settings, found)
    finally:
        stop.set()
        reporter.report("stopping Kafka, Postgres and Redis")
        await asyncio.gather(watching, return_exceptions=True)
        await stack.stop()


async def prepare(settings: Settings, reporter: Reporter) -> None:
    """Bring the schema up to date, where we may, and make sure of the topics."""
    from producers.relay.rebase import rebase_if_restored
    from runtime.kafka import ensure_topics
    from runtime.migrations import migrate_up

    if settings.postgres.owner_dsn is not None:
        for title in await migrate_up(endpoints.owner_dsn(settings), endpoints.app_role(settings)):
            reporter.report(f"migrated: {title}")
        if await rebase_if_restored(endpoints.owner_dsn(settings)) is not None:
            reporter.report("restored from a dump: rows were given ids of this cluster")
    await _with_patience(settings.sample.start_seconds_max, lambda: ensure_topics(settings.kafka))


async def _with_patience(seconds: float, attempt: Any) -> None:
    """Try until it works; raise the last UnavailableError past the bound: a broker just started may need a moment."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await attempt()
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(READY_POLL_SECONDS)
        else:
            return


def instance_id(settings: Settings) -> str:
    """Return the consumer's id in its group: this host's and this home's, so it has its place back after a kill."""
    home = hashlib.sha256(str(settings.home.resolve()).encode()).hexdigest()[:12]
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64]
    return settings.consumer.instance_id or f"{host}-{home}"


@contextlib.asynccontextmanager
async def roles(settings: Settings, extra: Mapping[str, str], reporter: Reporter) -> AsyncIterator[Supervisor]:
    """Run every role while the context lasts; `extra` is what they need in their environment beside the brokers."""
    member = {"RATCHET_CONSUMER__INSTANCE_ID": instance_id(settings)}
    common = endpoints.environment(settings) | member | dict(extra)
    supervisor = Supervisor(
        settings, common, reporter.report, own=lambda role: endpoints.environment(endpoints.as_process(settings, role))
    )
    supervisor.start(tuple(ROLES))
    try:
        yield supervisor
    finally:
        reporter.report("stopping the roles")
        await supervisor.stop()


async def ingress_of(settings: Settings, supervisor: Supervisor) -> str:
    """Wait until the ingress takes webhooks; return its URL. Raise UnavailableError with its last words otherwise."""
    deadline = time.monotonic() + settings.sample.start_seconds_max
    timeout = aiohttp.ClientTimeout(total=settings.role.probe_timeout_seconds)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while True:
            run_file = read_run_file(settings.home, "ingress")
            if run_file and run_file.address and await _answers(session, f"http://{run_file.address}/readyz"):
                return f"http://{run_file.address}"
            give_up_on_failing(supervisor)
            if time.monotonic() > deadline:
                raise UnavailableError(f"the ingress does not get ready: {reason_in(supervisor.log_path('ingress'))}")
            await asyncio.sleep(READY_POLL_SECONDS)


def give_up_on_failing(supervisor: Supervisor) -> None:
    """Raise RatchetError for a role that never got healthy: at once where a setting is wrong, else after some tries."""
    for kept in supervisor.roles.values():
        misconfigured = kept.status == EXIT_USAGE and kept.ends_in_row > 0
        if kept.watch.healthy_at is None and (misconfigured or kept.ends_in_row >= ENDS_IN_ROW_MAX):
            path = supervisor.log_path(kept.role)
            kind = SettingsError if misconfigured else UnavailableError
            raise kind(f"{kept.role} does not start: {reason_in(path)} (see {path})")


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.ok
    except (aiohttp.ClientError, TimeoutError):
        return False


def reconciliation_table(document: Mapping[str, Any]) -> Table:
    """Return a run's reconciliation as people read it."""
    title = "the ledger balances" if document["balanced"] else "THE LEDGER DOES NOT BALANCE"
    table = Table(title=f"{title} ({document['requests']:,} requests in {document['seconds']:g} s)")
    table.add_column("what became of it")
    table.add_column("events", justify="right")
    rows = [*document["outcome"].items(), ("duplicates", document["duplicates"])]
    rows += [(f"refused: {reason}", number) for reason, number in document["refused"].items()]
    for name, number in rows:
        table.add_row(name.replace("_", " "), f"{number:,}")
    table.add_section()
    table.add_row("posted", f"{document['posted']:,}")
    for problem in document["problems"]:
        table.add_row(Text(problem, style="red"), "")
    return table


async def _sample(run: Run, supervisor: Supervisor, reporter: Reporter, options: UpOptions) -> int:
    """Run the sample and show its reconciliation; return 0 where it balances."""
    ingress = await ingress_of(run.settings, supervisor)
    reporter.run = run
    reporter.report(f"posting {len(run.plan.posts):,} requests of the sample to {ingress}")
    async with reporter.showing():  # the result goes to standard output, which a board would not know of
        await run.go(ingress)
    document = run.document()
    emit(document, as_json=options.as_json, show=lambda: reconciliation_table(document))
    return EXIT_DONE if document["balanced"] else EXIT_PROBLEM


async def _up(settings: Settings, options: UpOptions, reporter: Reporter) -> int:
    check_exposure(settings.console)
    with alone(settings.home):
        listening = binds.choose(settings, reporter.report)
        async with brokers(settings, reporter) as found:
            await prepare(found, reporter)
            signers, secrets = choose_signers(settings) if options.sample else ({}, {})
            async with roles(found, secrets | listening, reporter) as supervisor:
                status = EXIT_DONE
                if options.sample or options.once:
                    status = await _sample(make_run(found, signers), supervisor, reporter, options)
                if options.once:
                    return status
                reporter.report(f"serving at {await ingress_of(found, supervisor)}; Ctrl-C stops everything")
                reporter.report(f"the console is at http://{supervisor.environment['RATCHET_CONSOLE__BIND']}")
                async with reporter.showing():
                    await asyncio.get_running_loop().create_future()
    return EXIT_DONE  # pragma: no cover - a signal ends the wait above


async def _until_signal(settings: Settings, options: UpOptions) -> int:
    """Run `up`; the first SIGINT or SIGTERM takes it down in order, the second one at once."""
    reporter = Reporter(settings, live=wants_board(as_json=options.as_json))
    body = asyncio.create_task(_up(settings, options, reporter))

    def received() -> None:
        if body.cancelling():
            os._exit(EXIT_FORCED)
        body.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, received)
    if options.released_by_stdin:
        detach.stop_unless_released(lambda: loop.call_soon_threadsafe(received))
    try:
        return await body
    except asyncio.CancelledError:
        return EXIT_PROBLEM if options.once else EXIT_DONE


def run(settings: Settings, options: UpOptions) -> int:
    """Run `up` to its end; return the exit status."""
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_until_signal(settings, options))


@command
def up(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Stop when the sample is processed; exit 0 if it balances.")
    ] = False,
    no_sample: Annotated[bool, typer.Option("--no-sample", help="Post nothing.")] = False,
    detached: detach.Detach = False,
    released_by_stdin: detach.Released = False,
    as_json: AsJson = False,
) -> int:
    """Start everything and serve until Ctrl-C: brokers (unless configured), schema, every role, and the sample."""
    settings = endpoints.load()
    if not detached:
        return run(settings, UpOptions(once, not no_sample, as_json, released_by_stdin))
    if once:
        raise SettingsError("--once ends by itself; leave out --detach")
    document = detach.start(settings, ["--no-sample"] if no_sample else [])
    console = document["console"] or "no address yet (`ratchet status` shows it)"
    words = f"serving at {document['ingress']}, the console at {console}; `ratchet down` stops it"
    emit(document, as_json=as_json, show=lambda: words)
    return EXIT_DONE


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("down")(detach.down)
