"""A partition whose leader is out of reach: the others' records go once, and what went is reported."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import MessageSizeTooLargeError, RequestTimedOutError
from aiokafka.producer.message_accumulator import BatchBuilder

from producers.relay import destination as destinations
from producers.relay import lanes
from producers.relay import loop as loops
from producers.relay.destination import Destination, PartlyPublishedError
from producers.relay.lanes import LEFT_SECONDS, Batch, SpoolLane
from producers.relay.loop import LaneHealth, LaneLoop
from producers.relay.records import RelayedRecord
from producers.relay.role import watch_health
from runtime.health import Probe
from runtime.kafka_partitions import partition_of
from runtime.lease import Lease
from runtime.settings import KafkaSettings, Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from collections.abc import Set as AbstractSet

pytestmark = pytest.mark.unit

KEYS = {partition: b"%d" % number for number in range(20) for partition in [partition_of(b"%d" % number, 3)]}


class PaperProducer:
    """Takes batches of three partitions; of those that are silent the client says so, or waits for ever (`hangs`).

    Others refuse what they get.
    """

    def __init__(self, silent: set[int], taken: list[int], refusing: AbstractSet[int], *, hangs: bool = False) -> None:
        self.silent, self.taken, self.refusing, self.hangs = silent, taken, refusing, hangs

    async def partitions_for(self, _topic: str) -> set[int]:
        return {0, 1, 2}

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(16_384, 0)

    async def send_batch(self, _batch: BatchBuilder, _topic: str, *, partition: int) -> Any:
        self.taken.append(partition)
        ack = asyncio.get_running_loop().create_future()
        if partition in self.refusing:
            ack.set_exception(MessageSizeTooLargeError())
        elif partition not in self.silent:
            ack.set_result(None)
        elif not self.hangs:
            ack.set_exception(RequestTimedOutError())
        return ack

    async def stop(self) -> None:
        pass


class SpoolOfThree:
    """Holds three rows, a partition each; `left` is what each read leaves out."""

    def __init__(self) -> None:
        self.left: list[list[int]] = []
        self.deleted: list[list[int]] = []

    async def fetch(self, _sql: str, *arguments: Any) -> list[dict[str, Any]]:
        self.left.append(arguments[-1])
        names = {"header_names": [], "header_values": []}
        return [{"id": 10 + n, "topic": "t", "key": KEYS[n], "value": b"v", **names} for n in range(3)]

    async def fetchval(self, _sql: str, ids: list[int], *_: Any) -> bool:
        self.deleted.append(ids)
        return True


def record_of(partition: int) -> RelayedRecord:
    return RelayedRecord("t", KEYS[partition], b"v", (), 0, 0)


@pytest.fixture
def destination_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Destination, list[int]]]:
    def make(silent: set[int], refusing: AbstractSet[int] = frozenset()) -> tuple[Destination, list[int]]:
        taken: list[int] = []

        async def opened(*_: Any, **__: Any) -> PaperProducer:
            return PaperProducer(silent, taken, refusing)

        monkeypatch.setattr(destinations, "open_producer", opened)
        return Destination(KafkaSettings(bootstrap="127.0.0.1:1", publish_timeout_seconds=10.0)), taken

    return make


async def test_it_tells_what_was_acknowledged_where_a_partition_did_not_answer(destination_to: Any) -> None:
    silent = {1}
    destination, taken = destination_to(silent)
    with pytest.raises(PartlyPublishedError) as raised:
        await destination.publish([record_of(1), record_of(0), record_of(2), record_of(0)])
    assert raised.value.acknowledged == {1, 2, 3}
    assert sorted(taken) == [0, 1, 2]
    taken.clear()
    with pytest.raises(PartlyPublishedError, match="t/1 did not answer") as raised:
        await destination.publish([record_of(1), record_of(0)])
    assert (raised.value.acknowledged, taken) == ({1}, [0]), "it is not waited for again"
    silent.clear()
    assert await destination.publish([record_of(1)]) == [], "where there is nothing else to do, it is asked"
    assert await destination.publish([record_of(0), record_of(2)]) == []


async def test_a_partition_that_did_not_answer_is_asked_again_in_its_time(
    destination_to: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left alone for good while others have work, its records would wait until the relay is restarted."""
    silent, now = {1}, time.monotonic()
    destination, taken = destination_to(silent)
    monkeypatch.setattr(destinations, "time", SimpleNamespace(monotonic=lambda: now))
    with pytest.raises(PartlyPublishedError):
        await destination.publish([record_of(1), record_of(0)])
    silent.clear()
    now += destinations.AWAY_SECONDS - 0.1
    with pytest.raises(PartlyPublishedError, match="t/1 did not answer"):
        await destination.publish([record_of(1), record_of(0)])
    taken.clear()
    now += 0.2
    assert await destination.publish([record_of(1), record_of(0)]) == []
    assert sorted(taken) == [0, 1]


async def test_a_record_goes_to_the_partition_of_its_key_in_its_own_topic_and_without_one_to_its_spread() -> None:
    """Another partition, and what changed last overtakes what changed before; an empty key is one."""

    class Topics:
        async def partitions_for(self, topic: str) -> set[int]:
            await asyncio.sleep(0)
            return set(range({"t": 3, "wide": 7}[topic]))

    other = partition_of(b"", 3) + 1
    given = [("t", None, 5), ("t", b"", other), ("wide", b"k", 0), ("t", None, 4), ("wide", None, 6), ("t", None, 2)]
    records = [RelayedRecord(topic, key, b"v", (), 0, spread) for topic, key, spread in given]
    ways = await destinations._ways_of(Topics(), records)  # type: ignore[arg-type]
    found = {(way.topic, way.partition, index) for way in ways for piece in way.pieces for index in piece}
    assert found == {
        ("t", 2, 0), ("t", partition_of(b"", 3), 1), ("wide", partition_of(b"k", 7), 2), ("t", 1, 3), ("wide", 6, 4),
        ("t", 2, 5),
    }  # fmt: skip
    assert next(list(way.pieces[0]) for way in ways if (way.topic, way.partition) == ("t", 2))[-1] == 5, "in order"


async def test_an_error_that_is_none_of_kafka_s_is_no_acknowledgement(monkeypatch: pytest.MonkeyPatch) -> None:
    """Swallowed, all records of its partition would count as published, and the cursor would pass them."""

    class Broken(PaperProducer):
        async def send_batch(self, *_: Any, **__: Any) -> Any:
            await asyncio.sleep(0)
            raise ValueError("a bug of the client")

    async def opens(*_: Any, **__: Any) -> PaperProducer:
        return Broken(set(), [], frozenset())

    monkeypatch.setattr(destinations, "open_producer", opens)
    with pytest.raises(ValueError, match="a bug of the client"):
        await Destination(KafkaSettings(bootstrap="127.0.0.1:1")).publish([record_of(1), record_of(0)])


async def test_a_partition_is_left_alone_in_its_own_topic(destination_to: Any) -> None:
    """The spool's rows are of several topics, whose partitions have other leaders."""
    destination, taken = destination_to(set())
    destination._away = {("u", 1): time.monotonic() + 60.0}
    with pytest.raises(PartlyPublishedError, match="u/1 did not answer") as raised:
        await destination.publish([record_of(1), record_of(1)._replace(topic="u"), record_of(0)])
    assert (raised.value.acknowledged, sorted(taken)) == ({0, 2}, [0, 1])


@pytest.mark.parametrize("refusing", [frozenset(), frozenset({0})])
async def test_answers_are_waited_for_as_long_as_is_set(
    destination_to: Any, monkeypatch: pytest.MonkeyPatch, refusing: AbstractSet[int]
) -> None:
    """Once for all partitions together, and behind a refusal once a batch, so that none is without a bound."""
    bounds: list[float | None] = []

    @asynccontextmanager
    async def bounded(seconds: float | None, _what: str) -> AsyncIterator[None]:
        bounds.append(seconds)
        yield

    monkeypatch.setattr(destinations, "unavailable_after", bounded)
    destination, _ = destination_to(set(), refusing)
    await destination.publish([record_of(0), record_of(0), record_of(1)])
    assert bounds == [10.0, None, None, *[10.0] * 2 * len(refusing)]


def test_a_record_goes_into_its_batch_whole() -> None:
    """A dead letter keeps its time; the reader of a letter needs its headers in their order, nulls and all."""
    appended: list[dict[str, Any]] = []

    class Whole:
        def create_batch(self) -> Whole:
            return self

        def append(self, **what: Any) -> object:
            appended.append(what)
            return self

        def close(self) -> None:
            pass

    headers = (("b", b"2"), ("a", None), ("b", b""))
    given = RelayedRecord("t", b"k", b"v", headers, 1_767_000_000_000, 0)
    assert destinations._fill(Whole(), [given, given._replace(key=None, value=None, timestamp_ms=None)])[1] == 2  # type: ignore[arg-type]
    assert appended == [
        {"timestamp": 1_767_000_000_000, "key": b"k", "value": b"v", "headers": list(headers)},
        {"timestamp": None, "key": None, "value": None, "headers": list(headers)},
    ]


async def test_where_nobody_answers_it_is_a_plain_outage(destination_to: Any) -> None:
    destination, _ = destination_to({0, 1, 2})
    with pytest.raises(UnavailableError) as raised:
        await destination.publish([record_of(1), record_of(0)])
    assert not isinstance(raised.value, PartlyPublishedError)


@pytest.mark.parametrize("refused_first", [False, True])
async def test_who_is_ended_while_it_publishes_leaves_no_producer_open(
    monkeypatch: pytest.MonkeyPatch, *, refused_first: bool
) -> None:
    """A relay that lost its lease must not go on sending beside the next one."""
    opened: list[PaperProducer] = []
    closed: list[PaperProducer] = []
    sent: list[int] = []

    async def opens(*_: Any, **__: Any) -> PaperProducer:
        refuses = refused_first and not opened
        opened.append(PaperProducer(set() if refuses else {1}, sent, {1} if refuses else frozenset(), hangs=True))
        return opened[-1]

    async def closes(producer: PaperProducer, _seconds: float) -> None:
        closed.append(producer)

    monkeypatch.setattr(destinations, "open_producer", opens)
    monkeypatch.setattr(destinations, "close_producer", closes)
    destination = Destination(KafkaSettings(bootstrap="127.0.0.1:1"))
    publishing = asyncio.create_task(destination.publish([record_of(1), record_of(1)]))
    async with asyncio.timeout(5):
        while len(sent) < 1 + refused_first:  # noqa: ASYNC110 - the producer has no event
            await asyncio.sleep(0)
    publishing.cancel()
    await asyncio.wait([publishing])
    assert publishing.cancelled()
    assert closed == opened
    await destination.close()
    assert closed == opened, "each once"


async def test_the_spool_reads_past_the_rows_of_the_partition_that_did_not_answer(destination_to: Any) -> None:
    settings, spool = Settings(), SpoolOfThree()
    lane = SpoolLane(settings.relay)
    loop = LaneLoop(lane, None, settings, LaneHealth())  # type: ignore[arg-type]
    loop._destination, _ = destination_to({1})
    with pytest.raises(PartlyPublishedError):
        await loop.turn(spool, Lease("relay", "me", 1))  # type: ignore[arg-type]
    await lane.read(spool)  # type: ignore[arg-type]
    assert (spool.deleted, spool.left) == ([[10, 12]], [[], [11]])


async def test_rows_of_batch_after_batch_are_read_past_each_for_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[list[int]] = []

    class NoRows:
        """Notes what a read leaves out."""

        async def fetch(self, _sql: str, *arguments: Any) -> list[dict[str, Any]]:
            left.append(sorted(arguments[-1]))
            return []

    async def read_at(moment: float) -> list[int]:
        monkeypatch.setattr(lanes, "time", SimpleNamespace(monotonic=lambda: moment))
        assert await lane.read(NoRows()) is None  # type: ignore[arg-type]
        return left[-1]

    lane = SpoolLane(Settings().relay)
    assert await read_at(100.0) == []
    lane.leave([1, 2])
    assert await read_at(102.0) == [1, 2]
    lane.leave(iter([3, 4]))
    assert await read_at(104.0) == [1, 2, 3, 4], "one partition may hold more than a batch"
    assert await read_at(100.0 + LEFT_SECONDS) == [3, 4]
    lane.leave([5])
    assert await read_at(101.0 + LEFT_SECONDS) == [3, 4, 5]
    assert await read_at(100.0 + 2 * LEFT_SECONDS) == []
    monkeypatch.setattr(lanes, "LEFT_ROWS_MAX", 3)
    lane.leave([1, 2])
    lane.leave([3, 4])
    assert await read_at(101.0 + 2 * LEFT_SECONDS) == [1, 2, 3], "what waits beyond the bound is read anew"


async def test_partitions_that_fall_silent_one_after_the_other_are_all_left_alone(destination_to: Any) -> None:
    silent = {1}
    destination, taken = destination_to(silent)
    for newly in (1, 2):
        silent.add(newly)
        with pytest.raises(PartlyPublishedError):
            await destination.publish([record_of(1), record_of(2), record_of(0)])
    taken.clear()
    with pytest.raises(PartlyPublishedError, match="t/1, t/2 did not answer") as raised:
        await destination.publish([record_of(1), record_of(2), record_of(0)])
    assert (raised.value.acknowledged, taken) == ({2}, [0])


async def test_what_was_left_alone_is_not_taken_for_published_where_a_record_is_refused(destination_to: Any) -> None:
    destination, taken = destination_to({1}, refusing={2})
    with pytest.raises(PartlyPublishedError):
        await destination.publish([record_of(1), record_of(0)])
    with pytest.raises(PartlyPublishedError, match="t/1 did not answer") as raised:
        await destination.publish([record_of(1), record_of(2), record_of(0)])
    assert raised.value.acknowledged == {2}, "neither the one that was left alone nor the one that was refused"
    assert taken.count(1) == 1
    settings, spool = Settings(), SpoolOfThree()
    loop = LaneLoop(SpoolLane(settings.relay), None, settings, LaneHealth())  # type: ignore[arg-type]
    loop._destination = destination
    with pytest.raises(PartlyPublishedError):
        await loop.turn(spool, Lease("relay", "me", 1))  # type: ignore[arg-type]
    assert spool.deleted == [[10]], "the rows of the others stay"


async def test_each_connection_is_asked_whose_ids_it_has_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a fail-over it may be another database: its rows must not go out under the epoch of the one before."""
    done: list[str] = []
    ending = asyncio.Event()

    class Dying:
        """A pool, its connection, and a lane that reads nothing but that the connection is gone."""

        name, compression, seconds = "changes", None, 0.0

        @asynccontextmanager
        async def acquire(self, **_: Any) -> AsyncIterator[Dying]:
            done.append("connected")
            yield self

        async def read(self, *_: Any) -> None:
            done.append("read")
            if done.count("read") == 3:
                ending.set()
            raise ConnectionResetError

    async def check(*_: Any) -> None:
        done.append("checked")

    monkeypatch.setattr(loops, "check_cluster", check)
    monkeypatch.setattr(loops, "pause_seconds", lambda *_: 0.0)
    lane = Dying()
    loop = LaneLoop(lane, lane, Settings(), LaneHealth())  # type: ignore[arg-type]
    await asyncio.wait_for(loop.run(Lease("relay", "me", 1), ending), 5)
    assert done == ["connected", "checked", "read"] * 3


def test_a_part_of_a_batch_has_the_marks_of_its_records() -> None:
    records = [record_of(0), record_of(1), record_of(2)]
    part = Batch(3, records, [10, 11, 12], more=True, divisible=True).part({2, 0})
    assert (part.rows, part.records, part.mark) == (2, [records[0], records[2]], [10, 12])


def test_a_relay_that_leads_no_more_is_not_unready_for_what_failed_in_its_term() -> None:
    probe, health = Probe("relay"), {"changes": LaneHealth()}
    watch_health(probe, health, {}, 20.0)
    health["changes"].failed("changes: TooManyConnectionsError", halted=True)
    assert probe.unready is not None
    assert probe.unready()
    health["changes"].rest()
    assert probe.unready() is None
    assert not health["changes"].halted
