"""One turn of the sweeper, on a parking clock on paper: what moves it, who is buried before when, under which lease."""

from __future__ import annotations

import asyncio
import datetime as dt
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import pytest
from aiokafka.errors import KafkaConnectionError
from events import placed, standard

from consumer import caught_up, sweeper
from consumer.caught_up import CatchUpReader, Reading
from consumer.parking_clock import ParkingClock, tick
from consumer.plan import Plan
from consumer.sweeper import Sweeper, sweep
from runtime import metrics
from runtime.lease import Lease
from runtime.settings import KafkaSettings, ParkingSettings, Settings
from runtime.sql import statement
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from runtime.kafka_ends import Ends
    from runtime.postgres import Pool

pytestmark = pytest.mark.unit

START = dt.datetime(2026, 11, 27, 12, tzinfo=dt.UTC)
PART = 10
PARKING = ParkingSettings(
    deadline_seconds=3600,
    standstill_seconds_min=10,
    lengthen_records_max=PART,
    sweep_records_max=7,
    sweep_bytes_max=700,
    sweep_interval_seconds=60,
    lookup_timeout_seconds=0.01,
)
LEASE = Lease("sweeper", "me", 3)
PATIENCE_SECONDS = 5.0


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def unix(seconds: float) -> float:
    return after(seconds).timestamp()


@dataclass
class PaperClock:
    """The row of the clock and as many parked events as `parked`, with how often a standstill was added to each."""

    clock: ParkingClock = field(default_factory=ParkingClock)
    spooled_since: dt.datetime | None = None
    parked: int = 0
    lengthened: list[int] = field(default_factory=list)
    waits_for: str = ""
    holder: str = LEASE.holder
    moved: int = 0

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[PaperClock]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        before = self.clock, self.waits_for, list(self.lengthened), self.moved
        try:
            yield
        except BaseException:
            self.clock, self.waits_for, self.lengthened, self.moved = before
            raise

    async def fetchval(self, sql: str, _name: str, _token: int, holder: str) -> int | None:
        assert sql == statement("runtime", "guard_lease")
        await asyncio.sleep(0)
        return 1 if holder == self.holder else None

    async def fetch(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        if sql == statement("consumer", "read_parking_clock"):
            names = ("watermark", "moved_at", "began_at", "ended_at", "after_id")
            return [{name: getattr(self.clock, name) for name in names} | {"spooled_since": self.spooled_since}]
        assert sql == statement("consumer", "lengthen_deadlines")
        after_id, began, ended, count = arguments
        assert began < ended
        ids = [one for one in range(1, self.parked + 1) if one > after_id][:count]
        self.lengthened += ids
        return [{"events": len(ids), "last_id": max(ids, default=None)}]

    async def execute(self, sql: str, *arguments: Any) -> None:
        assert sql == statement("consumer", "move_parking_clock")
        *clock, self.waits_for = arguments
        self.clock = ParkingClock(*clock)
        self.moved += 1

    async def tick(self, now: float, reading: Reading, lease: Lease | None = LEASE) -> float | None:
        """Tick at so many seconds; return before which second deadlines count as passed."""
        pool: Pool = self  # type: ignore[assignment]
        before = await tick(pool, unix(now), reading, PARKING, lease)
        return None if before is None else (before - START).total_seconds()


def seen(seconds: float | None, waits_for: str = "") -> Reading:
    return Reading(None if seconds is None else unix(seconds), waits_for)


async def test_deadlines_count_up_to_what_is_processed() -> None:
    paper = PaperClock()
    assert [await paper.tick(now, seen(now - 1)) for now in (0, 5, 14)] == [-1, 4, 13]
    assert await paper.tick(15, seen(9)) == 13, "it never goes back"
    assert await paper.tick(16, seen(None)) == 13


async def test_a_standstill_is_added_part_by_part_and_nobody_is_buried_meanwhile() -> None:
    """Each parked event gets it once; whoever were buried between two parts would not have had it."""
    paper = PaperClock(parked=2 * PART + 3)
    await paper.tick(0, seen(0))
    assert await paper.tick(600, seen(None, "Kafka does not answer")) == 0
    assert paper.waits_for == "Kafka does not answer"
    assert metrics.PARKING_STANDSTILL_SECONDS._value.get() == 600
    assert [await paper.tick(601 + number, seen(601 + number)) for number in range(3)] == [None, None, 601]
    assert paper.lengthened == list(range(1, 2 * PART + 4))
    assert (paper.clock, paper.waits_for) == (ParkingClock(after(601), after(601)), "")
    assert metrics.PARKING_STANDSTILL_SECONDS._value.get() == 0
    assert [await paper.tick(now, seen(now)) for now in (604, 605)] == [604, 605]
    assert len(paper.lengthened) == 2 * PART + 3, "nobody gets it twice"


@pytest.mark.parametrize("parked", [0, PART])
async def test_a_standstill_ends_where_its_last_part_is_full_or_there_is_nobody(parked: int) -> None:
    paper = PaperClock(parked=parked)
    await paper.tick(0, seen(0))
    while await paper.tick(600, seen(600)) is None:
        assert len(paper.lengthened) == parked
    assert paper.lengthened == list(range(1, parked + 1))
    assert paper.clock == ParkingClock(after(600), after(600))


@pytest.mark.parametrize(
    ("caught_up_at", "spooled", "before"), [(50, None, 50), (50, 20, 20), (20, 50, 20), (None, 20, 0), (None, None, 0)]
)
async def test_the_least_of_kafka_and_the_spool_counts(
    caught_up_at: float | None, spooled: float | None, before: float
) -> None:
    """A record of the spool is not in Kafka yet; and where Kafka is not seen the spool proves nothing of it."""
    paper = PaperClock(ParkingClock(START, after(49)))
    paper.spooled_since = None if spooled is None else after(spooled)
    assert await paper.tick(50, seen(caught_up_at)) == before


async def test_what_the_spool_holds_up_is_named() -> None:
    paper = PaperClock(ParkingClock(START, START), spooled_since=START)
    await paper.tick(60, seen(60))
    assert paper.waits_for == "the spool: its oldest record waits since 2026-11-27 12:00:00 UTC to go to Kafka"


async def test_who_lost_the_lease_moves_nothing() -> None:
    paper = PaperClock(ParkingClock(START, START), holder="another")
    with pytest.raises(LeaseLostError):
        await paper.tick(60, seen(60))
    assert (paper.clock, paper.moved) == (ParkingClock(START, START), 0)
    assert await paper.tick(5, seen(5), lease=None) == 5, "a dry turn has none"


# --- a turn -----------------------------------------------------------------------------------------------------------


class Clock:
    """Each question is a second later than the one before."""

    def __init__(self) -> None:
        self.seconds = unix(0) - 1

    def now(self) -> float:
        self.seconds += 1
        return self.seconds


@dataclass
class PaperWaker:
    parts: list[list[int]]

    async def turn(self) -> Plan | None:
        await asyncio.sleep(0)
        return Plan(woken=self.parts.pop(0)) if self.parts else None


@pytest.mark.parametrize("before", [None, START])
async def test_a_turn_wakes_first_and_buries_what_the_clock_allows_under_its_lease(
    monkeypatch: pytest.MonkeyPatch, before: dt.datetime | None
) -> None:
    """The look tells up to when all was processed as of its beginning: of a later time it would tell too much."""
    happened: list[Any] = []
    waker = PaperWaker([[1, 2], [3]])

    async def look(now: float) -> Reading:
        happened.append(("look", now - unix(0), list(waker.parts)))
        return Reading(now)

    async def ticks(pool: object, now: float, reading: Reading, parking: object, lease: object) -> dt.datetime | None:
        happened.append(("tick", now - unix(0), reading, lease))
        assert (pool, parking) == ("pool", PARKING)
        return before

    async def sweeps(pool: object, _clock: object, **bounds: Any) -> int:
        happened.append(("sweep", bounds))
        return 4

    monkeypatch.setattr(sweeper, "tick", ticks)
    monkeypatch.setattr(sweeper, "sweep", sweeps)
    one = Sweeper("pool", Clock(), waker, look, PARKING)  # type: ignore[arg-type]
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await one.turn(LEASE, asyncio.Event()) == (4 if before else 0)
    bounds = {"records_max": 7, "bytes_max": 700, "lease": LEASE, "before": START}
    assert happened[:2] == [("look", 0, []), ("tick", 1, Reading(unix(0)), LEASE)]
    assert happened[2:] == ([("sweep", bounds)] if before else [])


async def test_who_sweeps_no_more_shows_no_standstill() -> None:
    """Its last figure would stay in the metrics of a process that does not look any more."""

    class Lost(Sweeper):
        async def turn(self, lease: Lease | None, ending: asyncio.Event) -> int:
            metrics.PARKING_STANDSTILL_SECONDS.set(77)
            raise LeaseLostError("another has it")

    with pytest.raises(LeaseLostError):
        await Lost(None, Clock(), None, None, PARKING).keep(LEASE, asyncio.Event())  # type: ignore[arg-type]
    assert metrics.PARKING_STANDSTILL_SECONDS._value.get() == 0


class Expired:
    """A database of parked events past their deadlines, some of which wait on no reference; `taken` are taken out."""

    def __init__(self, references: dict[int, Sequence[str]], taken: Sequence[int]) -> None:
        self.references, self.taken = references, taken
        self.asked: list[Any] = []
        self.buried: list[Any] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Expired]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield

    async def fetch(self, sql: str, *arguments: Any) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        if sql == statement("consumer", "find_expired"):
            key = {"provider": "p", "account": "", "merchant_account": "", "livemode": True, "kind": "payment"}
            names = [(one, name) for one, refs in self.references.items() for name in refs or (None,)]
            return [{"id": one, "ref": name, **key} for one, name in names]
        assert sql == statement("consumer", "take_expired")
        self.asked.append(arguments)
        records = placed([standard("refund.succeeded", child=str(one)) for one in self.taken])
        return [
            {name: getattr(record, name) for name in ("topic", "partition", "offset", "timestamp_ms", "key", "value")}
            | {"header_names": [], "header_values": [], "id": one, "reason": "conflict", "detail": "too late"}
            for one, record in zip(self.taken, records, strict=True)
        ]

    async def fetchval(self, _sql: str, *references: Sequence[object]) -> int:
        await asyncio.sleep(0)
        self.asked.append(references[-1])
        return 9

    async def executemany(self, sql: str, arguments: list[Any]) -> None:
        await asyncio.sleep(0)
        if sql == statement("consumer", "bury_record"):
            self.buried += arguments


async def test_what_is_put_off_while_its_references_are_locked_is_judged_by_the_same_time() -> None:
    """By the present it would be buried behind the watermark, though its deadline was lengthened meanwhile."""
    database = Expired({4: ["b", "a"], 2: [], 3: ["a"]}, taken=[2, 4])
    now, before = unix(100), after(50)
    clock: Any = Clock()
    clock.seconds = now
    count = await sweep(database, clock, records_max=9, before=before)  # type: ignore[arg-type]
    assert database.asked == ['{"a","b"}', ([2, 3, 4], before)], "one that waits on nothing is buried too"
    assert (count, len(database.buried)) == (2, 2), "the third was woken: it is not counted"


# --- the look at Kafka ------------------------------------------------------------------------------------------------


@dataclass
class PaperKafka:
    """A Kafka that may hang; each answer is given after the loop was yielded to."""

    hangs: bool = False
    made: int = 0

    def __call__(self, *_: Any) -> PaperKafka:
        self.made += 1
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()

    async def topics(self, _names: object) -> dict[str, Any]:
        await self._answer()
        return {}

    async def ends(self, _places: object) -> dict[Any, Ends]:
        await self._answer()
        return {}

    async def committed(self, _group: str) -> dict[Any, int]:
        await self._answer()
        return {}


async def test_a_kafka_that_does_not_answer_holds_the_sweeper_up_for_a_look_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka = PaperKafka(hangs=True)
    monkeypatch.setattr(caught_up, "EndsReader", kafka)
    settings = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:1"), parking=PARKING)
    async with CatchUpReader(settings) as reader, asyncio.timeout(PATIENCE_SECONDS):
        assert await reader.look(1.0) == Reading(None, "Kafka does not answer: TimeoutError")
        kafka.hangs = False
        assert (await reader.look(2.0)).waits_for == "none of the topics is there"
    assert kafka.made == 2


async def test_a_kafka_that_can_not_be_reached_is_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any) -> PaperKafka:
        raise KafkaConnectionError("refused")

    monkeypatch.setattr(caught_up, "EndsReader", unreachable)
    settings = Settings(kafka=KafkaSettings(bootstrap="127.0.0.1:1"), parking=PARKING)
    async with CatchUpReader(settings) as reader:
        assert (await reader.look(1.0)).caught_up is None
