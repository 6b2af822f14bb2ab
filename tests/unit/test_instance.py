"""The lock on a group instance id: taken, waited for, kept over outages, refused to a second process."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from asyncpg import InterfaceError
from pydantic import ValidationError
from structlog.testing import capture_logs

from consumer import instance
from consumer.instance import InstanceLock
from ops.up import instance_id
from runtime.settings import ConsumerSettings, Settings
from schemas.errors import SettingsError, UnavailableError

pytestmark = pytest.mark.unit

PATIENCE_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "ASK_SECONDS", 0.001)
    monkeypatch.setattr(instance, "LOOK_SECONDS", 0.001)


@dataclass
class Pool:
    """A pool of one connection, which it also is; each answer or error is given once, the last answer for good."""

    answers: list[object] = field(default_factory=list)
    acquired: int = 0
    released: int = 0
    closed: int = 0
    failure: Exception | None = None
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    back: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a session was given back."""
    hangs: str = ""
    """What is not answered: it ends with its time-out, if it has one."""

    async def acquire(self, timeout: float) -> Pool:  # noqa: ASYNC109 - asyncpg's name
        self.acquired += 1
        await self._answer("acquire", timeout)
        return self

    async def release(self, connection: Pool, timeout: float) -> None:  # noqa: ASYNC109
        self.released += 1
        self.back.set()
        await self._answer("release", timeout)

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109
        self.closed += 1
        await self._answer("close", timeout)
        if self.failure is not None:
            raise self.failure

    async def _answer(self, question: str, seconds: float | None) -> None:
        await asyncio.sleep(0)
        if question == self.hangs:
            async with asyncio.timeout(seconds):
                await asyncio.Event().wait()

    async def fetchval(self, query: str, *_: object, timeout: float | None = None) -> object:  # noqa: ASYNC109
        if query == "select 1":
            await self._answer("look", timeout)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if len(self.answers) == 1:
            self.asked.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


def lock(pool: Pool, patience_seconds: float = PATIENCE_SECONDS) -> InstanceLock:
    return InstanceLock(pool, "slot-1", patience_seconds)  # type: ignore[arg-type]


async def test_it_waits_for_its_predecessor_to_be_gone() -> None:
    pool = Pool([False, False, True])
    holder = lock(pool)
    assert await holder.take()
    assert (pool.acquired, pool.released) == (1, 0)
    await holder.give_back()
    await holder.give_back()
    assert (pool.closed, pool.released) == (1, 1)


async def test_who_is_stopped_while_it_waits_gives_its_session_back() -> None:
    pool = Pool([False])
    taking = asyncio.create_task(lock(pool).take())
    await asyncio.wait_for(pool.asked.wait(), 5)
    taking.cancel()
    await asyncio.wait([taking])
    assert taking.cancelled()
    assert (pool.acquired, pool.closed, pool.released) == (1, 1, 1)


@pytest.mark.parametrize("failure", [TimeoutError(), InterfaceError("released back to the pool")])
async def test_a_session_that_hangs_or_is_gone_is_given_back_too(failure: Exception) -> None:
    pool = Pool([True], failure=failure)
    holder = lock(pool)
    await holder.take()
    await holder.give_back()
    assert (pool.closed, pool.released) == (1, 1)


async def test_an_id_that_stays_in_use_is_refused_by_name() -> None:
    pool = Pool([False])
    with pytest.raises(SettingsError, match="INSTANCE_ID=slot-1 is in use by another consumer"):
        await lock(pool, 0.01).take()
    assert pool.released == 1


async def test_an_outage_tells_nothing() -> None:
    pool = Pool([ConnectionResetError()])
    with pytest.raises(UnavailableError):
        await lock(pool).take()
    assert pool.released == 1


async def test_after_an_outage_the_lock_is_taken_anew() -> None:
    pool = Pool([True, 1, ConnectionResetError(), ConnectionResetError(), True, 1])
    holder = lock(pool)
    await holder.take()
    with capture_logs() as lines:
        keeping = asyncio.create_task(holder.keep())
        await asyncio.wait_for(pool.asked.wait(), PATIENCE_SECONDS)
        assert not keeping.done()
        keeping.cancel()
        await asyncio.wait((keeping,))
    assert [line["event"] for line in lines] == ["instance_lock_lost"] * 2
    assert (pool.acquired, pool.released) == (3, 2)


async def test_a_lock_that_another_took_meanwhile_ends_the_keeping() -> None:
    pool = Pool([True, ConnectionResetError(), False])
    holder = lock(pool, 0.01)
    await holder.take()
    with pytest.raises(SettingsError, match="in use"):
        await asyncio.wait_for(holder.keep(), PATIENCE_SECONDS)


async def test_a_look_that_is_not_answered_is_an_outage() -> None:
    """The server may be gone, and the lock with it: another takes the id, and both fence each other."""
    pool = Pool([True, True], hangs="look")
    holder = lock(pool, 0.01)
    await holder.take()
    with capture_logs() as lines:
        keeping = asyncio.create_task(holder.keep())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await pool.back.wait()
        keeping.cancel()
        await asyncio.wait((keeping,))
    assert (lines[0]["event"], lines[0]["error"]) == ("instance_lock_lost", "TimeoutError")
    assert pool.closed >= 1


async def test_a_pool_that_gives_no_session_is_an_outage() -> None:
    pool = Pool([True], hangs="acquire")
    with pytest.raises(UnavailableError):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await lock(pool, 0.01).take()
    assert (pool.closed, pool.released) == (0, 0)


@pytest.mark.parametrize("hangs", ["close", "release"])
async def test_a_session_that_does_not_end_holds_no_end_up(hangs: str) -> None:
    pool = Pool([True], hangs=hangs)
    holder = lock(pool, 0.01)
    await holder.take()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await holder.give_back()
    assert (pool.closed, pool.released) == (1, 1)


def test_up_gives_each_home_an_id_of_its_own() -> None:
    first, second = (instance_id(Settings(home=Path(name))) for name in ("/a", "/b"))
    assert first != second
    assert first == instance_id(Settings(home=Path("/a")))
    assert ConsumerSettings(instance_id=first).instance_id == first
    assert instance_id(Settings(consumer=ConsumerSettings(instance_id="pod-3"))) == "pod-3"
    with pytest.raises(ValidationError):
        ConsumerSettings(instance_id="a/b")
