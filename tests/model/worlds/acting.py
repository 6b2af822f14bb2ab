"""What processes of several worlds do: process records, wake, publish."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from consumer_harness import broken_chains, processor

from consumer import decode, transaction, waking
from model.arena import Clock
from producers.relay import lanes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer_harness import Event

    from model.arena import Arena
    from model.stepping import Process
    from schemas.record import Record

TURNS = 6
"""More than any world needs: what is left then does not hold."""


def writer(pool: Any, arena: Arena) -> Any:
    return transaction.BatchWriter(pool, arena.settings, Clock())


async def _keep_sessions() -> None:
    """Stand for a pool of which no session needs to be replaced."""


PLATFORM = decode.DecodingTerms(has_several_merchants=lambda *_: True)
"""What names no merchant is nobody's yet: where there is one merchant, there is less to go wrong."""


async def apply_batch(pool: Any, arena: Arena, records: Iterable[Record]) -> None:
    """Process records as the consumer's worker does: in one batch, tried again and divided where it fails."""
    processing = processor(writer(pool, arena).process, arena.settings.consumer, _keep_sessions)
    await processing.write([decode.decoded(record, PLATFORM) for record in records])


async def wake(pool: Any, arena: Arena, turns: int = TURNS) -> None:
    """Wake who waits on marked references, as the sweeper does."""
    waker = waking.Waker(pool, writer(pool, arena), arena.settings.consumer)
    for _ in range(turns):
        if await waker.turn() is None:
            return


def actor(arena: Arena, name: str, records: Iterable[Record], *, may_crash: bool = False) -> Process:
    """Start a process that takes one batch."""
    process = arena.process(name, may_crash=may_crash)
    process.start(apply_batch(arena.pool_of(process), arena, records))
    return process


async def open_problems(arena: Arena, *events: Event) -> list[str]:
    """Return what never may be: events without an effect or with two, some that wait, dead letters, broken chains."""
    tables = await arena.tables()
    counts = Counter(row["event_id"] for row in tables.ledger)
    wrong = [(one.event_id, counts[one.event_id]) for one in events if counts[one.event_id] != 1]
    problems = [f"{event_id} is in the ledger {count} times" for event_id, count in wrong]
    problems += [f"{row['event_id']} still waits" for row in tables.parked]
    problems += [
        f"{row['event_id']} is a dead letter: {row['reason']}" for row in tables.letters if row["status"] == "open"
    ]
    return problems + broken_chains(tables)


def compared(row: dict[str, Any], **wanted: Any) -> list[str]:
    return [f"{name} is {row[name]}, not {value}" for name, value in wanted.items() if row[name] != value]


async def publish(process: Process, arena: Arena, lane_: lanes.Lane, lease: Any, turns: int) -> None:
    """Carry batches of the relay: read, publish, mark, in the order of `LaneLoop.turn` without reading ahead."""
    connection = arena.pool_of(process)
    for _ in range(turns):
        if (found := await lane_.read(connection)) is None:
            continue
        await process.step("publish", lambda batch=found: _published(arena, process.name, batch))  # type: ignore[misc]
        await lane_.finish(connection, found, lease, {})
        arena.notes.append(("finished", process.name))


async def _published(arena: Arena, name: str, found: Any) -> int:
    await asyncio.sleep(0)
    arena.notes += [("published", name, reported(record)) for record in found.records]
    return len(found.records)


def reported(record: Any) -> dict[str, Any]:
    """Return a change as its readers get it."""
    return dict(json.loads(record.value)) if record.topic.endswith("changes") else {"value": record.value.decode()}


def lane_of(arena: Arena, name: str) -> Any:
    opened = lanes.open_lanes(arena.settings.relay, arena.settings.kafka.topics)
    return next(one for one in opened if one.name == name)
