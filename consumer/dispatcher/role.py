"""The dispatcher as a process: takes the lease, runs the jobs' workers under it, tells the probe how they fare."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from consumer.dispatcher.apis import open_apis
from consumer.dispatcher.lists import client_bounds, open_for_orders, open_lists
from consumer.dispatcher.recall import RecallJob
from consumer.dispatcher.recall_order import RecallOrders
from consumer.dispatcher.refetch import RefetchJob
from consumer.dispatcher.sms import SmsJob
from consumer.dispatcher.stale import WatchJob
from consumer.dispatcher.twilio import TwilioSender
from consumer.dispatcher.worker import GuardedRows, Health, work
from runtime import metrics
from runtime.background import keep_running, run_side_by_side
from runtime.breaker import Breaker
from runtime.clock import SystemClock
from runtime.http import HttpClient
from runtime.lease import Leader, holder_name
from runtime.lease_redis import open_leases
from runtime.opening import close_pool, open_when_there
from runtime.postgres import OUTAGE_ERRORS, open_pool
from runtime.postgres_looks import keep_looking
from runtime.sql import statement
from runtime.topic_binding import bound
from schemas.record import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.dispatcher.apis import Api
    from consumer.dispatcher.worker import Job
    from runtime.health import Probe
    from runtime.lease import Lease
    from runtime.postgres import Pool
    from runtime.settings import Settings

log = structlog.get_logger()

LEASE_NAME: Final = "dispatcher"
LEASE_PART: Final = 0.9
"""Part of `lease_seconds` that the lease is taken for: with the successor's pause between two looks it makes one."""
TURN_PART: Final = 0.65
"""Part of `claim_seconds` that a turn may take: half of it is for calls, the rest for Postgres."""
EXTRA_CONNECTIONS: Final = 5
"""Connections beside the workers': the lease's, the watch's, the recall's, its orders' and the reporter's."""


@dataclass(slots=True)
class WorkersHealth:
    """What the probe shows: one health a worker, and why the role does not start."""

    workers: dict[str, Health] = field(default_factory=dict)
    waiting: str | None = None

    def note(self, error: Exception | None, failures: int) -> None:
        """Say why the role does not start, to the log and to the probe."""
        self.waiting = None if error is None else f"Postgres can't be used: {type(error).__name__}: {error}"
        if error is not None:
            log.warning("dispatcher_waits", error=self.waiting, failures_in_row=failures)


async def serve(settings: Settings, stop: asyncio.Event, probe: Probe) -> None:
    """Dispatch until `stop`: then finish what is in hand, give the lease back and return. Waits out a Postgres away."""
    watch = WorkersHealth()
    watch_health(probe, watch, settings)
    pool = await open_when_there(
        lambda: _open(settings),
        stop,
        watch.note,
        initial_seconds=settings.dispatcher.backoff_initial_seconds,
        max_seconds=settings.dispatcher.backoff_max_seconds,
    )
    if pool is None:
        return
    try:
        async with (
            HttpClient(settings.http) as client,
            HttpClient(settings.http.model_copy(update=client_bounds(settings))) as reader,
            open_leases(pool, settings.redis) as leases,
        ):
            apis = open_apis(settings, client)
            jobs = open_jobs(settings, pool, client, reader, apis)
            leader = Leader(leases, LEASE_NAME, holder_name(), settings.dispatcher.lease_seconds * LEASE_PART)
            reporter = asyncio.ensure_future(
                keep_running("dispatcher report", lambda: _report(probe, pool, leader, apis, settings))
            )
            looks = asyncio.ensure_future(keep_looking(pool, probe.facts))
            try:
                await leader.run(stop, lambda lease, ending: dispatch(jobs, settings, watch, lease, ending))
            finally:
                reporter.cancel()
                looks.cancel()
                await asyncio.gather(reporter, looks, return_exceptions=True)
    finally:
        await close_pool(pool, settings.postgres.connect_timeout_seconds)


def open_jobs(
    settings: Settings,
    pool: Pool,
    client: HttpClient,
    reader: HttpClient,
    apis: Mapping[tuple[str, str], Api],
) -> dict[str, Job]:
    """Return one job a worker, by the worker's name; a job that nothing is configured for has none.

    What people ask of a list has one always: it says also why a list can't be read. `reader` takes larger answers.
    """
    lists = open_lists(settings, reader)
    webhooks, limits = settings.kafka.topics.webhooks.name, settings.dispatcher
    rows = GuardedRows(pool, settings.postgres.connect_timeout_seconds, webhooks)
    jobs: dict[str, Job] = {}
    if apis:
        refetch = RefetchJob(rows, apis, settings, SystemClock())
        jobs |= {f"refetch-{number}": refetch for number in range(settings.refetch.workers)}
        jobs["watch-0"] = WatchJob(rows, apis, settings)
    if lists:
        jobs["recall-0"] = RecallJob(rows, lists, settings, SystemClock())
    jobs["recall-orders-0"] = RecallOrders(rows, open_for_orders(settings, reader, lists), settings, SystemClock())
    if settings.sms.twilio.configured:
        breaker = Breaker(limits.breaker_seconds, limits.breaker_failures_max)
        metrics.BREAKERS.watch("twilio", breaker)
        sms = SmsJob(rows, TwilioSender(settings, client), breaker, settings)
        jobs |= {f"sms-{number}": sms for number in range(settings.sms.workers)}
    log.info("desks_open", workers=sorted(jobs), apis=[source_of(*source) for source in sorted(apis)])
    return jobs


async def dispatch(
    jobs: Mapping[str, Job], settings: Settings, watch: WorkersHealth, lease: Lease, ending: asyncio.Event
) -> None:
    """Run all workers under one lease; the first one to find it lost ends them all."""
    watch.workers = {name: Health(name) for name in jobs}
    works = [work(job, lease, ending, settings.dispatcher, watch.workers[name]) for name, job in jobs.items()]
    try:
        await run_side_by_side(*works, ending.wait())
    finally:
        watch.workers = {}
        for total in (metrics.WEBHOOKS_RECALLED, metrics.WEBHOOKS_LOST):
            total.read({})
        metrics.RECALL_BEHIND_SECONDS.clear()


async def _open(settings: Settings) -> Pool:
    """Open the role's own pool."""
    connections = settings.refetch.workers + settings.sms.workers + EXTRA_CONNECTIONS
    pool = await open_pool(settings.postgres, role="dispatcher", connections=connections)
    return await bound(pool, settings.kafka.topic_prefix)


def watch_health(probe: Probe, watch: WorkersHealth, settings: Settings) -> None:
    """Let the probe ask the workers: unready is one that fails, stuck is one whose turn does not end at all."""

    def unready() -> str | None:
        reasons = [watch.waiting, *(worker.failure for worker in watch.workers.values())]
        return "; ".join(reason for reason in reasons if reason) or None

    def stuck() -> str | None:
        longest = max(settings.role.stalled_after_seconds, settings.dispatcher.claim_seconds * TURN_PART)
        silent = {worker.name: time.monotonic() - worker.ended_at for worker in watch.workers.values()}
        late = [f"{name} for {seconds:.0f} s" for name, seconds in silent.items() if seconds > longest]
        return f"no turn has ended: {', '.join(late)}" if late else None

    probe.unready, probe.stuck = unready, stuck


async def _report(
    probe: Probe, pool: Pool, leader: Leader, apis: Mapping[tuple[str, str], Api], settings: Settings
) -> None:
    """Keep the probe's state and figures current; say once which refetches wait for a key that is not configured."""
    sources, reported = ([provider for provider, _ in apis], [account for _, account in apis]), None
    while True:
        if probe.state != "stopping":
            probe.state = "running"
        probe.facts["leading"] = leader.leading
        try:
            row = await pool.fetchrow(statement("consumer.dispatcher", "count_waiting"), *sources)
        except OUTAGE_ERRORS:
            row = None
        if row is not None:
            probe.facts["waiting"] = {"refetches": row["refetches"], "sms": row["sms"]}
            for job in ("refetches", "sms"):
                metrics.DISPATCHER_WAITING.labels(job).set(row[job])
            if row["without_key"] and row["without_key"] != reported:
                reported = row["without_key"]
                log.error("refetch_without_key", sources=reported, advice="set RATCHET_PROVIDERS__<NAME>__API_KEY")
        await asyncio.sleep(settings.dispatcher.report_interval_seconds)
