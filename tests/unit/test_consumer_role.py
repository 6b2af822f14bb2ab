"""How the consumer's parts are put together: what its member of the group is asked for, what opens and ends when."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError

from consumer import role
from consumer.standstill import Cause, Standstill
from runtime.ends import PurposefulEnds
from runtime.health import Probe
from runtime.settings import ConsumerSettings, KafkaSettings, PostgresSettings, Settings
from schemas.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

pytestmark = pytest.mark.unit

PATIENCE_SECONDS = 5.0
LIMITS = ConsumerSettings(
    batch_records_max=11,
    batches_in_flight_max=3,
    batch_bytes_max=1700,
    partition_fetch_bytes_max=1300,
    fetch_wait_seconds=0.25,
    metadata_age_seconds_max=7.0,
    drain_seconds=19.0,
    session_timeout_seconds=23.0,
    commit_timeout_seconds=29.0,
    stall_seconds=31.0,
    hang_seconds_max=37.0,
    unclean_ends_max=5,
    backoff_initial_seconds=0.001,
    backoff_max_seconds=0.002,
    instance_id="pod-1",
)
SETTINGS = Settings(
    kafka=KafkaSettings(bootstrap="127.0.0.1:1", request_timeout_seconds=41.0),
    postgres=PostgresSettings(statement_timeout_seconds=43.0, connect_timeout_seconds=47.0),
    consumer=LIMITS,
)


# --- the member of the group ------------------------------------------------------------------------------------------


def test_what_the_member_of_the_group_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong, each does harm of its own.

    Commits that nobody decided on, records of transactions that were aborted, the newest record in place of a deleted
    one, a drain that the group does not wait for.
    """
    asked: dict[str, Any] = {}
    done: list[object] = []
    monkeypatch.setattr(role, "AIOKafkaConsumer", lambda **arguments: asked.update(arguments))
    monkeypatch.setattr(role, "tolerate_odd_headers", lambda: done.append("odd headers"))
    monkeypatch.setattr(role, "bound_fetches", done.append)
    role.make_consumer(SETTINGS)
    assert asked | {"bootstrap_servers": None} == {
        "bootstrap_servers": None,
        "security_protocol": "PLAINTEXT",
        "ssl_context": None,
        "group_id": SETTINGS.kafka.group,
        "group_instance_id": "pod-1",
        "enable_auto_commit": False,
        "auto_offset_reset": "none",
        "metadata_max_age_ms": 7_000,
        "isolation_level": "read_committed",
        "session_timeout_ms": 23_000,
        "rebalance_timeout_ms": 23_000 + 2 * 19_000,
        "request_timeout_ms": 41_000 + 23_000,
        "max_partition_fetch_bytes": 1300,
        "fetch_max_bytes": 1700,
        "fetch_max_wait_ms": 250,
    }
    assert done == ["odd headers", 1300]
    role.make_consumer(SETTINGS, "another")
    assert asked["group_id"] == "another"


@dataclass
class PaperMember:
    """A member whose start fails as it is to."""

    failure: Exception | None = None
    stopped: int = 0

    async def start(self) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure

    async def stop(self) -> None:
        await asyncio.sleep(0)
        self.stopped += 1


@pytest.mark.parametrize(("failure", "stopped"), [(KafkaConnectionError(), 1), (KafkaError(), 1), (None, 0)])
async def test_a_member_that_can_not_start_is_stopped_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, failure: Exception | None, stopped: int
) -> None:
    member, made = PaperMember(failure), []

    async def topics(_kafka: object, wanted: object) -> None:
        made.append(wanted)

    monkeypatch.setattr(role, "make_consumer", lambda _: member)
    monkeypatch.setattr(role, "ensure_topics", topics)
    if failure is None:
        assert await role._open_consumer(SETTINGS) is member
    else:
        with pytest.raises(UnavailableError, match=type(failure).__name__):
            await role._open_consumer(SETTINGS)
    assert (member.stopped, made) == (stopped, [SETTINGS.kafka.topics.consumed])


# --- the pool ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "raised"),
    [
        (ConnectionRefusedError(), UnavailableError),
        (asyncpg.CannotConnectNowError("starting up"), UnavailableError),
        (asyncpg.UndefinedTableError("no table"), UnavailableError),
        (SettingsError("another prefix"), SettingsError),
        (ZeroDivisionError(), ZeroDivisionError),
    ],
)
async def test_a_pool_that_can_not_open_now_is_waited_for_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, failure: Exception, raised: type[Exception]
) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise failure

    monkeypatch.setattr(role, "open_pool", fails)
    with pytest.raises(raised):
        await role._open_pool(SETTINGS)


async def test_beside_the_workers_there_are_sessions_for_the_sweeper_the_marks_and_the_instance_lock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With one a worker alone a full house leaves none for the note that lets a partition go."""
    asked: list[int] = []

    async def open_pool(*_: Any, connections: int, **__: Any) -> str:
        asked.append(connections)
        return "pool"

    async def bound(pool: str, prefix: str) -> tuple[str, str]:
        return pool, prefix

    monkeypatch.setattr(role, "open_pool", open_pool)
    monkeypatch.setattr(role, "bound", bound)
    found: Any = await role._open_pool(SETTINGS)
    assert (found, asked) == (("pool", SETTINGS.kafka.topic_prefix), [LIMITS.batches_in_flight_max + 3])


async def test_the_probe_says_what_is_waited_for_until_it_is_there() -> None:
    probe, seen = Probe("consumer"), []

    async def opens() -> str:
        seen.append(probe.unready())
        if len(seen) == 1:
            raise UnavailableError("Postgres is away")
        return "part"

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await role._patiently(opens, SETTINGS, asyncio.Event(), probe) == "part"
    assert seen == [None, "starting: Postgres is away"]
    assert probe.unready() is None, "what is there is waited for no more"


# --- the processor ----------------------------------------------------------------------------------------------------


def processor_of(settings: Settings) -> Any:
    pool: Any = SimpleNamespace(expire_connections=None)
    return role.make_processor(pool, settings)


def test_a_hunt_reaches_over_all_that_one_process_may_have_had_in_hand() -> None:
    """Two rounds of every worker: a record that kills behind a shorter window is never alone, and kills for ever."""
    rule = processor_of(SETTINGS).quarantine.marks._rule
    assert (rule.unclean_ends_max, rule.window_records) == (5, 2 * 11 * 3)


def test_a_record_in_hand_is_given_the_time_that_a_statement_and_a_session_may_take() -> None:
    hand = processor_of(SETTINGS).quarantine.hand
    assert (hand._patience_seconds, hand._hang_seconds_max) == (43.0 + 47.0, 37.0)
    assert hand.acts_after_seconds > 43.0 + 47.0 + 37.0, "whoever finds it stuck waits for longer than it does itself"


def test_the_marks_carry_the_token_by_which_the_supervisor_knows_the_process(tmp_path: Path) -> None:
    """It leaves word of whom it kills under that token: noted under another one the kill counts as a record's doing."""
    token = uuid.uuid4()
    role_settings = SETTINGS.role.model_copy(update={"token": token})
    named = SETTINGS.model_copy(update={"role": role_settings, "home": tmp_path})
    PurposefulEnds(tmp_path, "consumer").note(token)
    marks = processor_of(named).quarantine.marks
    assert (marks._owner, marks._on_purpose.read()) == (token, [token])
    assert processor_of(SETTINGS).quarantine.marks._owner != processor_of(SETTINGS).quarantine.marks._owner


# --- what opens and ends when -----------------------------------------------------------------------------------------


WATCHES = 5
"""Partitions, parked events, Postgres, the record in hand, the instance id."""


class Order:
    """The parts of the role on paper: what happens to each, in order. `failing` never opens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failing: str | None = None) -> None:
        self.happened: list[str] = []
        self.failing = failing
        self.stop = asyncio.Event()
        self.watches: set[str] = set()
        self.all_watch = asyncio.Event()
        self.waiting: Callable[[], bool] = lambda: False
        self.listener: object = None
        self.timeouts: dict[str, float] = {}
        self.outages = SimpleNamespace(since=None)
        self._put_up(monkeypatch)
        monkeypatch.setattr(role, "_open_pool", lambda _: self.opened("pool", "the pool"))
        monkeypatch.setattr(role, "close_pool", lambda *_: self.ends("pool"))
        monkeypatch.setattr(role, "_show", lambda *_: None)
        monkeypatch.setattr(role, "_watch_lag", lambda *_: self.watch("lag"))
        monkeypatch.setattr(role, "_keep_sweeping", lambda *_: self.watch("sweeper"))
        monkeypatch.setattr(role, "keep_looking", lambda *_: self.watch("looks"))

    def _put_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        order = self

        class PaperLock:
            def __init__(self, _pool: object, instance_id: str, patience_seconds: float) -> None:
                order.timeouts[instance_id] = patience_seconds

            async def take(self) -> bool:
                await order.opens("id")
                return True

            async def keep(self) -> None:
                await order.watch("id")

            async def give_back(self) -> None:
                await order.ends("id")

        class Member(PaperMember):
            def subscribe(self, names: object, listener: object) -> None:
                order.listener = listener

            async def stop(self) -> None:
                await order.ends("member")

        class PaperLoop:
            progress_at, lag, batches_open = 0.0, 0, 0

            def __init__(self, _consumer: object, _processor: object, _settings: object, positions: Any) -> None:
                order.timeouts["positions"] = positions._timeout_seconds

            async def run(self, _stop: asyncio.Event) -> None:
                await order.all_watch.wait()
                await order.ends("loop")

        async def keep(waiting: Callable[[], bool]) -> None:
            order.waiting = waiting
            await order.watch("hand")

        quarantine = SimpleNamespace(hand=SimpleNamespace(keep=keep))
        processor = SimpleNamespace(outages=self.outages, quarantine=quarantine)
        monkeypatch.setattr(role, "InstanceLock", PaperLock)
        monkeypatch.setattr(role, "_open_consumer", lambda _: order.opened("member", Member()))
        monkeypatch.setattr(role, "make_processor", lambda *_: processor)
        monkeypatch.setattr(role, "ConsumerLoop", PaperLoop)

    async def opened(self, name: str, part: object) -> object:
        await self.opens(name)
        return part

    async def opens(self, name: str) -> None:
        await asyncio.sleep(0)
        if name == self.failing:
            self.stop.set()
            raise UnavailableError(name)
        self.happened.append(f"{name} opens")

    async def watch(self, name: str) -> None:
        self.watches.add(name)
        if len(self.watches) == WATCHES:
            self.all_watch.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            self.watches.discard(name)

    async def ends(self, name: str) -> None:
        await asyncio.sleep(0)
        self.happened.append(f"{name} ends")

    async def serve(self, settings: Settings = SETTINGS) -> list[str]:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await role.serve(settings, self.stop, Probe("consumer"))
        return self.happened


async def test_the_id_is_given_back_once_its_member_has_left_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes the id before that fences a member that still commits."""
    order = Order(monkeypatch)
    assert await order.serve() == [
        *("pool opens", "id opens", "member opens"),
        *("loop ends", "member ends", "id ends", "pool ends"),
    ]
    assert type(order.listener).__name__ == "PaperLoop", "rebalances are the loop's to answer"
    assert order.watches == set(), "each watch has ended too"
    assert order.timeouts == {"pod-1": LIMITS.session_timeout_seconds, "positions": LIMITS.commit_timeout_seconds}
    assert not order.waiting()
    order.outages.since = 1.0
    assert order.waiting(), "an outage is why nothing happens to the record in hand"


class Unleavable(PaperMember):
    """A member whose client can't leave the group: it fails, or waits for ever."""

    async def stop(self) -> None:
        self.stopped += 1
        if self.failure is not None:
            raise self.failure
        await asyncio.Event().wait()


@pytest.mark.parametrize("failure", [None, KafkaError("no coordinator")])
async def test_a_client_that_can_not_leave_its_group_keeps_no_process_alive(failure: Exception | None) -> None:
    member = Unleavable(failure)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await role.leave(member, 0.01)  # type: ignore[arg-type]
    assert member.stopped == 1


@pytest.mark.parametrize(
    ("failing", "happened"),
    [
        ("pool", []),
        ("id", ["pool opens", "pool ends"]),
        ("member", ["pool opens", "id opens", "id ends", "pool ends"]),
    ],
)
async def test_a_stop_while_something_is_waited_for_ends_what_is_open(
    monkeypatch: pytest.MonkeyPatch, failing: str, happened: list[str]
) -> None:
    assert await Order(monkeypatch, failing).serve() == happened


# --- the watch over partitions ----------------------------------------------------------------------------------------


@dataclass
class Watched:
    """A watch over partitions on paper: `hangs` looks of it are not answered, the others are."""

    hangs: int
    looks: int = 0
    shown: int = 0
    excused: int = 0
    stalls: int = 0


async def test_a_look_that_is_not_answered_is_given_up_and_holds_no_later_one_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Meanwhile it is found out whether Kafka is away, and a stall is logged all the same."""
    watched, seen = Watched(hangs=2), asyncio.Event()

    class PaperWatch:
        def __init__(self, *_: Any) -> None: ...

        async def look(self, _reader: object) -> None:
            watched.looks += 1
            if watched.looks <= watched.hangs:
                await asyncio.Event().wait()

    @asynccontextmanager
    async def reader(*_: Any) -> AsyncIterator[None]:
        yield

    def show(*_: Any) -> None:
        watched.shown += 1
        seen.set()

    def show_stall(_: Probe) -> None:
        watched.stalls += 1

    async def excuse(*_: Any) -> None:
        await asyncio.sleep(0)
        watched.excused += 1

    monkeypatch.setattr(role, "PartitionWatch", PaperWatch)
    monkeypatch.setattr(role, "EndsReader", reader)
    monkeypatch.setattr(role, "LAG_INTERVAL_SECONDS", 0.001)
    monkeypatch.setattr(role, "LAG_TIMEOUT_SECONDS", 0.01)
    monkeypatch.setattr(role, "_show_partitions", show)
    monkeypatch.setattr(role, "_show_stall", show_stall)
    monkeypatch.setattr(role, "_excuse", excuse)
    watching = asyncio.create_task(role._watch_lag(None, None, None, SETTINGS))  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await seen.wait()
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert (watched.looks >= 3, watched.excused, watched.stalls) == (True, 2, 2)


@pytest.mark.parametrize("halted", [{}, {("payments.webhooks", 1): "too many"}])
def test_the_probe_shows_how_partitions_stand(halted: dict[tuple[str, int], str]) -> None:
    place = TopicPartition("payments.webhooks", 1)
    one = Standstill(place.topic, place.partition, Cause.HALTED, since=7.0, waiting=3)
    probe = Probe("consumer", state="running")
    loop: Any = SimpleNamespace(lag=9)
    watch: Any = SimpleNamespace(standstills=(one,))
    role._show_partitions(loop, watch, SimpleNamespace(halted=halted), probe)  # type: ignore[arg-type]
    assert (probe.state, probe.facts["lag"]) == ("halted" if halted else "running", 9)
    assert probe.facts["standstills"] == [
        {"topic": place.topic, "partition": 1, "cause": "halted", "since": 7.0, "waiting": 3}
    ]


async def test_the_sweeper_has_a_lease_and_a_look_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under another one's name it would work while that one does not, or keep it from working."""
    asked: list[Any] = []
    stop = asyncio.Event()

    class PaperLeader:
        def __init__(self, _leases: object, name: str, _holder: str, seconds: float) -> None:
            asked.append((name, seconds))

        async def run(self, ending: asyncio.Event, keep: Any) -> None:
            await asyncio.sleep(0)
            assert ending is stop
            asked.append(type(keep.__self__).__name__)

    @asynccontextmanager
    async def leases(*_: Any) -> AsyncIterator[None]:
        yield

    monkeypatch.setattr(role, "open_leases", leases)
    monkeypatch.setattr(role, "Leader", PaperLeader)
    await role._keep_sweeping(None, SETTINGS, stop)  # type: ignore[arg-type]
    assert asked == [("sweeper", SETTINGS.parking.lease_seconds), "Sweeper"]
