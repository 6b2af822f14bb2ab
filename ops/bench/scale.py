"""`make bench-scale`: how the rate changes with the ledger's size, one hot payment, more consumers, and a backlog.

    python -m ops.bench.scale [PART ...] [--events N] [--rounds N] [--ledger N,N,N] [--backlog N] [--live N]

Parts: `ledger` (rows in the ledger before the run), `hot` (90 % of the events on one payment), `consumers` (1, 2 and 4
processes of one group), `backlog` (catching up while live traffic flows, memory sampled). All without a part.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import structlog
from rich.console import Console
from rich.table import Table

from ops.bench.backlog import catch_up
from ops.bench.contenders import PRODUCT, ours
from ops.bench.figures import spread
from ops.bench.filling import fill
from ops.bench.rounds import BenchSetup, measure
from ops.bench.stage import check_ledger, checkpoint, count_rows, drop_database, make_database, make_topic, preload
from ops.bench.workload import make_hot_workload, make_workload
from runtime.settings import load
from runtime.stack import Stack
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.bench.contenders import Contender
    from ops.bench.stage import Database
    from ops.bench.workload import Workload

PARTS: Final = ("ledger", "hot", "consumers", "backlog")
EVENTS_DEFAULT: Final = 60_000
ROUNDS_DEFAULT: Final = 3
LEDGER_DEFAULT: Final = "0,1000000,10000000"
BACKLOG_DEFAULT: Final = 1_000_000
LIVE_DEFAULT: Final = 500.0
LIVE_SECONDS: Final = 60.0
HOT_SHARE: Final = 0.9
HOT_REFUNDS_DEFAULT: Final = 200
SEED: Final = 20_261_123
SHIPPED: Final = ours(PRODUCT, "as shipped, one process")


class Track:
    """Processes one workload after the other and keeps the rates by name."""

    def __init__(self, setup: BenchSetup) -> None:
        self._setup = setup
        self._count = 0
        self.rates: dict[str, list[float]] = {}

    async def run(self, name: str, contender: Contender, workload: Workload, database: Database) -> None:
        """Process the workload on the database as it is; its rows must be right."""
        self._count += 1
        topic = f"bench.scale.{os.getpid()}.{self._count}"
        await make_topic(self._setup.endpoints.kafka, topic)
        await preload(self._setup.endpoints.kafka, topic, workload.records)
        before = await count_rows(database.dsn)
        await checkpoint(database)
        arguments = (contender.kind, topic, topic, str(contender.processes), "-")
        environment = {**database.environment, **contender.environment}
        found = await measure(self._setup, contender, arguments, environment, len(workload.records))
        await check_ledger(database.dsn, workload, before)
        self.rates.setdefault(name, []).append(found.rate)
        say(f"{name}: {found.rate:,.0f} events/s")

    async def run_fresh(self, name: str, contender: Contender, workload: Workload) -> None:
        """Process the workload on an empty database."""
        database = await make_database(self._setup.endpoints, f"bench_scale_{os.getpid()}_{self._count}")
        try:
            await self.run(name, contender, workload, database)
        finally:
            await drop_database(self._setup.endpoints, database.name)


async def ledger(setup: BenchSetup, options: argparse.Namespace) -> dict[str, Any]:
    """Compare ledgers of several sizes; each round brings events that none of them knows."""
    track, filled = Track(setup), {}
    sizes = [int(size) for size in options.ledger.split(",")]
    for size in sizes:
        if size:
            began = time.monotonic()
            filled[size] = await make_database(setup.endpoints, f"bench_ledger_{size}_{os.getpid()}")
            await fill(filled[size], size)
            say(f"ledger of {size:,} rows filled in {time.monotonic() - began:.0f} s")
    for number in range(options.rounds):
        workload = make_workload(options.events, SEED + number)
        for size in sizes:
            if size:
                await track.run(f"{size:,} rows", SHIPPED, workload, filled[size])
            else:
                await track.run_fresh("0 rows", SHIPPED, workload)
    for database in filled.values():
        await drop_database(setup.endpoints, database.name)
    return summary(track.rates)


async def hot(setup: BenchSetup, options: argparse.Namespace) -> dict[str, Any]:
    """Compare spread keys with one payment that has 90 % of the events."""
    track = Track(setup)
    for number in range(options.rounds):
        await track.run_fresh("spread keys", SHIPPED, make_workload(options.events, SEED + number))
        heated = make_hot_workload(options.events, SEED + number, HOT_SHARE, options.hot_refunds)
        await track.run_fresh("one hot payment", SHIPPED, heated)
    return summary(track.rates)


async def consumers(setup: BenchSetup, options: argparse.Namespace) -> dict[str, Any]:
    """Compare 1, 2 and 4 processes of one group on the machine as it is."""
    track = Track(setup)
    for number in range(options.rounds):
        workload = make_workload(options.events, SEED + number)
        for count in (1, 2, 4):
            await track.run_fresh(f"{count} process(es)", ours(PRODUCT, "", processes=count), workload)
    return summary(track.rates)


async def backlog(setup: BenchSetup, options: argparse.Namespace) -> dict[str, Any]:
    """Catch up a backlog while live traffic flows."""
    return await catch_up(setup, SHIPPED, options.backlog, options.live, LIVE_SECONDS)


def summary(rates: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return rates with their range, and each as a share of the first."""
    spreads = {name: spread(values) for name, values in rates.items()}
    first = next(iter(spreads.values()))["median"]
    return {name: one | {"share_of_first": round(one["median"] / first, 3)} for name, one in spreads.items()}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Run the parts that were asked for; each is written as soon as it is known."""
    home = load().home
    stack = Stack(home / "bench")
    endpoints = await stack.start()
    target = home / "bench-scale.json"
    document: dict[str, Any] = json.loads(target.read_text(encoding="utf-8")) if target.exists() else {}
    try:
        servers = {name: one["pid"] or 0 for name, one in (await stack.status()).items()}
        setup = BenchSetup(endpoints, servers, {}, {})
        for name in options.parts or PARTS:
            document[name] = await {"ledger": ledger, "hot": hot, "consumers": consumers, "backlog": backlog}[name](
                setup, options
            )
            target.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    finally:
        await stack.stop()
    return {name: document[name] for name in options.parts or PARTS}


def say(text: str) -> None:
    """Write to standard error how far it is."""
    sys.stderr.write(f"bench-scale: {text}\n")


def show(document: Mapping[str, Any]) -> None:
    """Print a table of the rates, and the backlog's figures."""
    table = Table(title="Events per second, one process as shipped unless noted otherwise")
    for column in ("", "events/s", "min", "max", "share"):
        table.add_column(column, justify="right" if column else "left")
    for part in ("ledger", "hot", "consumers"):
        for name, one in document.get(part, {}).items():
            rates = (f"{one[value]:,.0f}" for value in ("median", "min", "max"))
            table.add_row(f"{part}: {name}", *rates, f"{one['share_of_first']:.2f}")
    console = Console(width=None if sys.stdout.isatty() else 110)
    if table.rows:
        console.print(table)
    if "backlog" in document:
        console.print_json(data=document["backlog"])


def main() -> None:
    """Measure, print, and leave the figures in RATCHET_HOME/bench-scale.json."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    parser = argparse.ArgumentParser(prog="bench-scale", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--events", type=int, default=EVENTS_DEFAULT)
    parser.add_argument("--rounds", type=int, default=ROUNDS_DEFAULT)
    parser.add_argument("--ledger", default=LEDGER_DEFAULT, metavar="N,N,N", help="rows in the ledger before the run")
    parser.add_argument("--backlog", type=int, default=BACKLOG_DEFAULT, help="events that wait")
    parser.add_argument("--live", type=float, default=LIVE_DEFAULT, help="events a second that come meanwhile")
    parser.add_argument("--hot-refunds", type=int, default=HOT_REFUNDS_DEFAULT, help="refunds of the hot payment")
    try:
        show(asyncio.run(run(parser.parse_args())))
    except RatchetError as error:
        say(str(error))
        sys.exit(1)


if __name__ == "__main__":
    main()
