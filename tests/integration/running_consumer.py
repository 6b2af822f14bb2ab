"""A consumer that runs in the test's own process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from consumer import role
from runtime.health import Probe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from runtime.settings import Settings


@asynccontextmanager
async def consuming(settings: Settings) -> AsyncIterator[Probe]:
    """Run a consumer until the context ends."""
    stop, probe = asyncio.Event(), Probe("consumer")
    task = asyncio.create_task(role.serve(settings, stop, probe))
    try:
        yield probe
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)
