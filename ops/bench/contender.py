"""One contender as a process: settles a preloaded topic, prints what it took as one JSON line, and ends.

python -m ops.bench.contender NAME TOPIC GROUP RECORDS
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
import structlog
import uvloop

from consumer.batch import BatchWriter
from consumer.role import PLANNER, make_consumer, make_lanes
from consumer.worker import Worker
from ops.bench import naive
from runtime.clock import SystemClock
from runtime.postgres import open_pool
from runtime.settings import load

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer

    from runtime.postgres import Pool
    from runtime.settings import Settings

POLL_SECONDS: Final = 0.005


async def _naive(consumer: AIOKafkaConsumer, pool: Pool, settings: Settings, records: int) -> None:
    await naive.consume(consumer, pool, BatchWriter(pool, settings, SystemClock()), SystemClock(), records)


async def _ratchet(consumer: AIOKafkaConsumer, pool: Pool, settings: Settings, records: int) -> None:
    """Run the product's own worker until that many records are settled."""
    worker = Worker(consumer, make_lanes(pool, settings), settings.consumer)
    stop = asyncio.Event()

    async def watch() -> None:
        while worker.records_settled < records:  # noqa: ASYNC110 - a role has no reason to count to an end
            await asyncio.sleep(POLL_SECONDS)
        stop.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        group.create_task(worker.run(stop))


CONTENDERS: Final = {"naive": _naive, "ratchet": _ratchet}


async def _measure(name: str, topic: str, group: str, records: int) -> dict[str, float]:
    """Measure from the first record in hand to the last one durable; set-up does not count."""
    settings = load()
    pool = await open_pool(settings.postgres, role=f"bench {name}", connections=8, parameters=PLANNER)
    consumer = make_consumer(settings, group)
    await consumer.start()
    consumer.subscribe([topic])
    while not consumer.assignment():
        await consumer.getmany(timeout_ms=100, max_records=1)
    await consumer.seek_to_beginning()
    began, used = time.perf_counter(), time.process_time()
    await CONTENDERS[name](consumer, pool, settings, records)
    seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - used
    await consumer.stop()
    await pool.close()
    return {"records": records, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak_mib()}


def peak_mib() -> float:
    """Return the most memory that this process held; Linux counts it anew from the program's start.

    `ru_maxrss` would not do: it begins with what the process that started this one held.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return psutil.Process().memory_info().rss / 1024**2
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    """Read the arguments, measure, print."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    name, topic, group, records = sys.argv[1:]
    print(json.dumps(uvloop.run(_measure(name, topic, group, int(records)))))  # noqa: T201 - the process's one answer


if __name__ == "__main__":
    main()
