"""The consumer as a child process, with the faults that its environment asks for; never part of the product.

FAULT_FATAL: the process ends, without a word, when it decodes a record whose value holds this text.
FAULT_TRIP: interpreting such a record raises an error that nobody foresaw.
FAULT_BLOCK: decoding such a record stands still, and the loop with it.
FAULT_HANG: a batch with such a record never ends; the loop goes on.
FAULT_WAIT: writing such a record never ends, and attempts nothing; the loop goes on.
FAULT_APPLY: the process is killed when it would apply an orphan's dead letter ("before"), or has, and not committed
("within").
FAULT_PROBE: a file that shows the probe's state, its reason and its figures.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumer import decode as decoding
from consumer import role
from consumer.decode import Event, decode
from consumer.processing import Processor
from consumer.transaction import BatchWriter
from runtime.lifecycle import run_role
from runtime.settings import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consumer.decode import DecodingTerms
    from consumer.plan import Item, Plan
    from consumer.verdict import Dead
    from runtime.health import Probe
    from runtime.settings import Settings
    from schemas.record import Record


def faulty(record: Record, endpoints: DecodingTerms) -> Event | Dead:
    """Decode as the product does, unless the record is one of those."""
    value = record.value or b""
    if (fatal := os.environ.get("FAULT_FATAL")) and fatal.encode() in value:
        os._exit(139)
    if (block := os.environ.get("FAULT_BLOCK")) and block.encode() in value:
        time.sleep(3600)
    if (trip := os.environ.get("FAULT_TRIP")) and trip.encode() in value:
        raise ZeroDivisionError
    return decode(record, endpoints)


async def hang(self: Processor, records: Sequence[Record]) -> bool:
    """Process as the product does, unless a record is one of those."""
    if (text := os.environ.get("FAULT_HANG")) and any(text.encode() in (record.value or b"") for record in records):
        await asyncio.Event().wait()
    return await process(self, records)


async def wait(self: Processor, items: Sequence[Item]) -> list[Plan]:
    """Write as the product does, unless a record is one of those."""
    events = (record for record, decoded in items if isinstance(decoded, Event))
    if (text := os.environ.get("FAULT_WAIT")) and any(text.encode() in (record.value or b"") for record in events):
        await asyncio.Event().wait()
    return await write(self, items)


async def killed_before(self: BatchWriter, letter_ids: Sequence[int]) -> Plan:
    """End where a dead letter would be applied."""
    os.kill(os.getpid(), signal.SIGKILL)
    return await asyncio.Future()


async def killed_within(self: BatchWriter, connection: Any, plan: Plan, *more: Any) -> None:
    """Write as the product does, and end before the commit of an applied dead letter."""
    await write_rows(self, connection, plan, *more)
    if plan.applied:
        os.kill(os.getpid(), signal.SIGKILL)


async def show(probe: Probe, path: Path) -> None:
    while True:
        draft = path.with_suffix(".tmp")
        shown = {"state": probe.state, "stuck": probe.stuck(), "unready": probe.unready(), "facts": dict(probe.facts)}
        draft.write_text(json.dumps(shown))
        draft.replace(path)
        await asyncio.sleep(0.05)


async def serve(settings: Settings, stop: asyncio.Event, probe: Probe) -> None:
    showing = asyncio.ensure_future(show(probe, Path(os.environ["FAULT_PROBE"])))
    try:
        await role.serve(settings, stop, probe)
    finally:
        showing.cancel()


if __name__ == "__main__":
    decoding.decode = faulty
    process, Processor.process = Processor.process, hang  # type: ignore[method-assign]
    write, Processor.write = Processor.write, wait  # type: ignore[method-assign]
    write_rows = BatchWriter._write
    if os.environ.get("FAULT_APPLY") == "before":
        BatchWriter.apply_letters = killed_before  # type: ignore[method-assign]
    if os.environ.get("FAULT_APPLY") == "within":
        BatchWriter._write = killed_within  # type: ignore[method-assign]
    sys.exit(run_role("consumer", load(), serve))
