"""A term of the relay: what it runs, what it tells of itself, and what it leaves when it ends."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs
from waiting import until

from producers.relay import loop as loops
from producers.relay import role as roles
from producers.relay.cluster import RelayHaltedError
from producers.relay.loop import LaneHealth, LaneLoop
from producers.relay.role import watch_health
from runtime import metrics
from runtime.health import Probe
from runtime.lease import Lease
from runtime.settings import Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from producers.relay.lanes import Batch

pytestmark = pytest.mark.unit

LEASE = Lease("relay", "me", 7)
NAMES = ("changes", "state", "commands", "dead_letters", "spool", "redrives")
LONG_SECONDS = 3600.0


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_a_turn_that_ended_is_no_standstill_however_it_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that waits out a long outage would be killed by its liveness probe, again and again."""
    clock = Clock()
    monkeypatch.setattr(loops, "time", clock)
    monkeypatch.setattr(roles, "time", clock)
    probe, health = Probe("relay"), {name: LaneHealth(clock.now) for name in ("changes", "spool")}
    watch_health(probe, health, {}, 20.0)
    probe.facts["leading"] = True
    assert probe.stuck is not None
    for _ in range(3):
        clock.now += 15.0
        health["changes"].failed("changes: away", halted=False)
        health["spool"].succeeded(0)
        assert probe.stuck() is None
    clock.now += 15.0
    health["spool"].succeeded(1)
    clock.now += 15.0
    assert probe.stuck() == "no turn has ended: changes for 30 s", "one is enough"


def test_a_turn_that_ends_well_forgets_what_failed_before_it() -> None:
    probe, health = Probe("relay"), {"changes": LaneHealth(), "spool": LaneHealth()}
    waiting = {"starting": "starting: OSError: away"}
    watch_health(probe, health, waiting, 20.0)
    assert probe.unready is not None
    health["changes"].failed("changes: away", halted=False)
    health["spool"].failed("spool: ids", halted=True)
    assert probe.unready() == "starting: OSError: away; changes: away; spool: ids"
    roles._noting(waiting)(None, 0)
    health["changes"].succeeded(3)
    health["spool"].succeeded(0)
    assert probe.unready() is None
    assert not health["spool"].halted
    assert (health["changes"].records, health["spool"].failures_in_row) == (3, 0)


async def test_a_turn_that_finds_nothing_has_ended_well() -> None:
    """An output at rest would count as hung, and one that failed and then has nothing to do as failing still."""
    health = LaneHealth(0.0)
    health.failed("changes: away", halted=True)
    health.ended_at = 0.0
    loop = LaneLoop(Lane(), Pool(), Settings(), health)  # type: ignore[arg-type]
    assert not await loop.turn(None, LEASE)  # type: ignore[arg-type]
    assert (health.failure, health.halted, health.failures_in_row) == (None, False, 0)
    assert health.ended_at > 0.0


def test_what_the_start_waits_for_is_shown_until_it_is_there() -> None:
    waiting: dict[str, str] = {}
    note = roles._noting(waiting)
    with capture_logs() as logs:
        note(OSError("away"), 3)
    assert list(waiting.values()) == ["starting: OSError: away"]
    assert [(line["event"], line["failures_in_row"]) for line in logs] == [("relay_waits", 3)]
    note(None, 0)
    assert waiting == {}


class Pool:
    """Its connections are itself; it notes for how long each was waited for."""

    def __init__(self) -> None:
        self.patience: list[float | None] = []

    @asynccontextmanager
    async def acquire(self, *, timeout: float | None = None) -> AsyncIterator[Pool]:  # noqa: ASYNC109 - asyncpg's name
        await asyncio.sleep(0)
        self.patience.append(timeout)
        yield self


class Lane:
    """A lane that finds nothing, or fails by these errors one after the other."""

    name, compression = "changes", None

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.reads = 0

    async def read(self, _connection: object, behind: Batch | None = None) -> Batch | None:
        await asyncio.sleep(0)
        self.reads += 1
        if self.errors:
            raise self.errors.pop(0)
        return None


async def check(*_: Any) -> None:
    await asyncio.sleep(0)


async def test_a_relay_that_is_to_end_does_not_wait_for_its_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks, and after a failure: a lease that is kept for that long is a standstill."""
    monkeypatch.setattr(loops, "check_cluster", check)
    relay = {
        "poll_interval_seconds": LONG_SECONDS,
        "backoff_initial_seconds": LONG_SECONDS,
        "backoff_max_seconds": LONG_SECONDS,
    }
    settings = Settings(relay=relay, postgres={"connect_timeout_seconds": 4.5})
    for lane in (Lane(), Lane(OSError("away"))):
        ending, pool = asyncio.Event(), Pool()
        loop = LaneLoop(lane, pool, settings, LaneHealth())  # type: ignore[arg-type]
        with capture_logs():
            running = asyncio.create_task(loop.run(LEASE, ending))
            await until(lambda lane=lane: lane.reads == 1, within_seconds=5)  # type: ignore[misc]
            ending.set()
            await asyncio.wait_for(running, 5)
        assert (lane.reads, pool.patience) == (1, [4.5])


@pytest.mark.parametrize(
    ("error", "halted", "level"),
    [
        (UnavailableError("Kafka: away"), False, "warning"),
        (ConnectionResetError("Postgres"), False, "warning"),
        (RelayHaltedError("ids"), True, "error"),
        (ValueError("bug"), False, "error"),
    ],
)
async def test_after_a_failure_it_says_what_failed_and_waits_longer_each_time(
    monkeypatch: pytest.MonkeyPatch, error: Exception, *, halted: bool, level: str
) -> None:
    pauses: list[tuple[Any, ...]] = []
    waits: list[float] = []

    def pause(*given: Any) -> float:
        pauses.append(given)
        return 0.125 * len(pauses)

    async def wait(_ending: asyncio.Event, seconds: float) -> bool:
        waits.append(seconds)
        return False

    monkeypatch.setattr(loops, "pause_seconds", pause)
    monkeypatch.setattr(loops, "wait_for_event", wait)
    settings = Settings(relay={"backoff_initial_seconds": 0.25, "backoff_max_seconds": 9.0})
    health, sample = LaneHealth(), ("ratchet_relay_failures_total", {"lane": "changes"})
    loop = LaneLoop(Lane(), Pool(), settings, health)  # type: ignore[arg-type]
    before = metrics.REGISTRY.get_sample_value(*sample) or 0.0
    with capture_logs() as logs:
        for _ in range(2):
            await loop._recover(error, asyncio.Event())
    assert pauses == [(1, 0.25, 9.0), (2, 0.25, 9.0)]
    assert waits == [0.125, 0.25]
    assert (health.halted, health.failure) == (halted, f"changes: {type(error).__name__}: {error}")
    assert [line["log_level"] for line in logs] == [level] * 2
    assert {line["event"] for line in logs} == {"relay_halted" if halted else "relay_failed"}
    assert metrics.REGISTRY.get_sample_value(*sample) == before + 2


async def test_a_term_runs_every_output_and_what_is_beside_them_and_leaves_nothing_to_be_unready_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(kafka={"topic_prefix": "acme."})
    pool, facts, ending, ran = object(), {}, asyncio.Event(), []  # type: ignore[var-annotated]
    health = {name: LaneHealth() for name in NAMES}

    class Loop:
        def __init__(self, lane: Any, *given: Any) -> None:
            self.lane = lane
            assert given == (pool, settings, health[lane.name])

        async def run(self, *given: Any) -> None:
            await asyncio.sleep(0)
            assert given == (LEASE, ending)
            health[self.lane.name].failed("away", halted=True)
            if self.lane.name == "redrives":
                assert (self.lane._topics, self.lane._lease) == (settings.kafka.topics, LEASE)
            ran.append(self.lane.name)

    async def clean(*given: Any) -> None:
        await asyncio.sleep(0)
        ran.append(("clean", *given))

    async def sample(*given: Any) -> None:
        await asyncio.sleep(0)
        ran.append(("sample", *given))

    monkeypatch.setattr(roles, "LaneLoop", Loop)
    monkeypatch.setattr(roles, "keep_clean", clean)
    monkeypatch.setattr(roles, "keep_sampling", sample)
    await roles._carry(settings, pool, health, facts, LEASE, ending)  # type: ignore[arg-type]
    assert ran == [*NAMES, ("clean", pool, settings.intents, LEASE, ending), ("sample", pool, settings, facts, ending)]
    assert [(one.failure, one.halted, one.failures_in_row) for one in health.values()] == [(None, False, 0)] * 6


async def test_the_report_shows_what_is_now() -> None:
    """A relay that is halted, or that leads, is not so for good."""
    probe, health = Probe("relay"), {"changes": LaneHealth(), "spool": LaneHealth()}
    leader: Any = SimpleNamespace(leading=True)
    reporting = asyncio.create_task(roles._report(probe, health, leader, 0.001))

    def halted() -> list[float | None]:
        return [metrics.REGISTRY.get_sample_value("ratchet_relay_halted", {"lane": name}) for name in health]

    health["spool"].halted = True
    health["changes"].records = 5
    await until(lambda: probe.state == "halted" and halted() == [0, 1], within_seconds=5)
    assert probe.facts == {"leading": True, "published": {"changes": 5, "spool": 0}}
    health["spool"].halted, leader.leading = False, False
    await until(lambda: probe.state == "running" and halted() == [0, 0], within_seconds=5)
    await until(lambda: probe.facts["leading"] is False, within_seconds=5)
    reporting.cancel()


async def test_it_opens_once_its_topics_are_there_and_only_a_database_of_their_prefix(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[Any, ...]] = []
    settings = Settings(kafka={"topic_prefix": "acme."}, relay={"pool_connections_max": 11})

    async def topics(*given: Any) -> None:
        await asyncio.sleep(0)
        done.append(("topics", *given))

    async def opened(*given: Any, **how: Any) -> str:
        await asyncio.sleep(0)
        done.append(("open", *given, how))
        return "pool"

    async def bound(*given: Any) -> str:
        await asyncio.sleep(0)
        done.append(("bound", *given))
        return "bound"

    monkeypatch.setattr(roles, "ensure_topics", topics)
    monkeypatch.setattr(roles, "open_pool", opened)
    monkeypatch.setattr(roles, "bound", bound)
    assert await roles._open(settings) == "bound"  # type: ignore[comparison-overlap]
    how = {"role": "relay", "connections": 11, "parameters": {"plan_cache_mode": "force_custom_plan"}}
    assert done == [("topics", settings.kafka), ("open", settings.postgres, how), ("bound", "pool", "acme.")]


async def test_each_relay_asks_for_the_one_lease_under_its_own_name_and_leaves_nothing_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two of one name would both lead. A successor is there within the time that is set: it looks now and then."""
    done: list[tuple[Any, ...]] = []
    running: list[asyncio.Task[Any]] = []
    settings = Settings(relay={"lease_seconds": 10.0}, postgres={"connect_timeout_seconds": 4.5})

    class Led:
        leading = False

        def __init__(self, *given: Any) -> None:
            done.append(("leader", *given))

        async def run(self, stop: asyncio.Event, _carry: object) -> None:
            await until(lambda: "published" in probe.facts, within_seconds=5)
            running.extend(asyncio.all_tasks() - {asyncio.current_task()})  # type: ignore[arg-type]
            await stop.wait()

    @asynccontextmanager
    async def leases(*given: Any) -> AsyncIterator[str]:
        done.append(("leases", *given))
        yield "leases"
        done.append(("leases closed",))

    async def opened(*_: Any, **__: Any) -> str:
        await asyncio.sleep(0)
        return "pool"

    async def looking(*given: Any) -> None:
        done.append(("looking", *given))
        await asyncio.Event().wait()

    async def closed(*given: Any) -> None:
        await asyncio.sleep(0)
        done.append(("closed", *given))

    for name, instead in (
        ("Leader", Led), ("open_leases", leases), ("open_when_there", opened), ("keep_looking", looking),
        ("close_pool", closed),
    ):  # fmt: skip
        monkeypatch.setattr(roles, name, instead)
    holders = set()
    for _ in range(2):
        probe, stop = Probe("relay"), asyncio.Event()
        done.clear()
        running.clear()
        asyncio.get_running_loop().call_later(0.02, stop.set)
        await asyncio.wait_for(roles.serve(settings, stop, probe), 5)
        of_leases, (_, *leader), looks, *ends = done
        assert of_leases == ("leases", "pool", settings.redis)
        assert leader[:2] == ["leases", "relay"]
        assert leader[3] == pytest.approx(9.0)
        holders.add(leader[2])
        assert looks == ("looking", "pool", probe.facts)
        assert ends == [("leases closed",), ("closed", "pool", 4.5)]
        assert len([task for task in running if task.done()]) >= 2, "the report and the looks"
    assert len(holders) == 2
