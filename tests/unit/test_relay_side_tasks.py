"""What runs beside the relay's outputs, and who waits for its lease: failures end what they should, and no more."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from structlog.testing import capture_logs

from producers.relay import cleaning, sampling
from runtime.lease import Lease
from runtime.lease_redis import RedisLeases
from runtime.redis import AWAY, RedisLink
from runtime.settings import IntentsSettings, RedisSettings, Settings
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from runtime.settings.intents import IntentsSettings as Bounds

pytestmark = pytest.mark.unit

LEASE = Lease("relay", "me", 1)


class PaperSessions:
    """A pool of sessions that are nothing."""

    @asynccontextmanager
    async def acquire(self, **_: Any) -> AsyncIterator[PaperSessions]:
        await asyncio.sleep(0)
        yield self


async def clean(monkeypatch: pytest.MonkeyPatch, *deleted: int | Exception) -> int:
    """Clean until there are no more of these outcomes; return how often it paused."""
    left, pauses, ending = list(deleted), [], asyncio.Event()

    async def delete(*_: Any) -> int:
        await asyncio.sleep(0)
        outcome = left.pop(0)
        if not left:
            ending.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def pause(event: asyncio.Event, _seconds: float) -> bool:
        await asyncio.sleep(0)
        pauses.append(True)
        return event.is_set()

    async def none(*_: Any) -> int:
        return 0

    monkeypatch.setattr(cleaning, "clean_idempotency_records", delete)
    monkeypatch.setattr(cleaning, "clean_commands", none)
    monkeypatch.setattr(cleaning, "wait_for_event", pause)
    bounds: Bounds = IntentsSettings(clean_rows_max=10)
    with capture_logs():
        await asyncio.wait_for(cleaning.keep_clean(cast("Any", PaperSessions()), bounds, LEASE, ending), 5)
    return len(pauses)


async def test_cleaning_ends_with_its_lease_and_with_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await clean(monkeypatch, OSError("away"), ValueError("bug"), 1) == 3
    with pytest.raises(LeaseLostError):
        await clean(monkeypatch, 1, LeaseLostError("gone"), 1)


async def test_cleaning_goes_on_at_once_where_there_was_a_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await clean(monkeypatch, 10, 10, 3, 0) == 2


async def test_figures_that_can_not_be_counted_end_no_term(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a bug in them the outputs know nothing."""
    failing: list[Exception] = [OSError("away"), ValueError("bug"), TimeoutError()]
    ending = asyncio.Event()

    async def sample(*_: Any) -> None:
        await asyncio.sleep(0)
        if failing:
            raise failing.pop(0)
        ending.set()

    async def nothing(*_: Any) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(sampling, "sample", sample)
    monkeypatch.setattr(sampling.Holdups, "sample", nothing)
    settings = Settings(metrics={"sample_interval_seconds": 0.001})
    monkeypatch.setattr(sampling, "TIME_PART", 1.0)
    with capture_logs():
        await asyncio.wait_for(sampling.keep_sampling(cast("Any", PaperSessions()), settings, {}, ending), 5)
    assert failing == []


class PaperLink:
    """Redis as a test has it: what it answers, and for how long it was asked to wait."""

    timeout_seconds, key_prefix = 0.2, "t:"

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.patience: list[float] = []
        self.asked = 0

    async def ask(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answer if self.answer is AWAY else await question(self)

    async def blpop(self, _keys: list[str], *, timeout: float) -> object:  # noqa: ASYNC109 - the library's name
        self.patience.append(timeout)
        return self.answer

    async def set(self, *_: Any, **__: Any) -> object:
        return self.answer

    async def eval(self, *_: Any) -> None:
        pass


class Deciding:
    """Postgres, which gives no lease; each question takes so long by the test's clock."""

    def __init__(self, clock: list[float]) -> None:
        self.clock, self.asked = clock, 0

    async def acquire(self, *_: Any) -> None:
        await asyncio.sleep(0)
        self.asked += 1
        self.clock[0] += 1.0


async def test_who_waits_without_redis_waits_as_long_as_asked_and_ends_with_the_stop() -> None:
    """Else each contender asks Postgres as fast as it answers, for as long as Redis is away."""
    leases, stop = RedisLeases(cast("Any", None), cast("Any", PaperLink(AWAY)), 60.0), asyncio.Event()
    waiting = asyncio.create_task(leases.wait("relay", 60.0, stop))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    stop.set()
    await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize(("seconds", "patience"), [(60.0, 0.1), (0.05, 0.05)])
async def test_one_wait_ends_before_redis_would_be_taken_for_away(seconds: float, patience: float) -> None:
    leases = RedisLeases(cast("Any", None), cast("Any", link := PaperLink(None)), 60.0)
    await asyncio.wait_for(leases.wait("relay", seconds, asyncio.Event()), 5)
    assert link.patience == [patience]


async def test_a_key_that_stands_is_believed_from_the_last_question_to_postgres_on() -> None:
    clock = [100.0]
    leases = RedisLeases(cast("Any", decided := Deciding(clock)), cast("Any", PaperLink(None)), 10.0, lambda: clock[0])
    asked = []
    for _ in range(7):
        await leases.acquire("relay", "me", 5.0)
        asked.append(decided.asked)
        clock[0] += 4.0
    assert asked == [0, 0, 0, 1, 1, 1, 2], "once in ten seconds"


async def test_a_link_without_redis_is_away() -> None:
    link = RedisLink(RedisSettings())
    assert await link.ask(lambda client: client.ping()) is AWAY
    await link.close()


async def test_each_kind_of_row_is_kept_for_the_time_that_is_set_for_it(monkeypatch: pytest.MonkeyPatch):
    """A command that goes with the next cleaning can be looked up no more, and its key would stand for another one."""
    asked: list[tuple[Any, ...]] = []

    async def delete(_connection: object, _lease: Lease, *what: Any) -> int:
        await asyncio.sleep(0)
        asked.append(what)
        return len(asked)

    monkeypatch.setattr(cleaning, "_delete", delete)
    bounds = IntentsSettings(clean_rows_max=7, clean_interval_seconds=11.0, commands_kept_seconds=999_999.0)
    connection = cast("Any", None)
    assert await cleaning.clean_idempotency_records(connection, LEASE, bounds) == 1
    assert await cleaning.clean_commands(connection, LEASE, bounds) == 2
    assert asked == [("delete_idempotency_records", 7), ("delete_commands", 7, 999_999.0)]
