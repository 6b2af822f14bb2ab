"""The lane of redrives: under whose lease it writes, how fast it goes, and what it publishes again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError

from producers.relay.lanes import Batch
from producers.relay.records import RelayedRecord
from producers.relay.redrive import RedriveLane, RedriveMark, redriven_of, sort_out
from runtime.lease import Lease
from runtime.settings import RedriveSettings, RelaySettings
from runtime.sql import statement
from schemas.errors import LeaseLostError
from schemas.topics import DEFAULT, INTENTS, RECORD_BYTES_MAX, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

NAMES = {
    statement("producers", name): name
    for name in (
        "read_redrive", "read_redrive_next", "read_redrive_doubtful", "start_redrive", "claim_redrive_messages",
        "finish_redrive_messages", "return_redrive_messages",
        "skip_redrive_messages", "count_redrive_failures", "requeue_redrive_messages", "end_redrive",
    )
} | {statement("runtime", "guard_lease"): "guard"}  # fmt: skip
READS = {"read_redrive", "read_redrive_doubtful", "count_redrive_failures"}
"""What needs no lease: the count of what came back only grows, whoever counts."""


def letter(own: int, topic: str = WEBHOOKS.name) -> dict[str, Any]:
    return {
        "id": own, "topic": topic, "partition": 2, "key": b"k", "value": b"v", "header_names": [],
        "header_values": [], "redrive_count": 0, "status": "open", "value_left_out": False,
    }  # fmt: skip


class OneJob:
    """A database with one job; `held` tells whether the relay that asks has its lease. Each answer takes a turn."""

    def __init__(self, *, held: bool = True, **job: Any) -> None:
        self.held = held
        self.job = {"id": 9, "target_topic": None, "stop_requested_by": None, "rate_per_second": 100} | job
        self.waiting = [letter(number) for number in range(1, 1001)]
        self.doubtful: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.given: list[tuple[str, tuple[Any, ...]]] = []
        self.bounds: list[tuple[str, tuple[int, ...]]] = []
        self.guarded: list[tuple[Any, ...]] = []
        self.in_transaction = False
        self.failed = 0

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        self.in_transaction = True
        try:
            yield
        finally:
            self.in_transaction = False

    async def _ask(self, sql: str) -> str:
        await asyncio.sleep(0)
        self.asked.append(NAMES[sql])
        return NAMES[sql]

    async def fetchval(self, sql: str, *given: Any) -> int | None:
        assert await self._ask(sql) == "guard"
        self.guarded.append(given)
        assert self.in_transaction
        return 1 if self.held else None

    async def fetchrow(self, sql: str, *_: Any) -> dict[str, Any] | None:
        if await self._ask(sql) == "read_redrive":
            return self.job
        return {
            "failed": self.failed, "failed_before": 0, "published": 10, "published_before": 0,
            "policy": "stop_on_failures", "failure_ratio_max": 0.1, "failures_min": 1,
        }  # fmt: skip

    async def fetch(self, sql: str, _job: int, rows_max: int, *more: int) -> list[dict[str, Any]]:
        name = await self._ask(sql)
        self.bounds.append((name, (rows_max, *more)))
        if name == "read_redrive_doubtful":
            return self.doubtful
        taken, self.waiting = self.waiting[:rows_max], self.waiting[rows_max:]
        return taken

    async def execute(self, sql: str, *given: Any) -> None:
        name = await self._ask(sql)
        assert self.in_transaction
        self.given.append((name, given))


class Moved:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lane_at(clock: Moved, **bounds: float) -> RedriveLane:
    return RedriveLane(RelaySettings(), RedriveSettings(**bounds), Lease("relay", "me", 1), DEFAULT, monotonic=clock)


async def taken(lane: RedriveLane, database: OneJob) -> int:
    batch = await lane.read(database)  # type: ignore[arg-type]
    return 0 if batch is None else batch.rows


@pytest.mark.parametrize("job", [{}, {"stop_requested_by": "somebody"}], ids=["taken", "ended"])
async def test_without_its_lease_it_takes_no_letter_and_ends_no_job(job: dict[str, Any]) -> None:
    """A successor may be publishing those very letters."""
    clock, database = Moved(), OneJob(**job)
    lane = lane_at(clock)
    if not job:
        assert await taken(lane, database) == 0
        clock.now += 1.0
    database.held = False
    database.asked.clear()
    with pytest.raises(LeaseLostError):
        await lane.read(database)  # type: ignore[arg-type]
    assert database.asked[-1] == "guard"
    assert set(database.asked[:-1]) <= READS


async def test_nothing_is_read_ahead_of_what_is_being_published() -> None:
    """Letters on their way would be taken for those that a crash left, and published twice."""
    database = OneJob()
    database.doubtful = [letter(1)]
    behind = Batch(1, [], RedriveMark(9, [1]), more=True)
    assert await lane_at(Moved()).read(database, behind) is None  # type: ignore[arg-type]
    assert database.asked == []


async def test_what_a_crash_left_goes_where_it_was_going() -> None:
    """A letter of a stranger's topic goes to the topic that the job names, the first time and the second."""
    database = OneJob(target_topic=INTENTS.name)
    database.doubtful = [letter(1, "theirs"), letter(2)]
    batch = await lane_at(Moved()).read(database)  # type: ignore[arg-type]
    assert batch is not None
    assert [record.topic for record in batch.records] == [INTENTS.name, WEBHOOKS.name]
    assert batch.mark == RedriveMark(9, [1, 2])


async def test_a_stop_comes_before_what_a_crash_left() -> None:
    database = OneJob(stop_requested_by="somebody")
    database.doubtful = [letter(1)]
    assert await lane_at(Moved()).read(database) is None  # type: ignore[arg-type]
    assert "requeue_redrive_messages" in database.asked


@pytest.mark.parametrize(("asked", "bound", "rate"), [(100, 50.0, 50), (20, 50.0, 20)])
async def test_it_takes_what_the_lower_rate_allows_and_no_more(asked: int, bound: float, rate: int) -> None:
    clock, database = Moved(), OneJob(rate_per_second=asked)
    lane = lane_at(clock, rate_per_second_max=bound, burst_seconds=2.0)
    found = []
    for _ in range(4):
        found.append(await taken(lane, database))
        clock.now += 1.0
    assert found == [0, rate, rate, rate]


async def test_the_next_job_begins_with_nothing_that_the_one_before_it_left() -> None:
    clock, database = Moved(), OneJob(rate_per_second=100)
    lane = lane_at(clock, rate_per_second_max=100.0, burst_seconds=2.0)
    assert await taken(lane, database) == 0
    clock.now += 2.0
    database.job |= {"id": 10, "rate_per_second": 5}
    assert await taken(lane, database) == 0
    clock.now += 1.0
    assert await taken(lane, database) == 5


async def test_what_came_back_is_looked_at_again_and_again() -> None:
    clock, database = Moved(), OneJob()
    lane = lane_at(clock, failure_check_seconds=5.0)
    for _ in range(3):
        await taken(lane, database)
        clock.now += 2.0
    looks = database.asked.count("count_redrive_failures")
    database.failed = 10
    clock.now += 5.0
    assert await taken(lane, database) == 0
    assert database.asked.count("end_redrive") == 1
    assert looks == 2, "once a job, at once, and again after its time"


@pytest.mark.parametrize(("waits", "bound", "more"), [(1.0, 30, True), (0.25, 30, False), (0.125, 100, False)])
async def test_the_next_part_follows_at_once_while_the_rate_allows_more(
    waits: float, bound: int, *, more: bool
) -> None:
    clock, database = Moved(), OneJob(rate_per_second=100)
    lane = lane_at(clock, rate_per_second_max=100.0, burst_seconds=2.0)
    lane._relay = RelaySettings(batch_records_max=bound, batch_bytes_max=4_000_000)
    await taken(lane, database)
    clock.now += waits
    batch = await lane.read(database)  # type: ignore[arg-type]
    assert batch is not None
    assert (batch.rows, batch.more) == (min(bound, int(100 * waits)), more)
    rows = database.bounds[-2:]
    assert rows == [
        ("read_redrive_doubtful", (bound, 4_000_000)),
        ("read_redrive_next", (batch.rows, 4_000_000, RECORD_BYTES_MAX)),
    ]


async def test_behind_what_a_crash_left_the_next_part_follows_at_once() -> None:
    database = OneJob()
    database.doubtful = [letter(1)]
    batch = await lane_at(Moved()).read(database)  # type: ignore[arg-type]
    assert batch is not None
    assert batch.more


async def test_an_order_is_done_when_no_letter_waits_any_more_and_not_at_a_short_part() -> None:
    """Bytes bound a part too."""
    clock, database = Moved(), OneJob()
    database.waiting = [letter(1)]
    lane = lane_at(clock)
    await taken(lane, database)
    clock.now += 1.0
    assert await taken(lane, database) == 1
    assert "end_redrive" not in database.asked
    clock.now += 1.0
    assert await taken(lane, database) == 0
    assert database.asked[-4:] == [
        "guard", "requeue_redrive_messages", "count_redrive_failures", "end_redrive",
    ], "what came back is counted a last time"  # fmt: skip
    assert database.given[-1] == ("end_redrive", (9, "done", None))


async def test_a_stop_is_obeyed_at_the_next_look_and_is_no_end() -> None:
    clock, database = Moved(), OneJob()
    lane = lane_at(clock, failure_check_seconds=3600.0)
    for _ in range(3):
        await taken(lane, database)
        clock.now += 0.25
    database.job["stop_requested_by"] = "somebody"
    clock.now += 0.5
    assert await taken(lane, database) == 0
    assert database.given[-1] == ("end_redrive", (9, "stopped", "stopped by somebody"))


async def test_what_kafka_refuses_is_open_again_each_letter_with_its_own_reason_under_the_lease_of_now() -> None:
    database, now = OneJob(), Lease("relay", "me", 2)
    records = [RelayedRecord("t", None, value, (), None, 0) for value in (b"a", b"bb", b"ccc", b"d")]
    batch = Batch(4, records, RedriveMark(9, [14, 13, 12, 11]), more=False)
    errors = {2: ValueError(), 1: MessageSizeTooLargeError()}
    await lane_at(Moved()).finish(database, batch, now, errors)  # type: ignore[arg-type]
    (_, finished), (_, (job, returned, why)) = database.given
    assert (finished, job) == ((9, [14, 11]), 9)
    reasons = dict(zip(returned, why, strict=True))
    assert set(reasons) == {12, 13}
    assert reasons[12].startswith("Kafka refuses it (ValueError)")
    assert reasons[13].startswith("Kafka refuses it (MessageSizeTooLargeError): it has 2 bytes")
    assert database.asked == ["guard", "finish_redrive_messages", "return_redrive_messages"]
    assert set(now.fence) <= set(database.guarded[0])
    database.held = False
    with pytest.raises(LeaseLostError):
        await lane_at(Moved()).finish(database, batch, now, errors)  # type: ignore[arg-type]
    assert database.asked[3:] == ["guard"]


def test_a_letter_goes_back_at_the_time_of_sending_to_where_there_is_room_for_it() -> None:
    """With its old time the topic's retention may delete it unread."""
    old = letter(1) | {"timestamp_ms": 1_600_000_000_000}
    assert redriven_of(old, "t").timestamp_ms is None
    small = replace(DEFAULT, webhooks=replace(WEBHOOKS, record_bytes_max=2000))
    rows = [letter(1) | {"value": b"x" * 900}, letter(2) | {"value": b"x" * 1100}]
    found = sort_out(rows, None, small)
    assert list(found.going) == [1]
    assert "takes 2000" in found.skipped[2]


@pytest.mark.parametrize("between", ["none", "stopped"])
async def test_a_job_that_goes_on_begins_with_nothing_saved_up(between: str) -> None:
    clock, database = Moved(), OneJob(rate_per_second=100)
    lane = lane_at(clock, rate_per_second_max=100.0, burst_seconds=2.0)
    await taken(lane, database)
    job = database.job
    database.job = None if between == "none" else job | {"stop_requested_by": "somebody"}  # type: ignore[assignment]
    assert await taken(lane, database) == 0
    clock.now += 60.0
    database.job = job
    assert await taken(lane, database) == 0
    clock.now += 0.5
    assert await taken(lane, database) == 50


async def test_letters_that_can_not_go_take_nothing_of_the_rate_and_a_job_runs_before_its_first_letter() -> None:
    clock, database = Moved(), OneJob(rate_per_second=100)
    lane = lane_at(clock, rate_per_second_max=100.0, burst_seconds=2.0)
    for one in database.waiting[:60]:
        one["status"] = "discarded"
    await taken(lane, database)
    clock.now += 1.0
    assert await taken(lane, database) == 40
    assert await taken(lane, database) == 60
    asked = database.asked
    assert asked.index("start_redrive") < asked.index("read_redrive_next") < asked.index("claim_redrive_messages")
    assert ("skip_redrive_messages", (9, list(range(1, 61)), ["it is discarded already"] * 60)) in database.given
    assert ("claim_redrive_messages", (9, list(range(61, 101)))) in database.given
