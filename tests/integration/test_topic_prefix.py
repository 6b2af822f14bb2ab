"""A company's own prefix and group beside topics of the default names on one broker: all of it, and nothing else."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from consumer_harness import command, intent, until
from consumer_processes import from_now_on, member, places
from relay_rows import reading, relaying
from running_consumer import consuming
from running_ingress import event, ingress_settings, open_ingress

from consumer import role
from ops import doctor, lag, redrives
from ops.console.backlog import BacklogReader
from ops.console.reader import Reader
from ops.database import connected
from ops.dlq_rebuild import rebuild
from ops.redrives import RedriveRequest
from producers import relay
from producers.ingress import app
from runtime.health import Probe
from runtime.kafka import close_producer, ensure_topics, open_producer
from runtime.settings import KafkaSettings
from runtime.sql import statement
from schemas.errors import SettingsError
from schemas.topics import ALL, DEFAULT, RECORD_BYTES_MAX

if TYPE_CHECKING:
    from conftest import Database

    from runtime.settings import Settings
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
WAIT_SECONDS = 60.0


async def default_topics(kafka: str) -> tuple[dict[TopicPartition, int], dict[TopicPartition, Any]]:
    """Return where the topics of the default names end, and what the default group has committed."""
    numbers = [place.partition for place in places() if place.topic == DEFAULT.webhooks.name]
    every = [TopicPartition(topic.name, number) for topic in ALL for number in numbers]
    async with member(kafka) as reader:
        reader.assign(every)
        return await reader.end_offsets(every), {place: await reader.committed(place) for place in places()}


async def publish(settings: Settings, topic: str, value: bytes, headers: Any, key: bytes | None = None) -> None:
    producer = await open_producer(settings.kafka, RECORD_BYTES_MAX)
    await producer.send_and_wait(topic, value, key, headers=list(headers))
    await close_producer(producer, 2.0)


async def test_everything_runs_under_a_company_s_names_and_nothing_touches_the_default_ones(
    stack: Endpoints, database: Database
) -> None:
    await from_now_on(stack.kafka)
    before = await default_topics(stack.kafka)
    named = uuid.uuid4().hex[:8]
    kafka = KafkaSettings(bootstrap=stack.kafka, topic_prefix=f"acme-{named}.pay_", group=f"acme/{named}:ratchet")
    topics = kafka.topics
    await ensure_topics(kafka)
    pool = await asyncpg.create_pool(database.dsn, min_size=1, max_size=2)
    async with (
        open_ingress(stack.kafka, database.dsn, changes={"kafka": kafka}) as ingress,
        reading(stack, topics.changes.name) as changes,
        reading(stack, topics.state.name) as states,
        reading(stack, topics.dlq.name) as letters,
        consuming(ingress.settings),
        relaying(ingress.settings),
    ):
        event_id, sample = event()
        document = json.loads(sample)
        document["data"]["object"]["amount_received"] = 100
        assert (await ingress.post(json.dumps(document).encode()))[0] == 202
        assert (await ingress.post(b"no JSON"))[0] == 202
        promised = intent(uuid.uuid4(), amount=700, reference="order-1")
        await publish(ingress.settings, topics.intents.name, promised.value, promised.headers, promised.key)
        await changes.until(lambda found: len(found) >= 2, WAIT_SECONDS)
        assert event_id in {json.loads(record.value)["event_id"] for record in changes.records}
        await states.until(lambda found: len({record.key for record in found}) == 2, WAIT_SECONDS)

        await letters.until(lambda found: len(found) == 1, WAIT_SECONDS)
        reported = dict(letters.records[0].headers)
        assert reported["__dlq.errors.topic"] == topics.webhooks.name.encode()
        assert reported["__dlq.errors.group"] == topics.group.encode()

        async with connected(ingress.settings) as connection:
            order = RedriveRequest(requested_by="alice", rate_per_second=1000.0)
            started = await redrives.start(connection, ingress.settings, order)
            assert [one.would.value for one in started.preview.messages] == ["illegal"]
        await letters.until(lambda found: len(found) == 2, WAIT_SECONDS)
        assert dict(letters.records[1].headers)["ratchet-redrive-count"] == b"1"
        rows = await pool.fetch("select topic, status, redrive_count from dead_letters order by id")
        assert [(row["topic"], row["redrive_count"]) for row in rows] == [(topics.webhooks.name, n) for n in (0, 1)]
        await _look_around(ingress.settings, pool)
    await pool.close()
    assert await default_topics(stack.kafka) == before, "nothing was written, read or committed under default names"


async def _look_around(settings: Settings, pool: asyncpg.Pool[Any]) -> None:
    """Lag, doctor, console and rebuild speak of these topics alone, and so do the tables."""
    topics, prefix = settings.kafka.topics, settings.kafka.topic_prefix

    async def at_rest() -> bool:
        found = await lag.read_lag(settings)
        return {name for name, _ in found} == set(topics.consumed_names) and not sum(found.values())

    await until(at_rest, "no lag of the company's topics", WAIT_SECONDS)
    findings = {one.check: one for one in await doctor.kafka(settings)}
    assert {f"topic {topic.name}" for topic in topics.all} < set(findings)
    assert not any(DEFAULT.prefix in name for name in findings)
    assert findings[f"topic {topics.state.name}"].found in ("as it must be", "an acknowledged record can be lost")
    (bound,) = [one for one in await doctor.postgres(settings) if one.check == "topic prefix"]
    assert (bound.ok, bound.found) == (True, f"the database belongs to those of {prefix!r}")
    reader = BacklogReader(settings)
    assert dict((await reader.read()).lag) == dict.fromkeys(topics.consumed_names, 0)
    await reader.close()
    async with connected(settings) as connection:
        found = await rebuild(connection, settings)
        assert (found.read, found.added) == (2, 0), "its own topic of dead letters, known already"
    for table in ("consumer_offsets", "payment_logs", "dead_letters"):
        reported = {row["topic"] for row in await pool.fetch(f"select distinct topic from {table}")}
        assert reported
        assert all(topic.startswith(prefix) for topic in reported), table


@pytest.mark.parametrize("name", ["consumer", "relay", "ingress"])
async def test_a_role_with_another_prefix_is_refused(stack: Endpoints, database: Database, name: str) -> None:
    """The first process that starts decides whose topics a database is of."""
    serve = {"consumer": role.serve, "relay": relay.serve, "ingress": app.serve}[name]
    async with open_ingress(stack.kafka, database.dsn) as ingress:
        async with connected(ingress.settings) as connection:
            assert await connection.fetchval("select prefix from topic_prefix") == DEFAULT.prefix
        named = f"other-{uuid.uuid4().hex[:8]}."
        other = ingress.settings.model_copy(update={"kafka": KafkaSettings(bootstrap=stack.kafka, topic_prefix=named)})
        with pytest.raises(SettingsError, match=r"belongs to the topics of 'payments\.'"):
            await asyncio.wait_for(serve(other, asyncio.Event(), Probe(name)), 30)
        with pytest.raises(SettingsError, match="TOPIC_PREFIX"):
            async with connected(other):
                pass
        reader = Reader(other)
        with pytest.raises(SettingsError, match="TOPIC_PREFIX"):
            await reader.fetch("list_messages", uuid.uuid4())
        await reader.close()
        (found,) = [one for one in await doctor.postgres(other) if one.check == "topic prefix"]
        assert not found.ok
        assert "move the database" in found.advice


async def test_a_database_is_moved_to_another_prefix_as_the_runbook_says(stack: Endpoints, database: Database) -> None:
    """What waits is decoded as before, states are filled under the new name, and old names are refused from then on."""
    await from_now_on(stack.kafka)
    old = f"old-{uuid.uuid4().hex[:8]}."
    kafka = KafkaSettings(bootstrap=stack.kafka, topic_prefix=old, group=f"{old}ratchet")
    moved = kafka.model_copy(update={"topic_prefix": f"new-{uuid.uuid4().hex[:8]}."})
    await ensure_topics(kafka)
    await ensure_topics(moved)
    owner = await asyncpg.connect(database.owner_dsn)
    settings = ingress_settings(stack.kafka, database.dsn).model_copy(update={"kafka": kafka})
    first, waiting = uuid.uuid4(), uuid.uuid4()
    early = command(waiting, "cancel")
    async with consuming(settings), relaying(settings), reading(stack, kafka.topics.state.name) as states:
        for one in (intent(first, amount=700), early):
            await publish(settings, kafka.topics.intents.name, one.value, one.headers, one.key)
        await states.until(bool, WAIT_SECONDS)
        await until(lambda: owner.fetchval("select count(*) from parked_events"), "the command waits", WAIT_SECONDS)
        await until(lambda: _at_rest(settings), "no lag", WAIT_SECONDS)
    before = await owner.fetchval("select max(epoch) from epochs")
    reported = _runbook_s_statements().replace("'acme.payments.'", f"'{moved.topic_prefix}'")
    await owner.execute(reported.replace("'payments.'", f"'{old}'"))
    assert await owner.fetchval("select max(epoch) from epochs") > before
    with pytest.raises(SettingsError, match="belongs to the topics of"):
        await asyncio.wait_for(role.serve(settings, asyncio.Event(), Probe("consumer")), 30)
    now = settings.model_copy(update={"kafka": moved})
    async with consuming(now), relaying(now), reading(stack, moved.topics.state.name) as states:
        await states.from_the_beginning()
        create = intent(waiting, amount=100)
        await publish(now, moved.topics.intents.name, create.value, create.headers, create.key)
        both = {str(first).encode(), str(waiting).encode()}
        await states.until(lambda found: both <= {one.key for one in found}, WAIT_SECONDS)
        await until(lambda: owner.fetchval("select count(*) = 0 from parked_events"), "nothing waits", WAIT_SECONDS)
    row = await owner.fetchrow("select event_type, payment_id from payment_logs where event_id = $1", early.event_id)
    assert (row["event_type"], row["payment_id"]) == ("intent.cancel", waiting)
    await owner.close()


async def _at_rest(settings: Settings) -> bool:
    return not sum((await lag.read_lag(settings)).values())


def _runbook_s_statements() -> str:
    section = (ROOT / "RUNBOOK.md").read_text().split("## Another prefix of topics")[1]
    return section.split("```sql")[1].split("```")[0]


async def test_of_two_who_begin_at_once_the_first_one_s_prefix_stays(database: Database) -> None:
    """Both have seen that none was noted; the second learns whose the database is, not that a row is there."""
    async with asyncpg.create_pool(database.owner_dsn, min_size=1, max_size=1) as pool:
        await pool.execute("delete from topic_prefix")
        for prefix in ("first.", "second."):
            await pool.execute(statement("runtime", "note_topic_prefix"), prefix)
        assert await pool.fetchval(statement("runtime", "read_topic_prefix")) == "first."
