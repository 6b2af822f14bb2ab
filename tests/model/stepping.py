"""A pool that asks before each statement, so that somebody else decides who goes on.

A process is a coroutine of the product with such a pool. It stops at a gate before each statement, before each commit
and before each rollback. `begin` is no step: at READ COMMITTED each statement looks anew, and a transaction that has
done nothing holds nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine


class EndedError(BaseException):
    """Raised at a gate: the process is over, by a crash of the model's or because the try is."""


class Process:
    """One actor: the steps it took with what they answered, and the one that it waits to take."""

    def __init__(self, name: str, connection: Any, steps: list[tuple[str, str]], *, may_crash: bool = False) -> None:
        self.name, self.connection, self.may_crash = name, connection, may_crash
        self.steps = steps
        self.pid: int = connection.get_server_pid()
        self.history: list[Any] = []
        self.next: str | None = None
        self.in_flight: Any = None
        self.deadlocks = 0
        self.crashed = self.ended = False
        self.inside = False
        """Whether it is in a transaction."""
        self.committed = False
        """Whether it may have committed something since somebody looked."""
        self.moved = asyncio.Event()
        self._gate: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether it stands at a gate."""
        return self._gate is not None

    @property
    def done(self) -> bool:
        return self._task is not None and self._task.done() and not self.ready

    @property
    def failure(self) -> BaseException | None:
        """What it ended with, but for a crash."""
        if self._task is None or not self._task.done() or self._task.cancelled():
            return None
        error = self._task.exception()
        return None if isinstance(error, EndedError) else error

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        self._task = asyncio.ensure_future(work)
        self._task.add_done_callback(lambda _: self.moved.set())

    async def gate(self, step: str) -> None:
        """Wait until this step may be taken."""
        if self.ended:
            raise EndedError
        self.next, self._gate = step, asyncio.get_running_loop().create_future()
        self.moved.set()
        await self._gate

    def go_on(self, seen: Any) -> None:
        """Take the step; `seen` is what there is to see now."""
        assert self._gate is not None
        gate, self._gate, self.in_flight = self._gate, None, (self.next, seen)
        self.moved.clear()
        gate.set_result(None)

    def end(self, *, crashed: bool = False) -> None:
        """End it where it stands: whatever it has not committed is rolled back."""
        self.ended, self.crashed = True, self.crashed or crashed
        if self._gate is not None:
            gate, self._gate, self.next = self._gate, None, None
            gate.set_exception(EndedError())

    async def gone(self) -> None:
        if self._task is not None:
            await asyncio.wait([self._task])
            _ = self.failure  # looked at, so that asyncio does not complain

    def note(self, step: str, answer: Any) -> None:
        """Keep what a step answered: with it the process's own state is known."""
        self.history.append((step, answer))
        self.in_flight = None
        self.steps.append((self.name, step))
        self.committed |= not self.inside

    async def step(self, step: str, act: Callable[[], Awaitable[Any]]) -> Any:
        """Take one step, whatever it is, and keep what came of it."""
        await self.gate(step)
        try:
            answer = await act()
        except asyncpg.DeadlockDetectedError:
            self.deadlocks += 1
            self.note(step, "deadlock")
            raise
        except Exception as error:
            self.note(step, type(error).__name__)
            raise
        self.note(step, ("xid", answer) if step == "lock_refs_only" else plain(answer))
        return answer


def plain(answer: Any) -> Any:
    """Return an answer as something to compare; ids of transactions are marked, for only their order counts."""
    if isinstance(answer, list):
        return tuple(plain(row) for row in answer)
    if isinstance(answer, asyncpg.Record):
        return tuple(marked(name, value) for name, value in answer.items())
    return answer if isinstance(answer, str | int | bytes | None) else repr(answer)


def marked(name: str, value: Any) -> Any:
    if name in {"xid", "relay_xid", "head_xid", "highest_xid", "next_xid"} and isinstance(value, int):
        return ("xid", value)
    if name == "snapshot" and value:
        _, newest, still_open = value.split(":")
        return tuple(("xid", int(xid)) for xid in (newest, *still_open.split(",")) if xid)
    if name in {"created_at", "updated_at", "began_at", "marked_at", "recorded_at", "hash", "head_hash"}:
        return None
    return value if isinstance(value, str | int | bytes | None) else repr(value)


class SteppedConnection:
    """A connection whose statements are steps of a process."""

    def __init__(self, process: Process) -> None:
        self._process, self._real = process, process.connection

    async def fetch(self, sql: str, *arguments: Any, **options: Any) -> Any:
        return await self._process.step(label(sql), lambda: self._real.fetch(sql, *arguments, **options))

    async def fetchrow(self, sql: str, *arguments: Any, **options: Any) -> Any:
        return await self._process.step(label(sql), lambda: self._real.fetchrow(sql, *arguments, **options))

    async def fetchval(self, sql: str, *arguments: Any, **options: Any) -> Any:
        return await self._process.step(label(sql), lambda: self._real.fetchval(sql, *arguments, **options))

    async def execute(self, sql: str, *arguments: Any, **options: Any) -> Any:
        return await self._process.step(label(sql), lambda: self._real.execute(sql, *arguments, **options))

    async def executemany(self, sql: str, arguments: Any, **options: Any) -> Any:
        return await self._process.step(label(sql), lambda: self._real.executemany(sql, arguments, **options))

    async def copy_records_to_table(self, table: str, **options: Any) -> Any:
        return await self._process.step(f"copy {table}", lambda: self._real.copy_records_to_table(table, **options))

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        transaction = self._real.transaction()
        await transaction.start()
        self._process.inside = True
        try:
            yield
        except EndedError:
            await transaction.rollback()
            raise
        except BaseException:
            await transaction.rollback()
            self._process.inside = False
            self._process.note("rollback", None)
            raise
        finally:
            self._process.inside = False
        self._process.inside = True
        try:
            await self._process.gate("commit")
        except EndedError:
            await transaction.rollback()
            raise
        self._process.inside = False
        try:
            await transaction.commit()
        except Exception as error:
            self._process.note("commit", type(error).__name__)
            raise
        self._process.note("commit", None)


class SteppedPool(SteppedConnection):
    """A pool of one connection, which a process never needs twice at once."""

    @contextlib.asynccontextmanager
    async def acquire(self, **_: Any) -> AsyncIterator[SteppedConnection]:
        yield SteppedConnection(self._process)

    async def expire_connections(self) -> None:
        """Nothing to renew."""


LABELS: dict[str, str] = {}
"""The name of the file that a statement came from, by its text."""


def label(sql: str) -> str:
    """Name a statement."""
    if not LABELS:
        from pathlib import Path

        root = Path(__file__).parents[2]
        for path in [
            *root.glob("consumer/sql/*.sql"),
            *root.glob("producers/sql/*.sql"),
            *root.glob("runtime/sql/*.sql"),
        ]:
            LABELS[path.read_text()] = path.stem
    return LABELS.get(sql) or " ".join(sql.split())[:40]
