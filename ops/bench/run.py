"""`make bench`: runs the contenders in turn, checks their rows, prints ratios, draws them.

    python -m ops.bench.run [--events N] [--rounds N] [--only NAME ...] [--sweep] [--publish DIR]

Every contender gets a fresh database and a consumer group of its own in each round; contenders alternate, so that a
machine whose speed drifts slows them all. Durability is that of production: fsync, synchronous_commit, acks=all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from ops.bench import floor
from ops.bench.chart import draw
from ops.bench.contenders import Contender, chosen, same_as_shipped
from ops.bench.figures import Round, report
from ops.bench.rounds import BenchSetup, run_round
from ops.bench.stage import drop_database, make_database, make_topic, preload
from ops.bench.table import show
from ops.bench.workload import Workload, make_workload
from runtime.settings import Settings, load
from runtime.settings.brokers import PostgresSettings
from runtime.stack import Stack
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.stack import Endpoints

EVENTS_DEFAULT: Final = 60_000
ROUNDS_DEFAULT: Final = 3
SLOW_SHARE: Final = 20
"""A slow contender processes one event for so many of the others': its rate needs no more."""
SEED: Final = 20_261_123


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What was asked for."""

    events: int
    rounds: int
    only: list[str] | None
    sweep: bool
    publish: Path | None


async def _prepare(stack: Stack, endpoints: Endpoints, options: BenchOptions, folder: Path) -> BenchSetup:
    """Load the topics and record the floor's statements."""
    say(f"loading topics with {options.events:,} events")
    topics: dict[bool, tuple[str, Workload]] = {}
    for slow, events, seed in ((True, options.events // SLOW_SHARE, SEED), (False, options.events, SEED + 1)):
        topic, workload = f"bench.{'small' if slow else 'large'}.{os.getpid()}", make_workload(events, seed)
        await make_topic(endpoints.kafka, topic)
        await preload(endpoints.kafka, topic, workload.records)
        topics[slow] = (topic, workload)
    recordings = {}
    for shares in sorted({int(one.kind[-1]) for one in _contenders(options) if one.kind.startswith("floor")}):
        say(f"recording the statements of {shares} connection(s)")
        recordings[shares] = folder / f"floor-{shares}.pickle"
        await _record(endpoints, topics[False][1], shares, recordings[shares])
    servers = {name: one["pid"] or 0 for name, one in (await stack.status()).items()}
    return BenchSetup(endpoints, servers, topics, recordings)


async def _record(endpoints: Endpoints, workload: Workload, shares: int, target: Path) -> None:
    name = f"bench_recording_{shares}_{os.getpid()}"
    database = await make_database(endpoints, name)
    settings = load().model_copy(update={"postgres": PostgresSettings(dsn=database.dsn)})
    floor.write(await floor.record(settings, workload.records, shares), target)
    await drop_database(endpoints, name)


def _contenders(options: BenchOptions) -> tuple[Contender, ...]:
    return chosen(options.only, sweep=options.sweep)


async def _play(setup: BenchSetup, options: BenchOptions, settings: Settings) -> dict[str, list[Round]]:
    """Play all rounds; a contender that is the product as shipped under another name shares its figures."""
    shipped = settings.consumer
    rounds: dict[str, list[Round]] = {contender.name: [] for contender in _contenders(options)}
    for number in range(options.rounds):
        for contender in _contenders(options):
            if same_as_shipped(contender, shipped.batches_in_flight_max, shipped.batch_records_max):
                found = rounds["ratchet"][number]
            else:
                found = await run_round(setup, contender, number)
            rounds[contender.name].append(found)
            say(f"round {number + 1}: {contender.name} {found.rate:,.0f} events/s")
    return rounds


async def run(options: BenchOptions) -> dict[str, Any]:
    """Measure all of it; return the document that is written."""
    settings = load()
    folder = settings.home / "bench"
    stack = Stack(folder)
    began = time.monotonic()
    endpoints = await stack.start()
    try:
        setup = await _prepare(stack, endpoints, options, folder)
        document = report(await _play(setup, options, settings))
    finally:
        await stack.stop()
        for left in folder.glob("floor-*.pickle"):
            left.unlink()
    document["machine"] = {"cpus": os.cpu_count(), "seconds": round(time.monotonic() - began)}
    written = [settings.home / "bench.json", settings.home / "bench.svg"]
    written[0].write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    draw(document, written[1])
    if options.publish is not None:
        options.publish.mkdir(parents=True, exist_ok=True)
        for path in written:
            shutil.copy(path, options.publish / path.name)
    return document


def say(text: str) -> None:
    """Write to standard error how far it is."""
    sys.stderr.write(f"bench: {text}\n")


def _options(arguments: Sequence[str] | None) -> BenchOptions:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS_DEFAULT, help="events of a fast contender's workload")
    parser.add_argument("--rounds", type=int, default=ROUNDS_DEFAULT)
    parser.add_argument("--only", action="append", metavar="NAME", help="this contender and naive; may be repeated")
    parser.add_argument("--sweep", action="store_true", help="also batches of 100 to 5,000")
    parser.add_argument("--publish", type=Path, metavar="DIR", help="put a copy of figures and chart there")
    found = parser.parse_args(arguments)
    return BenchOptions(found.events, found.rounds, found.only, found.sweep, found.publish)


def main() -> None:
    """Measure, print the table, and leave figures and chart in RATCHET_HOME."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    options = _options(None)
    try:
        show(asyncio.run(run(options)))
    except RatchetError as error:
        say(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
