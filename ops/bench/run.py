"""Runs the contenders in turn, checks their rows, and prints ratios.

    python -m ops.bench.run [--events N] [--rounds N]

Every contender gets a fresh database and a consumer group of its own in each round; contenders alternate, so that a
machine whose speed drifts slows them all. Durability is that of production: fsync, synchronous_commit, acks=all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from rich.console import Console
from rich.table import Table

from ops.bench.workload import Workload, make_workload
from runtime.kafka import close_producer, open_producer
from runtime.migrations import migrate_up
from runtime.settings import KafkaSettings, load
from runtime.sql import statement
from runtime.stack import Endpoints, Stack
from schemas.errors import RatchetError
from schemas.topics import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

EVENTS_DEFAULT: Final = 60_000
ROUNDS_DEFAULT: Final = 3
NAIVE_SHARE: Final = 10
"""The naive contender settles one event for so many of the others': its rate needs no more."""
PARTITIONS: Final = 4
TIMEOUT_SECONDS: Final = 300
SEED: Final = 20_261_123


@dataclass(frozen=True, slots=True)
class Contender:
    """One way of consuming: its name, which process it is, and the topic it reads."""

    name: str
    topic: str
    workload: Workload
    environment: dict[str, str]


async def _preload(bootstrap: str, topic: str, workload: Workload) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs={"max.message.bytes": str(2 * 1024**2)})])
    await admin.close()
    producer = await open_producer(KafkaSettings(bootstrap=bootstrap), RECORD_BYTES_MAX)
    waiting = [
        await producer.send(topic, record.value, record.key, headers=list(record.headers))
        for record in workload.records
    ]
    await asyncio.gather(*waiting)
    await close_producer(producer, TIMEOUT_SECONDS)


def _of_database(dsn: str, name: str) -> str:
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def _fresh_database(endpoints: Endpoints, name: str) -> dict[str, str]:
    """Make a migrated database; return the environment that points a process to it."""
    admin = await asyncpg.connect(endpoints.superuser_dsn)
    owner = urlsplit(endpoints.owner_dsn).username
    await admin.execute(f'create database "{name}" owner "{owner}"')
    await admin.close()
    owner_dsn, dsn = _of_database(endpoints.owner_dsn, name), _of_database(endpoints.dsn, name)
    await migrate_up(owner_dsn, urlsplit(endpoints.dsn).username or "")
    return endpoints.environment() | {"RATCHET_POSTGRES__DSN": dsn, "RATCHET_POSTGRES__OWNER_DSN": owner_dsn}


async def _check(dsn: str, workload: Workload) -> None:
    """Compare the books with plain arithmetic; a wrong row voids the figure."""
    connection = await asyncpg.connect(dsn)
    found = {
        row["provider_ref"]: (row["status"], row["authorized"], row["captured"], row["refunded"])
        for row in await connection.fetch("select provider_ref, status, authorized, captured, refunded from payments")
    }
    counts = await connection.fetchrow(statement("ops.bench", "count_books"))
    await connection.close()
    expected = {ref: (end.status, end.authorized, end.captured, end.refunded) for ref, end in workload.ends.items()}
    wrong = [ref for ref in expected if found.get(ref) != expected[ref]]
    if wrong or len(found) != len(expected):
        shown = [(ref, found.get(ref), expected[ref]) for ref in wrong[:3]]
        raise RatchetError(f"{len(wrong)} of {len(expected)} payments are wrong ({len(found)} found): {shown}")
    assert counts is not None
    if tuple(counts) != (workload.events, workload.poison, 0):
        raise RatchetError(f"books {tuple(counts)}, expected {(workload.events, workload.poison, 0)}")


async def _round(endpoints: Endpoints, contender: Contender, number: int) -> dict[str, float]:
    name = f"bench_{contender.name.replace('-', '_')}_{number}_{os.getpid()}"
    environment = await _fresh_database(endpoints, name)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.bench.contender", contender.name.partition("-")[0], contender.topic, name,
        str(len(contender.workload.records)),
        env=os.environ | environment | contender.environment,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT_SECONDS)
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise RatchetError(f"contender {contender.name} ended with status {process.returncode}")
    await _check(environment["RATCHET_POSTGRES__DSN"], contender.workload)
    admin = await asyncpg.connect(endpoints.superuser_dsn)
    await admin.execute(f'drop database "{name}" with (force)')
    await admin.close()
    figures: dict[str, float] = json.loads(output)
    return figures


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 1),
        "min": round(min(values), 1),
        "max": round(max(values), 1),
    }


def _report(figures: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    contenders = {
        name: {
            "events_per_second": _spread([one["records"] / one["seconds"] for one in rounds]),
            "cpu_microseconds_per_event": _spread([one["cpu_seconds"] / one["records"] * 1e6 for one in rounds]),
            "peak_mib": _spread([one["peak_mib"] for one in rounds]),
        }
        for name, rounds in figures.items()
    }
    naive = contenders["naive"]["events_per_second"]["median"]
    ratios = {
        f"{name}/naive": round(one["events_per_second"]["median"] / naive, 2)
        for name, one in contenders.items()
        if name != "naive"
    }
    return {"contenders": contenders, "ratios": ratios}


def _show(report: dict[str, Any]) -> None:
    table = Table(title="Events per second on a preloaded topic, medians of the rounds")
    for column in ("contender", "events/s", "min", "max", "CPU us/event", "peak MiB", "x naive"):
        table.add_column(column, justify="left" if column == "contender" else "right")
    for name, one in report["contenders"].items():
        rate, cpu, peak = one["events_per_second"], one["cpu_microseconds_per_event"], one["peak_mib"]
        ratio = report["ratios"].get(f"{name}/naive", 1.0)
        figures = (rate["median"], rate["min"], rate["max"], cpu["median"], peak["median"])
        table.add_row(name, *(f"{figure:,.0f}" for figure in figures), f"{ratio:.1f}")
    Console().print(table)


async def _run(events: int, rounds: int) -> dict[str, Any]:
    home = load().home
    stack = Stack(home / "bench")
    endpoints = await stack.start()
    try:
        small, large = make_workload(events // NAIVE_SHARE, SEED), make_workload(events, SEED + 1)
        await _preload(endpoints.kafka, f"bench.small.{os.getpid()}", small)
        await _preload(endpoints.kafka, f"bench.large.{os.getpid()}", large)
        contenders = (
            Contender("naive", f"bench.small.{os.getpid()}", small, {}),
            Contender("ratchet", f"bench.large.{os.getpid()}", large, {}),
        )
        figures: dict[str, list[dict[str, float]]] = {contender.name: [] for contender in contenders}
        for number in range(rounds):
            for contender in contenders:
                figures[contender.name].append(await _round(endpoints, contender, number))
        report = _report(figures)
    finally:
        await stack.stop()
    (home / "bench.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def main() -> None:
    """Measure, print the table, and leave the figures in RATCHET_HOME/bench.json."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=EVENTS_DEFAULT)
    parser.add_argument("--rounds", type=int, default=ROUNDS_DEFAULT)
    arguments = parser.parse_args()
    try:
        _show(asyncio.run(_run(arguments.events, arguments.rounds)))
    except RatchetError as error:
        print(f"bench: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        sys.exit(1)


if __name__ == "__main__":
    main()
