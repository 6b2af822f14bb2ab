"""What runs beside the relay's outputs, and who waits for its lease: failures end what they should, and no more."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from structlog.testing import capture_logs

from producers.relay import cleaning, sampling
from runtime import metrics
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


@pytest.mark.parametrize("is_cut_short", [False, True], ids=["that ends", "that is cancelled"])
async def test_figures_are_shown_for_no_longer_than_a_term(
    monkeypatch: pytest.MonkeyPatch, *, is_cut_short: bool
) -> None:
    """Another relay counts from then on: what waits would be there twice in the sum, and for ever."""
    ending, sampled = asyncio.Event(), asyncio.Event()

    async def sample(*_: Any) -> None:
        await asyncio.sleep(0)
        metrics.OUTBOX_ROWS.labels("changes").set(3)
        metrics.POSTGRES_DISK_LOW.set(1)
        sampled.set()

    async def nothing(*_: Any) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(sampling, "sample", sample)
    monkeypatch.setattr("producers.relay.sampling.Holdups.sample", nothing)
    monkeypatch.setattr(sampling, "sample_disk", nothing)
    term = asyncio.ensure_future(sampling.keep_sampling(cast("Any", PaperSessions()), Settings(), {}, ending))
    await asyncio.wait_for(sampled.wait(), 5)
    if is_cut_short:
        term.cancel()
    ending.set()
    with pytest.raises(asyncio.CancelledError) if is_cut_short else contextlib.nullcontext():
        await asyncio.wait_for(term, 5)
    shown = [one for family in metrics.OUTBOX_ROWS.collect() for one in family.samples]
    assert (shown, metrics.POSTGRES_DISK_LOW._value.get()) == ([], 0)


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


class Deleting:
    """A database that says how many rows a statement deleted, within the transaction that its lease was asked in."""

    def __init__(self, done: str, *, held: bool = True) -> None:
        self.done, self.held = done, held
        self.asked: list[tuple[str, bool]] = []
        self.within = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.within = True
        yield
        self.within = False

    async def fetchval(self, *_: Any) -> int | None:
        await asyncio.sleep(0)
        self.asked.append(("lease", self.within))
        return 1 if self.held else None

    async def execute(self, *_: Any) -> str:
        await asyncio.sleep(0)
        self.asked.append(("delete", self.within))
        return self.done


async def test_rows_go_in_the_transaction_that_holds_the_lease_and_are_counted() -> None:
    database = Deleting("DELETE 1000")
    assert await cleaning.clean_commands(cast("Any", database), LEASE, IntentsSettings()) == 1000
    assert database.asked == [("lease", True), ("delete", True)]
    lost = Deleting("DELETE 1", held=False)
    with pytest.raises(LeaseLostError):
        await cleaning.clean_commands(cast("Any", lost), LEASE, IntentsSettings())
    assert lost.asked == [("lease", True)]


@pytest.mark.parametrize(
    ("records", "commands", "pauses"), [(0, 10, False), (10, 0, False), (6, 6, True), (0, 0, True)]
)
async def test_records_and_commands_are_both_deleted_and_a_whole_batch_of_either_goes_on(
    monkeypatch: pytest.MonkeyPatch, records: int, commands: int, *, pauses: bool
) -> None:
    ending, waits, counts = asyncio.Event(), list[float](), [records, commands, 0, 0]

    async def delete(*_: Any) -> int:
        await asyncio.sleep(0)
        count = counts.pop(0)
        if not counts:
            ending.set()
        return count

    async def wait(_ending: asyncio.Event, seconds: float) -> bool:
        await asyncio.sleep(0)
        waits.append(seconds)
        return False

    monkeypatch.setattr(cleaning, "_delete", delete)
    monkeypatch.setattr(cleaning, "wait_for_event", wait)
    bounds = IntentsSettings(clean_rows_max=10, clean_interval_seconds=11.0)
    with capture_logs():
        await asyncio.wait_for(cleaning.keep_clean(cast("Any", PaperSessions()), bounds, LEASE, ending), 5)
    assert waits == [11.0] * (1 + pauses)


async def test_cleaning_ends_with_its_term_and_does_not_wait_for_its_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    ending, cleaned = asyncio.Event(), asyncio.Event()

    async def none(*_: Any) -> int:
        await asyncio.sleep(0)
        cleaned.set()
        return 0

    monkeypatch.setattr(cleaning, "_delete", none)
    bounds = IntentsSettings(clean_interval_seconds=3600.0)
    running = asyncio.create_task(cleaning.keep_clean(cast("Any", PaperSessions()), bounds, LEASE, ending))
    await asyncio.wait_for(cleaned.wait(), 5)
    ending.set()
    await asyncio.wait_for(running, 5)


class Counted(PaperSessions):
    """A database that counted these rows."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.bounds: list[int] = []

    @asynccontextmanager
    async def acquire(self, **_: Any) -> AsyncIterator[Counted]:
        await asyncio.sleep(0)
        yield self

    async def fetch(self, _sql: str, bound: int) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        self.bounds.append(bound)
        return self.rows

    async def fetchrow(self, _sql: str) -> dict[str, int]:
        await asyncio.sleep(0)
        return {"changes": len(self.rows), "spool": 2}


SHOWN = (
    ("ratchet_parked_events", {"reason": "orphan"}),
    ("ratchet_parked_events", {"reason": "conflict"}),
    ("ratchet_dead_letters_open", {"reason": "fatal"}),
    ("ratchet_dead_letters_noted", {"reason": "fatal"}),
    ("ratchet_commands_unanswered", {"command": "capture"}),
    ("ratchet_commands_unanswered", {"command": "cancel"}),
    ("ratchet_commands_unanswered", {"command": "refund"}),
    ("ratchet_flagged_payments", {"flag": "contradiction"}),
    ("ratchet_flagged_oldest_seconds", {"flag": "contradiction"}),
    ("ratchet_outbox_rows", {"lane": "changes"}),
    ("ratchet_outbox_rows", {"lane": "spool"}),
)
KINDS = (
    ("parked", "orphan"), ("parked", "conflict"), ("open", "fatal"), ("noted", "fatal"), ("unanswered", "capture"),
    ("unanswered", "cancel"), ("unanswered", "refund"), ("flagged", "contradiction"),
)  # fmt: skip


def shown() -> list[float | None]:
    return [metrics.REGISTRY.get_sample_value(*one) for one in SHOWN]


async def test_each_figure_is_shown_as_what_it_is_and_is_zero_when_nothing_has_it_any_more() -> None:
    """Else an alert stays on for what somebody has dealt with, or people are called for what has a note."""
    database = Counted()
    database.rows = [
        {"kind": kind, "reason": reason, "count": place + 3, "seconds": 60.0 if kind == "flagged" else None}
        for place, (kind, reason) in enumerate(KINDS)
    ]
    await sampling.sample(cast("Any", database), 77)
    assert shown() == [3, 4, 5, 6, 7, 8, 9, 10, 60, 8, 2]
    database.rows = []
    await sampling.sample(cast("Any", database), 77)
    assert shown() == [*[0] * 10, 2]
    assert database.bounds == [77, 77]


async def test_one_figure_that_can_not_be_counted_hides_no_other_and_none_outlasts_the_term(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Over a large backlog a count takes too long, and that is when the disk fills up."""
    ending, looks, facts = asyncio.Event(), list[str](), {"standby": {"standbys": 1}, "held_up_by": {"pid": 1}}
    metrics.STANDBY_LAG_BYTES.set(5)
    metrics.OUTBOX_ROWS.labels("changes").set(5)

    def failing(name: str, error: Exception) -> Callable[..., Awaitable[None]]:
        async def look(*_: Any) -> None:
            await asyncio.sleep(0)
            looks.append(name)
            raise error

        return look

    async def disk(*_: Any) -> Any:
        await asyncio.sleep(0)
        looks.append("disk")
        if looks.count("disk") == 2:
            ending.set()
        assert metrics.REGISTRY.get_sample_value("ratchet_postgres_disk_low") == (looks.count("disk") == 2)
        return SimpleNamespace(free_bytes=9)

    monkeypatch.setattr(sampling.Holdups, "sample", failing("holdups", ValueError("bug")))
    monkeypatch.setattr(sampling, "sample", failing("sample", TimeoutError()))
    monkeypatch.setattr(sampling, "disk_use", disk)
    monkeypatch.setattr(sampling, "TIME_PART", 1.0)
    settings = Settings(
        metrics={"sample_interval_seconds": 0.001}, ops={"postgres_disk_bytes": 100, "disk_free_bytes_min": 10}
    )
    metrics.POSTGRES_DISK_LOW.set(0)
    with capture_logs():
        await asyncio.wait_for(sampling.keep_sampling(cast("Any", PaperSessions()), settings, facts, ending), 5)  # type: ignore[arg-type]
    assert looks == ["holdups", "sample", "disk"] * 2
    assert facts == {}
    left = {
        name: metrics.REGISTRY.get_sample_value(name)
        for name in ("ratchet_postgres_disk_low", "ratchet_standby_lag_bytes")
    }
    assert set(left.values()) == {0}
    assert set(shown()) == {None}


@pytest.mark.parametrize(("took", "waits"), [(0.5, 15.0), (2.0, 40.0)])
async def test_what_takes_long_to_count_is_counted_less_often(
    monkeypatch: pytest.MonkeyPatch, took: float, waits: float
) -> None:
    """Else the counts alone would keep Postgres busy over a large backlog."""
    ending, waited, times = asyncio.Event(), list[float](), iter([100.0, 100.0 + took])

    async def nothing(*_: Any) -> None:
        await asyncio.sleep(0)

    async def wait(event: asyncio.Event, seconds: float) -> bool:
        waited.append(seconds)
        event.set()
        return True

    monkeypatch.setattr(sampling.Holdups, "sample", nothing)
    monkeypatch.setattr(sampling, "sample", nothing)
    monkeypatch.setattr(sampling, "wait_for_event", wait)
    monkeypatch.setattr(sampling, "time", SimpleNamespace(monotonic=lambda: next(times)))
    settings = Settings(metrics={"sample_interval_seconds": 15.0})
    await sampling.keep_sampling(cast("Any", PaperSessions()), settings, {}, ending)
    assert waited == [waits]
