"""`make bench-ingress`: signed webhooks a second, our ingress beside a bare handler, in alternating rounds.

    python -m ops.bench.ingress [--seconds N] [--rounds N] [--connections N]

Both ingresses run all the time, and one is sent to at a time. Each is one process, so its rate is that of one core;
what the sender and the broker take of the machine is the same for both. Kafka's acknowledgement comes before every 202.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from ops.bench.figures import spread
from ops.bench.ingresses import Process, Sending, bare_ingress, our_ingress, send
from ops.bench.stage import drop_database, make_database
from ops.bench.usage import snapshot, spent
from runtime.settings import load
from runtime.stack import Stack
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SECONDS_DEFAULT: Final = 5.0
ROUNDS_DEFAULT: Final = 5
CONNECTIONS_DEFAULT: Final = 64
WARM_UP_SECONDS: Final = 1.0
RATE_MAX: Final = 8000
"""So many requests a second are made ahead; a faster ingress would end its round early."""
SEED: Final = 20_261_123
OURS, BARE = "ratchet", "bare"


async def measure(
    ingress: Process, servers: Mapping[str, int], options: argparse.Namespace, seed: int
) -> dict[str, float]:
    """Send to one ingress; return its rate, and what a request cost each process in CPU microseconds."""
    before, own = snapshot(servers), ingress.cpu_seconds()
    sent = await send(
        ingress.address, Sending(options.seconds, options.connections, 0, int(options.seconds * RATE_MAX), seed)
    )
    requests = sent["requests"]
    cpu = spent(before, snapshot(servers)) | {"process": ingress.cpu_seconds() - own}
    busy = cpu["process"] / sent["seconds"]
    return {"rate": requests / sent["seconds"], "busy": busy} | {
        who: seconds / requests * 1e6 for who, seconds in cpu.items()
    }


def report(figures: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Return the document: requests a second and CPU microseconds a request, and how ours compares."""
    ingresses = {
        name: {
            "requests_per_second": spread([one["rate"] for one in rounds]),
            "requests_per_second_and_core": spread([one["rate"] / max(one["busy"], 1e-9) for one in rounds]),
            "cpu_microseconds_per_request": spread([one["process"] for one in rounds]),
            "kafka_cpu_microseconds_per_request": spread([one["kafka"] for one in rounds]),
        }
        for name, rounds in figures.items()
    }
    compared = ("requests_per_second", "requests_per_second_and_core")
    ratios = {name: round(ingresses[OURS][name]["median"] / ingresses[BARE][name]["median"], 3) for name in compared}
    return {"ingresses": ingresses, "ratios": ratios}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure both ingresses; return the document that is written."""
    home = load().home
    stack = Stack(home / "bench")
    endpoints = await stack.start()
    log = home / "bench" / "ingresses.log"
    log.unlink(missing_ok=True)
    try:
        name = f"bench_ingress_{os.getpid()}"
        environment = (await make_database(endpoints, name)).environment
        servers = {name: one["pid"] or 0 for name, one in (await stack.status()).items()}
        figures: dict[str, list[dict[str, float]]] = {OURS: [], BARE: []}
        async with our_ingress(environment, log) as ours, bare_ingress(environment, log) as bare:
            for one in (ours, bare):
                await send(
                    one.address,
                    Sending(WARM_UP_SECONDS, options.connections, 0, int(WARM_UP_SECONDS * RATE_MAX), SEED),
                )
            for number in range(options.rounds):
                for name, one in ((OURS, ours), (BARE, bare)) if number % 2 else ((BARE, bare), (OURS, ours)):
                    figures[name].append(await measure(one, servers, options, SEED + number + 1))
                    sys.stderr.write(f"round {number + 1}: {name} {figures[name][-1]['rate']:,.0f} requests/s\n")
        await drop_database(endpoints, name)
    finally:
        await stack.stop()
    document = report(figures)
    (home / "bench-ingress.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return document


def show(document: Mapping[str, Any]) -> None:
    """Print the table."""
    table = Table(title="Signed webhooks a second, acks=all, one process each")
    for column in ("ingress", "requests/s", "min", "max", "a core", "CPU us", "Kafka us"):
        table.add_column(column, justify="left" if column == "ingress" else "right")
    for name, one in document["ingresses"].items():
        rate = one["requests_per_second"]
        others = ("requests_per_second_and_core", "cpu_microseconds_per_request", "kafka_cpu_microseconds_per_request")
        values = [rate["median"], rate["min"], rate["max"], *(one[other]["median"] for other in others)]
        table.add_row(name, *(f"{value:,.0f}" for value in values))
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    console.print(", ".join(f"{OURS}/{BARE} {name}: {ratio:.2f}" for name, ratio in document["ratios"].items()))


def main() -> None:
    """Measure, print, and leave the figures in RATCHET_HOME/bench-ingress.json."""
    parser = argparse.ArgumentParser(prog="bench-ingress", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS_DEFAULT, help="length of a round")
    parser.add_argument("--rounds", type=int, default=ROUNDS_DEFAULT)
    parser.add_argument("--connections", type=int, default=CONNECTIONS_DEFAULT)
    try:
        show(asyncio.run(run(parser.parse_args())))
    except RatchetError as error:
        sys.stderr.write(f"bench-ingress: {error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
