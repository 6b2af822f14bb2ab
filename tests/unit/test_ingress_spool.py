"""The spool's bounds: sessions that write, time, who looks after it, and what closing leaves."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from waiting import until

from producers.ingress.clock_check import ClockCheck
from producers.ingress.commits import Commits
from producers.ingress.publishing import spool as spooling
from producers.ingress.publishing.records import Outgoing
from producers.ingress.publishing.spool import Spool, row_of
from producers.ingress.transactions import Transactions
from runtime.clock import SystemClock
from runtime.settings import IngressSettings, IntentsSettings, Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from producers.ingress.commits import CommitState

pytestmark = pytest.mark.unit

RECORD = Outgoing("payments.webhooks", b"key", b"value", (("ce_id", b"1"), ("empty", b"")))


class PaperServer:
    """Many sessions; a COPY is answered when `standby` is there, a look at once."""

    def __init__(self) -> None:
        self.standby = asyncio.Event()
        self.copying = self.most = self.terminated = 0
        self.copied: list[Any] = []
        self.read_only = False
        self.failure: Exception | None = None

    async def get(self) -> PaperServer:
        await asyncio.sleep(0)
        return self

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[PaperServer]:
        await asyncio.sleep(0)
        yield self

    async def copy_records_to_table(self, _: str, *, records: Any, **__: Any) -> None:
        self.copying += 1
        self.most = max(self.most, self.copying)
        try:
            await asyncio.sleep(0)
            if self.failure is not None:
                raise self.failure
            await self.standby.wait()
        finally:
            self.copying -= 1
        self.copied.append(list(records))

    async def fetch(self, _: str) -> Any:
        await asyncio.sleep(0)
        return [{"at": dt.datetime.now(dt.UTC).timestamp(), "waiting": 0}]

    async def execute(self, _: str) -> None:
        await asyncio.sleep(0)
        if self.read_only:
            raise asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction")

    def terminate(self) -> None:
        self.terminated += 1

    async def close(self) -> None:
        await asyncio.sleep(0)


def spool_on(server: PaperServer, **bounds: Any) -> Spool:
    ingress = IngressSettings(**{"spool_timeout_seconds": 0.05, "spool_connections_max": 1, **bounds})
    spool = Spool(Settings().model_copy(update={"ingress": ingress}), ClockCheck(SystemClock()))
    spool._pool = server  # type: ignore[assignment]
    return spool


async def test_no_more_sessions_write_than_may_however_long_the_server_takes() -> None:
    server = PaperServer()
    spool = spool_on(server, spool_connections_max=2)
    for _ in range(5):
        with pytest.raises(UnavailableError):
            await spool.store([RECORD])
    assert (server.copying, server.most) == (2, 2)
    server.standby.set()
    await until(lambda: server.copying == 0, "the server has answered")
    await spool.store([RECORD])
    await spool.close()


async def test_it_takes_nothing_while_all_who_may_write_wait_for_a_standby() -> None:
    server = PaperServer()
    spool = spool_on(server, spool_connections_max=2)
    await spool.check()
    with pytest.raises(UnavailableError):
        await spool.store([RECORD])
    await spool.check()
    with pytest.raises(UnavailableError):
        await spool.store([RECORD])
    with pytest.raises(UnavailableError, match="took no record"):
        await spool.check()
    server.standby.set()
    await until(lambda: server.copying == 0, "the server has answered")
    await spool.check()
    await spool.close()


async def test_a_server_that_only_reads_takes_no_records() -> None:
    server = PaperServer()
    spool = spool_on(server)
    server.read_only = True
    with pytest.raises(UnavailableError, match="ReadOnlySQLTransactionError"):
        await spool.check()
    server.read_only = False
    await spool.check()
    await spool.close()


async def test_who_waits_for_others_waits_no_longer_than_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    spool = spool_on(PaperServer())

    async def never(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(spool._groups, "add", never)
    with pytest.raises(UnavailableError, match=r"took no record in 0\.05 s"):
        await asyncio.wait_for(spool.store([RECORD]), 10)
    await spool.close()


async def test_one_session_more_than_may_write_is_there_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    async def opened(*_: Any, **more: Any) -> Any:
        await asyncio.sleep(0)
        asked.append(more["connections"])
        return PaperServer()

    monkeypatch.setattr(spooling, "open_pool", opened)
    settings = Settings().model_copy(update={"ingress": IngressSettings(spool_connections_max=3)})
    await Spool(settings, ClockCheck(SystemClock()))._pool.get()
    assert asked == [4]


async def test_a_group_has_the_bytes_of_its_values() -> None:
    server = PaperServer()
    server.standby.set()
    spool = spool_on(server, spool_group_bytes_max=10, spool_timeout_seconds=5)
    await asyncio.gather(*(spool.store([RECORD, RECORD]) for _ in range(4)))
    assert [len(rows) for rows in server.copied] == [2] * 4, "ten bytes each"
    assert server.copied[0][0] == row_of(RECORD)
    assert row_of(RECORD) == ("payments.webhooks", b"key", b"value", [b"ce_id", b"empty"], [b"1", b""])
    await spool.close()


async def test_a_session_that_failed_is_used_no_more() -> None:
    server = PaperServer()
    spool = spool_on(server)
    server.failure = asyncpg.PostgresConnectionError("gone")
    with pytest.raises(UnavailableError, match="PostgresConnectionError"):
        await spool.store([RECORD])
    assert server.terminated == 1
    server.failure = None
    server.standby.set()
    await spool.store([RECORD])
    assert server.terminated == 1
    await spool.close()


async def test_only_commits_are_left_to_themselves_and_counted() -> None:
    commits, release = Commits(0.02, "late"), asyncio.Event()

    async def work(state: CommitState, *, commits_already: bool) -> None:
        state.commits = commits_already
        await release.wait()

    for commits_already in (True, False, True):
        with pytest.raises(UnavailableError, match="late"):
            await commits.wait_for(lambda state, done=commits_already: work(state, commits_already=done))  # type: ignore[misc]
    assert commits.left == 2
    release.set()
    await until(lambda: commits.left == 0, "they are answered")


async def test_a_conflict_costs_no_session() -> None:
    """Every request that finds its key taken would open a connection anew."""

    class Session(PaperServer):
        @asynccontextmanager
        async def transaction(self) -> AsyncIterator[None]:
            yield

    server = Session()
    transactions = Transactions(Settings().model_copy(update={"intents": IntentsSettings(timeout_seconds=5)}))
    transactions._pool = server  # type: ignore[assignment]

    async def refuse(_: Any) -> None:
        await asyncio.sleep(0)
        raise asyncpg.UniqueViolationError("taken")

    with pytest.raises(asyncpg.UniqueViolationError):
        await transactions.run(refuse)
    assert server.terminated == 0
