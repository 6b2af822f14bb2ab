"""A round of a relay: what is sent in which order, what a failure or a cancellation leaves, and what is marked then."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError, MessageSizeTooLargeError
from structlog.testing import capture_logs
from waiting import until

from producers.relay import destination as destinations
from producers.relay import loop as loops
from producers.relay import role as roles
from producers.relay.cluster import RelayHaltedError
from producers.relay.destination import AWAY_SECONDS, Destination, PartlyPublishedError
from producers.relay.lanes import Batch, CursorLane, CursorMove
from producers.relay.loop import LaneHealth, LaneLoop
from producers.relay.records import RelayedRecord
from producers.relay.role import watch_health
from runtime import metrics
from runtime.health import Probe
from runtime.lease import Lease
from runtime.settings import KafkaSettings, RelaySettings, Settings
from schemas.errors import LeaseLostError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

pytestmark = pytest.mark.unit

LEASE = Lease("relay", "me", 1)
PARTITIONS = 4
IN_A_BATCH = 3
PATIENCE_SECONDS = 10.0
"""More than a machine that is full takes for what answers at once."""


def record(value: bytes, spread: int = 0) -> RelayedRecord:
    return RelayedRecord("t", None, value, (), 0, spread)


class ShortBatch:
    """Takes three records."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, value: bytes, **_: Any) -> object | None:
        if len(self.values) == IN_A_BATCH:
            return None
        self.values.append(value)
        return self

    def close(self) -> None:
        pass


class Broker:
    """Takes batches, each some turns of the loop later; refuses those with a bad record; never answers for `silent`."""

    def __init__(self) -> None:
        self.silent: set[bytes] = set()
        self.lost: set[bytes] = set()
        self.late: set[bytes] = set()
        self.taken: list[tuple[int, list[bytes]]] = []
        self.opened: list[bool] = []
        self.closed: list[int] = []
        self.asked = asyncio.Event()

    def values_of(self, partition: int) -> list[bytes]:
        return [value for at, values in self.taken if at == partition for value in values]

    async def open(self, *_: Any, idempotent: bool = True, **__: Any) -> OpenProducer:
        await asyncio.sleep(0)
        self.opened.append(idempotent)
        return OpenProducer(self, len(self.opened))


class OpenProducer:
    def __init__(self, broker: Broker, number: int) -> None:
        self.broker, self.number = broker, number

    async def partitions_for(self, _topic: str) -> set[int]:
        await asyncio.sleep(0)
        return set(range(PARTITIONS))

    def create_batch(self) -> ShortBatch:
        return ShortBatch()

    async def send_batch(self, batch: ShortBatch, _topic: str, *, partition: int) -> Any:
        assert self.number not in self.broker.closed
        return asyncio.ensure_future(self._answer(batch.values, partition))

    async def _answer(self, values: list[bytes], partition: int) -> None:
        self.broker.asked.set()
        for _ in range(20 if self.broker.late & set(values) else 3):
            await asyncio.sleep(0)
        if self.broker.silent & set(values):
            await asyncio.Event().wait()
        if self.broker.lost & set(values):
            raise KafkaConnectionError
        if any(value.startswith(b"bad") for value in values):
            raise MessageSizeTooLargeError
        self.broker.taken.append((partition, values))

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.broker.closed.append(self.number)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    found = Broker()
    monkeypatch.setattr(destinations, "open_producer", found.open)
    return found


@pytest.fixture
def destination(broker: Broker) -> Destination:
    return Destination(KafkaSettings(bootstrap="127.0.0.1:1", publish_timeout_seconds=PATIENCE_SECONDS))


def wait_for(destination: Destination, seconds: float) -> None:
    """Let it wait for answers for so long."""
    destination._settings = KafkaSettings(bootstrap="127.0.0.1:1", publish_timeout_seconds=seconds)


async def test_what_one_batch_does_not_take_goes_with_the_next_in_order(
    destination: Destination, broker: Broker
) -> None:
    values = [b"%d" % number for number in range(8)]
    assert await destination.publish([record(value) for value in values]) == []
    assert [one for _, one in broker.taken] == [values[:3], values[3:6], values[6:]]
    assert await destination.publish([record(b"9")]) == []
    assert (broker.opened, broker.closed) == ([True], [])
    await destination.close()
    assert broker.closed == [1]


async def test_a_record_without_a_key_stays_on_its_partition_s_number(destination: Destination, broker: Broker) -> None:
    await destination.publish([record(b"a", 2), record(b"b", PARTITIONS + 1), record(b"c", 2)])
    assert (broker.values_of(2), broker.values_of(1)) == ([b"a", b"c"], [b"b"])


async def test_of_what_a_batch_did_not_take_nothing_counts_as_acknowledged(
    destination: Destination, broker: Broker
) -> None:
    broker.lost.add(b"4")
    with pytest.raises(PartlyPublishedError) as raised:
        await destination.publish([record(b"%d" % number) for number in range(6)])
    assert raised.value.acknowledged == {0, 1, 2}
    assert (broker.opened, broker.closed) == ([True], [1])


async def test_a_partition_that_fails_is_reported_when_the_others_have_answered(
    destination: Destination, broker: Broker
) -> None:
    broker.lost.add(b"a")
    broker.late.add(b"b")
    with pytest.raises(PartlyPublishedError) as raised:
        await destination.publish([record(b"a", 1), record(b"b", 2)])
    assert raised.value.acknowledged == {1}


@pytest.mark.parametrize("bad", [{0}, {1}, {2}, {4}, {7}, {0, 1}, {1, 3, 7}, {6, 7}])
async def test_around_what_is_refused_the_others_go_in_their_order(
    destination: Destination, broker: Broker, bad: set[int]
) -> None:
    values = [b"bad %d" % number if number in bad else b"%d" % number for number in range(8)]
    refused = await destination.publish([record(value) for value in values])
    assert [refusal.place for refusal in refused] == sorted(bad)
    assert broker.values_of(0) == [value for place, value in enumerate(values) if place not in bad]
    assert (broker.opened, broker.closed) == ([True, False], [1, 2]), "a gap in the numbers would stop what follows"
    await destination.publish([record(b"next")])
    assert broker.opened == [True, False, True]


async def test_after_a_refusal_a_broker_that_falls_silent_is_waited_for_as_long_as_ever(
    destination: Destination, broker: Broker
) -> None:
    wait_for(destination, 0.3)
    broker.silent.add(b"4")
    with pytest.raises(UnavailableError, match="no answer in"):
        async with asyncio.timeout(5):
            await destination.publish([record(b"bad" if number == 1 else b"%d" % number) for number in range(5)])
    assert broker.closed == [1, 2]


@pytest.mark.parametrize("how", ["cancelled", "silent", "lost"])
async def test_a_producer_that_failed_is_closed_before_that_is_known_and_never_used_again(
    destination: Destination, broker: Broker, how: str
) -> None:
    """What it still holds would go out beside, or behind, what is published next."""
    if how == "lost":
        broker.lost.add(b"a")
    else:
        broker.silent.add(b"a")
        wait_for(destination, 0.05)
    publishing = asyncio.create_task(destination.publish([record(b"a")]))
    if how == "cancelled":
        await broker.asked.wait()
        publishing.cancel()
    with pytest.raises(asyncio.CancelledError if how == "cancelled" else UnavailableError):
        await publishing
    assert broker.closed == [1]
    wait_for(destination, PATIENCE_SECONDS)
    assert await destination.publish([record(b"b")]) == []
    assert broker.opened == [True, True]


async def test_a_partition_that_was_left_alone_is_asked_again_in_time(
    destination: Destination, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(destinations, "time", SimpleNamespace(monotonic=lambda: now[0]))
    broker.lost.add(b"a")
    both = [record(b"a", 1), record(b"b", 2)]
    for _ in range(2):
        with pytest.raises(PartlyPublishedError):
            await destination.publish(both)
    broker.lost.clear()
    now[0] += AWAY_SECONDS
    assert await destination.publish(both) == []


class PaperLane:
    """A lane of batches as given; what it is asked, and what it marks, is noted."""

    name, compression = "changes", None

    def __init__(self, *batches: Batch) -> None:
        self.batches = list(batches)
        self.behind: list[Batch | None] = []
        self.finished: list[tuple[Batch, list[int]]] = []

    async def read(self, _connection: object, behind: Batch | None = None) -> Batch | None:
        await asyncio.sleep(0)
        self.behind.append(behind)
        return self.batches.pop(0) if self.batches else None

    def reduced(self, record: RelayedRecord, _error: Exception) -> RelayedRecord | None:
        shorter = (record.value or b"").removeprefix(b"bad ")
        return None if shorter == record.value else record._replace(value=shorter)

    async def finish(self, _connection: object, batch: Batch, _lease: Lease, refused: Any) -> None:
        await asyncio.sleep(0)
        self.finished.append((batch, sorted(refused)))


class PaperPool:
    """Its connections are itself."""

    def __init__(self) -> None:
        self.taken = 0

    @asynccontextmanager
    async def acquire(self, **_: Any) -> AsyncIterator[PaperPool]:
        self.taken += 1
        yield self


def batch_of(*values: bytes, more: bool = False) -> Batch:
    return Batch(len(values), [record(value) for value in values], CursorMove((1, 0), (1, len(values))), more)


def loop_of(lane: Any, destination: Destination, **bounds: float) -> LaneLoop:
    settings = Settings(relay={"poll_interval_seconds": 0.01} | bounds)
    loop = LaneLoop(lane, PaperPool(), settings, LaneHealth())  # type: ignore[arg-type]
    loop._destination = destination
    return loop


async def test_what_is_refused_is_tried_smaller_at_its_own_place(destination: Destination, broker: Broker) -> None:
    """In the second and third round places count among those that are left."""
    lane = PaperLane(batch_of(b"0", b"bad 1", b"2", b"bad bad 3", b"badly", b"bad bad badly", b"6"))
    health = LaneHealth()
    loop = LaneLoop(lane, PaperPool(), Settings(), health)  # type: ignore[arg-type]
    loop._destination = destination
    before = counted("ratchet_relay_records_total"), counted("ratchet_relay_refused_total")
    await loop.turn(None, LEASE)  # type: ignore[arg-type]
    assert [refused for _, refused in lane.finished] == [[4, 5]]
    assert sorted(broker.values_of(0)) == [b"0", b"1", b"2", b"3", b"6"]
    assert health.records == 5
    assert (counted("ratchet_relay_records_total"), counted("ratchet_relay_refused_total")) == (
        before[0] + 5,
        before[1] + 2,
    )


def counted(name: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, {"lane": "changes"}) or 0.0


async def test_behind_a_part_that_makes_no_record_the_next_one_follows_at_once(destination: Destination) -> None:
    lane = PaperLane(batch_of(more=True), batch_of(b"a"))
    loop = loop_of(lane, destination)
    assert [await loop.turn(None, LEASE) for _ in range(2)] == [True, False]  # type: ignore[arg-type]
    assert [len(batch.records) for batch, _ in lane.finished] == [0, 1]


async def test_behind_a_full_batch_the_next_one_follows_at_once_though_it_could_not_be_read_ahead(
    destination: Destination,
) -> None:
    """Of the spool nothing is read ahead: after an outage it would go one batch a pause."""
    lane = PaperLane(batch_of(b"a", more=True))
    loop = loop_of(lane, destination)
    assert [await loop.turn(None, LEASE) for _ in range(2)] == [True, False]  # type: ignore[arg-type]


async def test_rows_that_did_not_fit_follow_at_once() -> None:
    rows = [{"relay_xid": 5, "id": number} for number in range(1, 4)]

    async def fetch(*_: Any) -> Sequence[Any]:
        return rows

    bounds = RelaySettings().model_copy(update={"batch_bytes_max": 5})
    lane = CursorLane("changes", bounds, fetch, lambda _row: record(b"four"), full_rows=1000)
    batch = await lane.read(None, batch_of(b"a"))  # type: ignore[arg-type]
    assert batch is not None
    assert (batch.rows, batch.mark.end, batch.more) == (1, (5, 1), True)


async def test_a_part_of_a_cursor_s_batch_that_went_moves_no_cursor(destination: Destination, broker: Broker) -> None:
    broker.lost.add(b"b")
    lane = PaperLane(Batch(2, [record(b"a", 1), record(b"b", 2)], CursorMove((1, 0), (1, 2)), more=False))
    with pytest.raises(PartlyPublishedError):
        await loop_of(lane, destination).turn(None, LEASE)  # type: ignore[arg-type]
    assert (broker.values_of(1), lane.finished) == ([b"a"], [])


async def test_what_was_read_ahead_is_forgotten_with_its_connection(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next connection may be to another database: what follows is read there, from its cursor."""
    lane, ending, checks = PaperLane(batch_of(b"a", more=True), batch_of(b"old"), batch_of(b"new")), asyncio.Event(), []

    async def check(*_: Any) -> None:
        checks.append(len(lane.behind))
        if len(checks) == 2:
            raise RelayHaltedError("another cluster's ids")
        if len(lane.finished) == 1 and len(lane.behind) > 2:
            ending.set()

    monkeypatch.setattr(loops, "check_cluster", check)
    monkeypatch.setattr(loops, "pause_seconds", lambda *_: 0.0)
    loop = loop_of(lane, destination, cluster_check_seconds=0.001)
    monkeypatch.setattr(loops, "time", Ticking(1.0))
    finish = lane.finish

    async def finish_and_end(*arguments: Any) -> None:
        await finish(*arguments)
        if len(lane.finished) == 2:
            ending.set()

    monkeypatch.setattr(lane, "finish", finish_and_end)
    await asyncio.wait_for(loop.run(LEASE, ending), 5)
    assert [one.records[0].value for one, _ in lane.finished] == [b"a", b"new"]
    assert [behind is None for behind in lane.behind[:3]] == [True, False, True]


class Ticking:
    """A clock that goes on by so much at each look."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def monotonic(self) -> float:
        self.now += self.step
        return self.now

    perf_counter = monotonic


async def test_whose_ids_they_are_is_asked_now_and_then_on_one_connection_too(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, ending = [], asyncio.Event()

    async def check(*_: Any) -> None:
        await asyncio.sleep(0)
        checks.append(True)
        if len(checks) == 3:
            ending.set()

    monkeypatch.setattr(loops, "check_cluster", check)
    loop = loop_of(PaperLane(), destination, cluster_check_seconds=5.0)
    monkeypatch.setattr(loops, "time", Ticking(1.0))
    await asyncio.wait_for(loop.run(LEASE, ending), 5)
    assert loop._pool.taken == 1  # type: ignore[attr-defined]


async def test_what_is_read_meanwhile_is_waited_for_whatever_becomes_of_the_batch(
    destination: Destination, broker: Broker
) -> None:
    """A connection that is given back while it is asked something is lost."""
    broker.lost.add(b"a")
    read: list[bool] = []

    class Reading(PaperLane):
        async def read(self, _connection: object, behind: Batch | None = None) -> Batch | None:
            if behind is not None:
                for _ in range(50):
                    await asyncio.sleep(0)
                read.append(True)
            return await super().read(_connection, behind)

    lane = Reading(batch_of(b"a", more=True), batch_of(b"b"))
    with pytest.raises(UnavailableError):
        await loop_of(lane, destination).turn(None, LEASE)  # type: ignore[arg-type]
    assert (read, lane.finished) == ([True], [])


async def test_a_lane_that_ends_closes_its_producer_and_one_that_works_again_begins_its_pauses_anew(
    destination: Destination, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[int] = []
    ending = asyncio.Event()

    class Failing(PaperLane):
        async def read(self, _connection: object, behind: Batch | None = None) -> Batch | None:
            self.behind.append(behind)
            await asyncio.sleep(0)
            if len(self.behind) in (1, 2, 4):
                raise ConnectionResetError
            if len(self.behind) == 5:
                ending.set()
            return batch_of(b"a")

    async def check(*_: Any) -> None:
        await asyncio.sleep(0)

    def pause(failures: int, *_: float) -> float:
        pauses.append(failures)
        return 0.0

    monkeypatch.setattr(loops, "check_cluster", check)
    monkeypatch.setattr(loops, "pause_seconds", pause)
    with capture_logs():
        await asyncio.wait_for(loop_of(Failing(), destination).run(LEASE, ending), 5)
    assert pauses == [1, 2, 1]
    assert (broker.opened, broker.closed) == ([True], [1])


@pytest.mark.parametrize("is_lost", [True, False], ids=["which finds its lease lost", "which is cancelled"])
async def test_a_term_that_is_cut_short_closes_its_producer_too(
    destination: Destination, broker: Broker, monkeypatch: pytest.MonkeyPatch, *, is_lost: bool
) -> None:
    """A relay that loses its lease now and then would hold a producer a lane of every term that it ever led."""

    class Losing(PaperLane):
        async def finish(self, connection: object, batch: Batch, lease: Lease, refused: Any) -> None:
            await super().finish(connection, batch, lease, refused)
            if is_lost:
                raise LeaseLostError("another relay holds it")

    async def check(*_: Any) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(loops, "check_cluster", check)
    lane = Losing(batch_of(b"a"))
    term = asyncio.ensure_future(loop_of(lane, destination).run(LEASE, asyncio.Event()))
    await until(lambda: bool(lane.finished), within_seconds=5)
    if not is_lost:
        term.cancel()
    with pytest.raises(LeaseLostError if is_lost else asyncio.CancelledError):
        await asyncio.wait_for(term, 5)
    assert (broker.opened, broker.closed) == ([True], [1])


class CursorOf:
    """A database whose cursor moves, or not."""

    def __init__(self, *, moves: bool = True) -> None:
        self.moves = moves

    async def fetchval(self, *_: Any) -> int | None:
        await asyncio.sleep(0)
        return 1 if self.moves else None


def refusing_lane(bound: int) -> CursorLane:
    async def fetch(*_: Any) -> Sequence[Any]:
        return []

    return CursorLane("changes", RelaySettings(refused_in_row_max=bound), fetch, lambda _row: None, 1)


async def finish(lane: CursorLane, records: int, refused: int, *, moves: bool = True) -> None:
    batch = batch_of(*[b"x"] * records)
    errors = {place: MessageSizeTooLargeError() for place in range(refused)}
    with capture_logs():
        await lane.finish(CursorOf(moves=moves), batch, LEASE, errors)  # type: ignore[arg-type]


async def test_refusals_in_a_row_are_counted_over_batches_and_what_goes_ends_the_row() -> None:
    lane = refusing_lane(3)
    for _ in range(5):
        await finish(lane, 2, 2)
        await finish(lane, 2, 1)
    await finish(lane, 2, 2)
    with pytest.raises(UnavailableError, match="the last 4 records were refused"):
        await finish(lane, 1, 1)
    await finish(lane, 5, 1)
    await finish(lane, 1, 1)


async def test_rows_that_make_no_record_are_passed_whatever_was_refused_before_them() -> None:
    """Of a batch that went in part more were refused than may be in a row; of the next one there is nothing."""
    lane = refusing_lane(3)
    await finish(lane, 6, 5)
    await finish(lane, 0, 0)
    with pytest.raises(UnavailableError, match="the last 6 records were refused"):
        await finish(lane, 1, 1)
    await finish(lane, 1, 0)
    await finish(lane, 1, 1)


async def test_what_is_refused_again_since_it_was_not_marked_counts_once() -> None:
    """A Postgres that fails in between must not stop the lane for a record that it would pass by."""
    lane = refusing_lane(3)
    for _ in range(5):
        with pytest.raises(LeaseLostError):
            await finish(lane, 1, 1, moves=False)
    await finish(lane, 1, 1)


async def test_a_term_that_begins_is_not_stuck_however_long_another_one_led(monkeypatch: pytest.MonkeyPatch) -> None:
    """A liveness probe would end each relay that takes over, at once."""
    probe, health, stuck = Probe("relay"), {name: LaneHealth() for name in LANES}, []
    for lane in health.values():
        lane.ended_at -= 3600.0
    watch_health(probe, health, {}, 20.0)
    assert probe.stuck() is None, "one that does not lead has nothing to end"
    probe.facts["leading"] = True
    assert probe.stuck()

    class PaperLoop:
        def __init__(self, *_: Any) -> None:
            pass

        async def run(self, *_: Any) -> None:
            await asyncio.sleep(0)
            stuck.append(probe.stuck())

    async def nothing(*_: Any) -> None:
        await asyncio.sleep(0)

    monkeypatch.setattr(roles, "LaneLoop", PaperLoop)
    monkeypatch.setattr(roles, "keep_clean", nothing)
    monkeypatch.setattr(roles, "keep_sampling", nothing)
    await roles._carry(Settings(), None, health, {}, LEASE, asyncio.Event())  # type: ignore[arg-type]
    assert stuck == [None] * len(LANES)


LANES = ("changes", "state", "commands", "dead_letters", "spool", "redrives")


async def test_a_role_that_stops_is_not_reported_as_running() -> None:
    probe, health = Probe("relay", "stopping"), {"changes": LaneHealth()}
    leader: Any = SimpleNamespace(leading=True)
    reporting = asyncio.create_task(roles._report(probe, health, leader, 0.001))
    await until(lambda: "published" in probe.facts, within_seconds=5)
    assert (probe.state, probe.facts["leading"]) == ("stopping", True)
    probe.state, health["changes"].halted = "running", True
    await until(lambda: probe.state == "halted", within_seconds=5)
    reporting.cancel()
