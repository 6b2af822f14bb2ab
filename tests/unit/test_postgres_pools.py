"""Pools of Postgres: opened once for all, tried again after a failure, and closed by those who could not use them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self, cast

import asyncpg
import pytest
from pydantic import SecretStr
from waiting import until

from runtime import own_sessions, postgres, postgres_hosts, postgres_silence
from runtime.own_sessions import check_own_sessions
from runtime.postgres import LazyPool, open_pool
from runtime.postgres_hosts import Hosts
from runtime.postgres_session import COMMIT_SECONDS_MAX, Activity, PatientSession, Session, noting
from runtime.schema_version import newest_known
from runtime.settings import PostgresSettings
from schemas.errors import SchemaMismatchError, SharedSessionsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.unit


class Opening:
    """Opens a pool once it may; before that each attempt that is let go fails with one of these."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.may = asyncio.Event()
        self.begun = 0
        self.pool = OpenPool()

    async def __call__(self) -> OpenPool:
        self.begun += 1
        await self.may.wait()
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop(0)
        return self.pool


class OpenPool:
    """A pool of a database whose schema is `known`."""

    def __init__(self, known: int = 0) -> None:
        self.known, self.terminated, self.closing = known, False, False

    def terminate(self) -> None:
        self.terminated = True

    def is_closing(self) -> bool:
        return self.closing

    def get_max_size(self) -> int:
        return 1

    async def fetchval(self, _query: str) -> int:
        await asyncio.sleep(0)
        return self.known


def lazy(opening: Opening) -> LazyPool:
    return LazyPool(cast("Callable[[], Awaitable[postgres.Pool]]", opening))


async def waiting_for(pool: LazyPool, opening: Opening, count: int) -> list[asyncio.Task[Any]]:
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(pool.get()) for _ in range(count)]
    await until(lambda: opening.begun, within_seconds=5)
    await asyncio.sleep(0)
    return tasks


async def test_it_is_opened_once_for_all_and_whoever_gives_up_leaves_it_to_the_others() -> None:
    pool = lazy(opening := Opening())
    first, *others = await waiting_for(pool, opening, 3)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    opening.may.set()
    assert await asyncio.gather(*others, pool.get()) == [opening.pool] * 3
    assert opening.begun == 1


async def test_one_that_did_not_open_is_tried_again_by_whoever_asks_next() -> None:
    """A Postgres that was away when the first one asked must not be away for good."""
    pool = lazy(opening := Opening(OSError("away"), OSError("still")))
    opening.may.set()
    for _ in range(2):
        with pytest.raises(OSError, match=r"away|still"):
            await pool.get()
    assert await pool.get() is cast("Any", opening.pool)


async def test_who_closes_it_ends_an_opening_that_hangs() -> None:
    pool = lazy(opening := Opening())
    (asking,) = await waiting_for(pool, opening, 1)
    async with asyncio.timeout(5):
        await pool.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
    pool = lazy(opening := Opening())
    opening.may.set()
    await pool.get()
    await pool.close()
    assert opening.pool.terminated


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[OpenPool]:
    """Give the pools of `open_pool`; the first one's schema is older than ours."""
    pools = [OpenPool(newest_known() - 1), OpenPool(newest_known())]
    made: list[OpenPool] = []

    async def create_pool(*_: Any, **__: Any) -> OpenPool:
        await asyncio.sleep(0)
        made.append(pools[len(made)])
        return made[-1]

    monkeypatch.setattr(asyncpg, "create_pool", create_pool)
    return made


async def test_a_pool_that_can_not_be_used_is_not_left_open_and_one_that_can_is_watched(
    opened: list[OpenPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role tries for as long as its database waits for a migration: each try would keep a session."""
    monkeypatch.setattr(postgres_silence, "LOOK_SECONDS", 0.001)
    looked: list[float] = []
    monkeypatch.setattr(
        postgres_silence.Silence, "waited_for", lambda _silence, now: looked.append(now) or set[tuple[str, int]]()
    )
    settings = PostgresSettings(dsn=SecretStr("postgresql://x"))
    with pytest.raises(SchemaMismatchError):
        await open_pool(settings, role="relay")
    assert opened[0].terminated
    assert await open_pool(settings, role="relay") is cast("Any", opened[1])
    await until(lambda: len(looked) > 1, "a look at who waits for a silent server", within_seconds=5)
    opened[1].closing = True
    assert not opened[1].terminated


class LentSession:
    """A session whose process a pooler lends: `processes` in turn."""

    def __init__(self, *processes: int) -> None:
        self.processes = list(processes)

    async def fetchval(self, _query: str) -> int:
        await asyncio.sleep(0)
        return self.processes.pop(0)

    def transaction(self) -> LentSession:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("first", "second", "is_shared"),
    [((1, 1), (2,), False), ((1, 1), (1,), True), ((1, 3), (2,), True)],
    ids=["own", "the second one gets the first one's", "the first one gets another"],
)
async def test_a_session_has_one_process_and_nobody_else_has_it(
    first: tuple[int, ...], second: tuple[int, ...], *, is_shared: bool
) -> None:
    sessions = [LentSession(*second), LentSession(*first)]

    class Two:
        def get_max_size(self) -> int:
            return 2

        def acquire(self) -> LentSession:
            return sessions.pop()

    if not is_shared:
        await check_own_sessions(cast("Any", Two()))
        return
    with pytest.raises(SharedSessionsError, match="pool_mode"):
        await check_own_sessions(cast("Any", Two()))
    assert own_sessions.SHARED


class HostSession:
    """A session with a host; `standby` tells what it answers to whether it is one."""

    def __init__(self, *, standby: bool = False) -> None:
        self.standby, self.ended = standby, False

    async def fetchval(self, _query: str) -> bool:
        await asyncio.sleep(0)
        return self.standby

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.ended = True

    def terminate(self) -> None:
        self.ended = True


async def test_sessions_with_hosts_that_are_not_taken_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that opens late, and one with a standby: each look for a primary would leave them behind."""
    sessions = {"late": HostSession(), "standby": HostSession(standby=True), "primary": HostSession()}
    stuck = asyncio.Event()

    async def connect(dsn: str, **_: Any) -> HostSession:
        name = next(name for name in sessions if name in dsn)
        await asyncio.sleep(0)
        if name == "late":
            try:
                await stuck.wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)  # as a driver that had its session already
        return sessions[name]

    monkeypatch.setattr(postgres_hosts.asyncpg, "connect", connect)
    monkeypatch.setattr(postgres_hosts, "HEAD_START_SECONDS", 0.01)
    found = await Hosts("postgresql://late,standby,primary/d?target_session_attrs=primary").connect("", timeout=5)
    assert found is cast("Any", sessions["primary"])
    assert sessions["standby"].ended
    await until(lambda: sessions["late"].ended, "the late session is closed", within_seconds=5)
    assert not sessions["primary"].ended


class PaperDriverSession(Session):
    """A session of no server: what the driver would do is stood in for."""

    cancelling = ended = False
    _protocol: Any

    def __init__(self) -> None:
        self._protocol = self

    def _is_cancelling(self) -> bool:
        return self.cancelling

    def is_closed(self) -> bool:
        return self.ended

    def terminate(self) -> None:
        self.ended = True

    def __del__(self) -> None:
        pass


async def test_a_session_waits_from_its_statement_to_the_answer_whatever_that_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcomes: list[Exception | None] = [None, asyncpg.UniqueViolationError("")]
    waited: list[bool] = []

    async def answer(session: Session, *_: Any, **__: Any) -> None:
        await asyncio.sleep(0)
        waited.append(session.waiting_since is not None)
        if (error := outcomes[len(waited) - 1]) is not None:
            raise error

    monkeypatch.setattr(asyncpg.Connection, "fetch", answer)
    session = PaperDriverSession()
    await session.fetch("select")
    assert session.waiting_since is None
    with pytest.raises(asyncpg.UniqueViolationError):
        await session.fetch("insert")
    assert (session.waiting_since, session.spoiled, waited) == (None, False, [True, True])


@pytest.mark.parametrize("cancelling", [True, False])
async def test_a_statement_that_is_given_up_ends_its_session_where_the_server_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, *, cancelling: bool
) -> None:
    """Whoever gives the session back waits for that answer, and with them the role."""
    monkeypatch.setattr("runtime.postgres_session.CANCEL_SECONDS", 0.0)
    monkeypatch.setattr(asyncpg.Connection, "_cancel_current_command", lambda *_: None)
    session = PaperDriverSession()
    session.cancelling = cancelling
    session._cancel_current_command()
    await asyncio.sleep(0.01)
    assert session.ended is cancelling


STATEMENTS = ("execute", "executemany", "fetch", "fetchrow", "fetchval", "copy_records_to_table")


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_every_kind_of_statement_is_waited_for_and_noted(statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is not would wait for a server that hangs until its time is over."""
    waited: list[bool] = []

    async def answer(session: Session, *_: Any, **__: Any) -> None:
        await asyncio.sleep(0)
        waited.append(session.waiting_since is not None)

    monkeypatch.setattr(asyncpg.Connection, statement, answer)
    activity = Activity()
    activity.at = 0.0
    with noting(activity):
        await getattr(PaperDriverSession(), statement)("x")
    assert (waited, activity.at > 0.0) == ([True], True)


async def test_a_commit_alone_is_waited_for_as_long_as_its_server_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, Any]] = []

    async def answer(_session: Session, query: str, **options: Any) -> None:
        await asyncio.sleep(0)
        asked.append((query, options.get("timeout")))

    class Patient(PatientSession, PaperDriverSession):
        """A patient one of no server."""

    monkeypatch.setattr(asyncpg.Connection, "execute", answer)
    for session in (Patient(), PaperDriverSession()):
        for query in ("COMMIT;", "ROLLBACK;", "insert"):
            await session.execute(query)
    others = [("ROLLBACK;", None), ("insert", None)]
    assert asked == [("COMMIT;", COMMIT_SECONDS_MAX), *others, ("COMMIT;", None), *others]


async def test_a_server_has_a_second_to_give_a_statement_up(monkeypatch: pytest.MonkeyPatch) -> None:
    delays: list[float] = []
    monkeypatch.setattr(asyncpg.Connection, "_cancel_current_command", lambda *_: None)
    monkeypatch.setattr(asyncio.get_running_loop(), "call_later", lambda delay, *_: delays.append(delay))
    PaperDriverSession()._cancel_current_command()
    assert delays == [1.0]
