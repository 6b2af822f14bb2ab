"""`make bench-latency`: from the 202 to the committed row, ours beside the naive contender.

    python -m ops.bench.latency [--seconds N] [--rounds N] [--rate N] [--naive-rate N]

Real webhooks go through the real ingress. First a burst shows what ingress, Kafka, consumer and Postgres carry together
on this machine; then webhooks come at fixed times, at a tenth of that for each contender. Ours is also measured at the
naive contender's pace, and at a tenth of what its consumer processes from a preloaded topic (from the last `make
bench`, if there was one): that is most of what the ingress alone can take here, so it shows a busy machine. Each
round has brokers, a topic and a database of its own; the ingress is the same for all.

The moment of the 202 is when the sender has read it; the moment of the row is its transaction's commit timestamp in
Postgres. Both are the machine's wall clock. A commit's timestamp is taken just before its flush to disk, so the time of
one flush is missing, in everybody's favour alike; the sender's own delay (about 0.1 ms) counts the other way.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from rich.console import Console
from rich.table import Table

from ops.bench.contenders import NAIVE, PRODUCT
from ops.bench.figures import quantile, spread
from ops.bench.ingresses import Sending, our_ingress, running, send
from ops.bench.rounds import member
from ops.bench.stage import Database, make_database
from runtime.settings import load
from runtime.sql import statement
from runtime.stack import Stack
from schemas.errors import RatchetError
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from runtime.stack import Endpoints

SECONDS_DEFAULT: Final = 20.0
ROUNDS_DEFAULT: Final = 3
SHARE: Final = 0.1
RATE_UNKNOWN: Final = 6000.0
"""What our consumer processes of a preloaded topic, where no bench.json tells it."""
BURST_EVENTS: Final = {PRODUCT: 12_000, NAIVE: 2_000}
"""Some seconds of what each contender carries."""
BURST_RATE: Final = 100_000.0
"""More than any ingress takes: each request goes out as soon as a connection is free."""
WARM_UP_SECONDS: Final = 3.0
WARM_UP_EVENTS: Final = 500
CONNECTIONS: Final = 32
PROCESSED_SECONDS_MAX: Final = 60.0
PROCESSED_SHARE: Final = 0.99
"""Poison makes no row: this much of what was sent must have one."""
POLL_SECONDS: Final = 0.5
SEED: Final = 20_261_123


@dataclass(frozen=True, slots=True)
class LatencyRun:
    """One thing to measure: who consumes, and how many webhooks a second come."""

    name: str
    consumer: str
    rate: float


def plans(carried: Mapping[str, float], processed: float, options: argparse.Namespace) -> tuple[LatencyRun, ...]:
    """Return what is measured, at a tenth of what each contender's path carries unless rates are given.

    `processed` is what our consumer processes of a preloaded topic.
    """
    ours = options.rate or carried[PRODUCT] * SHARE
    naive = options.naive_rate or carried[NAIVE] * SHARE
    return (
        LatencyRun(NAIVE, NAIVE, naive),
        LatencyRun(PRODUCT, PRODUCT, ours),
        LatencyRun(f"{PRODUCT} at naive's pace", PRODUCT, naive),
        LatencyRun(f"{PRODUCT}, a tenth of its consumer's rate", PRODUCT, processed * SHARE),
    )


def processed_rate(bench: Path) -> float:
    """Return our median of the last `make bench` in events a second, or a rough one where there was none."""
    try:
        found = json.loads(bench.read_text(encoding="utf-8"))["contenders"]
        return float(found[PRODUCT]["events_per_second"]["median"])
    except (OSError, ValueError, KeyError):
        return RATE_UNKNOWN


def carried_rate(accepted_at: Mapping[str, float], committed_at: Mapping[str, float]) -> float:
    """Return the events a second of a burst, from its first 202 to its last row; poison has no row."""
    rows = [at for event_id, at in committed_at.items() if event_id in accepted_at]
    return len(rows) / (max(rows) - min(accepted_at.values()))


def milliseconds(accepted_at: Mapping[str, float], committed_at: Mapping[str, float]) -> list[float]:
    """Return what each event waited from its first 202 to its row, in milliseconds; poison has no row."""
    return [(committed_at[event_id] - at) * 1000 for event_id, at in accepted_at.items() if event_id in committed_at]


_Times = tuple[dict[str, float], dict[str, float]]
"""When each event had its first 202, and when its row was committed."""


@asynccontextmanager
async def _consuming(consumer: str, environment: Mapping[str, str], log: Path) -> AsyncIterator[None]:
    """Run a contender's consumer on the ingress's topic."""
    if consumer == PRODUCT:
        async with running(("ops.cli", "consumer"), environment, log):
            yield
        return
    async with member((consumer, WEBHOOKS.name, "bench", "1", "-"), environment) as one:
        await one.ready()
        await one.begin()
        following = asyncio.create_task(_hear(one.follow))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _hear(follow: Any) -> None:
    while True:
        await follow()


async def _committed(database: Database, wanted: int) -> dict[str, float]:
    """Wait until the ledger holds what was sent and grows no more; return when each event's row was committed."""
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        async with asyncio.timeout(PROCESSED_SECONDS_MAX):
            before, rows = -1, 0
            while rows < wanted * PROCESSED_SHARE or rows != before:
                await asyncio.sleep(POLL_SECONDS)
                before, rows = rows, await connection.fetchval("select count(*) from payment_logs")
        return {
            row["event_id"]: row["committed_at"]
            for row in await connection.fetch(statement("ops.bench", "read_commits"))
        }
    except TimeoutError:
        raise RatchetError("the consumer did not keep up; give a lower --rate or --naive-rate") from None
    finally:
        await connection.close()


async def _keep_commit_times(stack: Stack, endpoints: Endpoints) -> None:
    connection = await asyncpg.connect(endpoints.superuser_dsn)
    await connection.execute("alter system set track_commit_timestamp = on")
    await connection.close()
    await stack.restart("postgres")


@asynccontextmanager
async def _path(consumer: str, folder: Path) -> AsyncIterator[tuple[str, Database]]:
    """Set up brokers, a database, our ingress and a contender's consumer; give its address and the database."""
    shutil.rmtree(folder, ignore_errors=True)
    stack = Stack(folder)
    endpoints = await stack.start()
    try:
        await _keep_commit_times(stack, endpoints)
        database = await make_database(endpoints, "bench_latency")
        log = folder.with_suffix(".log")
        async with our_ingress(database.environment, log) as ingress, _consuming(consumer, database.environment, log):
            yield ingress.address, database
    finally:
        await stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


async def _send(address: str, rate: float, events: int, seed: int) -> dict[str, float]:
    """Send that many webhooks at fixed times; return when each event had its first 202."""
    sent = await send(address, Sending(events / rate, CONNECTIONS, rate, events + 100, seed))
    accepted_at: dict[str, float] = sent["accepted_at"]
    return accepted_at


async def _through(path: tuple[str, Database], rate: float, warm_up: int, events: int) -> _Times:
    """Send a warm-up, wait for its rows, then send what counts; return its 202s and its commits."""
    address, database = path
    first = await _send(address, rate, warm_up, SEED + 1)
    await _committed(database, len(first))
    accepted = await _send(address, rate, events, SEED)
    return accepted, await _committed(database, len(first) + len(accepted))


async def carry(consumer: str, folder: Path) -> float:
    """Measure once what the whole path carries with this consumer; events a second."""
    async with _path(consumer, folder) as path:
        return carried_rate(*await _through(path, BURST_RATE, WARM_UP_EVENTS, BURST_EVENTS[consumer]))


async def measure(plan: LatencyRun, folder: Path, seconds: float) -> dict[str, float]:
    """Measure one plan once; milliseconds."""
    async with _path(plan.consumer, folder) as path:
        warm_up, events = int(plan.rate * WARM_UP_SECONDS), int(plan.rate * seconds)
        took = milliseconds(*await _through(path, plan.rate, warm_up, events))
    return {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99), "max": max(took), "events": len(took)}


def report(chosen: Sequence[LatencyRun], figures: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Return the document: quantiles of each plan, and how our p99 compares."""
    measured: dict[str, dict[str, Any]] = {
        plan.name: {
            "webhooks_per_second": round(plan.rate, 1),
            **{f"{name}_milliseconds": spread([one[name] for one in figures[plan.name]], 2) for name in ("p50", "p99")},
            "events": int(sum(one["events"] for one in figures[plan.name])),
        }
        for plan in chosen
    }
    naive = measured[NAIVE]["p99_milliseconds"]["median"]
    ratios = {
        f"{name}/{NAIVE} p99": round(one["p99_milliseconds"]["median"] / naive, 2)
        for name, one in measured.items()
        if name != NAIVE
    }
    return {"latency": measured, "ratios": ratios}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure all plans in turn; return the document that is written."""
    home = load().home
    carried = {consumer: await carry(consumer, home / "bench-latency") for consumer in BURST_EVENTS}
    say(f"the whole path carries {carried[PRODUCT]:,.0f} events/s, with naive {carried[NAIVE]:,.0f}")
    chosen = plans(carried, processed_rate(home / "bench.json"), options)
    figures: dict[str, list[dict[str, float]]] = {plan.name: [] for plan in chosen}
    for number in range(options.rounds):
        for plan in chosen:
            found = await measure(plan, home / "bench-latency", options.seconds)
            figures[plan.name].append(found)
            say(f"round {number + 1}: {plan.name} p50 {found['p50']:.1f} p99 {found['p99']:.1f} ms")
    document = report(chosen, figures) | {"carried_per_second": {name: round(rate) for name, rate in carried.items()}}
    (home / "bench-latency.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return document


def say(text: str) -> None:
    """Write to standard error how far it is."""
    sys.stderr.write(f"bench-latency: {text}\n")


def show(document: Mapping[str, Any]) -> None:
    """Print the table."""
    table = Table(title="From the 202 to the committed row, milliseconds")
    for column in ("consumer", "webhooks/s", "p50", "p99", "p99 min", "p99 max", "events"):
        table.add_column(column, justify="left" if column == "consumer" else "right")
    for name, one in document["latency"].items():
        p99 = one["p99_milliseconds"]
        values = (one["p50_milliseconds"]["median"], p99["median"], p99["min"], p99["max"])
        row = (f"{one['webhooks_per_second']:,.0f}", *(f"{value:.1f}" for value in values), f"{one['events']:,}")
        table.add_row(name, *row)
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    console.print(", ".join(f"{name} {ratio:.2f}" for name, ratio in document["ratios"].items()))


def main() -> None:
    """Measure, print, and leave the figures in RATCHET_HOME/bench-latency.json."""
    parser = argparse.ArgumentParser(prog="bench-latency", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS_DEFAULT, help="length of a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS_DEFAULT)
    parser.add_argument("--rate", type=float, help="webhooks a second for ours")
    parser.add_argument("--naive-rate", type=float, help="webhooks a second for the naive contender")
    try:
        show(asyncio.run(run(parser.parse_args())))
    except RatchetError as error:
        say(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
