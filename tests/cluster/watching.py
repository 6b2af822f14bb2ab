"""What a run is measured by: when each event was taken, when it stood in the database, and the figures of both."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import asyncpg
from load.posting import LoadedIngress, Reply

from runtime.stack import postgres

if TYPE_CHECKING:
    from load.journal import Answer
    from load.posting import Step

    from cluster.servers import Databases

LOOK_SECONDS = 0.1
LATE_SECONDS = 2.0
"""The rate is back when no event waits longer than this."""
SLOWEST_KEPT = 12
BEHIND_ROWS = 4000
NEW_ROWS = """
select 'payment_logs', id, source, event_id from payment_logs where id > $1
union all select 'parked_events', id, source, event_id from parked_events where id > $2
union all select 'dead_letters', id, source, event_id from dead_letters where id > $3
"""
TABLES = ("payment_logs", "parked_events", "dead_letters")

AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What asking a server that goes away may raise: asyncpg calls it its own error where the end comes amid an answer."""

Key = tuple[str, str]


@dataclass
class LoadedIngresses(LoadedIngress):
    """Two ingresses as one, as a load balancer would have it: by turns, the other one where one does not take it."""

    urls: tuple[str, ...] = ()
    taken_at: dict[Key, float] = field(default_factory=dict)
    posted: list[tuple[float, float, int]] = field(default_factory=list)
    turn: int = 0

    async def _post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        turn = self.turn = self.turn + 1  # others take theirs while this one waits for an answer
        reply = Reply(0, {}, b"", "no ingress")
        for step in range(len(self.urls)):
            self.url = self.urls[(turn + step) % len(self.urls)]
            begun = time.monotonic()
            reply = await super()._post(path, body, headers)
            if path.startswith("/webhooks"):
                self.posted.append((begun, time.monotonic(), reply.status))
            if reply.status and reply.status < 500:
                return reply
        return reply

    def _note(self, answer: Answer, again: Step) -> None:
        super()._note(answer, again)
        if answer.taken and answer.what == "webhook":
            for event in self.traffic.life(answer.life).posts[answer.place].events:
                self.taken_at.setdefault(event.key, time.monotonic())


@dataclass
class Watch:
    """Notes when events are first seen on the primary, asked directly and not through a proxy."""

    databases: Databases
    seen_at: dict[Key, float] = field(default_factory=dict)
    looks: list[float] = field(default_factory=list)
    letters: set[int] = field(default_factory=set)
    _after: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TABLES, 0))

    async def run(self) -> None:
        """Look until it is cancelled."""
        connection: asyncpg.Connection | None = None
        name = "pg_a"
        try:
            while True:
                try:
                    if connection is None:
                        connection = await self._connected(name)
                    await self._look(connection)
                except AWAY:
                    if connection is not None:
                        connection.terminate()
                    connection, name = None, "pg_b" if name == "pg_a" else "pg_a"
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            if connection is not None:
                connection.terminate()

    async def _connected(self, name: str) -> asyncpg.Connection:
        """Return a session on this server where it is the primary."""
        found = self.databases.of(name)
        there = postgres.dsn(postgres.SUPERUSER, found.superuser_password, found.ports["postgres"])
        connection = await asyncpg.connect(there, timeout=1, ssl=False)
        try:
            standby = await connection.fetchval("select pg_is_in_recovery()", timeout=1)
        except BaseException:
            connection.terminate()
            raise
        if standby:
            connection.terminate()
            raise asyncpg.InterfaceError("it is the standby")
        return connection

    async def _look(self, connection: asyncpg.Connection) -> None:
        from_ = [max(0, self._after[table] - BEHIND_ROWS) for table in TABLES]
        rows = await connection.fetch(NEW_ROWS, *from_, timeout=1)
        now = time.monotonic()
        self.looks.append(now)
        for table, number, source, event_id in rows:
            self._after[table] = max(self._after[table], number)
            self.seen_at.setdefault((source, event_id), now)
            if table == "dead_letters":
                self.letters.add(number)


@dataclass(frozen=True)
class Figures:
    """Times in seconds; `back_from_fault` is from the fault until no event waited longer than LATE_SECONDS.

    `ingress_slowest` are the webhooks that took longest: when each came, after the fault, and how long it took.
    """

    events: int
    gap: float
    longest: float
    p50: float
    back_from_fault: float
    back_from_heal: float
    ingress_p99_worst: float
    ingress_longest: float
    ingress_slowest: list[tuple[float, float]]


def percentile(values: list[float], share: float) -> float:
    """Return the value that so many do not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def figures_of(
    ingresses: LoadedIngresses, watch: Watch, *, begun: float, ended: float, fault: float, heal: float
) -> Figures:
    """Work out the figures of what was posted between `begun` and `ended`; all times are monotonic seconds."""
    pairs = [(taken, watch.seen_at[key]) for key, taken in ingresses.taken_at.items() if key in watch.seen_at]
    seen = sorted(at for _, at in pairs if begun <= at <= max(ended, heal))
    moments = [begun, *seen]
    gap = max((after - before for before, after in itertools.pairwise(moments)), default=ended - begun)
    waits = [max(0.0, at - taken) for taken, at in pairs]
    late = max((at for taken, at in pairs if at - taken > LATE_SECONDS), default=0.0)
    windows = []
    at = begun
    while at < ended:
        windows.append(percentile([end - start for start, end, _ in ingresses.posted if at <= start < at + 10], 0.99))
        at += 5
    return Figures(
        events=len(pairs),
        gap=gap,
        longest=max(waits, default=0.0),
        p50=percentile(waits, 0.5),
        back_from_fault=max(0.0, late - fault),
        back_from_heal=max(0.0, late - heal),
        ingress_p99_worst=max(windows, default=0.0),
        ingress_longest=max((end - start for start, end, _ in ingresses.posted), default=0.0),
        ingress_slowest=slowest(ingresses.posted, fault),
    )


def slowest(posted: list[tuple[float, float, int]], fault: float) -> list[tuple[float, float]]:
    """Return when the slowest came, after the fault, and how long each took, in the order in which they came."""
    longest = sorted(posted, key=lambda one: one[0] - one[1])[:SLOWEST_KEPT]
    return sorted((round(start - fault, 2), round(end - start, 3)) for start, end, _ in longest)


async def stopped(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
