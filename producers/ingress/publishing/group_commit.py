"""Group commit: requests that need a transaction at the same time share one.

While all writers are busy, what comes waits and goes together in the next transaction; when one is free, a request
starts at once, so an idle ingress adds no wait. A group is written whole or not at all, and all its members get the
same answer.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Row = tuple[Any, ...]
    Write = Callable[[list[Row]], Awaitable[object]]

_log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class GroupedWrite:
    """One request's rows; `done` tells it that they are committed, or why that is not known."""

    rows: Sequence[Row]
    size: int
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GroupCommit:
    """Writes groups of up to `rows_max` rows and `bytes_max` bytes; one request alone may be larger."""

    def __init__(self, write: Write, *, writers: int, rows_max: int, bytes_max: int) -> None:
        self._write = write
        self._writers_max = writers
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._waiting: deque[GroupedWrite] = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self._active = 0
        """Writers that will look for members again; a task is in `_writers` for a moment longer."""

    async def add(self, rows: Sequence[Row], size: int) -> None:
        """Return once the rows are committed; raise UnavailableError when that is not known.

        Who is cancelled while it waits is not written; in a transaction that is under way its rows stay.
        """
        member = GroupedWrite(rows, size)
        self._waiting.append(member)
        if self._active < self._writers_max:
            self._active += 1
            writer = asyncio.create_task(self._write_all())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        await member.done

    async def close(self) -> None:
        """End what is under way; its members learn that nothing is known."""
        for writer in self._writers:
            writer.cancel()
        if self._writers:
            await asyncio.wait(self._writers)

    async def _write_all(self) -> None:
        """Write group after group until nobody waits."""
        try:
            while group := self._take():
                await self._write_one(group)
        finally:
            self._active -= 1

    async def _write_one(self, group: Sequence[GroupedWrite]) -> None:
        try:
            await self._write([row for member in group for row in member.rows])
        except asyncio.CancelledError:
            _answer(group, "the ingress closes")
            raise
        except UnavailableError as error:
            _answer(group, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the members must not wait for ever
            _log.error("group_failed", error=f"{type(error).__name__}: {error}", members=len(group))
            _answer(group, f"the group failed with {type(error).__name__}")
        else:
            _answer(group, None)

    def _take(self) -> list[GroupedWrite]:
        """Take who has waited longest, as far as the bounds go; who has given up is left out."""
        group: list[GroupedWrite] = []
        rows = size = 0
        while self._waiting:
            member = self._waiting[0]
            if not member.done.cancelled():
                rows, size = rows + len(member.rows), size + member.size
                if group and (rows > self._rows_max or size > self._bytes_max):
                    break
                group.append(member)
            self._waiting.popleft()
        return group


def _answer(group: Sequence[GroupedWrite], failure: str | None) -> None:
    for member in group:
        if member.done.done():
            continue
        if failure is None:
            member.done.set_result(None)
        else:
            member.done.set_exception(UnavailableError(failure))
