"""One round of one contender: its processes, what they and the servers spent, and whether the rows are right."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil

from ops.bench.figures import Round
from ops.bench.stage import check_ledger, checkpoint, drop_database, make_database, place_orders
from ops.bench.usage import snapshot, spent
from ops.bench.workload import make_orders
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from ops.bench.contenders import Contender
    from ops.bench.workload import Workload
    from runtime.stack import Endpoints

TIMEOUT_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class BenchSetup:
    """What all rounds share: the brokers, their pids, topic and workload by speed, recordings by connections."""

    endpoints: Endpoints
    servers: Mapping[str, int]
    topics: Mapping[bool, tuple[str, Workload]]
    recordings: Mapping[int, Path]


class ContenderProcess:
    """One process of a contender, as seen from here."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.pid = process.pid
        self._watched = psutil.Process(process.pid)
        self._cpu_at_start = 0.0
        self.processed = 0
        self.reported_at = 0.0
        self.began = 0.0
        self.peak_mib = 0.0

    async def ready(self) -> None:
        """Wait until the process is ready."""
        while "ready" not in await self._hear():
            pass

    def say(self) -> None:
        """Send the line that it waits for: to begin, or to end."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")

    async def begin(self) -> None:
        """Let it begin, and note when it did."""
        self._cpu_at_start = self._cpu()
        self.say()
        while not self.began:
            self.began = (await self._hear()).get("began", 0.0)

    async def follow(self) -> None:
        """Read on how far it is, line by line."""
        word = await self._hear()
        self.processed, self.reported_at = word["processed"], word["at"]

    def cpu_seconds(self) -> float:
        """Return the CPU seconds since it began."""
        return self._cpu() - self._cpu_at_start

    async def end(self) -> None:
        """Let it end, and read its last line."""
        self.say()
        while not self.peak_mib:
            self.peak_mib = (await self._hear()).get("peak_mib", 0.0)
        await self._process.wait()

    def _cpu(self) -> float:
        times = self._watched.cpu_times()
        return float(times.user + times.system)

    async def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RatchetError(f"the contender ended too early, with status {await self._process.wait()}")
        heard: dict[str, Any] = json.loads(line)
        return heard


@asynccontextmanager
async def member(arguments: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[ContenderProcess]:
    """Start one process of a contender; it does not outlive the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.bench.contender", *arguments,
        env=os.environ | dict(environment), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield ContenderProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def wait_until_processed(members: Sequence[ContenderProcess], records: int) -> float:
    """Follow the members until they processed that many records together; return when the last one was."""

    async def follow(one: ContenderProcess) -> None:
        while True:
            await one.follow()
            if sum(other.processed for other in members) >= records:
                done.set()

    done = asyncio.Event()
    following: list[asyncio.Task[None]] = [asyncio.create_task(follow(one)) for one in members]
    finished = asyncio.create_task(done.wait())
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await asyncio.wait((finished, *following), return_when=asyncio.FIRST_COMPLETED)
        for task in following:
            if task.done():
                task.result()
    finally:
        finished.cancel()
        for task in following:
            task.cancel()
        await asyncio.gather(finished, *following, return_exceptions=True)
    return max(one.reported_at for one in members)


async def run_round(setup: BenchSetup, contender: Contender, number: int) -> Round:
    """Measure one contender once on a fresh database; raise RatchetError where its rows are wrong."""
    topic, workload = setup.topics[contender.slow]
    name = f"bench_{contender.name.replace('-', '_')}_{number}_{os.getpid()}"
    shares = int(contender.kind[-1]) if contender.kind.startswith("floor") else 0
    recording = str(setup.recordings.get(shares, "-"))
    database = await make_database(setup.endpoints, name)
    orders = make_orders(workload, contender.ordered)
    try:
        await place_orders(database, orders)
        await checkpoint(database)
        arguments = (contender.kind, topic, name, str(contender.processes), recording)
        found = await measure(setup, contender, arguments, database.environment, len(workload.records))
        await check_ledger(database.dsn, workload, orders=orders)
    finally:
        await drop_database(setup.endpoints, name)
    return found


async def measure(
    setup: BenchSetup, contender: Contender, arguments: Sequence[str], environment: Mapping[str, str], records: int
) -> Round:
    """Let a contender process that many records of its topic; return what it took. Its rows are not checked here."""
    async with AsyncExitStack() as stack:
        members = [
            await stack.enter_async_context(member(arguments, {**environment, **contender.environment}))
            for _ in range(contender.processes)
        ]
        await asyncio.gather(*(one.ready() for one in members))
        before = snapshot(setup.servers)
        await asyncio.gather(*(one.begin() for one in members))
        ended = await wait_until_processed(members, records)
        cpu = spent(before, snapshot(setup.servers)) | {"process": sum(one.cpu_seconds() for one in members)}
        await asyncio.gather(*(one.end() for one in members))
    return Round(records, ended - min(one.began for one in members), cpu, max(one.peak_mib for one in members))
