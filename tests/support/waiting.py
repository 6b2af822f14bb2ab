"""Waiting for what must come: a condition is asked again and again within a bound; the failure says what was missed.

`until` is for tests that run on an event loop, `wait_until` for those that do not.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT_SECONDS = 45.0
PAUSE_SECONDS = 0.02
WHAT = "what was waited for"


async def until(condition: Callable[[], Any], what: str = WHAT, within_seconds: float = WAIT_SECONDS) -> Any:
    """Ask until the answer is true, and return it; the condition may be a coroutine function."""
    deadline = time.monotonic() + within_seconds
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within_seconds:g} s: {what}"
        await asyncio.sleep(PAUSE_SECONDS)


def wait_until(condition: Callable[[], Any], what: str = WHAT, within_seconds: float = WAIT_SECONDS) -> Any:
    """Ask until the answer is true, and return it."""
    deadline = time.monotonic() + within_seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {within_seconds:g} s: {what}"
        time.sleep(PAUSE_SECONDS)
    return answer
