"""The relay as a process: takes the lease, runs the lanes under it, tells the probe how they fare."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from producers.relay.cleaning import keep_clean
from producers.relay.lanes import open_lanes
from producers.relay.loop import LaneHealth, LaneLoop
from producers.relay.redrive import NAME, RedriveLane
from producers.relay.sampling import keep_sampling
from runtime import metrics
from runtime.background import keep_running, run_side_by_side
from runtime.kafka import ensure_topics
from runtime.lease import Leader, holder_name
from runtime.lease_redis import open_leases
from runtime.opening import close_pool, open_when_there
from runtime.postgres import open_pool
from runtime.postgres_looks import keep_looking
from runtime.topic_binding import bound

if TYPE_CHECKING:
    from collections.abc import Callable

    from runtime.health import Probe
    from runtime.lease import Lease
    from runtime.postgres import Pool
    from runtime.settings import Settings

LEASE_NAME: Final = "relay"
LEASE_PART: Final = 0.9
"""Part of `lease_seconds` that the lease is taken for: with the successor's pause between two looks it makes one."""

PLANNER = {"plan_cache_mode": "force_custom_plan"}
"""The relay's sessions: a plan made while the ledger was empty must not outlive that."""

_log = structlog.get_logger()


async def serve(settings: Settings, stop: asyncio.Event, probe: Probe) -> None:
    """Relay until `stop`: then finish the batches under way, give the lease back and return.

    Kafka or Postgres away is waited out and reported by `probe.unready`; a database whose transaction ids are not its
    own halts the relay (`probe.state` is `halted`) until it is mended.
    """
    lanes = open_lanes(settings.relay, settings.kafka.topics)
    health = {name: LaneHealth() for name in (*(lane.name for lane in lanes), NAME)}
    waiting: dict[str, str] = {}
    watch_health(probe, health, waiting, settings.role.stalled_after_seconds)
    pool = await open_when_there(
        lambda: _open(settings),
        stop,
        _noting(waiting),
        initial_seconds=settings.relay.backoff_initial_seconds,
        max_seconds=settings.relay.backoff_max_seconds,
    )
    if pool is None:
        return
    try:
        async with open_leases(pool, settings.redis) as leases:
            leader = Leader(leases, LEASE_NAME, holder_name(), settings.relay.lease_seconds * LEASE_PART)
            reporter = asyncio.ensure_future(
                keep_running(
                    "relay report", lambda: _report(probe, health, leader, settings.relay.poll_interval_seconds)
                )
            )
            looks = asyncio.ensure_future(keep_looking(pool, probe.facts))
            try:
                await leader.run(stop, lambda lease, ending: _carry(settings, pool, health, probe.facts, lease, ending))
            finally:
                reporter.cancel()
                looks.cancel()
                await asyncio.gather(reporter, looks, return_exceptions=True)
    finally:
        await close_pool(pool, settings.postgres.connect_timeout_seconds)


async def _carry(  # noqa: PLR0913, PLR0917 - all that a term is given
    settings: Settings,
    pool: Pool,
    health: dict[str, LaneHealth],
    facts: dict[str, object],
    lease: Lease,
    ending: asyncio.Event,
) -> None:
    """Run all lanes, the cleaning and the sampling under one lease; the first to lose it ends them all."""
    for lane_health in health.values():
        lane_health.ended_at = time.monotonic()
    topics = settings.kafka.topics
    lanes = (*open_lanes(settings.relay, topics), RedriveLane(settings.relay, settings.redrive, lease, topics))
    loops = [LaneLoop(lane, pool, settings, health[lane.name]) for lane in lanes]
    try:
        await run_side_by_side(
            *(loop.run(lease, ending) for loop in loops),
            keep_clean(pool, settings.intents, lease, ending),
            keep_sampling(pool, settings, facts, ending),
        )
    finally:
        for lane_health in health.values():
            lane_health.rest()


async def _open(settings: Settings) -> Pool:
    """Make sure of the topics and open the relay's own pool."""
    await ensure_topics(settings.kafka)
    connections = settings.relay.pool_connections_max
    pool = await open_pool(settings.postgres, role="relay", connections=connections, parameters=PLANNER)
    return await bound(pool, settings.kafka.topic_prefix)


def _noting(waiting: dict[str, str]) -> Callable[[Exception | None, int], None]:
    """Return what says why the relay does not start, to the log and to the probe."""

    def note(error: Exception | None, failures: int) -> None:
        if error is None:
            waiting.clear()
            return
        waiting["starting"] = f"starting: {type(error).__name__}: {error}"
        _log.warning("relay_waits", error=waiting["starting"], failures_in_row=failures)

    return note


def watch_health(
    probe: Probe, health: dict[str, LaneHealth], waiting: dict[str, str], stalled_after_seconds: float
) -> None:
    """Let the probe ask the lanes: unready is a lane that fails, stuck is one whose turn does not end at all."""

    def unready() -> str | None:
        reasons = [*waiting.values(), *(lane.failure for lane in health.values() if lane.failure)]
        return "; ".join(reasons) or None

    def stuck() -> str | None:
        if not probe.facts.get("leading"):
            return None
        silent = {name: time.monotonic() - lane.ended_at for name, lane in health.items()}
        late = [f"{name} for {seconds:.0f} s" for name, seconds in silent.items() if seconds > stalled_after_seconds]
        return f"no turn has ended: {', '.join(late)}" if late else None

    probe.unready, probe.stuck = unready, stuck


async def _report(probe: Probe, health: dict[str, LaneHealth], leader: Leader, interval_seconds: float) -> None:
    """Keep the probe's state and figures current."""
    while True:
        if probe.state != "stopping":
            probe.state = "halted" if any(lane.halted for lane in health.values()) else "running"
        for name, lane in health.items():
            metrics.RELAY_HALTED.labels(name).set(lane.halted)
        probe.facts["leading"] = leader.leading
        probe.facts["published"] = {name: lane.records for name, lane in health.items()}
        await asyncio.sleep(interval_seconds)
