"""A primary and its synchronous standby: one that is dead, and commits wait; one that lags; one that is promoted."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections import Counter, defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from cluster.servers import choose_ports, start_databases, until_up
from consumer_harness import webhook
from consumer_processes import consumer_processes
from pooler import PGBOUNCER, pgbouncer
from pydantic import SecretStr
from running_ingress import event, open_ingress
from running_intents import KEYS, Api
from waiting import until

from ops import availability
from ops.database import connected
from ops.status import gather
from producers.relay.holdups import Holdups
from runtime import metrics
from runtime.kafka import ensure_topics
from runtime.migrations import migrate_up
from runtime.postgres import open_pool
from runtime.settings import IntentsSettings, KafkaSettings, PostgresSettings, Settings
from runtime.stack import postgres
from tests.conftest import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from cluster.servers import Databases
    from running_ingress import RunningIngress

    from runtime.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"
NOBODY = "127.0.0.1:1"
"""Where no broker is."""
INTENTS_MAX, SPOOL_MAX, STORE_MAX = 3, 2, 1
PATIENCE_SECONDS = 0.5
STALL_SECONDS = 16.0
"""Longer than a role takes to look (10 s) and a commit to count as waiting (2 s), and less than a COMMIT's 35 s."""
PRESSED_SECONDS = 8.0
SESSIONS = """
select application_name as name, count(*) as sessions, count(*) filter (where wait_event = 'SyncRep') as waiting
from pg_stat_activity where application_name like 'ratchet%' group by application_name
"""


@asynccontextmanager
async def started(home: Path) -> AsyncIterator[Databases]:
    """Run a primary, in which commits wait for its standby, with our schema; both end with the context."""
    found = await start_databases(home, choose_ports())
    try:
        kept = found.of("pg_a")
        owner = postgres.dsn(postgres.OWNER_ROLE, kept.owner_password, kept.ports["postgres"])
        await migrate_up(owner, postgres.APP_ROLE)
        yield found
    finally:
        await asyncio.gather(*(asyncio.to_thread(one.stop) for one in (found.a, found.b)))


@pytest.fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Databases]:
    async with started(tmp_path_factory.mktemp("pair")) as found:
        yield found


def dsn_of(pair: Databases, name: str = "pg_a") -> str:
    kept = pair.of(name)
    return postgres.dsn(postgres.APP_ROLE, kept.app_password, kept.ports["postgres"])


def settings_of(stack: Endpoints, pair: Databases) -> Settings:
    return Settings().model_copy(
        update={
            "kafka": KafkaSettings(bootstrap=stack.kafka),
            "postgres": PostgresSettings(dsn=SecretStr(dsn_of(pair))),
        }
    )


class Most:
    """The most sessions of each pool that were there, and that waited for the standby, at any look."""

    def __init__(self) -> None:
        self.sessions: Counter[str] = Counter()
        self.waiting: Counter[str] = Counter()

    async def watch(self, pair: Databases) -> None:
        kept = pair.of("pg_a")
        connection = await asyncpg.connect(
            postgres.dsn(postgres.SUPERUSER, kept.superuser_password, kept.ports["postgres"]), ssl=False
        )
        try:
            while True:
                for row in await connection.fetch(SESSIONS):
                    self.sessions[row["name"]] = max(self.sessions[row["name"]], row["sessions"])
                    self.waiting[row["name"]] = max(self.waiting[row["name"]], row["waiting"])
                await asyncio.sleep(0.1)
        finally:
            connection.terminate()


@dataclass
class Load:
    """Intents and webhooks, each sent again and again until `over`: what was answered, and what was taken."""

    ingress: RunningIngress
    alone: RunningIngress
    over: asyncio.Event = field(default_factory=asyncio.Event)
    answers: defaultdict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    taken: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    async def intents(self) -> None:
        api = Api(self.ingress.url, self.ingress.client)
        while not self.over.is_set():
            reply = await api.create(key=str(uuid.uuid4()))
            self.answers["intent"][reply.status] += 1
            if reply.status == 202:
                self.taken["intent"].add(reply.json["id"])
            await asyncio.sleep(0.05)

    async def webhooks(self, ingress: RunningIngress, what: str) -> None:
        while not self.over.is_set():
            event_id, body = event()
            status, _, _ = await ingress.post(body)
            self.answers[what][status] += 1
            if status == 202:
                self.taken[what].add(event_id)
            await asyncio.sleep(0.05)

    def start(self) -> list[asyncio.Task[None]]:
        works = [self.intents() for _ in range(12)]
        works += [self.webhooks(self.alone, "spooled") for _ in range(8)]
        works.append(self.webhooks(self.ingress, "webhook"))
        return [asyncio.create_task(one) for one in works]


async def is_shown(stack: Endpoints, pair: Databases, load: Load) -> None:
    """Look at what everybody shows while commits wait."""
    async with connected(settings_of(stack, pair)) as connection:
        standby, *_ = await availability.replication_findings(Settings().ops, connection)
    assert not standby.ok, "a new session is let in, and learns why"
    assert re.search(r"FIRST 1 \(node_b\): 0 there, [1-9]\d* sessions wait for long", standby.found)
    assert int(str(load.ingress.probe.facts["commits_waiting_for_standby"])) >= INTENTS_MAX
    assert (metrics.REGISTRY.get_sample_value("ratchet_commits_waiting") or 0) >= INTENTS_MAX
    assert load.ingress.probe.unready() is None, "Kafka takes its webhooks"
    assert "kafka: " in str(load.alone.probe.unready()), "nothing takes its own"
    assert "the spool took no record" in str(load.alone.probe.unready())
    assert {what: set(found) for what, found in load.answers.items()} == {
        "intent": {503},
        "webhook": {202},
        "spooled": {503},
    }


async def test_commits_that_wait_for_a_dead_standby_keep_to_their_own_sessions(
    stack: Endpoints, pair: Databases
) -> None:
    """Intents wait, and webhooks of an ingress whose Kafka is away too; each is refused in time and sent again."""
    dsn, most = dsn_of(pair), Most()
    intents = IntentsSettings(connections_max=INTENTS_MAX, timeout_seconds=PATIENCE_SECONDS)
    clients = {"api_keys": {client: (SecretStr(key),) for client, key in KEYS.items()}, "intents": intents}
    quick = {"ready_interval_seconds": 0.2, "spool_timeout_seconds": PATIENCE_SECONDS}
    async with (
        open_ingress(stack.kafka, dsn, changes=clients, spool_connections_max=STORE_MAX, **quick) as ingress,
        open_ingress(NOBODY, dsn, spool_connections_max=SPOOL_MAX, **quick) as alone,
    ):
        load = Load(ingress, alone)
        tasks = [asyncio.create_task(most.watch(pair))]
        try:
            await asyncio.to_thread(pair.b.kill)
            tasks += load.start()
            await asyncio.sleep(PRESSED_SECONDS)
            await is_shown(stack, pair, load)
            await asyncio.to_thread(pair.b.start)
            await until_up(pair.synchronous, "the standby is synchronous again")
            await until(lambda: load.taken["intent"] and load.taken["spooled"], "both are taken again, by themselves")
        finally:
            load.over.set()
            await asyncio.gather(*tasks[1:])
            tasks[0].cancel()
            if pair.b.held is None:
                await asyncio.to_thread(pair.b.start)
    intents_pool, spools = "ratchet ingress intents", "ratchet ingress"
    assert most.waiting[intents_pool] == INTENTS_MAX
    assert SPOOL_MAX <= most.waiting[spools] <= SPOOL_MAX + STORE_MAX, "a slow broker has the other one spool too"
    # Sessions that are ended, for they do not commit in time, are there until the server notices.
    assert most.sessions[intents_pool] <= 3 * INTENTS_MAX
    assert most.sessions[spools] <= 3 * (SPOOL_MAX + STORE_MAX + 2)
    print(f"at most: {dict(most.sessions)}, of them waiting {dict(most.waiting)}; {dict(load.answers)}")  # noqa: T201
    connection = await asyncpg.connect(dsn)
    try:
        promised = {str(row[0]) for row in await connection.fetch("select payment_id from intent_claims")}
        assert load.taken["intent"] <= promised
        stored = await connection.fetchval("select count(*) from spool where topic = 'payments.webhooks'")
        assert stored >= len(load.taken["spooled"])
    finally:
        await connection.close()


async def test_a_consumer_whose_commits_wait_says_why_and_is_not_called_stuck(
    stack: Endpoints, pair: Databases, tmp_path: Path
) -> None:
    """A restart would end nothing, and another one would follow it."""
    kept = pair.of("pg_a")
    owner = postgres.dsn(postgres.OWNER_ROLE, kept.owner_password, kept.ports["postgres"])
    async with consumer_processes(stack.kafka, Database(dsn_of(pair), owner), tmp_path) as harness:
        child = harness.spawn(limits={"stall_seconds": STALL_SECONDS})
        await harness.publish([webhook("payment.created", "before")])
        await harness.until_written(1)
        await asyncio.to_thread(pair.b.kill)
        try:
            await harness.publish([webhook("payment.created", f"p{number}") for number in range(20)])
            begun, seen = time.monotonic(), []
            while time.monotonic() - begun < STALL_SECONDS + 5:
                seen.append(child.health())
                await asyncio.sleep(0.1)
        finally:
            await asyncio.to_thread(pair.b.start)
            await until_up(pair.synchronous, "the standby is synchronous again")
        await harness.until_written(21)
        assert not [one["stuck"] for one in seen if one and one["stuck"]]
        assert "commits wait for a synchronous standby" in str(seen[-1]["unready"])
        await until(lambda: child.health()["unready"] is None, "it is ready again")
        assert child.running
        assert await harness.count("dead_letters") == 0


async def test_a_standby_that_lags_is_named_by_all_who_look(stack: Endpoints, pair: Databases) -> None:
    """Its replay stands still while the primary writes more than the alert's bound."""
    settings = settings_of(stack, pair)
    await ensure_topics(settings.kafka)
    await pair.ask("pg_a", f"grant pg_monitor to {postgres.APP_ROLE}")
    pool = await open_pool(settings.postgres, role="relay", connections=1)
    holdups = Holdups({})
    bytes_max = settings.ops.standby_lag_bytes_max

    def lag() -> float:
        return metrics.REGISTRY.get_sample_value("ratchet_standby_lag_bytes") or 0.0

    try:
        await holdups.sample(pool)
        shown: Any = holdups.facts["standby"]
        assert (shown["names"], shown["standbys"], shown["furthest"]) == ("FIRST 1 (node_b)", 1, "node_b")
        assert lag() < bytes_max
        await pair.ask("pg_b", "select pg_wal_replay_pause()")
        async with pool.acquire() as connection:
            for _ in range(bytes_max // (8 << 20) + 2):
                await connection.execute("select pg_logical_emit_message(false, 'lag', repeat('x', 8 << 20))")
        await holdups.sample(pool)
        assert lag() > bytes_max
        assert fires("RatchetStandbyLags", "ratchet_standby_lag_bytes", lag())
        shown = holdups.facts["standby"]
        assert (shown["furthest"], shown["lag_bytes"]) == ("node_b", int(lag()))
        async with connected(settings) as connection:
            found = {one.check: one for one in await availability.replication_findings(settings.ops, connection)}
        assert (found["postgres standby"].ok, found["postgres standby lag"].ok) == (True, False)
        named = re.compile(r"postgres standby lag: node_b lacks \d+\.\d MB of the WAL")
        assert any(named.search(line) for line in (await gather(settings)).problems), "status"
        facts: dict[str, Any] = {}
        naming = asyncio.create_task(availability.keep_naming(settings, facts))
        await until(lambda: facts.get("postgres"), "the console's probe, from which its board has it")
        naming.cancel()
        assert any(named.search(line) for line in facts["postgres"])
    finally:
        await pair.ask("pg_b", "select pg_wal_replay_resume()")

    async def caught_up() -> bool:
        await holdups.sample(pool)
        return lag() < bytes_max

    await until(caught_up, "it catches up")
    holdups.clear()
    assert (lag(), holdups.facts) == (0, {})
    await pool.close()


def fires(alert: str, name: str, value: float) -> bool:
    """Tell whether a rule of the kind `max(metric) > number * number` fires for this value."""
    found = re.search(rf"alert: {alert}\n\s+expr: max\({name}\) > ([\d *]+)\n", RULES.read_text())
    assert found, f"{alert} does not ask {name}"
    bound = 1.0
    for factor in found[1].split("*"):
        bound *= float(factor)
    return value > bound


async def test_where_a_dsn_names_standbys_alone_that_is_what_is_reported(pair: Databases) -> None:
    login, _, rest = dsn_of(pair, "pg_b").rpartition("@")
    place, _, name = rest.partition("/")

    def settings(*places: str) -> PostgresSettings:
        return PostgresSettings(dsn=SecretStr(f"{login}@{','.join(places)}/{name}"))

    with pytest.raises(asyncpg.TargetServerAttributeNotMatched, match=r"answers True to: select pg_is_in_recovery"):
        await open_pool(settings(place, place), role="test", any_schema=True)
    for places in ((NOBODY, place), (place, NOBODY)):
        with pytest.raises(ConnectionRefusedError):
            await open_pool(settings(*places), role="test", any_schema=True)
    reading = await open_pool(settings(NOBODY, place), role="test", writing=False, any_schema=True)
    assert await reading.fetchval("select pg_is_in_recovery()") is True
    await reading.close()


@pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed (Debian: apt-get install pgbouncer)")
async def test_a_standby_behind_a_pooler_is_found_once_it_is_promoted(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """PgBouncer repeats what the server reported of itself when it was first asked: that it was a standby."""
    async with started(tmp_path_factory.mktemp("pooled")) as found:
        with (
            pgbouncer(tmp_path / "a", dsn_of(found, "pg_a"), "session") as first,
            pgbouncer(tmp_path / "b", dsn_of(found, "pg_b"), "session") as second,
        ):
            hosts = f"{first.rpartition('@')[2].partition('/')[0]},{second.rpartition('@')[2].partition('/')[0]}"
            login = first.rpartition("@")[0]
            settings = PostgresSettings(dsn=SecretStr(f"{login}@{hosts}/{postgres.DATABASE}"))
            alone = PostgresSettings(dsn=SecretStr(f"{second}?target_session_attrs=read-write"))
            with pytest.raises(asyncpg.TargetServerAttributeNotMatched):
                await open_pool(alone, role="test")
            pool = await open_pool(settings, role="test", connections=2)
            assert await pool.fetchval("select not pg_is_in_recovery()")
            await asyncio.to_thread(found.a.kill)
            await found.promote()

            async def serves() -> bool:
                try:
                    return bool(await pool.fetchval("select not pg_is_in_recovery()", timeout=3))
                except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    return False

            await until(serves, "the new primary serves us", 20)
            pool.terminate()
            fresh = await open_pool(settings, role="test", connections=1)
            fresh.terminate()
