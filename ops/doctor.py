"""`ratchet doctor`: looks at the configuration and every endpoint, and says what to do."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import asyncpg
from rich.table import Table
from rich.text import Text

from ops import availability, endpoints, home_disks, postgres_disk
from ops.database import connected
from ops.doctor_settings import configuration
from ops.durability import lacks_of_postgres, lacks_of_topic
from ops.finding import Finding
from ops.loopback import leads_to_loopback
from ops.output import EXIT_DONE, EXIT_PROBLEM, AsJson, command, emit
from runtime import topic_binding
from runtime.sql import statement
from schemas.errors import AccessRefusedError, RatchetError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import typer
    from redis.asyncio import Redis

    from runtime.settings import Settings
    from schemas.topics import Topic

BROKERS_TRIED_MAX: Final = 5
REDIS_PROBE_MILLISECONDS: Final = 1000
"""How long the key stays that asks Redis whether it takes a write."""


def transport_finding(host: str, *, encrypted: bool) -> Finding:
    """Check whether what is sent to Postgres can be read, or answered by somebody else, on its way."""
    if encrypted or leads_to_loopback(host):
        return Finding("postgres transport", ok=True, found="TLS" if encrypted else "this machine")
    advice = "add ?sslmode=verify-full to the DSN: payments can be read and changed on their way"
    return Finding("postgres transport", ok=True, found="not encrypted", advice=advice)


async def kafka(settings: Settings) -> list[Finding]:
    """Look at Kafka and the settings of its topics."""
    from runtime.kafka import opening

    async with opening(settings.kafka, settings.ops.lookup_timeout_seconds, "looking at the topics"):
        brokers, described, answers = await _asked_of_any(settings)
    findings = [Finding("kafka", ok=True, found=f"{settings.kafka.bootstrap}, {brokers} broker(s)")]
    if settings.kafka.sasl_mechanism == "AWS_MSK_IAM":
        from runtime.kafka_msk import identity_found

        findings.append(Finding("kafka identity", ok=True, found=await asyncio.to_thread(identity_found)))
    known = {row[3]: {entry[0]: entry[1] for entry in row[4]} for answer in answers for row in answer.resources}
    copies = {one["topic"]: least_replicas(one["partitions"]) for one in described}
    for topic in settings.kafka.topics.all:
        found = known.get(topic.name)
        findings.append(topic_finding(topic, found, lacks_of_topic(brokers, copies.get(topic.name), found or {})))
    least = {name: int(found.get("min.insync.replicas") or 1) for name, found in known.items()}
    findings.append(availability.copies_finding(described, least))
    return findings + await partitions(settings)


async def _asked_of_any(settings: Settings) -> tuple[int, list[Any], list[Any]]:
    """Return how many brokers there are, our topics and their settings, from whichever broker answers.

    The client asks one at random, and gives up where that one is away.
    """
    from aiokafka.errors import KafkaConnectionError, NodeNotReadyError

    for _ in range(BROKERS_TRIED_MAX - 1):
        with contextlib.suppress(KafkaConnectionError, NodeNotReadyError):
            return await _ask_broker(settings)
    return await _ask_broker(settings)


async def _ask_broker(settings: Settings) -> tuple[int, list[Any], list[Any]]:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

    from runtime.kafka_security import client_arguments

    milliseconds = int(settings.ops.lookup_timeout_seconds * 1000)
    client = AIOKafkaAdminClient(
        **client_arguments(settings.kafka), request_timeout_ms=milliseconds, client_id="ratchet doctor"
    )
    try:
        await client.start()
        cluster = await client.describe_cluster()
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in settings.kafka.topics.all]
        present = set(await client.list_topics())
        wanted = [one for one in resources if one.name in present]
        described = await client.describe_topics([one.name for one in wanted]) if wanted else []
        answers = await client.describe_configs(wanted) if wanted else []
    finally:
        await client.close()
    return len(cluster["brokers"]), described, answers


async def partitions(settings: Settings) -> list[Finding]:
    """Look whether all partitions are read as they should be."""
    from ops.lag import problems, read_partitions

    try:
        found = await read_partitions(settings)
    except AccessRefusedError as error:
        return [Finding("partitions", ok=False, found=str(error), advice="grant our user Describe on topics and group")]
    wrong = [Finding("partitions", ok=False, found=one.found, advice=one.advice) for one in problems(found, settings)]
    shown = f"{len(found)}, {sum(one.lag for one in found)} offsets to be read"
    return wrong or [Finding("partitions", ok=True, found=shown)]


def least_replicas(partitions: Sequence[dict[str, Any]]) -> int | None:
    """Return how many copies the partition with the fewest has; None where there is no partition."""
    return min((len(one["replicas"]) for one in partitions), default=None)


def topic_finding(topic: Topic, found: dict[str, Any] | None, lacks: Sequence[str] = ()) -> Finding:
    """Compare a topic's settings with what they must be; None is a topic that is not there, none are kept from us.

    `lacks` is what it lacks in copies.
    """
    name = f"topic {topic.name}"
    if found is None:
        return Finding(name, ok=False, found="not there", advice="start a role or `ratchet up`: they create it")
    if not found:
        advice = "grant our user DescribeConfigs on it"
        return Finding(name, ok=False, found="its settings are not shown to us", advice=advice)
    wrong = []
    if int(found.get("max.message.bytes") or 0) < topic.record_bytes_max:
        wrong.append(f"max.message.bytes={topic.record_bytes_max}")
    wrong += _wrong_retention(topic, found)
    advised = [f"set {' and '.join(wrong)} with kafka-configs"] if wrong else []
    shown = "its settings are wrong" if wrong else "an acknowledged record can be lost" if lacks else "as it must be"
    return Finding(name, ok=not wrong and not lacks, found=shown, advice="; ".join([*advised, *lacks]))


def _wrong_retention(topic: Topic, found: dict[str, Any]) -> list[str]:
    """Return the settings that would remove records too early, or never."""
    if topic.compacted:
        return [] if found.get("cleanup.policy") == "compact" else ["cleanup.policy=compact"]
    retention = int(found.get("retention.ms") or 0)
    endless = retention == -1 and topic.must_end
    short = endless or -1 < retention < topic.retention_ms
    return [f"retention.ms={topic.retention_ms}"] if short else []


async def postgres(settings: Settings) -> list[Finding]:
    """Look at Postgres: version, clock, migrations, and whether the application's role can alter the ledger."""
    async with connected(settings, as_it_is=True) as connection:
        version = await connection.fetchval("show server_version")
        findings = [Finding("postgres", ok=True, found=f"version {version}")]
        findings.append(await availability.clock_finding(settings.ops, connection))
        encrypted = bool(await connection.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()"))
        findings.append(transport_finding(host_of(settings), encrypted=encrypted))
        findings.append(writes_finding(read_only=await connection.fetchval("show transaction_read_only") == "on"))
        rows = await connection.fetch(statement("ops", "read_durability"))
        findings.append(durability_finding(dict(map(tuple, rows))))
        findings += await availability.cluster_findings(settings, connection)
        findings += await postgres_disk.findings(settings.ops, connection)
        findings.append(await _migrations(settings))
        if await connection.fetchval("select to_regclass('topic_prefix') is not null"):
            bound_to = await connection.fetchval(statement("runtime", "read_topic_prefix"))
            findings.append(prefix_finding(bound_to, settings.kafka.topic_prefix))
        if await connection.fetchval("select to_regclass('payment_logs') is not null"):
            may = await connection.fetchval(
                "select has_any_column_privilege('payment_logs', 'update')"
                " or has_table_privilege('payment_logs', 'delete') or has_table_privilege('payment_logs', 'truncate')"
            )
            advice = "log in as a role that does not own the schema, and run `ratchet migrate up`" if may else ""
            shown = "the application's role can alter it" if may else "the application's role can't alter it"
            findings.append(Finding("ledger", ok=not may, found=shown, advice=advice))
            if all(one.ok for one in findings if one.check == "topic prefix"):
                findings += await parking_clock(settings)
    return findings


def prefix_finding(bound_to: str | None, prefix: str) -> Finding:
    """Check whether the database belongs to our topics; `bound_to` of None is before the first start."""
    why = topic_binding.mismatch(bound_to, prefix) or ""
    shown = "no role has started yet" if bound_to is None else f"the database belongs to those of {bound_to!r}"
    return Finding("topic prefix", ok=not why, found=shown, advice=why)


def host_of(settings: Settings) -> str:
    """Return Postgres' host as the DSN names it; a folder of sockets is this machine."""
    dsn = settings.postgres.dsn
    return urlsplit(dsn.get_secret_value()).hostname or "localhost" if dsn else "localhost"


def durability_finding(found: dict[str, str]) -> Finding:
    """Check whether what Postgres confirms is written."""
    lacks = lacks_of_postgres(found)
    shown = ", ".join(f"{name} {value}" for name, value in sorted(found.items()))
    return Finding("durability", ok=not lacks, found=shown, advice="; ".join(lacks))


async def parking_clock(settings: Settings) -> list[Finding]:
    """Look whether time counts against parked events: while what came in is not processed, it does not."""
    from ops.parking_standstill import read_standstill

    stands = await read_standstill(settings)
    if stands is None:
        return [Finding("parking clock", ok=True, found="time counts against parked events")]
    patience = settings.ops.transaction_notice_seconds
    advice = "have what it waits for processed (RUNBOOK: RatchetParkingClockStands); no event expires meanwhile"
    return [
        Finding("parking clock", ok=stands.seconds <= patience or not stands.parked, found=stands.shown, advice=advice)
    ]


def writes_finding(*, read_only: bool) -> Finding:
    """Check whether Postgres takes writes: a demoted primary and a replica answer, and take none."""
    advice = "point RATCHET_POSTGRES__DSN at the primary, or end the read-only state" if read_only else ""
    found = "this server is read-only" if read_only else "taken"
    return Finding("writes", ok=not read_only, found=found, advice=advice)


async def _migrations(settings: Settings) -> Finding:
    from runtime.migrations import migration_status

    dsn = settings.postgres.dsn
    found = await migration_status(dsn.get_secret_value() if dsn else "")
    behind = [f"{one.version:04d} is {one.state}" for one in found if one.state != "applied"]
    newer = any(one.state == "missing" for one in found)
    advice = "the schema is newer than this version: use the release that brought it" if newer else ""
    advice = "run `ratchet migrate up`" if behind and not newer else advice
    return Finding("migrations", ok=not behind, found=", ".join(behind) or f"{len(found)} applied", advice=advice)


async def cache(settings: Settings) -> list[Finding]:
    """Look at Redis; without it everything works, limits are local and leases slower."""
    if settings.redis.url is None:
        advice = "set RATCHET_REDIS__URL to share rate windows between processes"
        return [Finding("redis", ok=True, found="not configured", advice=advice)]
    from redis import asyncio as redis

    client = redis.from_url(
        settings.redis.url.get_secret_value(), socket_timeout=settings.redis.timeout_seconds, protocol=2
    )
    try:
        found = await client.info("server")
        refusal = await _refusal_of(client, f"{settings.redis.key_prefix}doctor")
    finally:
        await client.aclose()
    version = f"version {found['redis_version']}"
    if refusal is None:
        return [Finding("redis", ok=True, found=version)]
    advice = (
        "until it takes writes, limits are a process's own; point RATCHET_REDIS__URL to the primary, or give it memory"
    )
    return [Finding("redis", ok=False, found=f"{version}, and refuses to write: {refusal}", advice=advice)]


async def _refusal_of(client: Redis, key: str) -> str | None:
    """Return why Redis takes no write: a replica, out of memory, a disk that failed; None where it takes one."""
    from redis.exceptions import ResponseError

    try:
        await client.set(key, "1", px=REDIS_PROBE_MILLISECONDS)
    except ResponseError as error:
        return str(error)
    return None


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything, all endpoints at once; what does not answer is a finding, not an error."""
    findings = configuration(settings)
    if settings.embedded():  # elsewhere a role writes a run file and its log there, and nothing else
        findings += home_disks.findings(settings.home, settings.ops.disk_free_bytes_min)
    elif settings.ops.postgres_disk_bytes is None:
        findings.append(postgres_disk.UNKNOWN)
    try:
        settings = endpoints.found(settings)
    except RatchetError as error:
        return [
            *findings,
            Finding("endpoints", ok=False, found=str(error), advice="`ratchet stack up`, or `ratchet up`"),
        ]
    looked: Sequence[tuple[str, Callable[[Settings], Awaitable[list[Finding]]]]]
    looked = (("kafka", kafka), ("postgres", postgres), ("servers", availability.servers_findings), ("redis", cache))
    groups = await asyncio.gather(*(_looked_at(name, look, settings) for name, look in looked))
    return [*findings, *(finding for group in groups for finding in group)]


async def _looked_at(
    name: str, look: Callable[[Settings], Awaitable[list[Finding]]], settings: Settings
) -> list[Finding]:
    from aiokafka.errors import KafkaError
    from redis.exceptions import RedisError

    from runtime.postgres import OUTAGE_ERRORS

    try:
        async with asyncio.timeout(settings.ops.lookup_timeout_seconds * 2):
            return await look(settings)
    except AccessRefusedError as error:
        return [Finding(name, ok=False, found=str(error), advice="correct the setting, and restart the roles")]
    except (RatchetError, KafkaError, RedisError, asyncpg.PostgresError, *OUTAGE_ERRORS) as error:
        shown = str(error) if isinstance(error, RatchetError) else type(error).__name__
        right = "the address and RATCHET_KAFKA__SECURITY_PROTOCOL" if name == "kafka" else "the address"
        return [Finding(name, ok=False, found=f"does not answer: {shown}", advice=f"is it up, and {right} right?")]


def _mark(*, ok: bool) -> Text:
    return Text("ok", style="green") if ok else Text("problem", style="red")


def _table(findings: Sequence[Finding]) -> Table:
    table = Table("check", "", "found", "what to do")
    for one in findings:
        table.add_row(one.check, _mark(ok=one.ok), Text(one.found), Text(one.advice))
    return table


@command
def run(*, as_json: AsJson = False) -> int:
    """Check the configuration and every endpoint, and say what to do. Exit 1 where something is wrong."""
    findings = asyncio.run(examine(endpoints.load()))
    healthy = all(finding.ok for finding in findings)
    document = {"ok": healthy, "checks": [asdict(finding) for finding in findings]}
    emit(document, as_json=as_json, show=lambda: _table(findings))
    return EXIT_DONE if healthy else EXIT_PROBLEM


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(run)
