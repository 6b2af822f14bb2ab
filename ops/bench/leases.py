"""`python -m ops.bench.leases`: how long contenders wait for a lease, with Redis in front of Postgres and without.

    python -m ops.bench.leases [--contenders N] [--rounds N] [--json]

Three questions, on the embedded brokers with fsync and synchronous_commit on:

stampede   all ask at once for a free lease: the time until each has its answer, one yes and the others no
hand-over  all wait, the holder gives back: the time until the next one has it
turns      each wants it once and gives it back at once: the time until each has had it, the last one included

The bound is the stampede's and the hand-over's 99th percentile under a second. Exit status: 0 held, 1 not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import uvloop
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from ops.bench.stage import drop_database, make_database
from runtime.lease import WATCH_PART, PostgresLeases
from runtime.lease_redis import RedisLeases
from runtime.postgres import open_pool
from runtime.redis import RedisLink
from runtime.settings import PostgresSettings, RedisSettings, load
from runtime.stack import Stack
from schemas.errors import StackError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from runtime.lease import Lease, Leases
    from runtime.settings import Settings

CONTENDERS_DEFAULT: Final = 100
ROUNDS_DEFAULT: Final = 20
BOUND_SECONDS: Final = 1.0
CONNECTIONS: Final = 16
"""Postgres connections that the contenders share: each process of a deployment would have one of its own."""
QUEUE_SECONDS: Final = 0.2
"""How long contenders may take to queue up before the holder gives back."""


@dataclass(frozen=True, slots=True)
class LeaseWaits:
    """What was measured of one question, in milliseconds."""

    way: str
    question: str
    samples: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def waits_of(way: str, question: str, seconds: Sequence[float]) -> LeaseWaits:
    """Return the percentiles of what was measured."""
    ordered = sorted(seconds)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * part))] for part in (0.5, 0.99)]
    return LeaseWaits(way, question, len(ordered), *(round(one * 1000, 2) for one in (*at, ordered[-1])))


class LeaseContender:
    """One that wants the lease, asking as `Leader` does."""

    def __init__(self, leases: Leases, number: int, lease_seconds: float) -> None:
        self._leases = leases
        self._holder = f"contender-{number}"
        self._seconds = lease_seconds

    async def ask(self, name: str) -> tuple[Lease | None, float]:
        """Ask once; return the answer and how long it took."""
        began = time.perf_counter()
        return await self._leases.acquire(name, self._holder, self._seconds), time.perf_counter() - began

    async def get(self, name: str) -> Lease:
        """Ask and wait until the lease is had."""
        never = asyncio.Event()
        while (lease := await self._leases.acquire(name, self._holder, self._seconds)) is None:
            await self._leases.wait(name, self._seconds * WATCH_PART, never)
        return lease

    async def release(self, lease: Lease) -> None:
        """Give it back."""
        await self._leases.release(lease)


async def stampede(contenders: Sequence[LeaseContender], rounds: int) -> list[float]:
    """Let all ask at once for a free lease, round after round."""
    waited: list[float] = []
    for number in range(rounds):
        answers = await asyncio.gather(*(one.ask(f"stampede-{number}") for one in contenders))
        assert sum(lease is not None for lease, _ in answers) == 1, "one gets it"
        waited += [seconds for _, seconds in answers]
    return waited


async def hand_over(contenders: Sequence[LeaseContender], rounds: int) -> list[float]:
    """Let all wait while one after the other gives back; return the seconds from each release to the next holder."""
    waited: list[float] = []
    given: asyncio.Queue[tuple[LeaseContender, Lease]] = asyncio.Queue()
    first = await contenders[0].get("hand-over")

    async def want(one: LeaseContender) -> None:
        while True:
            await given.put((one, await one.get("hand-over")))

    tasks = [asyncio.create_task(want(one)) for one in contenders[1:]]
    holder = (contenders[0], first)
    for _ in range(rounds):
        await asyncio.sleep(QUEUE_SECONDS)
        began = time.perf_counter()
        await holder[0].release(holder[1])
        holder = await given.get()
        waited.append(time.perf_counter() - began)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return waited


async def turns(contenders: Sequence[LeaseContender]) -> list[float]:
    """Let each have the lease once; return the seconds that each waited."""

    async def turn(one: LeaseContender) -> float:
        began = time.perf_counter()
        lease = await one.get("turns")
        waited = time.perf_counter() - began
        await one.release(lease)
        return waited

    return await asyncio.gather(*(turn(one) for one in contenders))


@asynccontextmanager
async def contenders_of(way: str, settings: Settings, count: int) -> AsyncIterator[list[LeaseContender]]:
    """Give the contenders of a way: `postgres`, `redis`, or `redis away`."""
    pool = await open_pool(settings.postgres, role="bench leases", connections=CONNECTIONS)
    url = {"postgres": None, "redis": settings.redis.url, "redis away": SecretStr("redis://127.0.0.1:1/0")}[way]
    link = RedisLink(settings.redis.model_copy(update={"url": url, "connections_max": count + CONNECTIONS}))
    seconds, trust = settings.relay.lease_seconds, settings.redis.lease_trust_seconds

    def leases() -> Leases:
        decided = PostgresLeases(pool)
        return decided if way == "postgres" else RedisLeases(decided, link, trust)

    try:
        yield [LeaseContender(leases(), number, seconds) for number in range(count)]
    finally:
        await link.close()
        await pool.close()


async def measure(way: str, settings: Settings, count: int, rounds: int) -> list[LeaseWaits]:
    """Ask the three questions of one way."""
    async with contenders_of(way, settings, count) as contenders:
        await asyncio.gather(*(one.ask(f"warm-{number}") for number, one in enumerate(contenders)))
        asked = {
            "stampede": await stampede(contenders, rounds),
            "hand-over": await hand_over(contenders, rounds),
            "turns": await turns(contenders),
        }
    return [waits_of(way, question, seconds) for question, seconds in asked.items()]


async def run(count: int, rounds: int) -> list[LeaseWaits]:
    """Measure all ways, each on a database of its own."""
    settings = load()
    stack = Stack(settings.home / "bench")
    endpoints = await stack.start()
    found: list[LeaseWaits] = []
    try:
        if endpoints.redis is None:
            raise StackError("there is no Redis for this machine to measure leases with")
        for way in ("postgres", "redis", "redis away"):
            name = f"bench_leases_{way.replace(' ', '_')}_{os.getpid()}"
            database = await make_database(endpoints, name)
            redis = RedisSettings(url=SecretStr(endpoints.redis), key_prefix=f"{name}:")
            at = {"postgres": PostgresSettings(dsn=SecretStr(database.dsn)), "redis": redis}
            found += await measure(way, settings.model_copy(update=at), count, rounds)
            await drop_database(endpoints, name)
    finally:
        await stack.stop()
    return found


def table_of(found: Sequence[LeaseWaits], count: int) -> Table:
    """Return what was measured as people read it."""
    table = Table(title=f"{count} contenders for a lease, milliseconds")
    for column in ("way", "question", "samples", "p50", "p99", "max"):
        table.add_column(column, justify="left" if column in ("way", "question") else "right")
    for one in found:
        figures = (f"{figure:,.1f}" for figure in (one.p50_ms, one.p99_ms, one.max_ms))
        table.add_row(one.way, one.question, str(one.samples), *figures)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the arguments, measure, print a table and write `bench-leases.json`; see the module."""
    parser = argparse.ArgumentParser(prog="leases", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contenders", type=int, default=CONTENDERS_DEFAULT)
    parser.add_argument("--rounds", type=int, default=ROUNDS_DEFAULT)
    parser.add_argument("--json", action="store_true", help="the document on standard output instead of the table")
    options = parser.parse_args(arguments)
    found = uvloop.run(run(options.contenders, options.rounds))
    held = all(one.p99_ms < BOUND_SECONDS * 1000 for one in found if one.question != "turns")
    document = {"contenders": options.contenders, "held": held, "waits": [asdict(one) for one in found]}
    text = json.dumps(document, indent=2) + "\n"
    (load().home / "bench-leases.json").write_text(text, encoding="utf-8")
    if options.json:
        sys.stdout.write(text)
    else:
        Console().print(table_of(found, options.contenders))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
