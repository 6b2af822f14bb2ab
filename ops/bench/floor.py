"""The floor: what the product sent to Postgres, recorded once and sent again with nothing around it.

A recording run processes the workload's records in memory order through the product's own writer, in shares whose keys
are disjoint, and keeps every statement with its arguments. A replay executes them on a fresh database, one connection a
share, with the same transactions; no Kafka, no decoding, no fold. Ids that the database gives out (parked events) are
those of the run that is going on.
"""

from __future__ import annotations

import pickle
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from consumer.decode import decoded
from consumer.role import PLANNER
from consumer.transaction import BatchWriter
from runtime.clock import SystemClock
from runtime.postgres import open_pool
from runtime.sql import statement
from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from producers.ingress.publishing.records import Outgoing
    from runtime.postgres import Connection, Pool
    from runtime.settings import Settings

Id = tuple[str, int]
"""Of what an id is, `mark` or `parked`, and the id."""

Call = tuple[str, tuple[Any, ...], dict[str, Any], list[Id]]
"""Method of the connection, its arguments, and the ids that it answered with."""

ANSWERS: Final = {"mark_bound": {"id": "mark"}, "find_marked": {"mark_id": "mark", "parked_id": "parked"}}
"""The statements that answer with ids which the database gave out, and of what."""
TAKES: Final = {
    "find_marked": ("mark",),
    "move_mark": ("mark", "parked"),
    "delete_marks": ("mark",),
    "find_waited_refs": ("parked",),
    "find_parked": ("parked",),
    "delete_parked": ("parked",),
}
"""The statements that take such ids, one or many, as their first arguments."""


@dataclass(slots=True)
class Transaction:
    """One transaction: its statements in order, and how many records it processed."""

    calls: list[Call] = field(default_factory=list)
    records: int = 0


Share = list[Transaction]


def share_of(key: bytes, shares: int) -> int:
    """Return the share of a record's key; a payment's records are all in one."""
    return zlib.crc32(key) % shares


def split(records: Sequence[Outgoing], shares: int) -> list[list[Record]]:
    """Deal the records out to shares, as Kafka's records of one partition each."""
    dealt: list[list[Record]] = [[] for _ in range(shares)]
    for number, record in enumerate(records):
        share = share_of(record.key, shares)
        made = Record(record.topic, share, len(dealt[share]), number, record.key, record.value, record.headers)
        dealt[share].append(made)
    return dealt


class _Recorder:
    """A connection that notes what is sent through it."""

    def __init__(self, connection: Connection, share: Share) -> None:
        self._connection = connection
        self._share = share

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self._share.append(Transaction())
        async with self._connection.transaction():
            yield

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._connection, name)

        async def noting(*arguments: Any, **options: Any) -> Any:
            result = await method(*arguments, **options)
            self._share[-1].calls.append((name, arguments, options, answered(arguments, result)))
            return result

        return noting


class _RecordingPool:
    """A pool whose connections note what is sent."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.share: Share = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[_Recorder]:
        async with self._pool.acquire() as connection:
            yield _Recorder(connection, self.share)


async def record(settings: Settings, records: Sequence[Outgoing], shares: int) -> list[Share]:
    """Process the records on the settings' database with the product's writer; return all that was sent."""
    pool = await open_pool(settings.postgres, role="bench", connections=2, parameters=PLANNER)
    sent: list[Share] = []
    size = settings.consumer.batch_records_max
    try:
        for dealt in split(records, shares):
            noting = _RecordingPool(pool)
            writer = BatchWriter(cast("Pool", noting), settings, SystemClock())
            for begin in range(0, len(dealt), size):
                batch = dealt[begin : begin + size]
                await writer.process([decoded(one) for one in batch])
                noting.share[-1].records = len(batch)
            sent.append(noting.share)
    finally:
        await pool.close()
    return sent


def write(sent: list[Share], recording: Path) -> None:
    """Write down what was sent."""
    recording.write_bytes(pickle.dumps(sent))


def read(recording: Path) -> list[Share]:
    """Read what `write` wrote."""
    shares: list[Share] = pickle.loads(recording.read_bytes())  # noqa: S301 - this run's own file
    return shares


async def replay(connection: Connection, share: Share, processed: list[int], number: int) -> None:
    """Send a worker's transactions again; counts its records in `processed[number]` as they commit."""
    now: dict[Id, int] = {}
    for transaction in share:
        async with connection.transaction():
            for name, arguments, options, ids in transaction.calls:
                answer = await getattr(connection, name)(*now_named(arguments, now), **options)
                if ids:
                    now.update(zip(ids, (given for _, given in answered(arguments, answer)), strict=True))
        processed[number] += transaction.records


def answered(arguments: tuple[Any, ...], result: Any) -> list[Id]:
    """Return the ids that a call answered with, in their order."""
    columns = next((known for name, known in ANSWERS.items() if arguments[:1] == (_sql(name),)), {})
    return [(kind, row[column]) for row in result for column, kind in columns.items()] if columns else []


def now_named(arguments: tuple[Any, ...], now: dict[Id, int]) -> tuple[Any, ...]:
    """Return a call's arguments with the ids that marks and parked events have in this run."""
    kinds = next((known for name, known in TAKES.items() if arguments[:1] == (_sql(name),)), ())
    named = [
        now[kind, given] if isinstance(given, int) else [now[kind, one] for one in given]
        for kind, given in zip(kinds, arguments[1:], strict=False)
    ]
    return (*arguments[:1], *named, *arguments[1 + len(named) :])


def _sql(name: str) -> str:
    return statement("consumer", name)
