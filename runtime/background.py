"""Tasks that run beside others. `keep_running` starts a task again after a failure, which it logs and counts.

Nobody awaits a task that runs as long as its process, so an error that it does not expect (a full disk, first of all)
would end it in silence: what it looks after would stand still while the role reports itself healthy.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from runtime import metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine

PAUSE_SECONDS: Final = 1.0
"""The pause after a failure. Such tasks have something to do once a second at most."""

CANCEL_AGAIN_SECONDS: Final = 1.0
"""How long a task that was cancelled may take to end before it is cancelled again."""

_log = structlog.get_logger()


async def keep_running(name: str, work: Callable[[], Awaitable[None]], pause_seconds: float = PAUSE_SECONDS) -> None:
    """Run `work` until it returns or this is cancelled; after a failure, log it and start again.

    `name` stands in the log and in the metric `ratchet_background_failures_total`.
    """
    failures = metrics.BACKGROUND_FAILURES.labels(name)  # at zero: an alert must see the first one too
    while True:
        try:
            await work()
        except Exception:  # noqa: BLE001 - whatever it is: what the task looks after must not be left alone
            _log.exception("background_task_failed", task=name, next_try_in_seconds=pause_seconds)
            failures.inc()
            await asyncio.sleep(pause_seconds)
        else:
            return


async def end_all(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel tasks and wait until all have ended.

    One that does not end is cancelled again: Kafka's client can mistake a cancellation while it connects for a failed
    connection, and the task would go on for ever (seen with Python 3.13).
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_SECONDS)


async def run_side_by_side(*works: Coroutine[None, None, object]) -> None:
    """Run works until all have returned; where one fails, or this is cancelled, end the others and raise it."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
