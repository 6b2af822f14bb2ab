"""What the console does on Postgres ends in time, one after the other, and says what was in the way."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest
from starlette.exceptions import HTTPException

from ops.console import actions, ledger_check, reader
from ops.console.actions import AT_ONCE_MAX, Actions
from ops.console.ledger_check import Check, LedgerCheck, LedgerCheckResult, reconcile
from ops.console.reader import Reader, run_on
from runtime.settings import ConsoleSettings, Settings
from schemas.errors import RatchetError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit


def settings(**console: Any) -> Settings:
    return Settings().model_copy(update={"console": ConsoleSettings(**console)})


class Pool:
    """A pool with one connection that answers nothing by itself."""

    def __init__(self) -> None:
        self.ended = 0
        self.connection = SimpleNamespace(terminate=self._end)

    def _end(self) -> None:
        self.ended += 1

    async def get(self) -> Any:
        return self

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        yield self.connection

    async def close(self) -> None: ...


async def raising(error: BaseException) -> Any:
    raise error


async def never(*_: Any) -> None:
    await asyncio.Event().wait()


class TestReading:
    @pytest.mark.parametrize(
        ("error", "becomes", "sentence"),
        [
            (asyncpg.QueryCanceledError("x"), UnavailableError, "needs more than"),
            (asyncpg.UndefinedColumnError("x"), UnavailableError, "migrate up"),
            (asyncpg.InsufficientPrivilegeError("x"), RatchetError, "may not do this"),
            (asyncpg.CannotConnectNowError("x"), UnavailableError, "does not answer"),
            (ConnectionResetError("x"), UnavailableError, "does not answer"),
        ],
    )
    async def test_what_was_in_the_way_is_reported(
        self, error: Exception, becomes: type[Exception], sentence: str
    ) -> None:
        with pytest.raises(becomes, match=sentence) as caught:
            await run_on(settings(), cast("Any", Pool()), lambda _: raising(error))
        assert type(caught.value) is becomes

    async def test_what_hangs_is_ended_with_its_connection(self) -> None:
        pool = Pool()
        bounds = settings(statement_timeout_seconds=0.01, connect_timeout_seconds=0.01)
        with pytest.raises(UnavailableError, match="within"):
            await run_on(bounds, cast("Any", pool), never)
        assert pool.ended == 1

    async def test_what_is_refused_keeps_its_connection(self) -> None:
        pool = Pool()
        with pytest.raises(RatchetError):
            await run_on(settings(), cast("Any", pool), lambda _: raising(RatchetError("there is no such one")))
        assert pool.ended == 0

    @pytest.mark.parametrize(
        ("error", "becomes"), [(RatchetError("x"), HTTPException), (UnavailableError("x"), UnavailableError)]
    )
    async def test_an_outage_is_not_the_lack_of_a_thing(self, error: Exception, becomes: type[Exception]) -> None:
        reading = Reader(settings())
        reading._pool = cast("Any", Pool())
        with pytest.raises(becomes):
            await reading.find(lambda _: raising(error))

    async def test_it_can_not_write(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        async def opened(_settings: Any, connections: int, parameters: Any) -> Any:
            asked.append((connections, parameters["default_transaction_read_only"]))
            return Pool()

        monkeypatch.setattr(reader, "open_pool_for", opened)
        reading = Reader(settings(pool_connections_max=3))
        await reading.run(lambda _: asyncio.sleep(0))
        assert asked == [(3, "on")]


class TestDoing:
    @pytest.fixture
    def doing(self, monkeypatch: pytest.MonkeyPatch) -> Actions:
        @asynccontextmanager
        async def connected(_: Any) -> AsyncIterator[Any]:
            yield None

        monkeypatch.setattr(actions, "connected", connected)
        return Actions(settings(action_timeout_seconds=0.02))

    @pytest.mark.parametrize(
        "error",
        [asyncpg.DeadlockDetectedError("x"), asyncpg.LockNotAvailableError("x"), asyncpg.QueryCanceledError("x")],
    )
    async def test_who_was_in_the_way_is_reported(self, doing: Actions, error: Exception) -> None:
        with pytest.raises(UnavailableError, match="in the way"):
            await doing.run(lambda _: raising(error))

    async def test_few_at_once_and_the_wait_for_a_place_counts(self, doing: Actions) -> None:
        begun = []

        async def stay(_: Any) -> None:
            begun.append(1)
            await never()

        ended = await asyncio.gather(*(doing.run(stay) for _ in range(AT_ONCE_MAX + 1)), return_exceptions=True)
        assert len(begun) == AT_ONCE_MAX
        assert [type(one) for one in ended] == [UnavailableError] * (AT_ONCE_MAX + 1)
        assert await doing.run(lambda _: asyncio.sleep(0, "done")) == "done", "every place is free again"


class TestTheLedgerCheck:
    MONEY = ({"impossible": 0}, {"impossible": 0})

    def audit(self, *, ok: bool = True, broken: int = 0) -> Any:
        return SimpleNamespace(ok=ok, broken=[None] * broken, rows=5, actions=2)

    def test_what_holds_and_what_does_not(self) -> None:
        def held(**wrong: Any) -> list[bool]:
            found: dict[str, Any] = {"money": self.MONEY, "events": {"doubled": 0}, "audit": self.audit()} | wrong
            return [check.holds for check in reconcile(**found)]

        assert held() == [True, True, True]
        assert held(audit=self.audit(ok=False)) == [False, True, True], "an anchor that lacks is no finding of a row"
        for money in (({"impossible": 1}, {"impossible": 0}), ({"impossible": 0}, {"impossible": 1})):
            assert held(money=money) == [True, False, True]
        assert held(events={"doubled": 1}) == [True, True, False]

    def test_a_check_that_failed_balances_nothing(self) -> None:
        fine, wrong = Check("a", holds=True, found=""), Check("b", holds=False, found="")

        def balanced(*checks: Check, failure: str = "") -> bool:
            return LedgerCheckResult(cast("Any", None), 0.0, checks, failure=failure).balanced

        assert balanced(fine, fine)
        assert not balanced(fine, wrong)
        assert not balanced(wrong, fine)
        assert not balanced(failure="Postgres is away")

    async def test_one_runs_at_a_time_and_the_next_after_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, results = [], [RatchetError("Postgres is away"), KeyError("x"), "fine"]
        check = LedgerCheck(settings())

        async def looked(_: Any) -> Any:
            begun.append(1)
            result = results.pop(0)
            if isinstance(result, Exception):
                raise result
            return result

        monkeypatch.setattr(ledger_check, "examine", looked)
        for number, failure in enumerate(("Postgres is away", "the check failed; the console's log says why", None), 1):
            check.start()
            assert check.running_seconds is not None
            check.start()
            task = check._running
            assert task is not None
            await task
            assert (len(begun), check.running_seconds) == (number, None)
            assert getattr(check.result, "failure", None) == failure
        await check.close()
