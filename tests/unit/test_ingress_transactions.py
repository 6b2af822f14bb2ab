"""A COMMIT that outlasts the time-out keeps its session; other work that does is ended with it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from waiting import until

from producers.ingress.clock_check import ClockCheck
from producers.ingress.publishing.records import Outgoing
from producers.ingress.publishing.spool import Spool
from producers.ingress.transactions import Transactions
from runtime.clock import SystemClock
from runtime.settings import IngressSettings, IntentsSettings, Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit


RECORD = Outgoing("payments.webhooks", b"key", b"value", ())


class PaperPool:
    """One session at a time; its COMMIT is answered when `standby` is there."""

    def __init__(self) -> None:
        self.standby, self.closed = asyncio.Event(), asyncio.Event()
        self.place = asyncio.Semaphore(1)
        self.terminated = self.committed = 0

    async def get(self) -> PaperPool:
        return self

    async def close(self) -> None:
        self.closed.set()

    def terminate(self) -> None:
        self.terminated += 1

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[PaperPool]:
        async with self.place:
            yield self

    async def copy_records_to_table(self, *_: Any, **__: Any) -> None:
        """Copy, which commits by itself."""
        await self.standby.wait()
        self.committed += 1

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            await self.rollback()
            raise
        await self.standby.wait()
        self.committed += 1

    async def rollback(self) -> None:
        """Roll back, at once."""


class SilentPool(PaperPool):
    """Answers no ROLLBACK."""

    async def rollback(self) -> None:
        await self.closed.wait()


def transactions_on(pool: PaperPool) -> Transactions:
    settings = Settings().model_copy(update={"intents": IntentsSettings(timeout_seconds=0.2)})
    made = Transactions(settings)
    made._pool = pool  # type: ignore[assignment]
    return made


def spool_on(pool: PaperPool) -> Spool:
    ingress = IngressSettings(spool_timeout_seconds=0.2, spool_connections_max=1)
    spool = Spool(Settings().model_copy(update={"ingress": ingress}), ClockCheck(SystemClock()))
    spool._pool = pool  # type: ignore[assignment]
    return spool


async def one(_: Any) -> int:
    return 1


async def test_a_commit_that_waits_for_a_standby_keeps_its_place_and_no_other_is_opened_beside_it() -> None:
    pool = PaperPool()
    transactions = transactions_on(pool)
    with pytest.raises(UnavailableError, match=r"no answer in 0\.2 s"):
        await transactions.run(one)
    assert pool.place.locked(), "the session is in use still"
    with pytest.raises(UnavailableError):
        await transactions.run(one)
    assert pool.terminated == 0
    pool.standby.set()
    assert await transactions.run(one) == 1
    assert pool.committed == 2, "what was waited for, and the last one; the second was never begun"


async def test_a_copy_into_the_spool_that_waits_for_a_standby_keeps_its_place_too() -> None:
    pool = PaperPool()
    spool = spool_on(pool)
    for _ in range(3):
        with pytest.raises(UnavailableError, match=r"took no record in 0\.2 s"):
            await spool.store([RECORD])
    assert pool.place.locked(), "the session is in use still"
    assert pool.terminated == 0
    await until(lambda: len(asyncio.all_tasks()) == 2, "all but the first were given up")
    pool.standby.set()
    await until(lambda: not pool.place.locked(), "the server has answered")
    await spool.store([RECORD])
    assert pool.committed == 2, "what was waited for, and the last one; those between were never begun"
    await spool.close()


async def hang(_: Any) -> None:
    await asyncio.Event().wait()


async def close_alone(closing: Transactions | Spool) -> None:
    """Close it, after which nothing but the test runs."""
    async with asyncio.timeout(10):
        await closing.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(("pool", "work"), [(PaperPool, one), (SilentPool, hang)])
async def test_closing_leaves_no_transaction_behind(pool: type[PaperPool], work: Any) -> None:
    """Neither a COMMIT that waits for a standby, nor work that was given up and waits for its ROLLBACK."""
    transactions = transactions_on(sessions := pool())
    with pytest.raises(UnavailableError):
        await transactions.run(work)
    assert len(asyncio.all_tasks()) == 2
    await close_alone(transactions)
    assert sessions.terminated == 1


async def test_closing_leaves_no_copy_behind() -> None:
    spool = spool_on(sessions := PaperPool())
    with pytest.raises(UnavailableError):
        await spool.store([RECORD])
    await close_alone(spool)
    assert sessions.terminated == 1


async def test_work_that_hangs_is_ended_with_its_session() -> None:
    pool = PaperPool()
    pool.standby.set()
    transactions = transactions_on(pool)
    with pytest.raises(UnavailableError):
        await transactions.run(hang)
    assert await transactions.run(one) == 1
    assert pool.terminated == 1


async def test_what_the_work_raises_is_raised() -> None:
    pool = PaperPool()

    async def fail(_: Any) -> None:
        raise OSError("gone")

    with pytest.raises(UnavailableError, match="OSError"):
        await transactions_on(pool).run(fail)

    async def refuse(_: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError):
        await transactions_on(pool).run(refuse)
