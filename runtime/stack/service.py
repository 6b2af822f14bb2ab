"""What the command line needs: serve a home in the foreground, read it and stop it from another process."""

from __future__ import annotations

import asyncio
import signal
import time
from typing import TYPE_CHECKING

from runtime.settings import StackSettings
from runtime.stack import layout, leftovers, state, status
from runtime.stack.supervisor import Stack
from schemas.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from runtime.stack.state import Endpoints, StackState
    from runtime.stack.status import BrokerStatus

STOP_WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1


def ignore(_: str) -> None:
    """Report nothing."""


async def serve(
    home: Path,
    stop: asyncio.Event,
    *,
    settings: StackSettings | None = None,
    on_ready: Callable[[Endpoints], None] | None = None,
    report: Callable[[str], None] = ignore,
) -> None:
    """Start the stack, call `on_ready`, bring dead brokers back until `stop` is set, then stop it. Prints nothing.

    Raise StackError when the start fails. `report` gets a sentence on each death and return.
    """
    stack = Stack(home, settings)
    starting = asyncio.ensure_future(stack.start())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            return
        endpoints = await starting
        if on_ready is not None:
            on_ready(endpoints)
        await watch(stack, stop, settings or StackSettings(), report)
    finally:
        stopping.cancel()
        starting.cancel()
        await asyncio.wait((starting, stopping))
        await stack.stop()


async def watch(
    stack: Stack, stop: asyncio.Event, settings: StackSettings, report: Callable[[str], None] = ignore
) -> None:
    """Bring dead brokers back until `stop` is set; each at its own pace, waiting longer after each failure."""
    async with asyncio.TaskGroup() as group:
        busy: dict[str, asyncio.Task[None]] = {}
        while not stop.is_set():
            for name in stack.dead():
                if name not in busy or busy[name].done():
                    busy[name] = group.create_task(_bring_back(stack, name, stop, settings, report))
            await _pause(stop, settings.watch_interval_seconds)


async def _bring_back(
    stack: Stack, name: str, stop: asyncio.Event, settings: StackSettings, report: Callable[[str], None]
) -> None:
    wait_seconds = settings.watch_interval_seconds
    report(f"{name} has died; starting it again at the same address")
    while not stop.is_set():
        try:
            await stack.restart(name)
        except Exception as error:  # noqa: BLE001 - a full disk, say: it may have room again at the next try
            report(f"{error}" if isinstance(error, StackError) else f"{name} does not start: {error}")
            await _pause(stop, wait_seconds)
            wait_seconds = min(wait_seconds * 2, settings.revive_backoff_max_seconds)
        else:
            report(f"{name} is back")
            return


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def read_state(home: Path) -> StackState | None:
    """Return the state of the stack that runs in a home; None if none does."""
    found = state.read(layout.at(home).state)
    return found if found is not None and found.owner.alive() else None


async def read_status(home: Path, settings: StackSettings | None = None) -> dict[str, BrokerStatus]:
    """Return how each broker of a home is, asking the brokers themselves; answers in seconds also when one hangs."""
    return await status.of_home(home, (settings or StackSettings()).probe_timeout_seconds)


async def request_stop(home: Path, wait_seconds: float = STOP_WAIT_SECONDS) -> bool:
    """Ask the starter of a home's stack (SIGTERM) to stop, and wait until it has; False if none runs.

    Raise StackError if it has not stopped in time. The starter must stop on SIGTERM, as `up` and `stack up` do.
    """
    found = read_state(home)
    if found is None:
        return False
    found.owner.signal(signal.SIGTERM)
    deadline = time.monotonic() + wait_seconds
    while leftovers.is_locked(layout.at(home).lock):
        if time.monotonic() > deadline:
            raise StackError(f"the starter (pid {found.owner.pid}) has not stopped in {wait_seconds:.0f} s")
        await asyncio.sleep(POLL_SECONDS)
    return True
