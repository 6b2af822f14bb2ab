"""The consumer's loop on a group member made by hand: fetching, processor, offsets, rebalances, the end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupAuthorizationFailedError,
    IllegalStateError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata
from events import placed, standard
from msgspec.structs import replace
from structlog.testing import capture_logs

from consumer import loop as module
from consumer import poller
from consumer.fetched import record_of, share_out, split
from consumer.loop import ConsumerLoop
from consumer.partition_reports import report_restart
from consumer.positions import Positions
from runtime import metrics
from runtime.kafka_ends import Ends
from runtime.kafka_tasks import ended_task
from runtime.settings import ConsumerSettings
from schemas.errors import AccessRefusedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from consumer.offsets import Place
    from schemas.record import Record

pytestmark = pytest.mark.unit

TP0, TP1 = TopicPartition("payments.webhooks", 0), TopicPartition("payments.webhooks", 1)
P0, P1 = ("payments.webhooks", 0), ("payments.webhooks", 1)
LIMITS = ConsumerSettings(
    fetch_wait_seconds=0.001,
    batches_in_flight_max=2,
    share_records_min=1,
    commit_interval_seconds=0.001,
    drain_seconds=0.2,
    backoff_max_seconds=0.01,
)
PATIENCE_SECONDS = 10.0
IDENTITY = "ratchet:1:1"
KEYS = tuple(next(key for key in (b"k%d" % n for n in range(100)) if hash(key) % 2 == worker) for worker in (0, 1))
"""A key of each of two workers; which one it is differs from process to process."""


@pytest.fixture(autouse=True)
def _short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poller, "PAUSED_POLL_SECONDS", 0.001)


def message(offset: int, *, partition: int = 0, value: bytes = b"{}") -> ConsumerRecord:
    return ConsumerRecord(
        topic="payments.webhooks",
        partition=partition,
        offset=offset,
        timestamp=1,
        timestamp_type=0,
        key=KEYS[offset % 2],
        value=value,
        checksum=None,
        serialized_key_size=len(KEYS[offset % 2]),
        serialized_value_size=len(value),
        headers=[("ce_id", b"\xff")],
    )


class Committed(dict[TopicPartition, int]):
    """The offsets committed last; as aiokafka's method of that name it tells one of them."""

    async def __call__(self, partition: TopicPartition) -> int | None:
        return self.get(partition)


@dataclass
class Member:
    """The methods of aiokafka's consumer that the worker uses, over logs in memory."""

    logs: dict[TopicPartition, list[ConsumerRecord]] = field(default_factory=lambda: defaultdict(list))
    positions: dict[TopicPartition, int] = field(default_factory=lambda: defaultdict(int))
    assigned: set[TopicPartition] = field(default_factory=lambda: {TP0, TP1})
    paused: set[TopicPartition] = field(default_factory=set)
    commits: list[dict[TopicPartition, int]] = field(default_factory=list)
    by: dict[TopicPartition, str] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    polls: int = 0
    during_poll: Callable[[], None] | None = None
    commit_gate: asyncio.Event | None = None
    refusal: Exception | None = None
    joined: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared while it joins the group anew: the client gives nothing before it has its new assignment."""
    fetching: asyncio.Future[None] | None = None
    """The client's task that fetches, where it matters; `asking` is the one that asks for metadata."""
    asking: asyncio.Future[None] | None = None
    coordinator_answers: bool = True
    unknown: bool = False
    """Whether the client knows of no partition where it goes on."""

    def __post_init__(self) -> None:
        self.joined.set()

    @property
    def _fetcher(self) -> SimpleNamespace:
        return SimpleNamespace(error_future=self.fetching)

    @property
    def _client(self) -> SimpleNamespace:
        return SimpleNamespace(_sync_task=self.asking)

    async def getmany(self, *, timeout_ms: int, max_records: int | None = None) -> dict[Any, list[ConsumerRecord]]:
        self.polls += 1
        await asyncio.sleep(timeout_ms / 1000)
        await self.joined.wait()
        if self.refusal is not None:
            raise self.refusal
        if self.during_poll is not None:
            happens, self.during_poll = self.during_poll, None
            happens()
        taken, left = {}, max_records or 500
        for tp in sorted(self.assigned - self.paused):
            messages = self.logs[tp][self.positions[tp] :][:left]
            if messages:
                taken[tp] = messages
                self.positions[tp] += len(messages)
                left -= len(messages)
        return taken

    def assignment(self) -> set[TopicPartition]:
        return set(self.assigned)

    def pause(self, *partitions: TopicPartition) -> None:
        assert set(partitions) <= self.assigned
        self.paused |= set(partitions)

    def resume(self, *partitions: TopicPartition) -> None:
        assert set(partitions) <= self.assigned
        self.paused -= set(partitions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.positions[partition] = offset

    async def commit(self, offsets: dict[TopicPartition, tuple[int, str]]) -> None:
        positions = {place: offset for place, (offset, _) in offsets.items()}
        if self.commit_gate is not None:
            await self.commit_gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        self.commits.append(positions)
        self.by |= {place: by for place, (_, by) in offsets.items()}

    @property
    def _coordinator(self) -> Member:
        return self

    async def fetch_committed_offsets(
        self, places: Iterable[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        if not self.coordinator_answers:
            await asyncio.Event().wait()
        last = self.committed
        return {place: OffsetAndMetadata(last[place], self.by.get(place, "")) for place in places if place in last}

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    def ends(self) -> dict[TopicPartition, Ends]:
        return {tp: Ends(0, len(self.logs[tp]), len(self.logs[tp])) for tp in self.assigned}

    async def position(self, partition: TopicPartition) -> int:
        if self.unknown:
            await asyncio.Event().wait()
        return self.positions[partition]

    def publish(self, count: int, *, partition: int = 0) -> None:
        log = self.logs[TopicPartition("payments.webhooks", partition)]
        log += [message(len(log) + number, partition=partition) for number in range(count)]

    @property
    def committed(self) -> Committed:
        last = Committed()
        for positions in self.commits:
            last |= positions
        return last


@dataclass
class OpenProcessor:
    """ParkedWriter what it is given when `gate` is open; may halt partitions, fail, or be in an outage."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    batches: list[list[int]] = field(default_factory=list)
    began: int = 0
    since: float | None = None
    halted: dict[Place, str] = field(default_factory=dict)
    halting: set[Place] = field(default_factory=set)
    failure: Exception | None = None
    forgotten: int = 0
    ended: int = 0
    end_failure: Exception | None = None
    is_normal: bool = True
    begun: list[list[int]] = field(default_factory=list)
    begin_gate: asyncio.Event = field(default_factory=asyncio.Event)
    beginning: int = 0
    word: bool = False

    def __post_init__(self) -> None:
        self.begin_gate.set()

    @property
    def quarantine(self) -> OpenProcessor:
        return self

    outages = marks = quarantine

    async def begin(self, records: Sequence[Record]) -> None:
        self.beginning += 1
        await asyncio.sleep(0)
        await self.begin_gate.wait()
        self.begun.append([record.offset for record in records])

    def portions(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Divide them; before their partition has begun nothing is known of them, and all go at once."""
        if not self.begun:
            yield records
            return
        for record in records:
            yield [record]

    def leave_word(self) -> None:
        self.word = True

    def take_word_back(self) -> None:
        self.word = False

    def normal(self, records: Sequence[Record]) -> bool:
        return self.is_normal

    async def process(self, records: Sequence[Record]) -> bool:
        self.began += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.halted |= dict.fromkeys(self.halting, "too many")
        self.batches.append(
            [record.offset for record in records if (record.topic, record.partition) not in self.halted]
        )
        return True

    def forget(self) -> None:
        self.forgotten += 1

    async def let_go(self, *, clean: bool) -> None:
        if self.end_failure is not None:
            raise self.end_failure
        self.ended += clean

    @property
    def processed(self) -> list[int]:
        return sorted(offset for batch in self.batches for offset in batch)


@dataclass
class Harness:
    member: Member
    processor: OpenProcessor
    worker: ConsumerLoop
    stop: asyncio.Event
    task: asyncio.Task[None]

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for a condition; what the worker raises is raised here."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not true():
                if self.task.done():
                    await self.task
                await asyncio.sleep(0.001)

    async def end(self) -> None:
        self.stop.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.task


@dataclass
class Own:
    """What the database knows of how far partitions were processed, in memory; `failures` are raised first."""

    noted: dict[Place, int] = field(default_factory=dict)
    epochs: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    async def identity(self) -> str:
        return IDENTITY

    async def read(self, places: Iterable[Place]) -> dict[Place, int]:
        self._fail()
        return {place: self.noted[place] for place in places if place in self.noted}

    async def note(self, positions: dict[Place, int]) -> None:
        self._fail()
        self.noted |= positions

    async def begin_epoch(self, because: str) -> None:
        self.epochs.append(because)

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


@asynccontextmanager
async def running(
    *,
    is_open: bool = True,
    member: Member | None = None,
    own: Own | None = None,
    check_seconds: float = PATIENCE_SECONDS,
    **limits: Any,
) -> AsyncIterator[Harness]:
    member, processor, stop = member or Member(), OpenProcessor(), asyncio.Event()
    if is_open:
        processor.gate.set()
    settings = LIMITS.model_copy(update=limits)
    worker = ConsumerLoop(member, processor, settings, Positions(own or Own(), check_seconds))  # type: ignore[arg-type]
    harness = Harness(member, processor, worker, stop, asyncio.create_task(worker.run(stop)))
    try:
        yield harness
    finally:
        processor.gate.set()
        for task in (harness.task, *worker._pool.tasks.values()):
            task.cancel()
        await asyncio.gather(harness.task, *worker._pool.tasks.values(), return_exceptions=True)


@dataclass
class Truncated(Member):
    """A log whose first records were deleted; a fetch of those is refused, as Kafka's client tells it."""

    begin: int = 3
    error: Callable[[int], Exception] = lambda offset: OffsetOutOfRangeError({TP0: offset})

    async def getmany(self, *, timeout_ms: int, max_records: int | None = None) -> dict[Any, list[ConsumerRecord]]:
        if TP0 in self.assigned - self.paused and self.positions[TP0] < self.begin:
            raise self.error(self.positions[TP0])
        return await super().getmany(timeout_ms=timeout_ms, max_records=max_records)

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.begin)

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: len(self.logs[tp]) for tp in partitions}


@pytest.mark.parametrize(
    "error",
    [lambda offset: OffsetOutOfRangeError({TP0: offset}), lambda _: NoOffsetForPartitionError(TP0)],
    ids=["deleted", "nothing committed"],
)
async def test_where_an_offset_is_gone_all_that_is_still_there_is_read(error: Callable[[int], Exception]) -> None:
    member = Truncated(error=error)
    member.publish(6)
    async with running(member=member) as harness:
        await harness.until(lambda: harness.member.committed == {TP0: 6})
        assert harness.processor.processed == [3, 4, 5]


@pytest.mark.parametrize(("how", "begin"), [("cut", 3), ("made anew", 0)])
async def test_nothing_of_before_is_committed_where_a_partition_begins_anew(how: str, begin: int) -> None:
    """Neither what is ready nor what is still in hand: its offsets are those of other records by now."""
    taking = poller.Poller(Truncated(assigned={TP0}), Positions(Own(), PATIENCE_SECONDS), LIMITS, ())  # type: ignore[arg-type]
    done, in_hand = taking.offsets.begin(P0, 8), taking.offsets.begin(P0, 9)
    taking.offsets.mark_processed([done])
    if how == "cut":
        await taking._restart(TP0, 9)
    else:
        taking.read_anew(TP0.topic)
    taking.offsets.mark_processed([in_hand])
    assert taking.offsets.take_ready() == {P0: begin}


async def test_what_is_processed_is_committed() -> None:
    async with running() as harness:
        harness.member.publish(7)
        harness.member.publish(3, partition=1)
        await harness.until(lambda: harness.member.committed == {TP0: 7, TP1: 3})
        await harness.end()
        assert (harness.processor.ended, len(harness.processor.processed)) == (1, 10)


async def test_the_database_notes_what_kafka_is_reported() -> None:
    async with running(own=(own := Own())) as harness:
        await harness.worker.on_partitions_assigned({TP0, TP1})
        harness.member.publish(7)
        await harness.until(lambda: harness.member.committed.get(TP0) == 7)
        assert own.noted[P0] == 7
        assert harness.member.by[TP0] == IDENTITY, "a copy knows by it that its original committed"
        own.failures = [OSError("away")] * 3
        harness.member.publish(2)
        await harness.until(lambda: harness.member.committed.get(TP0) == 9)
        assert (own.noted[P0], own.failures) == (9, [])


@pytest.mark.parametrize(
    ("ours", "kafkas", "by", "goes_on_at"),
    [
        (3, 5, IDENTITY, 3),
        (3, 5, "", 3),
        (5, 3, IDENTITY, 3),
        (4, 4, IDENTITY, 4),
        (2, None, "", 0),
        (None, 4, IDENTITY, 0),
        (None, 4, "", 4),
        (None, 4, "ratchet:2:2", 4),
    ],
)
async def test_an_assignment_goes_on_at_the_smaller_of_kafkas_offset_and_ours(
    ours: int | None, kafkas: int | None, by: str, goes_on_at: int
) -> None:
    """A database that knows no offset is a copy where it committed one, and new where another one or nobody did."""
    own, member = Own({} if ours is None else {P0: ours}), Member(assigned={TP0})
    member.publish(8)
    if kafkas is not None:
        member.commits.append({TP0: kafkas})
        member.by[TP0] = by
        member.positions[TP0] = kafkas
    own.failures = [OSError("away"), TimeoutError()]
    async with running(own=own, member=member, is_open=False) as harness:
        await harness.worker.on_partitions_assigned({TP0})
        await harness.until(lambda: bool(harness.worker._pool.tasks))
        assert own.failures == [], "until Postgres answers nothing is taken"
        harness.processor.gate.set()
        await harness.until(lambda: member.committed == {TP0: 8})
        assert min(harness.processor.processed) == goes_on_at
        assert len(own.epochs) == (1 if kafkas is not None and goes_on_at < kafkas else 0)
        assert TP0 not in member.paused


async def test_nothing_is_noted_of_a_partition_before_it_is_known_where_it_goes_on() -> None:
    """Partitions come in the midst of a poll, and a commit is due after each: Kafka's offset must not become ours."""
    noted: list[int] = []

    class Watching(Own):
        async def note(self, positions: dict[Place, int]) -> None:
            noted.append(positions[P0])
            await super().note(positions)

    own, member = Watching({P0: 3}), Member(assigned={TP0})
    member.publish(8)
    member.commits.append({TP0: 5})
    member.positions[TP0] = 5
    async with running(own=own, member=member) as harness:

        def assign() -> None:
            with contextlib.suppress(StopIteration):
                harness.worker.on_partitions_assigned({TP0}).send(None)

        member.during_poll = assign
        await harness.until(lambda: member.committed == {TP0: 8})
        assert (min(harness.processor.processed), len(own.epochs)) == (3, 1)
        assert 5 not in noted, "a crash would lose what is between"


@pytest.mark.parametrize("others", [{TP1}, {TP0, TP1}])
async def test_partitions_that_come_while_others_are_checked_are_checked_too(others: set[TopicPartition]) -> None:
    """A rebalance may end during a check: Kafka's word alone would skip what a database that was restored lacks."""

    class Rebalanced(Own):
        async def read(self, places: Iterable[Place]) -> dict[Place, int]:
            found = await super().read(places)
            if TP1 not in member.assigned:
                member.assigned |= others
                await harness.worker.on_partitions_assigned(set(member.assigned))
            return found

    own, member = Rebalanced({P0: 1, P1: 3}), Member(assigned={TP0})
    for place, kafkas in ((TP0, 4), (TP1, 5)):
        member.publish(8, partition=place.partition)
        member.commits.append({place: kafkas})
        member.positions[place] = kafkas
    async with running(own=own, member=member) as harness:
        await harness.worker.on_partitions_assigned({TP0})
        await harness.until(lambda: member.committed == {TP0: 8, TP1: 8})
        assert sorted(set(harness.processor.processed)) == list(range(1, 8))
        assert harness.processor.processed.count(3) == 2, "the second partition from 3 on, the first from 1"
        assert own.noted == {P0: 8, P1: 8}


async def test_who_the_database_is_is_asked_at_each_assignment() -> None:
    """It may be another one by then: what is committed under the name of the one before is not its own."""

    class Replaced(Own):
        async def identity(self) -> str:
            asked.append(1)
            return f"ratchet:{len(asked)}:1"

    asked: list[int] = []
    async with running(own=Replaced(), member=Member(assigned={TP0})) as harness:
        member, worker = harness.member, harness.worker
        for number in (1, 2):
            await worker.on_partitions_assigned({TP0})
            member.publish(1)
            await harness.until(lambda number=number: member.committed == {TP0: number})
            assert member.by == {TP0: f"ratchet:{number}:1"}


async def test_one_partition_of_which_the_database_is_older_begins_an_epoch() -> None:
    class Kafka:
        def __init__(self) -> None:
            self.sought: dict[TopicPartition, int] = {}

        @property
        def _coordinator(self) -> Kafka:
            return self

        async def fetch_committed_offsets(
            self, places: list[TopicPartition]
        ) -> dict[TopicPartition, OffsetAndMetadata]:
            return dict.fromkeys(places, OffsetAndMetadata(5, ""))

        def seek(self, place: TopicPartition, offset: int) -> None:
            self.sought[place] = offset

    own, kafka = Own({P0: 3, P1: 5}), Kafka()
    positions = Positions(own, 5.0)
    positions.assigned({TP0, TP1})
    assert await positions.check(kafka)  # type: ignore[arg-type]
    assert (kafka.sought, len(own.epochs)) == ({TP0: 3}, 1)


async def test_what_another_member_commits_meanwhile_makes_no_database_older() -> None:
    """It notes in the database first, then commits; hence whoever compares asks Kafka first."""
    own = Own({P0: 3})

    class Kafka:
        @property
        def _coordinator(self) -> Kafka:
            return self

        async def fetch_committed_offsets(
            self, places: list[TopicPartition]
        ) -> dict[TopicPartition, OffsetAndMetadata]:
            own.noted[P0] = 5
            return dict.fromkeys(places, OffsetAndMetadata(5, ""))

        def seek(self, *_: Any) -> None: ...

    positions = Positions(own, 5.0)
    positions.assigned({TP0})
    assert await positions.check(Kafka())  # type: ignore[arg-type]
    assert own.epochs == []


async def test_nothing_is_committed_before_it_is_processed() -> None:
    async with running(is_open=False) as harness:
        harness.member.publish(3)
        await harness.until(lambda: harness.processor.began)
        polls = harness.member.polls
        await harness.until(lambda: harness.member.polls > polls + 5)
        assert harness.member.commits == []
        harness.processor.gate.set()
        await harness.until(lambda: harness.member.committed == {TP0: 3})


async def test_no_more_batches_are_in_flight_than_there_are_workers() -> None:
    async with running(is_open=False, batch_records_max=1) as harness:
        harness.member.publish(9)
        await harness.until(lambda: harness.processor.began == 2)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert harness.processor.began == 2
        harness.processor.gate.set()
        await harness.until(lambda: harness.member.committed == {TP0: 9})


async def test_workers_share_a_fetch_by_key_and_commit_it_together() -> None:
    async with running(is_open=False) as harness:
        harness.member.publish(4)
        await harness.until(lambda: harness.processor.began == 2)
        harness.processor.gate.set()
        await harness.until(lambda: harness.member.committed == {TP0: 4})
        assert sorted(harness.processor.batches) == [[0, 2], [1, 3]]


async def test_a_fetch_is_not_committed_while_one_of_its_shares_is_open() -> None:
    async with running() as harness:
        process, open_share = harness.processor.process, asyncio.Event()

        async def hold_the_second(records: Sequence[Record]) -> bool:
            if records[0].offset == 1:
                await open_share.wait()
            return await process(records)

        harness.processor.process = hold_the_second  # type: ignore[method-assign]
        harness.member.publish(4)
        await harness.until(lambda: harness.processor.processed == [0, 2])
        harness.member.publish(1, partition=1)
        await harness.until(lambda: TP1 in harness.member.committed)
        assert TP0 not in harness.member.committed
        open_share.set()
        await harness.until(lambda: harness.member.committed == {TP0: 4, TP1: 1})


async def test_a_small_fetch_is_one_batch_on_a_worker_that_is_free() -> None:
    async with running(is_open=False, share_records_min=5) as harness:
        harness.member.publish(3)
        await harness.until(lambda: harness.processor.began == 1)
        harness.member.publish(2)
        await harness.until(lambda: harness.processor.began == 2)
        harness.processor.gate.set()
        await harness.until(lambda: harness.member.committed == {TP0: 5})
        assert harness.processor.batches == [[0, 1, 2], [3, 4]]
        assert harness.member.paused == set()


async def test_what_comes_while_no_worker_is_free_is_the_next_batch() -> None:
    async with running(is_open=False, share_records_min=5) as harness:
        harness.member.publish(3)
        await harness.until(lambda: harness.processor.began == 1)
        harness.member.publish(1)
        await harness.until(lambda: harness.processor.began == 2)
        polls = harness.member.polls
        harness.member.publish(2)
        harness.member.publish(2, partition=1)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert (harness.processor.began, harness.member.polls) == (2, polls)
        assert harness.member.paused == {TP0, TP1}
        harness.processor.gate.set()
        await harness.until(lambda: harness.member.committed == {TP0: 6, TP1: 2})
        assert harness.processor.batches == [[0, 1, 2], [3], [4, 5, 0, 1]]
        assert harness.member.paused == set()


async def test_a_fetch_that_could_not_be_larger_is_shared() -> None:
    async with running(is_open=False, share_records_min=100, batch_records_max=2) as harness:
        harness.member.publish(4)
        await harness.until(lambda: harness.processor.began == 2)


async def test_a_small_fetch_waits_for_a_worker() -> None:
    async with running(is_open=False, share_records_min=3) as harness:
        harness.member.publish(4)
        await harness.until(lambda: harness.processor.began == 2)
        harness.member.publish(2)
        await harness.until(lambda: harness.member.positions[TP0] == 6)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert harness.processor.began == 2
        harness.processor.gate.set()
        await harness.until(lambda: harness.member.committed == {TP0: 6})
        assert harness.processor.batches[2:] == [[4, 5]]


async def test_a_small_fetch_is_given_up_where_a_stop_or_a_revoke_comes_first() -> None:
    async with running(is_open=False, share_records_min=3, drain_seconds=0.01) as harness:
        harness.member.publish(4)
        await harness.until(lambda: harness.processor.began == 2)
        harness.member.publish(2)
        await harness.until(lambda: harness.member.positions[TP0] == 6)
        await harness.worker.on_partitions_revoked({TP0, TP1})
        harness.processor.gate.set()
        await harness.until(lambda: len(harness.processor.processed) == 4)
        await harness.end()
        assert harness.processor.processed == [0, 1, 2, 3]


async def test_records_in_quarantine_go_one_by_one_and_in_order() -> None:
    async with running() as harness:
        harness.processor.is_normal = False
        harness.member.publish(4)
        await harness.until(lambda: harness.member.committed == {TP0: 4})
        assert harness.processor.batches == [[0], [1], [2], [3]]
        assert harness.processor.begun == [[0, 1, 2, 3]]
        assert harness.member.paused == set()


async def test_the_offset_of_an_isolated_record_is_committed_while_the_next_is_in_hand() -> None:
    """Else a process that ends at every start begins at the same record, for ever."""
    async with running() as harness:
        harness.processor.is_normal = False
        process = harness.processor.process

        async def hang_at_2(records: Sequence[Record]) -> bool:
            if records[0].offset == 2:
                harness.processor.gate.clear()
            return await process(records)

        harness.processor.process = hang_at_2  # type: ignore[method-assign]
        progress = harness.worker.progress_at
        harness.member.publish(3)
        await harness.until(lambda: harness.member.committed == {TP0: 2})
        assert harness.processor.batches == [[0], [1]]
        assert harness.worker.progress_at > progress


async def test_offsets_of_isolated_records_do_not_wait_for_the_interval() -> None:
    async with running(commit_interval_seconds=60) as harness:
        harness.processor.is_normal = False
        process = harness.processor.process

        async def hang_at_3(records: Sequence[Record]) -> bool:
            if records[0].offset == 3:
                harness.processor.gate.clear()
            return await process(records)

        harness.processor.process = hang_at_3  # type: ignore[method-assign]
        harness.member.publish(4)
        await harness.until(lambda: TP0 in harness.member.committed)
        await harness.until(lambda: harness.processor.batches == [[0], [1], [2]])


async def test_isolated_records_are_given_up_where_a_revoke_comes_first() -> None:
    async with running(is_open=False, drain_seconds=0.01) as harness:
        harness.processor.is_normal = False
        harness.member.publish(3)
        await harness.until(lambda: harness.processor.began == 1)
        await harness.worker.on_partitions_revoked({TP0, TP1})
        assert harness.processor.ended == 1, "the process lives: what it had in hand is nobody's end"
        harness.processor.gate.set()
        await harness.until(lambda: harness.processor.batches == [[0]])
        await harness.end()
        assert harness.processor.batches == [[0]]


async def test_a_client_is_polled_while_records_go_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLLS_APART_SECONDS_MAX", 0.0)
    async with running() as harness:
        harness.processor.is_normal = False
        harness.member.publish(50)
        await harness.until(lambda: len(harness.processor.batches) == 50)
        assert harness.member.polls > 25


def test_headers_are_taken_as_they_came() -> None:
    """A name may come twice, and a value may be absent: what was signed must be what is kept."""
    headers = (("a", b"1"), ("a", b"2"), ("b", None), ("a", b"1"))
    assert record_of(dataclasses.replace(message(7), headers=headers)).headers == headers


def test_shares_keep_the_order_and_lose_nothing() -> None:
    records = [record_of(message(offset)) for offset in range(9)]
    shares = share_out(records, 2)
    assert [record.offset for record in shares[0]] == [0, 2, 4, 6, 8]
    assert [record.offset for record in shares[1]] == [1, 3, 5, 7]
    keyless = [replace(record, key=None) for record in records]
    assert list(map(len, share_out(keyless, 4).values())) == [9], "those of one partition stay in order"


async def test_a_batch_is_cut_by_bytes() -> None:
    async with running(batch_bytes_max=4, batches_in_flight_max=1) as harness:
        harness.member.publish(5)
        await harness.until(lambda: harness.member.committed == {TP0: 5})
        assert sorted(map(len, harness.processor.batches)) == [1, 2, 2]


async def test_what_a_worker_cannot_go_on_with_ends_the_worker() -> None:
    async with running() as harness:
        harness.processor.failure = ZeroDivisionError()
        harness.member.publish(1)
        with pytest.raises(ZeroDivisionError):
            await harness.until(lambda: False)


async def test_a_failure_ends_the_worker_that_waits_for_a_worker() -> None:
    async with running(is_open=False, batch_records_max=1) as harness:
        harness.member.publish(5)
        await harness.until(lambda: harness.processor.began == 2)
        harness.processor.failure = ZeroDivisionError()
        harness.processor.gate.set()
        with pytest.raises(ZeroDivisionError):
            await harness.until(lambda: False)
        assert harness.member.commits == []


@pytest.mark.parametrize("outage", [None, 1.0])
async def test_a_consumer_that_may_not_read_says_so(outage: float | None) -> None:
    async with running() as harness:
        harness.processor.since = outage
        harness.member.refusal = GroupAuthorizationFailedError()
        with pytest.raises(AccessRefusedError, match=r"GroupAuthorizationFailedError.*an ACL is missing"):
            await harness.until(lambda: False)


# --- outages and halts -------------------------------------------------------------------------------------------


async def test_an_outage_keeps_polling_and_takes_nothing() -> None:
    async with running(is_open=False) as harness:
        harness.processor.since = 1.0
        await harness.until(lambda: harness.member.polls > 3)
        harness.member.publish(4)
        polls = harness.member.polls
        await harness.until(lambda: harness.member.polls > polls + 5)
        assert (harness.processor.began, harness.member.positions[TP0]) == (0, 0)
        harness.processor.since = None
        harness.processor.gate.set()
        await harness.until(lambda: harness.member.committed == {TP0: 4})


async def test_an_outage_with_every_worker_taken_keeps_polling() -> None:
    async with running(is_open=False, batch_records_max=1) as harness:
        harness.member.publish(4)
        await harness.until(lambda: harness.processor.began == 2)
        harness.processor.since = 1.0
        polls = harness.member.polls
        await harness.until(lambda: harness.member.polls > polls + 5)
        harness.processor.since = None
        harness.processor.gate.set()
        await harness.until(lambda: harness.processor.processed == [0, 1, 2, 3])


async def test_a_halted_partition_is_paused_and_its_offsets_stay() -> None:
    async with running() as harness:
        harness.processor.halting = {P0}
        harness.member.publish(3)
        harness.member.publish(3, partition=1)
        await harness.until(lambda: harness.member.committed == {TP1: 3})
        assert harness.member.paused == {TP0}
        harness.processor.since = 1.0
        polls = harness.member.polls
        await harness.until(lambda: harness.member.polls > polls + 2)
        harness.processor.since = None
        harness.member.publish(2, partition=1)
        await harness.until(lambda: harness.member.committed == {TP1: 5})
        assert harness.member.paused == {TP0}
        await harness.worker.on_partitions_assigned({TP0, TP1})
        assert harness.member.paused == {TP0, TP1}, "until it is known where they go on"
        await harness.until(lambda: harness.member.paused == {TP0})
        harness.worker.note_ends(harness.member.ends())
        assert harness.worker.lag == 0


# --- offsets -----------------------------------------------------------------------------------------------------


async def test_a_commit_that_fails_is_made_again() -> None:
    member = Member(failures=[KafkaError(), KafkaError()])
    async with running(member=member) as harness:
        member.publish(2)
        await harness.until(lambda: member.committed == {TP0: 2})


async def test_a_partition_that_went_takes_no_offset_of_the_others_along() -> None:
    """The client refuses all offsets of a commit of which one is of a partition that is not ours any more."""
    member = Member(commit_gate=asyncio.Event(), failures=[IllegalStateError()])
    async with running(member=member) as harness:
        member.publish(2)
        member.publish(2, partition=1)
        await harness.until(lambda: len(harness.processor.processed) == 4)
        await harness.until(lambda: harness.worker._poller.commit_task is not None)
        member.assigned.discard(TP1)
        assert member.commit_gate is not None
        member.commit_gate.set()
        await harness.until(lambda: member.committed == {TP0: 2})


@pytest.mark.parametrize("error", [IllegalStateError(), CommitFailedError()])
async def test_a_commit_of_what_is_not_ours_ends_nothing(error: Exception) -> None:
    member = Member(failures=[error])
    async with running(member=member) as harness:
        member.publish(2)
        await harness.until(lambda: not member.failures)
        member.publish(1)
        await harness.until(lambda: member.committed == {TP0: 3})
        await harness.end()


async def test_processing_does_not_wait_for_a_commit() -> None:
    member = Member(commit_gate=asyncio.Event())
    async with running(member=member, batch_records_max=1) as harness:
        member.publish(6)
        await harness.until(lambda: len(harness.processor.processed) == 6)
        assert member.commits == []
        assert member.commit_gate is not None
        member.commit_gate.set()
        await harness.until(lambda: member.committed == {TP0: 6})


async def test_lag_is_what_was_not_fetched() -> None:
    async with running(is_open=False) as harness:
        harness.processor.since = 1.0
        harness.member.publish(5)
        harness.worker.note_ends(harness.member.ends())
        assert harness.worker.lag == 5
        harness.member.assigned.clear()
        before = harness.worker.progress_at
        harness.worker.note_ends(harness.member.ends())
        assert (harness.worker.lag, harness.worker.progress_at >= before) == (0, True)


async def test_no_lag_is_no_progress_while_a_batch_is_open() -> None:
    async with running(is_open=False) as harness:
        harness.member.publish(1)
        await harness.until(lambda: harness.processor.began)
        before = harness.worker.progress_at
        harness.worker.note_ends(harness.member.ends())
        assert (harness.worker.lag, harness.worker.progress_at) == (0, before)


# --- rebalances and the end --------------------------------------------------------------------------------------


async def test_a_revoke_processes_and_commits_before_the_partitions_go() -> None:
    async with running(is_open=False, commit_interval_seconds=60) as harness:
        harness.member.publish(2)
        await harness.until(lambda: harness.processor.began)
        revoke = asyncio.create_task(harness.worker.on_partitions_revoked({TP0, TP1}))
        await asyncio.sleep(0.01)
        assert not revoke.done()
        harness.processor.gate.set()
        await revoke
        assert (harness.member.committed, harness.processor.forgotten) == ({TP0: 2}, 1)


async def test_what_does_not_finish_before_a_revoke_is_not_committed_after_it() -> None:
    async with running(is_open=False, drain_seconds=0.01) as harness:
        harness.member.publish(2)
        await harness.until(lambda: harness.processor.began)
        await harness.worker.on_partitions_revoked({TP0, TP1})
        harness.member.positions[TP0] = 0
        harness.processor.gate.set()
        await harness.until(lambda: harness.processor.processed == [0, 0, 1, 1])
        await harness.until(lambda: harness.member.committed == {TP0: 2})


async def test_what_ends_after_its_partition_went_is_not_committed_for_its_next_owner() -> None:
    async with running(is_open=False, drain_seconds=0.01) as harness:
        harness.member.publish(2)
        await harness.until(lambda: harness.processor.began)
        await harness.worker.on_partitions_revoked({TP0, TP1})
        harness.member.assigned = {TP1}
        harness.processor.gate.set()
        await harness.until(lambda: harness.processor.processed == [0, 1])
        harness.member.publish(1, partition=1)
        await harness.until(lambda: TP1 in harness.member.committed)
        assert TP0 not in harness.member.committed


async def test_the_first_assignment_revokes_nothing() -> None:
    async with running() as harness:
        await harness.worker.on_partitions_revoked(set())
        harness.member.publish(1)
        await harness.until(lambda: harness.member.committed == {TP0: 1})


async def test_records_fetched_before_a_revoke_are_not_processed_after_it() -> None:
    async with running(is_open=False, batch_bytes_max=1, drain_seconds=0.01) as harness:
        harness.member.publish(6)
        await harness.until(lambda: harness.processor.began == 2)
        await harness.worker.on_partitions_revoked({TP0, TP1})
        harness.member.assigned.clear()
        harness.processor.gate.set()
        polls = harness.member.polls
        await harness.until(lambda: harness.member.polls > polls + 3)
        assert harness.processor.processed == [0, 1]


async def test_partitions_assigned_during_a_paused_poll_lose_nothing() -> None:
    """They are not paused yet: what the poll returns for them moved their position and must not be dropped."""
    member = Member(assigned={TP0})
    async with running(member=member, is_open=False) as harness:
        harness.processor.since = 1.0
        await harness.until(lambda: member.polls > 2)
        member.publish(3, partition=1)
        member.during_poll = lambda: member.assigned.add(TP1)
        await harness.until(lambda: member.during_poll is None)
        harness.processor.since = None
        harness.processor.gate.set()
        member.publish(2, partition=1)
        await harness.until(lambda: member.committed.get(TP1) == 5)
        assert harness.processor.processed == [0, 1, 2, 3, 4]


async def test_a_stop_in_an_outage_ends_the_worker_with_every_worker_taken() -> None:
    async with running(is_open=False, batch_records_max=1, drain_seconds=0.01) as harness:
        harness.member.publish(5)
        await harness.until(lambda: harness.processor.began == 2)
        harness.processor.since = 1.0
        harness.stop.set()
        async with asyncio.timeout(1.0):
            await asyncio.wait([harness.task], timeout=0.5)
        assert harness.task.done()


async def test_a_stop_drains_and_commits() -> None:
    async with running(is_open=False, commit_interval_seconds=60) as harness:
        harness.member.publish(2)
        await harness.until(lambda: harness.processor.began)
        harness.stop.set()
        await asyncio.sleep(0.005)
        harness.processor.gate.set()
        await harness.end()
        assert (harness.member.committed, harness.processor.ended) == ({TP0: 2}, 1)


async def test_a_stop_gives_up_what_does_not_finish_in_time() -> None:
    async with running(is_open=False, drain_seconds=0.01) as harness:
        harness.member.publish(2)
        await harness.until(lambda: harness.processor.began)
        await harness.end()
        assert harness.member.commits == []
        assert not harness.processor.processed
        assert (harness.processor.ended, harness.processor.word) == (0, False)


async def test_a_clean_end_that_cannot_be_noted_is_an_end_all_the_same() -> None:
    async with running() as harness:
        harness.processor.end_failure = ConnectionRefusedError()
        await harness.end()
        assert (harness.processor.ended, harness.processor.word) == (0, True), "the next start is logged otherwise"


# --- records -----------------------------------------------------------------------------------------------------


def test_a_record_is_taken_byte_for_byte() -> None:
    record = record_of(message(9, partition=1, value=b"\x00"))
    assert (record.topic, record.partition, record.offset, record.timestamp_ms) == ("payments.webhooks", 1, 9, 1)
    assert (record.key, record.value, record.headers) == (KEYS[1], b"\x00", (("ce_id", b"\xff"),))


def test_split_by_bytes_keeps_the_order_and_lets_a_large_record_stand_alone() -> None:
    records = placed([standard("payment.created")] * 3)
    size = len(records[0].value or b"")
    assert [len(batch) for batch in split(records, size * 2)] == [2, 1]
    assert [len(batch) for batch in split(records, 1)] == [1, 1, 1]
    assert [one for batch in split(records, size * 2) for one in batch] == records
    assert list(split([], 1)) == []


# --- what comes while something is awaited ------------------------------------------------------------------------


@asynccontextmanager
async def two_wait_while_four_are_open(**limits: Any) -> AsyncIterator[Harness]:
    """Both workers have a share of the first four records; two more are fetched and wait for a worker."""
    settings = {"share_records_min": 3, "backoff_initial_seconds": 0.005} | limits
    async with running(is_open=False, member=Member(assigned={TP0}), **settings) as harness:
        harness.member.publish(4)
        await harness.until(lambda: harness.processor.began == 2)
        harness.member.publish(2)
        await harness.until(lambda: harness.member.positions[TP0] == 6)
        yield harness


async def test_what_was_fetched_and_not_begun_before_a_stop_is_not_committed() -> None:
    """A worker is free, and the stop came first: the next start has to find these records."""
    async with two_wait_while_four_are_open(drain_seconds=PATIENCE_SECONDS, commit_interval_seconds=60) as harness:
        harness.stop.set()
        harness.processor.gate.set()
        await harness.end()
        assert (harness.processor.processed, harness.member.committed) == ([0, 1, 2, 3], {TP0: 4})


async def test_what_was_fetched_and_not_begun_is_not_committed_with_what_is_done() -> None:
    async with two_wait_while_four_are_open() as harness:
        process, next_one = harness.processor.process, asyncio.Event()

        async def hold_what_waited(records: Sequence[Record]) -> bool:
            if records[0].offset >= 4:
                await next_one.wait()
            return await process(records)

        harness.processor.process = hold_what_waited  # type: ignore[method-assign]
        harness.processor.gate.set()
        await harness.until(lambda: TP0 in harness.member.committed)
        assert harness.member.commits[0] == {TP0: 4}
        next_one.set()
        await harness.until(lambda: harness.member.committed == {TP0: 6})


async def test_what_waits_for_a_worker_is_not_begun_while_its_partition_goes() -> None:
    """A worker gets free in the midst of the drain; its next owner would process the same beside us."""
    async with two_wait_while_four_are_open(drain_seconds=PATIENCE_SECONDS) as harness:
        harness.member.joined.clear()
        revoke = asyncio.create_task(harness.worker.on_partitions_revoked({TP0}))
        await asyncio.sleep(0)
        assert not revoke.done()
        harness.processor.gate.set()
        await revoke
        harness.member.assigned.clear()
        harness.member.joined.set()
        await harness.end()
        assert (harness.processor.processed, harness.member.committed) == ([0, 1, 2, 3], {TP0: 4})


class SlowCommits(Member):
    """Each commit takes until a test lets the next one through; `under_way` are those that do not end yet."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.turns, self.under_way = asyncio.Semaphore(0), 0

    async def commit(self, offsets: dict[TopicPartition, tuple[int, str]]) -> None:
        self.under_way += 1
        try:
            await self.turns.acquire()
        finally:
            self.under_way -= 1
        await super().commit(offsets)


async def test_one_commit_at_a_time_is_under_way() -> None:
    """Brokers may take two in either order: an older one would take the newer one's offset back."""
    member = SlowCommits(assigned={TP0})
    async with running(member=member, batch_records_max=1) as harness:
        for count in range(1, 4):
            member.publish(1)
            await harness.until(lambda count=count: len(harness.processor.processed) == count)
            polls = member.polls
            await harness.until(lambda polls=polls: member.polls > polls + 3)
            assert (member.under_way, member.commits) == (1, [])
        member.turns.release()
        await harness.until(lambda: member.commits and member.under_way)
        member.turns.release()
        await harness.until(lambda: member.committed == {TP0: 3})


async def test_the_last_commit_waits_for_the_one_under_way() -> None:
    member = SlowCommits(assigned={TP0})
    async with running(member=member, drain_seconds=PATIENCE_SECONDS) as harness:
        member.publish(1)
        await harness.until(lambda: member.under_way)
        member.publish(1)
        await harness.until(lambda: len(harness.processor.processed) == 2)
        harness.stop.set()
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert member.under_way == 1
        for _ in range(2):
            member.turns.release()
        await harness.end()
        assert [positions[TP0] for positions in member.commits] == [1, 2]


async def test_a_commit_that_is_not_answered_holds_no_rebalance_up() -> None:
    member = SlowCommits(assigned={TP0})
    limits = {"commit_interval_seconds": 60, "commit_timeout_seconds": 0.01, "drain_seconds": PATIENCE_SECONDS}
    async with running(member=member, is_open=False, **limits) as harness:
        member.publish(1)
        await harness.until(lambda: harness.processor.began)
        await harness.until(lambda: (task := harness.worker._poller.commit_task) is not None and task.done())
        revoke = asyncio.create_task(harness.worker.on_partitions_revoked({TP0}))
        await asyncio.sleep(0)
        harness.processor.gate.set()
        async with asyncio.timeout(PATIENCE_SECONDS / 2):
            await revoke
        assert (member.commits, harness.processor.processed, harness.processor.ended) == ([], [0], 1)


class Hanging(Own):
    """A database that takes connections and answers nothing to one question."""

    def __init__(self, question: str, noted: dict[Place, int] | None = None) -> None:
        super().__init__(noted or {})
        setattr(self, question, self._hang)
        self.asked = 0

    async def _hang(self, *_: object) -> None:
        self.asked += 1
        await asyncio.Event().wait()


async def test_a_note_of_offsets_that_is_not_answered_is_given_up() -> None:
    own, place = Hanging("note"), P0
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert not await Positions(own, 0.01).note({place: 4})


@pytest.mark.parametrize("error", [asyncpg.SerializationError(), asyncpg.LockNotAvailableError()])
async def test_a_note_of_offsets_that_another_is_in_the_way_of_is_made_later(error: Exception) -> None:
    """Raised in a task that nobody waits for it would take the offsets along."""
    assert not await Positions(Own(failures=[error]), PATIENCE_SECONDS).note({P0: 4})


async def test_a_note_of_offsets_that_can_not_be_made_at_all_ends_the_worker() -> None:
    """The task that makes it is nobody's: offsets would stay where they are, and nothing would say so."""
    async with running(own=Own(failures=[ZeroDivisionError()])) as harness:
        harness.member.publish(1)
        with pytest.raises(ZeroDivisionError):
            await harness.until(lambda: False)


@pytest.mark.parametrize("question", ["identity", "read", "begin_epoch"])
async def test_a_check_of_positions_that_is_not_answered_is_given_up_and_asked_again(question: str) -> None:
    own, member = Hanging(question, {P0: 1}), Member(assigned={TP0}, commits=[{TP0: 4}])
    positions = Positions(own, 0.01)
    positions.assigned({TP0})
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert not await positions.check(member)  # type: ignore[arg-type]
        assert not await positions.check(member)  # type: ignore[arg-type]
    assert (own.asked, positions.unchecked, member.positions[TP0]) == (2, {TP0}, 0)


async def test_an_end_that_can_not_be_noted_in_time_is_an_end_all_the_same() -> None:
    async with running(commit_timeout_seconds=0.01) as harness:

        async def hang(*, clean: bool) -> None:
            await asyncio.Event().wait()

        harness.processor.let_go = hang  # type: ignore[method-assign]
        await harness.end()
        assert (harness.processor.ended, harness.processor.word) == (0, True)


async def test_word_of_an_end_on_purpose_is_left_before_the_drain() -> None:
    """Who is killed in the midst of it was ended on purpose: no record is to blame."""
    async with running(is_open=False, drain_seconds=PATIENCE_SECONDS) as harness:
        harness.member.publish(2)
        await harness.until(lambda: harness.processor.began)
        harness.stop.set()
        await harness.until(lambda: harness.processor.word)
        assert not harness.task.done()
        harness.processor.gate.set()
        await harness.end()
        assert (harness.processor.word, harness.processor.ended) == (False, 1)


async def test_the_next_fetch_after_an_outage_takes_nothing_of_what_is_not_checked() -> None:
    """A rebalance in the midst of a paused poll brings a partition: to resume what was paused must not resume it."""
    own, member = Own({P0: 1}), Member(assigned={TP0})
    taking = poller.Poller(member, positions := Positions(own, PATIENCE_SECONDS), LIMITS, ())  # type: ignore[arg-type]
    with taking.paused():
        positions.assigned({TP0})
        taking.pause({TP0})
    assert member.paused == {TP0}
    taking.resume({TP0})
    assert member.paused == {TP0}
    assert await positions.check(member)  # type: ignore[arg-type]
    taking.resume({TP0})
    assert member.paused == set()


async def test_what_is_given_up_has_ended_when_that_is_noted() -> None:
    """A batch that still commits after the note would be another's work as well."""
    ended: list[str] = []
    async with running(is_open=False, drain_seconds=0.01) as harness:

        async def ends_slowly(_: Sequence[Record]) -> bool:
            harness.processor.began += 1
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.005)
                ended.append("batch")
            return True

        async def let_go(*, clean: bool) -> None:
            ended.append(f"noted, clean: {clean}")

        harness.processor.process, harness.processor.let_go = ends_slowly, let_go  # type: ignore[method-assign]
        harness.member.publish(1)
        await harness.until(lambda: harness.processor.began)
        await harness.end()
    assert ended == ["batch", "noted, clean: False"]


async def test_a_topic_made_anew_leaves_the_others_where_they_are() -> None:
    other = TopicPartition("payments.intents", 0)
    member = Member(assigned={TP0, other}, positions={TP0: 7, other: 9})
    taking = poller.Poller(member, Positions(Own(), PATIENCE_SECONDS), LIMITS, ())  # type: ignore[arg-type]
    taking.read_anew(TP0.topic)
    assert (member.positions, taking.offsets.take_ready()) == ({TP0: 0, other: 9}, {P0: 0})


async def test_the_offset_of_shares_is_that_of_the_last_record_whichever_share_has_it() -> None:
    async with running(is_open=False) as harness:
        first, second, third = (record_of(message(offset)) for offset in range(3))
        span = harness.worker._begin([[first, third], [second]])[P0]
        assert (span.next_offset, span.shares) == (3, 2)


async def test_no_record_is_touched_before_it_is_noted_where_its_partition_begins() -> None:
    """It may end the process: the next start would not know where this one had begun."""
    async with running() as harness:
        harness.processor.is_normal = False
        harness.processor.begin_gate.clear()
        harness.member.publish(2)
        await harness.until(lambda: harness.processor.beginning)
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert harness.processor.began == 0
        harness.processor.begin_gate.set()
        await harness.until(lambda: harness.processor.batches == [[0], [1]])


@asynccontextmanager
async def new_ones_wait_for_an_open_batch() -> AsyncIterator[Harness]:
    """One batch is open; records of a partition that has not begun are fetched and wait for its end."""
    async with running(is_open=False, share_records_min=9, drain_seconds=PATIENCE_SECONDS) as harness:
        harness.member.publish(1)
        await harness.until(lambda: harness.processor.began == 1)
        harness.processor.is_normal = False
        harness.member.publish(2, partition=1)
        await harness.until(lambda: harness.member.positions[TP1] == 2)
        for _ in range(20):
            await asyncio.sleep(0.001)
        yield harness


async def test_a_partition_begins_with_nothing_beside_it() -> None:
    """What is beside it may be what kills: the note would name the wrong place."""
    async with new_ones_wait_for_an_open_batch() as harness:
        assert (harness.processor.beginning, harness.processor.began) == (0, 1)
        harness.processor.gate.set()
        await harness.until(lambda: harness.processor.batches == [[0], [0], [1]])


async def test_no_partition_begins_that_went_while_it_waited() -> None:
    """Noted as ours it would count as our unclean end at its next owner's, and a record would be blamed for it."""
    async with new_ones_wait_for_an_open_batch() as harness:
        harness.member.joined.clear()
        revoke = asyncio.create_task(harness.worker.on_partitions_revoked({TP0, TP1}))
        await asyncio.sleep(0)
        harness.processor.gate.set()
        await revoke
        harness.member.assigned.clear()
        harness.member.joined.set()
        polls = harness.member.polls
        await harness.until(lambda: harness.member.polls > polls + 1)
        assert (harness.processor.beginning, harness.processor.batches) == (0, [[0]])


async def test_a_partition_is_let_go_once_nothing_of_it_is_in_hand() -> None:
    """A note that is taken back before would leave the end of this very batch without one."""
    async with running(is_open=False, drain_seconds=PATIENCE_SECONDS) as harness:
        harness.member.publish(2)
        await harness.until(lambda: harness.processor.began)
        revoke = asyncio.create_task(harness.worker.on_partitions_revoked({TP0, TP1}))
        for _ in range(20):
            await asyncio.sleep(0.001)
        assert (harness.processor.ended, harness.processor.forgotten) == (0, 0)
        harness.processor.gate.set()
        await revoke
        assert (harness.processor.ended, harness.processor.forgotten) == (1, 1)
        assert harness.member.committed == {TP0: 2}


# --- the lag, and what is no standstill ----------------------------------------------------------------------------


async def test_lag_is_what_could_be_read_now() -> None:
    """Nothing behind an open transaction, nothing of a halted partition: a restart would read neither."""
    async with running(is_open=False) as harness:
        harness.processor.since = 1.0
        harness.worker.note_ends({TP0: Ends(0, stable=4, high=9), TP1: Ends(0, 5, 5)})
        assert harness.worker.lag == 4 + 5
        harness.processor.halted[P1] = "too many"
        harness.worker.note_ends({TP0: Ends(0, stable=4, high=9), TP1: Ends(0, 5, 5)})
        assert harness.worker.lag == 4


@pytest.mark.parametrize(
    ("ends", "unknown"),
    [({TP0: Ends(2, 5, 5), TP1: Ends(0, 4, 4)}, 2), ({TP0: Ends(5, 5, 5), TP1: Ends(0, 4, 4)}, 1)],
    ids=["both hold records", "one is empty"],
)
async def test_partitions_whose_position_stays_unknown_are_not_taken_for_read(
    ends: dict[TopicPartition, Ends], unknown: int
) -> None:
    """A client that fetches no more never learns where a new assignment goes on: counted as no lag, nobody notices."""
    async with running(is_open=False) as harness:
        harness.processor.since = 1.0
        harness.member.unknown = True
        before = harness.worker.progress_at
        harness.worker.note_ends(ends)
        assert (harness.worker.lag, harness.worker.unknown, harness.worker.progress_at) == (0, unknown, before)
        harness.processor.halted |= {P0: "too many", P1: "too many"}
        harness.worker.note_ends(ends)
        assert (harness.worker.unknown, harness.worker.progress_at > before) == (0, True)


@pytest.mark.parametrize("question", ["identity", "read"])
async def test_a_check_of_positions_that_waits_for_postgres_is_no_standstill(question: str) -> None:
    """While Postgres is away no position can be checked, and no restart would mend that."""
    own = Hanging(question, {P0: 1})
    async with running(own=own, member=Member(assigned={TP0}), check_seconds=0.01) as harness:
        assert not harness.worker.waits_for_postgres
        await harness.worker.on_partitions_assigned({TP0})
        harness.worker.progress_at = 0.0
        await harness.until(lambda: harness.worker.progress_at > 0.0)
        assert harness.worker.waits_for_postgres


async def test_a_check_of_positions_for_which_the_client_never_answers_is_a_standstill() -> None:
    """Who watches over it asks Kafka itself: where that answers, this client is broken, and a new one is not."""
    member = Member(assigned={TP0}, coordinator_answers=False)
    async with running(member=member, check_seconds=0.01) as harness:
        await harness.worker.on_partitions_assigned({TP0})
        harness.worker.progress_at, polls = 0.0, member.polls
        await harness.until(lambda: member.polls > polls + 3)
        assert (harness.worker.progress_at, harness.worker.waits_for_postgres) == (0.0, False)


@pytest.mark.parametrize("name", ["fetching", "asking"])
async def test_a_client_of_which_a_task_has_ended_ends_the_consumer(name: str) -> None:
    """It goes on answering polls, with nothing, for ever."""
    loop = asyncio.get_running_loop()
    ended = {name: loop.create_future()}
    async with running(member=Member(**ended)) as harness:
        harness.member.publish(1)
        await harness.until(lambda: harness.processor.processed == [0])
        ended[name].set_exception(RuntimeError("the handler is closed"))
        with pytest.raises(UnavailableError, match=r"has ended: RuntimeError.*handler is closed.*started again"):
            await harness.until(lambda: False)


async def test_a_task_of_the_client_that_was_cancelled_has_ended_too() -> None:
    member = Member(fetching=asyncio.get_running_loop().create_future())
    assert ended_task(member) is None  # type: ignore[arg-type]
    assert member.fetching is not None
    member.fetching.cancel()
    assert ended_task(member) == "the client's task that fetches has ended: it was cancelled"  # type: ignore[arg-type]


async def test_while_positions_can_not_be_checked_the_client_is_polled() -> None:
    """It leaves the group otherwise, and an outage of Postgres ends in a rebalance."""
    own = Own(failures=[OSError("away")] * 50)
    async with running(own=own, member=Member(assigned={TP0})) as harness:
        await harness.worker.on_partitions_assigned({TP0})
        polls = harness.member.polls
        await harness.until(lambda: not own.failures)
        assert harness.member.polls >= polls + 49


async def test_a_new_assignment_is_progress_and_shows_no_lag_of_the_one_before() -> None:
    """The group may have been joining for long: a restart would make it join anew, and another tells of the rest."""
    async with running() as harness:
        metrics.CONSUMER_LAG.labels("payments.webhooks", "1").set(7)
        await harness.worker.on_partitions_revoked({TP0, TP1})
        assert metrics.CONSUMER_LAG._metrics == {}
        assert metrics.PARTITIONS_ASSIGNED._value.get() == 0
        harness.worker.progress_at = 0.0
        await harness.worker.on_partitions_assigned({TP0, TP1})
        assert harness.worker.progress_at > 0.0
        assert metrics.PARTITIONS_ASSIGNED._value.get() == 2


# --- the poller by itself -----------------------------------------------------------------------------------------


def polling(member: Member, halted: Iterable[Place] = (), **limits: Any) -> poller.Poller:
    settings = LIMITS.model_copy(update=limits)
    return poller.Poller(member, Positions(Own(), PATIENCE_SECONDS), settings, list(halted))  # type: ignore[arg-type]


class Knowing(Member):
    """A member that knows how many partitions the topic has, and counts how often it was asked to join anew."""

    rejoins = 0

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {0, 1} if topic == TP0.topic else None

    def request_rejoin(self) -> None:
        self.rejoins += 1


def test_the_group_is_joined_anew_where_all_that_is_missing_is_known() -> None:
    """Joined for one that is not known yet, the leader would share out without it, again and again."""
    member = Knowing()
    unknown = TopicPartition(TP0.topic, 2), TopicPartition("payments.intents", 0)
    assert [polling(member).rejoin({TP0, one}) for one in unknown] == [False, False]
    assert member.rejoins == 0
    assert polling(member).rejoin({TP0, TP1})
    assert member.rejoins == 1


async def test_a_beginning_that_can_not_be_asked_is_asked_for_later() -> None:
    class Mute(Truncated):
        async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
            if self.failures:
                raise self.failures.pop(0)
            return await super().beginning_offsets(partitions)

    member = Mute(assigned={TP0}, failures=[KafkaError()])
    member.publish(6)
    taking = polling(member)
    assert await taking.fetch() == []
    assert (member.positions[TP0], taking.offsets.take_ready()) == (0, {})
    assert await taking.fetch() == []
    assert (member.positions[TP0], taking.offsets.take_ready()) == (3, {P0: 3})


@pytest.mark.parametrize(
    ("error", "wanted"), [(OffsetOutOfRangeError({TP0: 1}), 1), (NoOffsetForPartitionError(TP0), None)]
)
async def test_a_partition_that_is_new_to_the_group_skips_nothing(
    monkeypatch: pytest.MonkeyPatch, error: Exception, wanted: int | None
) -> None:
    """Reported as one that was cut it would raise an alert of lost records."""
    reported: list[Any] = []
    monkeypatch.setattr(poller, "report_restart", lambda *what: reported.append(what))
    await polling(Truncated(assigned={TP0}, error=lambda _: error)).fetch()
    assert reported == [(TP0, wanted, 3)]


@pytest.mark.parametrize(
    ("wanted", "event", "level", "skipped"),
    [
        (None, "partition_begun", "info", 0),
        (4, "records_skipped", "error", 5),
        (12, "offset_beyond_end", "error", 0),
    ],
)
def test_where_a_partition_goes_on_elsewhere_it_is_logged_what_that_loses(
    wanted: int | None, event: str, level: str, skipped: int
) -> None:
    count = metrics.RECORDS_SKIPPED.labels("payments.webhooks", "1")._value
    before = count.get()
    with capture_logs() as lines:
        report_restart(TP1, wanted, 9)
    assert [(line["event"], line["log_level"]) for line in lines] == [(event, level)]
    assert count.get() - before == skipped


def test_a_halted_partition_that_went_is_not_paused() -> None:
    """The client refuses to pause what it does not have, and that would end the consumer."""
    member = Member(assigned={TP1})
    polling(member).pause([TP0, TP1])
    assert member.paused == {TP1}


async def test_a_position_that_the_client_can_not_tell_is_none() -> None:
    class Lost(Member):
        async def position(self, partition: TopicPartition) -> int:
            if partition == TP0:
                raise IllegalStateError("lost meanwhile")
            await asyncio.sleep(0)
            return await super().position(partition)

    assert polling(Lost()).positions() == {}


async def test_a_fetch_takes_what_all_workers_together_may_have() -> None:
    asked: list[int | None] = []

    class Asking(Member):
        async def getmany(self, *, timeout_ms: int, max_records: int | None = None) -> dict[Any, list[ConsumerRecord]]:
            asked.append(max_records)
            return await super().getmany(timeout_ms=timeout_ms, max_records=max_records)

    taking = polling(Asking(), batch_records_max=5, batches_in_flight_max=3)
    taking._polled_at = 0.0
    await taking.fetch()
    assert asked == [15]
    assert taking.quiet_seconds < PATIENCE_SECONDS


async def test_the_last_commit_has_what_was_read_and_is_no_record() -> None:
    """What ends a transaction stands behind its last record: left out, the group would seem to lag for ever."""
    member = Member(assigned={TP0}, positions={TP0: 5})
    await polling(member).commit_all()
    assert member.committed == {TP0: 5}
