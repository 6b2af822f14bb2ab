"""What `ratchet doctor` makes of what it is shown: whatever fails is a finding, and none waits for ever."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiokafka.errors import KafkaConnectionError
from certificates import issue
from pydantic import SecretStr
from redis.exceptions import ConnectionError as RedisConnectionError

from ops import doctor, doctor_settings, postgres_disk
from ops.finding import Finding
from ops.parking_standstill import ParkingStandstill
from runtime import migrations
from runtime.settings import KafkaSettings, OpsSettings, PostgresSettings, Settings
from schemas import topics
from schemas.errors import AccessRefusedError, UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

SECRET = "hunter2"


def quick(settings: Settings) -> Settings:
    """Return the settings with look-ups that give up at once."""
    return settings.model_copy(update={"ops": OpsSettings().model_copy(update={"lookup_timeout_seconds": 0.02})})


async def for_ever(_: Settings) -> list[Finding]:
    await asyncio.Event().wait()
    return []


FAILURES = {
    "outage": (OSError(SECRET), "does not answer: OSError"),
    "time": (TimeoutError(), "does not answer: TimeoutError"),
    "kafka": (KafkaConnectionError(SECRET), "does not answer: KafkaConnectionError"),
    "redis": (RedisConnectionError(SECRET), "does not answer: ConnectionError"),
    "postgres": (asyncpg.UndefinedTableError(SECRET), "does not answer: UndefinedTableError"),
    "ours": (UnavailableError("Kafka is away"), "does not answer: Kafka is away"),
    "refused": (AccessRefusedError("no ACL"), "no ACL"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_whatever_a_look_raises_is_a_finding_without_the_servers_own_text(name: str) -> None:
    error, shown = FAILURES[name]

    async def look(_: Settings) -> list[Finding]:
        await asyncio.sleep(0)
        raise error

    (found,) = await doctor._looked_at("it", look, Settings())
    assert (found.check, found.ok, found.found, bool(found.advice)) == ("it", False, shown, True)


async def test_a_server_that_says_nothing_is_a_finding_too() -> None:
    async with asyncio.timeout(5):
        (found,) = await doctor._looked_at("kafka", for_ever, quick(Settings()))
    assert (found.ok, found.found) == (False, "does not answer: TimeoutError")
    assert "SECURITY_PROTOCOL" in found.advice


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    asked: list[str] = []

    def of(name: str) -> Any:
        async def look(_: Settings) -> list[Finding]:
            asked.append(name)
            return [Finding(name, ok=True, found="")]

        return look

    for module, name in ((doctor, "kafka"), (doctor, "postgres"), (doctor, "cache")):
        monkeypatch.setattr(module, name, of(name))
    monkeypatch.setattr(doctor.availability, "servers_findings", of("servers"))
    monkeypatch.setattr(doctor.home_disks, "findings", lambda *_: [Finding("disk", ok=False, found="full")])
    return asked


async def test_every_server_is_looked_at(looks: list[str]) -> None:
    servers = {
        "kafka": KafkaSettings(bootstrap="localhost:1"),
        "postgres": PostgresSettings(dsn=SecretStr("postgresql://a@h/d")),
    }
    found = {one.check: one for one in await doctor.examine(Settings(**servers))}
    assert sorted(looks) == ["cache", "kafka", "postgres", "servers"]
    assert set(looks) <= set(found)
    assert found["postgres disk"] is postgres_disk.UNKNOWN
    assert "disk" not in found, "the home holds nothing there"
    watched = Settings(**servers, ops=OpsSettings(postgres_disk_bytes=10**12))
    assert "postgres disk" not in {one.check for one in await doctor.examine(watched)}


async def test_of_an_embedded_home_the_disk_is_looked_at_also_where_no_stack_runs(
    looks: list[str], tmp_path: Path
) -> None:
    found = {one.check: one for one in await doctor.examine(Settings(home=tmp_path))}
    assert (found["endpoints"].ok, found["disk"].ok, looks) == (False, False, [])
    assert "ratchet up" in found["endpoints"].advice
    assert "postgres disk" not in found


async def test_half_the_endpoints_are_a_finding(looks: list[str]) -> None:
    found = await doctor.examine(Settings(kafka=KafkaSettings(bootstrap="localhost:1")))
    assert [one.ok for one in found if one.check == "endpoints"] == [False]
    assert looks == []


@pytest.mark.parametrize(
    ("seconds", "parked", "ok"), [(1.0, 5, True), (10**6, 5, False), (10**6, 0, True), (1.0, 0, True)]
)
async def test_a_parking_clock_that_stands_for_long_is_a_problem_while_something_waits(
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    parked: int,
    ok: bool,  # noqa: FBT001
) -> None:
    async def read(_: Settings) -> ParkingStandstill:
        return ParkingStandstill("2026-01-02T03:04:05+00:00", seconds, "", parked)

    monkeypatch.setattr("ops.parking_standstill.read_standstill", read)
    (found,) = await doctor.parking_clock(Settings())
    assert (found.ok, "no consumer runs" in found.found) == (ok, True)


@pytest.mark.parametrize(
    ("states", "ok", "advice"),
    [
        (["applied", "applied"], True, ""),
        (["applied", "pending"], False, "run `ratchet migrate up`"),
        (["edited", "applied"], False, "run `ratchet migrate up`"),
        (["applied", "missing"], False, "the schema is newer than this version: use the release that brought it"),
        (["pending", "missing"], False, "the schema is newer than this version: use the release that brought it"),
    ],
)
async def test_every_migration_is_applied_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
    states: list[str],
    ok: bool,  # noqa: FBT001
    advice: str,
) -> None:
    async def read(_: str) -> Any:
        return [SimpleNamespace(version=number, state=state) for number, state in enumerate(states, 1)]

    monkeypatch.setattr(migrations, "migration_status", read)
    found = await doctor._migrations(Settings())
    assert (found.ok, found.advice) == (ok, advice)


@pytest.mark.parametrize(
    ("dsn", "encrypted", "shown"),
    [
        ("postgresql://a@db.example:5432/d", True, "TLS"),
        ("postgresql://a@db.example:5432/d", False, "not encrypted"),
        ("postgresql://a@127.0.0.1/d", False, "this machine"),
        ("postgresql://a@/d?host=/run/postgresql", False, "this machine"),
    ],
)
def test_what_can_be_read_on_its_way_is_stated(dsn: str, encrypted: bool, shown: str) -> None:  # noqa: FBT001
    host = doctor.host_of(Settings(postgres=PostgresSettings(dsn=SecretStr(dsn))))
    found = doctor.transport_finding(host, encrypted=encrypted)
    assert (found.found, bool(found.advice)) == (shown, shown == "not encrypted")


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"retention.ms": "0"}, "retention.ms="),
        ({"retention.ms": None}, "retention.ms="),
        ({"retention.ms": "-1"}, ""),
        ({"max.message.bytes": None}, "max.message.bytes="),
    ],
)
def test_a_topic_that_keeps_nothing_or_takes_no_record_is_wrong(settings: dict[str, Any], wrong: str) -> None:
    topic = topics.DEFAULT.webhooks
    right = {"retention.ms": str(topic.retention_ms), "max.message.bytes": str(topic.record_bytes_max)}
    assert doctor.topic_finding(topic, right).ok
    found = doctor.topic_finding(topic, right | settings)
    assert (found.ok, wrong in found.advice) == (not wrong, True)


def test_states_that_are_deleted_too_are_not_kept() -> None:
    """`compact,delete` drops the state of every payment that nothing changed for as long as the topic keeps."""
    topic = topics.DEFAULT.state
    right = {"cleanup.policy": "compact", "max.message.bytes": str(topic.record_bytes_max)}
    assert doctor.topic_finding(topic, right).ok
    for policy in ("compact,delete", "delete", None):
        found = doctor.topic_finding(topic, right | {"cleanup.policy": policy})
        assert (found.ok, "cleanup.policy=compact" in found.advice) == (False, True)


@pytest.mark.parametrize("known", [True, False])
async def test_what_is_known_of_each_topic_is_held_against_it(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:  # noqa: FBT001
    """Of copies the partition with the fewest counts, and how many a write needs is the topic's own setting."""
    monkeypatch.setattr("runtime.kafka.opening", lambda *_: _Nothing())
    ours = topics.DEFAULT.all

    async def ask(_: Settings) -> Any:
        parts = [
            {"partition": 0, "leader": 1, "replicas": [1, 2, 3], "isr": [1, 2]},
            {"partition": 1, "leader": 0, "replicas": [1, 2], "isr": [1]},
        ]
        right = [("max.message.bytes", "99999999"), ("retention.ms", "999999999999"), ("cleanup.policy", "compact")]
        least = [("min.insync.replicas", "2")] if known else []
        rows = [(0, "", 2, one.name, right + least) for one in ours]
        return 3, [{"topic": ours[0].name, "partitions": parts}], [SimpleNamespace(resources=rows)]

    async def no_partitions(_: Settings) -> list[Finding]:
        return [Finding("partitions", ok=True, found="")]

    monkeypatch.setattr(doctor, "_asked_of_any", ask)
    monkeypatch.setattr(doctor, "partitions", no_partitions)
    found = {one.check: one for one in await doctor.kafka(Settings(kafka=KafkaSettings(bootstrap="a:1")))}
    short = f"takes no writes, too few copies in step: {ours[0].name}/1; " if known else ""
    assert found["kafka copies"].found == f"{short}2 partitions have copies that lag"
    assert "partitions" in found
    assert all(found[f"topic {one.name}"].ok for one in ours)


class _Nothing:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


async def test_a_group_that_we_may_not_see_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_: Settings) -> Any:
        raise AccessRefusedError("no ACL")

    monkeypatch.setattr("ops.lag.read_partitions", refused)
    (found,) = await doctor.partitions(Settings())
    assert (found.check, found.ok) == ("partitions", False)


@pytest.mark.parametrize(
    "name",
    ["secret_findings", "kafka_findings", "scope_findings", "executor_findings", "recall_findings", "api_findings"],
)
def test_each_look_at_the_settings_is_shown_by_the_clock_of_the_wall(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    asked: list[float] = []

    def look(_: Settings, *now: float) -> list[Finding]:
        asked.extend(now)
        return [Finding("of the look", ok=False, found="")]

    monkeypatch.setattr(doctor_settings, name, look)
    assert "of the look" in {one.check for one in doctor_settings.configuration(Settings())}
    assert all(abs(now - time.time()) < 60 for now in asked)


def test_of_a_chain_in_one_file_our_own_certificate_counts(tmp_path: Path) -> None:
    """It stands first; those that signed it last for longer."""
    root = issue("root", days=400)
    ours = issue("client", root, days=3)
    (tmp_path / "chain.pem").write_bytes(ours.certificate_pem() + root.certificate_pem())
    now = time.time()
    found = doctor_settings.certificate_finding(tmp_path / "chain.pem", now, now + 14 * 24 * 3600)
    assert not found.ok
