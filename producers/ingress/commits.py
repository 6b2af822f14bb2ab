"""Bounded waiting for units of work that end with a COMMIT, which nobody can take back.

A COMMIT that waits for a synchronous standby goes on at the server, and holds a place among its sessions, whatever its
client does. So one that outlasts its time keeps its session here until it is answered: a new session in its place would
wait beside it, and the next one too, until Postgres has none left. A server that does not answer at all is another
case: `runtime.postgres_silence` ends the sessions with it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

Result = TypeVar("Result")


@dataclass(slots=True)
class CommitState:
    """How far a unit of work has come: whether it commits, so that only the server's answer is missing."""

    commits: bool = False


class Commits:
    """Waits for each unit of work for `seconds` at most; `late` is the text of the error where it takes longer."""

    def __init__(self, seconds: float, late: str) -> None:
        self._seconds = seconds
        self._late = late
        self._left: dict[asyncio.Task[Any], CommitState] = {}

    async def wait_for(self, work: Callable[[CommitState], Coroutine[Any, Any, Result]]) -> Result:
        """Return what the work returns; raise UnavailableError where that is not known in time.

        What commits then is left to come to its end; whatever else is not done is cancelled.
        """
        state = CommitState()
        task = asyncio.create_task(work(state))
        try:
            done, _ = await asyncio.wait((task,), timeout=self._seconds)
            if done:
                return await task
            raise UnavailableError(self._late)
        finally:
            self._leave(task, state)

    @property
    def left(self) -> int:
        """How many COMMITs have outlasted their time and are not answered yet."""
        return sum(state.commits for state in self._left.values())

    async def close(self, end_sessions: Callable[[], Awaitable[None]]) -> None:
        """Cancel what was left, end its sessions, and wait for it to be gone, for `seconds` at most.

        What is cancelled says so to its server first, and one that does not answer lets go of it with the session only.
        """
        for task in self._left:
            task.cancel()
        await end_sessions()
        if self._left:
            await asyncio.wait(self._left, timeout=self._seconds)

    def _leave(self, task: asyncio.Task[Any], state: CommitState) -> None:
        if task.done():
            return
        if not state.commits:
            task.cancel()
        self._left[task] = state
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._left.pop(task, None)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains that nobody did
