"""Catching up a backlog while live traffic flows: how long it takes, and what memory it holds meanwhile."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import psutil

from ops.bench.rounds import BenchSetup, ContenderProcess, member
from ops.bench.stage import LINGER_SECONDS, check_ledger, drop_database, make_database, make_topic, preload
from ops.bench.workload import Workload, make_workload
from runtime.kafka import close_producer, open_producer
from runtime.settings import KafkaSettings
from schemas.topics import RECORD_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ops.bench.contenders import Contender

PART_EVENTS: Final = 20_000
"""The backlog is made and published in parts, so that it never stands in memory."""
TICK_SECONDS: Final = 0.02
SAMPLE_SECONDS: Final = 0.25
TIMEOUT_SECONDS: Final = 3600.0
FLAT_SHARE: Final = 0.1
"""Memory is flat where the last quarter holds no more than this above the second."""


@dataclass(slots=True)
class Tables:
    """What must stand in the ledger, of all parts together."""

    events: int = 0
    poison: int = 0
    records: int = 0
    ends: dict[str, Any] = field(default_factory=dict)

    def add(self, workload: Workload) -> None:
        """Add one part."""
        self.events += workload.events
        self.poison += workload.poison
        self.records += len(workload.records)
        self.ends.update(workload.ends)

    def whole(self) -> Workload:
        """Return all of it, without the records."""
        return Workload((), self.events, self.poison, self.ends)


def is_flat(samples: Sequence[float]) -> bool:
    """Tell whether memory stopped growing: the mean of its last quarter is `FLAT_SHARE` above its second's at most."""
    quarter = max(1, len(samples) // 4)
    second, last = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
    return sum(last) / len(last) <= (1 + FLAT_SHARE) * sum(second) / len(second)


async def load(bootstrap: str, topic: str, events: int, seed: int, tables: Tables) -> None:
    """Publish a backlog of at least that many events."""
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        seeds = range(seed, seed + -(-events // PART_EVENTS))
        making = [loop.run_in_executor(pool, make_workload, PART_EVENTS, one) for one in seeds]
        for number, part in enumerate(making):
            workload = await part
            making[number] = None  # type: ignore[call-overload]
            await preload(bootstrap, topic, workload.records)
            tables.add(workload)


@dataclass(slots=True)
class Live:
    """Traffic that comes while the backlog is caught up: so many records a second; `published` of them so far."""

    topic: str
    workload: Workload
    rate: float
    published: int = 0


async def flow(bootstrap: str, live: Live) -> None:
    """Publish live traffic at a steady rate until cancelled or through."""
    records = live.workload.records
    producer = await open_producer(KafkaSettings(bootstrap=bootstrap, linger_seconds=LINGER_SECONDS), RECORD_BYTES_MAX)
    began = time.monotonic()
    try:
        while live.published < len(records):
            due = min(len(records), int((time.monotonic() - began) * live.rate))
            for record in records[live.published : due]:
                await producer.send(live.topic, record.value, record.key, headers=list(record.headers))
                live.published += 1
            await asyncio.sleep(TICK_SECONDS)
        await producer.flush()
    finally:
        await close_producer(producer, TIMEOUT_SECONDS)


async def catch_up(setup: BenchSetup, contender: Contender, events: int, rate: float, seconds: float) -> dict[str, Any]:
    """Load a backlog, let live traffic flow for `seconds`, and process all of it; return what it took."""
    topic, tables = f"bench.backlog.{os.getpid()}", Tables()
    await make_topic(setup.endpoints.kafka, topic)
    await load(setup.endpoints.kafka, topic, events, 1000, tables)
    live = Live(topic, make_workload(int(rate * seconds), 999), rate)
    tables.add(live.workload)
    database = await make_database(setup.endpoints, f"bench_backlog_{os.getpid()}")
    try:
        async with AsyncExitStack() as stack:
            arguments = (contender.kind, topic, database.name, str(contender.processes), "-")
            environment = {**database.environment, **contender.environment}
            members = [
                await stack.enter_async_context(member(arguments, environment)) for _ in range(contender.processes)
            ]
            await asyncio.gather(*(one.ready() for one in members))
            await asyncio.gather(*(one.begin() for one in members))
            found = await _follow(setup, members, live, tables.records)
            await asyncio.gather(*(one.end() for one in members))
        await check_ledger(database.dsn, tables.whole())
    finally:
        await drop_database(setup.endpoints, database.name)
    return found | {"backlog": tables.records - len(live.workload.records), "live_per_second": rate}


async def _follow(setup: BenchSetup, members: Sequence[ContenderProcess], live: Live, wanted: int) -> dict[str, Any]:
    """Watch memory until all is processed; `caught_up_seconds` is when nothing older than what just came was left."""
    samples: list[float] = []
    began, caught_up = time.monotonic(), 0.0
    backlog = wanted - len(live.workload.records)
    watched = [psutil.Process(one.pid) for one in members]

    async def hear(one: ContenderProcess) -> None:
        while True:
            await one.follow()

    tasks = [asyncio.create_task(hear(one)) for one in members]
    flowing = asyncio.create_task(flow(setup.endpoints.kafka, live))
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while (processed := sum(one.processed for one in members)) < wanted:
                for task in (*tasks, flowing):
                    if task.done():
                        task.result()
                if not caught_up and processed >= backlog + live.published - live.rate:
                    caught_up = time.monotonic() - began
                samples.append(max(process.memory_info().rss for process in watched) / 1024**2)
                await asyncio.sleep(SAMPLE_SECONDS)
    finally:
        for task in (*tasks, flowing):
            task.cancel()
        await asyncio.gather(*tasks, flowing, return_exceptions=True)
    seconds = caught_up or time.monotonic() - began
    return {
        "caught_up_seconds": round(seconds, 1),
        "events_per_second": round((backlog + min(live.published, live.rate * seconds)) / seconds, 1),
        "rss_mib_max": round(max(samples), 1),
        "rss_flat": is_flat(samples),
        "rss_mib": [round(sample, 1) for sample in samples[:: max(1, len(samples) // 20)]],
    }
