"""The pool: which workers are at work on which batch. What fails in one is raised by whoever asks next."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Coroutine


class WorkerPool:
    """At most `count` batches side by side, each on a worker by number; a worker that failed is not free again."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def is_free(self, worker: int) -> bool:
        """Tell whether this worker is free."""
        return worker not in self.tasks

    def some_is_free(self) -> bool:
        """Tell whether any worker is free."""
        return len(self.tasks) < self.count

    def all_are_free(self) -> bool:
        """Tell whether nothing is at work."""
        return not self.tasks

    def first_free(self) -> int:
        """Return a worker that is free; one must be."""
        return next(filter(self.is_free, range(self.count)))

    def run_on(self, worker: int, work: Coroutine[None, None, None]) -> None:
        """Start work on a worker that is free."""
        self.tasks[worker] = task = asyncio.create_task(work)
        task.add_done_callback(partial(self._done, worker))

    def _done(self, worker: int, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            del self.tasks[worker]

    def raise_failure(self) -> None:
        """Raise what work that has ended failed with."""
        for task in self.tasks.values():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def wait_for_one(self, seconds: float) -> None:
        """Wait until one of those at work is done, or so long."""
        await asyncio.wait(self.tasks.values(), return_when=asyncio.FIRST_COMPLETED, timeout=seconds)

    async def drain(self, seconds: float) -> None:
        """Wait until all are done, or so long."""
        if self.tasks:
            await asyncio.wait(self.tasks.values(), timeout=seconds)

    async def give_up(self) -> None:
        """End what is still at work where it stands."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
