"""One timer for many waits of the same length.

`asyncio.timeout` makes and drops a timer of the loop for every wait; an ingress has thousands of them a second, all
equally long, so the first to begin is the first to be due, and one timer for the oldest is enough.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Deadline:
    """A `with` block of the current task, which raises TimeoutError past its deadline, as `asyncio.timeout` does."""

    __slots__ = ("_cancelling", "_deadlines", "_expired", "_task", "due", "over")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._expired = False
        self.due = 0.0
        self.over = False

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline is of a task, and none is running")
        self._task = task
        self._cancelling = task.cancelling()
        self._deadlines.watch(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over = True
        # A cancellation by somebody else, at the same time or before, stays one.
        if self._expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        """Interrupt the block."""
        self._expired = True
        self._task.cancel()


class Deadlines:
    """Makes deadlines of `seconds` from their block's begin; holds those that wait, and few that are over."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: deque[Deadline] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def deadline(self) -> Deadline:
        """Return a deadline for one `with` block."""
        return Deadline(self)

    def watch(self, deadline: Deadline) -> None:
        """Take up a deadline whose block begins now."""
        loop = asyncio.get_running_loop()
        deadline.due = loop.time() + self._seconds
        waiting = self._waiting
        while waiting and waiting[0].over:
            waiting.popleft()
        waiting.append(deadline)
        if self._timer is None:
            self._timer = loop.call_at(deadline.due, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Interrupt what is due; look again when the oldest of the others is."""
        now, waiting = loop.time(), self._waiting
        while waiting and (waiting[0].over or waiting[0].due <= now):
            deadline = waiting.popleft()
            if not deadline.over:
                deadline.expire()
        self._timer = loop.call_at(waiting[0].due, self._look, loop) if waiting else None
