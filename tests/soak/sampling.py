"""One look at everything that may creep: processes, connections, tables, topics, the lag, and what an event costs."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import asyncpg
import psutil

from ops import endpoints
from ops.bench.usage import cpu_seconds
from ops.database import connected
from ops.lag import by_topic, read_lag
from ops.roles import ROLES
from runtime.lifecycle import read_run_file
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from runtime.settings import Settings

TABLES: Final = """
select relname as name, pg_total_relation_size(relid) as bytes, n_live_tup as live, n_dead_tup as dead
from pg_stat_user_tables order by relname
"""
CONNECTIONS: Final = """
select usename as name, count(*) as number from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid() group by usename
"""
BUCKET: Final = re.compile(r'^ratchet_end_to_end_seconds_bucket\{le="([^"]+)"\} (\S+)$', re.MULTILINE)
PARTITION: Final = re.compile(r"-\d+$")
ASK_SECONDS: Final = 3.0


@dataclass(slots=True)
class Sampler:
    """Looks again and again; a CPU time and a histogram count from the look before."""

    settings: Settings
    up: int
    _cpu: dict[str, tuple[int, float]] = field(default_factory=dict)
    _buckets: dict[float, float] = field(default_factory=dict)

    async def look(self) -> dict[str, Any]:
        """Return what is there now; a part that can't be asked for now is left out."""
        found: dict[str, Any] = {"processes": self._processes()}
        with suppress(RatchetError, OSError, TimeoutError, asyncpg.PostgresError):
            found |= await self._database()
        with suppress(RatchetError):
            found["lag"] = by_topic(await read_lag(self.settings), self.settings.kafka.topics.consumed_names)
        with suppress(aiohttp.ClientError, TimeoutError):
            found["applied_p99_seconds"] = await self._applied()
        found["topics"] = await asyncio.to_thread(topic_bytes, self.settings.home / "kafka")
        return found

    def _processes(self) -> dict[str, dict[str, float]]:
        stack = endpoints.running_stack(self.settings)
        pids = {} if stack is None else {name: identity.pid for name, identity in stack.servers.items()}
        pids |= {role: file.pid for role in ROLES if (file := read_run_file(self.settings.home, role)) is not None}
        found = {}
        for name, pid in {"up": self.up, **pids}.items():
            with suppress(psutil.Error):
                found[name] = self._process(name, pid, family=name not in ROLES and name != "up")
        return found

    def _process(self, name: str, pid: int, *, family: bool) -> dict[str, float]:
        root = psutil.Process(pid)
        rest = root.children(recursive=True) if family else []
        own = root.cpu_times()
        spent = cpu_seconds(pid) if family else own.user + own.system
        before_pid, before = self._cpu.get(name, (pid, spent))
        self._cpu[name] = (pid, spent)
        return {
            "pid": pid,
            "bytes": root.memory_info().rss + sum(map(own_bytes, rest)),
            "files": root.num_fds(),
            "threads": root.num_threads(),
            "processes": 1 + len(rest),
            "cpu_seconds": round(max(0.0, spent - before) if before_pid == pid else spent, 3),
        }

    async def _database(self) -> dict[str, Any]:
        async with connected(self.settings) as connection:
            tables = await connection.fetch(TABLES)
        sessions = await self._sessions()
        return {
            "tables": {row["name"]: [row["bytes"], row["live"], row["dead"]] for row in tables},
            "connections": {row["name"]: row["number"] for row in sessions},
        }

    async def _sessions(self) -> list[Any]:
        """Count the sessions by their role; only a superuser sees whose they are."""
        stack = endpoints.running_stack(self.settings)
        if stack is None:
            return []
        connection = await asyncpg.connect(stack.endpoints.superuser_dsn, timeout=ASK_SECONDS)
        try:
            return list(await connection.fetch(CONNECTIONS))
        finally:
            await connection.close()

    async def _applied(self) -> float | None:
        """Return the p99 of the time from a record to its committed row, of the events since the look before."""
        file = read_run_file(self.settings.home, "consumer")
        if file is None:
            return None
        timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(f"http://{file.probe}/metrics") as answer:
            now = buckets_of(await answer.text())
        before, self._buckets = self._buckets, now
        return quantile(since(before, now), 0.99)


def own_bytes(process: psutil.Process) -> int:
    """Return what a process has for itself: Postgres' backends share their buffers."""
    try:
        found = process.memory_info()
    except psutil.Error:
        return 0
    return max(0, found.rss - getattr(found, "shared", 0))


def topic_bytes(folder: Path) -> dict[str, int]:
    """Return what each topic takes on the disk, by Kafka's folders of partitions."""
    sizes: dict[str, int] = {}
    for log in folder.glob("**/*-*/*.log"):
        with suppress(OSError):
            if PARTITION.search(log.parent.name):
                name = PARTITION.sub("", log.parent.name)
                sizes[name] = sizes.get(name, 0) + log.stat().st_size
    return sizes


def buckets_of(text: str) -> dict[float, float]:
    """Return the cumulative buckets of the end-to-end histogram by their upper bound."""
    return {float(bound): float(number) for bound, number in BUCKET.findall(text)}


def since(before: Mapping[float, float], now: Mapping[float, float]) -> dict[float, float]:
    """Return what came in between; all of it where a process began anew."""
    if any(number < before.get(bound, 0.0) for bound, number in now.items()):
        return dict(now)
    return {bound: number - before.get(bound, 0.0) for bound, number in now.items()}


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return a quantile of a cumulative histogram, evenly within its bucket; None where there is nothing."""
    whole = max(buckets.values(), default=0.0)
    below, low = 0.0, 0.0
    for bound, number in sorted(buckets.items()):
        if whole and number >= share * whole:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (share * whole - below) / max(number - below, 1e-9)
        below, low = number, bound
    return None
