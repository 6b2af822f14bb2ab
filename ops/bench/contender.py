"""One process of a contender: gets ready, waits for the word, processes, reports how far it is, and ends when asked.

    python -m ops.bench.contender KIND TOPIC GROUP PROCESSES RECORDING

Lines of JSON: `{"ready": true}`, then on standard input a line; `{"began": t}` at the first record in hand,
`{"processed": n, "at": t}` as it goes on; another line on standard input ends it, with `{"cpu_seconds", "peak_mib"}`.
Times are those of the machine's monotonic clock, which all processes share. Every contender has the event loop of the
product's roles, and their settings of Python's garbage collector.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import psutil
import structlog
import uvloop

from consumer.loop import ConsumerLoop
from consumer.positions import Positions, StoredOffsets
from consumer.role import EXTRA_CONNECTIONS, PLANNER, make_consumer, make_processor
from consumer.transaction import BatchWriter
from ops.bench import floor, naive, on_faststream
from ops.bench.stage import PARTITIONS
from runtime.clock import SystemClock
from runtime.gc_tuning import tune_collector
from runtime.kafka_security import bootstrap_of
from runtime.postgres import open_pool
from runtime.settings import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import AIOKafkaConsumer

    from runtime.settings import Settings

REPORT_SECONDS: Final = 0.005
ASSIGNMENT_POLL_SECONDS: Final = 0.02


class Reporting:
    """What this process writes to standard output, and waits for on standard input."""

    def __init__(self) -> None:
        self.processed: Callable[[], int] = lambda: 0
        self.began_at: Callable[[], float] = time.monotonic
        self.stopped = asyncio.Event()

    async def wait_for_word(self) -> None:
        """Report that all is ready, and wait for a line."""
        report(ready=True)
        await asyncio.to_thread(sys.stdin.readline)

    async def run(self) -> None:
        """Report when it began, and how far it is until the line that ends it."""
        ending = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        reported, began = 0, 0.0
        while not ending.done():
            if not began and (began := self.began_at()):
                report(began=began)
            if (processed := self.processed()) != reported:
                reported = processed
                report(processed=processed, at=time.monotonic())
            await asyncio.wait((ending,), timeout=REPORT_SECONDS)
        self.stopped.set()


def report(**words: Any) -> None:
    """Write one line of JSON to standard output."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


async def _member(settings: Settings, topic: str, group: str, processes: int) -> AIOKafkaConsumer:
    """Join the group and wait for this member's share; nothing is fetched before the word."""
    consumer = make_consumer(settings, group)
    await consumer.start()
    consumer.subscribe([topic])
    while len(consumer.assignment()) != PARTITIONS // processes:
        consumer.pause(*consumer.assignment())
        await asyncio.sleep(ASSIGNMENT_POLL_SECONDS)
    consumer.pause(*consumer.assignment())
    return consumer


async def _ratchet(settings: Settings, topic: str, group: str, processes: int, reporting: Reporting) -> None:
    """Run the product's own loop."""
    connections = settings.consumer.batches_in_flight_max + EXTRA_CONNECTIONS
    pool = await open_pool(settings.postgres, role="bench", connections=connections, parameters=PLANNER)
    consumer = await _member(settings, topic, group, processes)
    positions = Positions(StoredOffsets(pool), settings.consumer.commit_timeout_seconds)
    loop = ConsumerLoop(consumer, make_processor(pool, settings), settings.consumer, positions)
    reporting.processed = lambda: loop.records_processed
    await reporting.wait_for_word()
    consumer.resume(*consumer.assignment())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reporting.run())
        tasks.create_task(loop.run(reporting.stopped))
    await consumer.stop()
    await pool.close()


async def _by_hand(settings: Settings, kind: str, topic: str, group: str, reporting: Reporting) -> None:
    """Run the naive handler, by itself or on FastStream."""
    assert settings.postgres.dsn is not None
    dsn = settings.postgres.dsn.get_secret_value()
    count = PARTITIONS if kind == "faststream-workers" else 1
    connections = [await asyncpg.connect(dsn, server_settings=PLANNER) for _ in range(count)]
    pool = await open_pool(settings.postgres, role="bench", connections=count, parameters=PLANNER)
    handler = naive.Handler(list(connections), BatchWriter(pool, settings, SystemClock()), SystemClock())
    reporting.processed = lambda: handler.processed
    if kind != "naive":
        reporting.began_at = lambda: handler.began_at  # its broker joins the group on the word; that is not counted

    def wanted() -> bool:
        return not reporting.stopped.is_set()

    async with asyncio.TaskGroup() as tasks:
        if kind == "naive":
            consumer = await _member(settings, topic, group, 1)
            await consumer.seek_to_beginning(*consumer.assignment())  # the consumer's own options have no usual place
            await reporting.wait_for_word()
            consumer.resume(*consumer.assignment())
            tasks.create_task(reporting.run())
            await naive.consume(consumer, handler, wanted)
            await consumer.stop()
        else:
            await reporting.wait_for_word()
            tasks.create_task(reporting.run())
            subscription = on_faststream.Subscription(bootstrap_of(settings.kafka), topic, group, kind)
            await on_faststream.consume(subscription, handler, wanted)
    for connection in connections:
        await connection.close()
    await pool.close()


async def _floor(settings: Settings, recording: Path, reporting: Reporting) -> None:
    """Replay what the product sent to Postgres."""
    shares = floor.read(recording)
    connections = max(1, len(shares))
    pool = await open_pool(settings.postgres, role="bench", connections=connections, parameters=PLANNER)
    held = [await pool.acquire() for _ in shares]
    processed = [0] * len(shares)
    reporting.processed = lambda: sum(processed)
    await reporting.wait_for_word()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(reporting.run())
        for number, (connection, share) in enumerate(zip(held, shares, strict=True)):
            tasks.create_task(floor.replay(connection, share, processed, number))
    for connection in held:
        await pool.release(connection)
    await pool.close()


async def _measure(kind: str, topic: str, group: str, processes: int, recording: Path) -> None:
    settings, reporting = load(), Reporting()
    try:
        if kind == "ratchet":
            await _ratchet(settings, topic, group, processes, reporting)
        elif kind.startswith("floor"):
            await _floor(settings, recording, reporting)
        else:
            await _by_hand(settings, kind, topic, group, reporting)
    except Exception:  # noqa: BLE001 - the thread that waits for a line would keep the process for ever
        traceback.print_exc()
        os._exit(1)


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
    """Read the arguments, process, report the rest."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    kind, topic, group, processes, recording = sys.argv[1:]
    tune_collector()
    uvloop.run(_measure(kind, topic, group, int(processes), Path(recording)))
    report(peak_mib=peak_mib())


if __name__ == "__main__":
    main()
