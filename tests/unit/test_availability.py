"""What `doctor` tells of brokers, copies, hosts, standbys and transactions that hold up others."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr
from waiting import until

from ops import availability
from ops.finding import Finding
from runtime.postgres_hosts import hosts_of
from runtime.settings import OpsSettings, PostgresSettings, Settings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit


def topic(*parts: tuple[int, list[int], list[int]]) -> dict[str, Any]:
    named = [
        {"partition": number, "leader": leader, "replicas": replicas, "isr": isr}
        for number, (leader, replicas, isr) in enumerate(parts)
    ]
    return {"topic": "payments.webhooks", "partitions": named}


def test_the_broker_that_is_away_is_named() -> None:
    assert availability.away_finding("kafka brokers", [], "start it").ok
    found = availability.away_finding("kafka brokers", ["broker 2 (kafka-2:9092) does not answer"], "start it")
    assert (found.ok, found.found) == (False, "broker 2 (kafka-2:9092) does not answer")
    assert found.advice == "start it (RUNBOOK: A broker is away)"


def test_what_takes_no_writes_is_named() -> None:
    whole = topic((1, [1, 2, 3], [1, 2, 3]))
    assert availability.copies_finding([whole], {"payments.webhooks": 2}).ok
    parts = topic((-1, [1, 2, 3], []), (1, [1, 2, 3], [1]), (2, [1, 2, 3], [1, 2]))
    found = availability.copies_finding([parts], {"payments.webhooks": 2})
    assert found.found == (
        "no leader: payments.webhooks/0; takes no writes, too few copies in step: payments.webhooks/1; "
        "3 partitions have copies that lag"
    )
    lag = availability.copies_finding([topic((2, [1, 2, 3], [1, 2]))], {"payments.webhooks": 2})
    assert (lag.ok, lag.advice) == (False, "wait for the copies, or bring their broker back")


@pytest.mark.parametrize(
    ("names", "standbys", "waiting", "ok", "expected"),
    [
        ("", 0, 0, True, "none"),
        ("", 1, 0, True, "1 standby(s), none synchronous: a fail-over may lose what was committed last"),
        ("FIRST 1 (b)", 1, 0, True, "synchronous (FIRST 1 (b))"),
        ("FIRST 1 (b)", 0, 0, False, "commits wait for FIRST 1 (b): 0 there, 0 sessions wait for long"),
        ("FIRST 1 (b)", 1, 3, False, "commits wait for FIRST 1 (b): 1 there, 3 sessions wait for long"),
    ],
)
def test_a_standby_for_which_commits_wait(names: str, standbys: int, waiting: int, ok: bool, expected: str) -> None:  # noqa: FBT001
    found = availability.standby_finding({"names": names, "standbys": standbys, "waiting": waiting})
    assert (found.ok, found.found) == (ok, expected)


def test_clocks_that_are_apart_are_named() -> None:
    assert availability.skew_finding(1.9, 2.0).ok
    found = availability.skew_finding(600.0, 2.0)
    assert (found.ok, found.found) == (False, "600.00 s apart from Postgres's")


@pytest.mark.parametrize(
    ("lag_bytes", "ok", "expected"),
    [
        (None, True, "not shown to us"),
        (10, True, "b lacks 0.0 MB of the WAL"),
        (11, False, "b lacks 0.0 MB of the WAL"),
    ],
)
def test_a_standby_that_lags_is_named(lag_bytes: int | None, ok: bool, expected: str) -> None:  # noqa: FBT001
    found = availability.lag_finding({"furthest": "b", "lag_bytes": lag_bytes}, 10)
    assert (found.ok, found.found) == (ok, expected)


def test_who_holds_up_the_relay_is_named() -> None:
    row = {"xid": "7", "pid": 12, "role": "report", "application": "psql", "seconds": 61.0, "gid": None}
    found = availability.open_transaction_finding(row)
    assert (found.ok, found.found) == (False, "process 12 of role report (psql) has one open for 61 s")
    assert not availability.open_transaction_finding(row | {"seconds": None, "application": None}).ok
    assert availability.open_transaction_finding(row | {"seconds": 2.0}).ok
    prepared = availability.open_transaction_finding(row | {"seconds": None, "application": None, "gid": "two-phase"})
    assert prepared.found.startswith("prepared transaction two-phase has one open")
    assert "ROLLBACK PREPARED" in prepared.advice


def test_a_pooler_that_takes_sessions_away_is_reported() -> None:
    assert availability.own_sessions_finding(shared=False).ok
    found = availability.own_sessions_finding(shared=True)
    assert "transaction mode" in found.found
    assert found.advice.startswith("set pool_mode = session")


def test_a_dsn_is_taken_apart_by_its_hosts() -> None:
    assert hosts_of("postgresql://u:p@a:1,b:2/d?target_session_attrs=read-write") == [
        "postgresql://u:p@a:1/d?target_session_attrs=read-write",
        "postgresql://u:p@b:2/d?target_session_attrs=read-write",
    ]
    assert hosts_of("postgresql://[::1]:5/d") == ["postgresql://[::1]:5/d"]
    assert hosts_of("postgresql:///d?host=/run/postgresql") == ["postgresql:///d?host=/run/postgresql"]


class Clock:
    """Our clock, which goes on by so many seconds while Postgres is asked for its own."""

    def __init__(self, took: float, theirs: float) -> None:
        self.now = 1000.0
        self._took = took
        self._theirs = theirs

    def time(self) -> float:
        return self.now

    async def fetchval(self, _sql: str) -> float:
        self.now += self._took
        return self._theirs


@pytest.mark.parametrize(
    ("took", "theirs", "apart"),
    [(0, 1000, 0), (9, 1000, 0), (9, 1009, 0), (9, 1004, 0), (9, 1012, 3), (9, 995, 5), (0, 1003, 3), (0, 997, 3)],
)
async def test_clocks_are_apart_by_what_the_time_of_asking_does_not_explain(
    monkeypatch: pytest.MonkeyPatch, took: float, theirs: float, apart: float
) -> None:
    clock: Any = Clock(took, theirs)
    monkeypatch.setattr(availability, "time", clock)
    found = await availability.clock_finding(OpsSettings(), clock)
    assert (found.found, found.ok) == (
        f"{apart:.2f} s apart from Postgres's",
        apart <= OpsSettings().clock_skew_seconds_max,
    )


@pytest.mark.parametrize(
    ("looks", "ok", "found"),
    [
        ([None], True, "none is open"),
        ([("7", 60.0), None], True, "none is open for long"),
        ([("7", 60.0), ("8", 60.0)], True, "none is open for long"),
        ([("7", 9.5), ("7", 10.5)], False, "process 7 of role r has one open for 10 s"),
        ([("7", 8.0), ("7", 9.0)], True, "process 7 of role r has one open for 9 s"),
    ],
)
async def test_a_transaction_that_holds_up_others_is_open_at_two_looks(
    monkeypatch: pytest.MonkeyPatch,
    looks: list[tuple[str, float] | None],
    ok: bool,  # noqa: FBT001
    found: str,
) -> None:
    rows = [
        one and {"xid": one[0], "pid": one[0], "role": "r", "application": "", "seconds": one[1], "gid": None}
        for one in looks
    ]

    class Connection:
        async def fetchrow(self, _sql: str) -> Any:
            return rows.pop(0)

    monkeypatch.setattr(availability, "LOOK_AGAIN_SECONDS", 0.0)
    reported = await availability.oldest_transaction(Connection())  # type: ignore[arg-type]
    assert (reported.ok, reported.found, rows) == (ok, found, [])


class PaperServers:
    """What is away, and whether the connection to Kafka was let go."""

    closed = 0
    failure: Exception | None = None
    low = ("broker 1 has 0.1 GB free",)
    hosts_away: tuple[str, ...] = ()

    def __init__(self, _settings: Settings) -> None:
        self.disks: list[str] = []

    async def brokers(self) -> list[str]:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.disks += self.low
        return ["broker 2 is away"]

    async def hosts(self) -> list[str]:
        return list(self.hosts_away)

    async def away(self) -> list[str]:
        return [*await self.brokers(), *await self.hosts()]

    async def close(self) -> None:
        type(self).closed += 1


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> type[PaperServers]:
    class Servers(PaperServers): ...

    monkeypatch.setattr("runtime.servers.Servers", Servers)
    return Servers


def several(*hosts: str) -> Settings:
    return Settings(postgres=PostgresSettings(dsn=SecretStr(f"postgresql://a@{','.join(hosts)}/d")))


async def test_what_is_away_which_disks_fill_up_and_what_is_wrong_of_postgres_are_problems(
    servers: type[PaperServers], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(_: Settings) -> list[str]:
        return ["clock: 9 s apart"]

    monkeypatch.setattr(availability, "wrong_of_postgres", wrong)
    found = await availability.problems(several("a"))
    assert found == ["broker 2 is away", "broker 1 has 0.1 GB free", "clock: 9 s apart"]
    assert servers.closed == 1
    servers.failure = OSError("x")
    for look in (availability.problems, availability.servers_findings):
        with pytest.raises(OSError, match="x"):
            await look(several("a"))
    assert servers.closed == 3, "whatever comes, nothing stays open: the console looks again and again"


@pytest.mark.parametrize(
    ("hosts", "away", "shown"),
    [
        (("a",), (), None),
        (("a", "b"), (), "all answer"),
        (("a", "b"), ("b does not answer",), "b does not answer"),
        (("a",), ("a does not answer",), "a does not answer"),
    ],
)
async def test_each_host_of_several_is_reported(
    servers: type[PaperServers], hosts: tuple[str, ...], away: tuple[str, ...], shown: str | None
) -> None:
    servers.hosts_away = away
    found = {one.check: one for one in await availability.servers_findings(several(*hosts))}
    assert servers.closed == 1
    assert (found["kafka brokers"].ok, found["kafka disks"].ok) == (False, False)
    assert (found["postgres hosts"].found if "postgres hosts" in found else None) == shown
    assert all(found[name].ok is not bool(away) for name in found if name == "postgres hosts")


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Give what Postgres answers: its clock, its standbys, its disk, and whether it lets us in."""
    world: dict[str, Any] = {"clock": True, "disk": True, "in": True, "row": {"names": "", "standbys": 0, "waiting": 0}}

    class Connection:
        async def fetch(self, _sql: str) -> list[Any]:
            return [world["row"]]

    @asynccontextmanager
    async def connected(*_: Any, **__: Any) -> AsyncIterator[Connection]:
        if not world["in"]:
            raise UnavailableError("Postgres does not let us in")
        yield Connection()

    async def clock(*_: Any) -> Finding:
        return Finding("clock", ok=world["clock"], found="9 s apart")

    async def disk(*_: Any) -> list[Finding]:
        return [Finding("postgres disk", ok=world["disk"], found="full")]

    async def oldest(*_: Any) -> Finding:
        return Finding("oldest transaction", ok=world.get("oldest", True), found="open")

    monkeypatch.setattr(availability, "connected", connected)
    monkeypatch.setattr(availability, "clock_finding", clock)
    monkeypatch.setattr(availability, "oldest_transaction", oldest)
    monkeypatch.setattr(availability.postgres_disk, "findings", disk)
    return world


async def test_what_is_wrong_of_postgres_is_reported_and_what_is_right_not(postgres: dict[str, Any]) -> None:
    assert await availability.wrong_of_postgres(Settings()) == []
    postgres["clock"] = postgres["disk"] = postgres["oldest"] = False
    postgres["row"] = {"names": "", "standbys": 1, "waiting": 0, "lag_bytes": 10**12, "furthest": "b"}
    assert await availability.wrong_of_postgres(Settings()) == [
        "clock: 9 s apart",
        "postgres standby lag: b lacks 1000000.0 MB of the WAL",
        "oldest transaction: open",
        "postgres disk: full",
    ]
    postgres["in"] = False
    assert await availability.wrong_of_postgres(Settings()) == [], "who is away is named by others"


@pytest.mark.parametrize("waiting", [0, 1])
def test_one_session_that_waits_for_long_is_enough(waiting: int) -> None:
    found = availability.standby_finding({"names": "b", "standbys": 1, "waiting": waiting})
    assert found.ok is not bool(waiting)


async def test_what_is_wrong_is_named_again_and_again(
    postgres: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(availability, "NAME_SECONDS", 0.0)
    facts: dict[str, object] = {}
    naming = asyncio.create_task(availability.keep_naming(Settings(), facts))
    for clock in (True, False, True):
        postgres["clock"] = clock
        wanted = [] if clock else ["clock: 9 s apart"]
        await until(lambda wanted=wanted: facts.get("postgres") == wanted)
    naming.cancel()
    await asyncio.wait([naming])


def test_the_broker_of_id_0_leads_as_any_other() -> None:
    assert availability.copies_finding([topic((0, [0], [0]))], {}).ok
