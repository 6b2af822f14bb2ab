"""What Kafka refuses for what it is stands alone within one turn, in every lane, and holds up nothing behind it."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from consumer_harness import until
from redriving import RedriveHarness, redrive_harness
from relay_rows import (
    LEDGER,
    add_command,
    add_letter,
    add_payment,
    change,
    ledger_row,
    reading,
    relaying,
    settings_for,
    spool,
)

from consumer.plan import Letter
from ops import redrives
from ops.dlq_families import read_back
from ops.redrives import RedriveStatus
from producers.relay import outbox_depth
from producers.relay.lanes import open_lanes
from producers.relay.loop import LaneHealth, LaneLoop
from producers.relay.redrive import RedriveLane
from runtime.kafka import ensure_topics
from runtime.lease import Lease, PostgresLeases
from runtime.postgres import open_pool
from runtime.settings import KafkaSettings
from schemas.errors import LeaseLostError
from schemas.record import Record
from schemas.topics import DAY_MS, DEFAULT, Topic, Topics

if TYPE_CHECKING:
    from pathlib import Path

    from aiokafka import ConsumerRecord
    from conftest import Database

    from runtime.settings import Settings
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

KAFKAS_OWN = 1_048_588
"""max.message.bytes of a topic that somebody made without a thought: one webhook of 1 MiB does not fit."""
MEBIBYTE = 1024 * 1024

MakeTopic = Callable[[int], Any]


@pytest.fixture(autouse=True)
async def topics(stack: Endpoints) -> None:
    await ensure_topics(settings_for(stack, "postgresql://").kafka)


@pytest.fixture
async def make_topic(stack: Endpoints) -> AsyncIterator[MakeTopic]:
    """Make topics of one partition that take records of so many bytes; they are gone afterwards."""
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    made: list[str] = []

    async def make(bytes_max: int) -> str:
        made.append(f"small-{uuid.uuid4().hex}")
        await admin.create_topics([NewTopic(made[-1], 1, 1, topic_configs={"max.message.bytes": str(bytes_max)})])
        return made[-1]

    try:
        yield make
    finally:
        await admin.delete_topics(made)
        await admin.close()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database.dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection of the owner, who may write ledger rows that changed nothing."""
    connection = await asyncpg.connect(database.owner_dsn)
    yield connection
    await connection.close()


@pytest.fixture
async def table(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[RedriveHarness]:
    async with redrive_harness(stack, database, tmp_path) as made:
        yield made


async def is_drained(connection: asyncpg.Connection) -> bool:
    return not any((await outbox_depth(connection)).values())


async def one_turn(settings: Settings, lane_name: str, lease: Lease | None = None) -> bool:
    """Carry one turn of one lane under a lease of its own, and nothing else."""
    lane = next(lane for lane in open_lanes(settings.relay, settings.kafka.topics) if lane.name == lane_name)
    pool = await open_pool(settings.postgres, role="relay", connections=2)
    leases = PostgresLeases(pool)
    held = lease or await leases.acquire("relay", "test", 60)
    assert held is not None
    loop = LaneLoop(lane, pool, settings, LaneHealth())
    try:
        async with pool.acquire() as connection:
            return await loop.turn(connection, held)
    finally:
        await loop._destination.close()
        await leases.release(held)
        await pool.close()


def publish_to(monkeypatch: pytest.MonkeyPatch, **topics: Topic) -> None:
    """Let the relay publish to other topics than ours."""
    monkeypatch.setattr(KafkaSettings, "topics", property(lambda _: replace(DEFAULT, **topics)))


@pytest.mark.parametrize("left_out", ["value", "value,headers", "value,headers,key"])
async def test_a_letter_too_large_for_the_dlq_goes_with_less_and_does_not_hold_up_the_next(
    stack: Endpoints, database: Database, connection: asyncpg.Connection, left_out: str
):
    """Headers of 1.1 MB of no UTF-8 become four times that; a value of 5 MB came compressed."""
    row: dict[str, Any] = {"key": b"big", "value": b"v" * (5 * MEBIBYTE)}
    if "headers" in left_out:
        row |= {"header_names": [b"\xff" * 1_100_000], "header_values": [b"1"]}
    if "key" in left_out:
        row |= {"key": b"k" * (5 * MEBIBYTE)}
    digest = uuid.uuid4().bytes * 2
    letter = await add_letter(connection, digest=digest, message="the large one", **row)
    await add_letter(connection, key=b"next", value=b"small", message="the next one")
    async with reading(stack, "payments.dlq") as reader:
        await one_turn(settings_for(stack, database.dsn), "dead_letters")
        await one_turn(settings_for(stack, database.dsn), "dead_letters")

        def found(text: bytes) -> list[ConsumerRecord]:
            mine = [one for one in reader.records if dict(one.headers)["__dlq.errors.message"] == text]
            return (
                mine if text != b"the large one" else [one for one in mine if digest_of(one) == digest.hex().encode()]
            )

        await reader.until(lambda _: found(b"the large one") and found(b"the next one"))
    (large,) = found(b"the large one")
    assert dict(large.headers)["ratchet-dlq-truncated"] == left_out.encode()
    assert (large.key, large.value) == (None if "key" in left_out else b"big", None)
    assert await is_drained(connection)
    kept = await connection.fetchrow("select key, value, header_names from dead_letters where id = $1", letter)
    assert (kept["key"], kept["value"]) == (row["key"], row["value"]), "the row has all of it"
    seen = read_back(Record("payments.dlq", 0, 0, 0, large.key, large.value, tuple(large.headers)))
    assert (seen.ours, seen.digest, seen.message) == (True, digest, "the large one")
    assert [name for name, _ in seen.record.headers if name.startswith("ratchet-dlq-")] == []


def digest_of(record: ConsumerRecord) -> bytes | None:
    return dict(record.headers).get("ratchet-dlq-digest")


async def test_a_letter_that_the_broker_refuses_goes_without_its_value(
    stack: Endpoints,
    database: Database,
    connection: asyncpg.Connection,
    make_topic: MakeTopic,
    monkeypatch: pytest.MonkeyPatch,
):
    small = await make_topic(KAFKAS_OWN)
    publish_to(monkeypatch, dlq=Topic(small, KAFKAS_OWN, DAY_MS))
    for number in range(40):
        value = os.urandom(2 * MEBIBYTE) if number in {7, 8, 31} else b"x" * (2 * MEBIBYTE if number == 12 else 10)
        await add_letter(connection, value=value, message=str(number))
    async with reading(stack, small, 1) as reader:
        await one_turn(settings_for(stack, database.dsn), "dead_letters")
        assert await is_drained(connection), "within one turn"
        await reader.until(lambda records: len(records) == 40)
    texts = [dict(one.headers)["__dlq.errors.message"].decode() for one in reader.records]
    assert [text for text in texts if text not in {"7", "8", "31"}] == [
        str(number) for number in range(40) if number not in {7, 8, 31}
    ], "the others in their order"
    without = {dict(one.headers)["__dlq.errors.message"] for one in reader.records if one.value is None}
    assert without == {b"7", b"8", b"31"}, "of what no codec makes small; two megabytes of one letter fit"
    (large,) = [one for one in reader.records if dict(one.headers)["__dlq.errors.message"] == b"12"]
    assert large.value == b"x" * 2 * MEBIBYTE


async def test_a_spooled_record_too_large_for_its_topic_becomes_a_dead_letter_and_the_intents_behind_it_go(
    stack: Endpoints, database: Database, connection: asyncpg.Connection, make_topic: MakeTopic
):
    small = await make_topic(KAFKAS_OWN)
    for number in range(3):
        await spool(connection, small, b"key", b"before %d" % number)
    await spool(connection, small, b"large", b"w" * MEBIBYTE)
    await spool(connection, small, None, b"W" * MEBIBYTE)
    for number in range(50):
        await spool(connection, small, b"key", b"behind %d" % number)
    places = [row["id"] for row in await connection.fetch("select id from spool where length(value) = $1", MEBIBYTE)]
    async with reading(stack, small, 1) as reader:
        await one_turn(settings_for(stack, database.dsn), "spool")
        assert await connection.fetchval("select count(*) from spool") == 0, "within one turn"
        await reader.until(lambda records: len(records) == 53)
    reported = [b"before %d" % number for number in range(3)] + [b"behind %d" % number for number in range(50)]
    assert [record.value for record in reader.records] == reported, "in their order"
    letters = await connection.fetch("select * from dead_letters order by id")
    assert [(row["topic"], row["offset"], row["key"], len(row["value"])) for row in letters] == [
        (small, places[0], b"large", MEBIBYTE),
        (small, places[1], None, MEBIBYTE),
    ]
    for row in letters:
        assert (row["reason"], row["status"], row["event_id"]) == ("data_rejected", "open", "1")
        assert "max.message.bytes" in row["message"]
        assert (row["header_names"], row["header_values"]) == ([b"ce_id", b"null"], [b"1", None])
        same = Letter(Record(small, 0, 0, 0, row["key"], row["value"], ()), row["reason"], "")
        assert row["digest"] == same.digest, "the digest that every letter has"


async def test_a_redriven_letter_that_kafka_refuses_is_open_again(
    table: RedriveHarness, make_topic: MakeTopic, monkeypatch: pytest.MonkeyPatch
):
    small = await make_topic(1000)
    ours = (*table.settings.kafka.topics.consumed, Topic(small, 2 * MEBIBYTE, DAY_MS))
    monkeypatch.setattr(Topics, "consumed", property(lambda _: ours))
    fits = [await add_letter(table.connection, topic=small, redrive_count=0, key=b"%d" % n) for n in range(3)]
    large = await add_letter(table.connection, topic=small, redrive_count=0, value=b"x" * 5000)
    fits.append(await add_letter(table.connection, topic=small, redrive_count=0, key=b"last"))
    done = await table.redrive()
    assert (done.status, done.published, done.skipped) == (RedriveStatus.DONE, 4, 1)
    assert [row["id"] for row in await table.letters("redriven")] == fits
    assert [row["id"] for row in await table.letters("open")] == [large]
    reported = await table.connection.fetchrow(
        "select status, detail from redrive_messages where dead_letter_id = $1", large
    )
    assert reported["status"] == "skipped"
    assert "MessageSizeTooLarge" in reported["detail"]


async def test_a_stop_is_looked_at_before_what_may_be_in_kafka_is_published_again(table: RedriveHarness):
    letters = [await add_letter(table.connection, redrive_count=0, key=b"doubt-%d" % n) for n in range(5)]
    redrive_id = await table.order()
    pool = await open_pool(table.settings.postgres, role="relay", connections=2)
    leases = PostgresLeases(pool)
    lease = await leases.acquire("relay", "test", 60)
    assert lease is not None
    lane = RedriveLane(table.settings.relay, table.settings.redrive, lease, table.settings.kafka.topics)
    async with pool.acquire() as connection:
        await until(lambda: lane.read(connection), "letters are marked")
        assert await table.letters("redriven")
        await redrives.stop(table.connection, redrive_id, "alice")
        assert await lane.read(connection) is None, "nothing is published any more"
    await leases.release(lease)
    await pool.close()
    done = await table.ended(redrive_id)
    assert (done.status, done.published) == (RedriveStatus.STOPPED, 0)
    assert [row["id"] for row in await table.letters("open")] == letters
    await redrives.resume(table.connection, redrive_id, "alice")
    async with relaying(table.settings):
        resumed = await table.ended(redrive_id)
    assert (resumed.status, resumed.published) == (RedriveStatus.DONE, 5)


async def enlarge(connection: asyncpg.Connection, payment_id: object) -> None:
    """Give a payment the longest names that it may have: the record of its change is too large for a small topic."""
    names = "r" * 255, "c" * 64, "m" * 255
    statement = "update payments set reference = $2, client = $3, merchant_account = $4 where id = $1"
    await connection.execute(statement, payment_id, *names)


async def test_a_change_that_kafka_refuses_is_passed_by_and_a_run_of_them_stops_the_lane(
    stack: Endpoints,
    database: Database,
    connection: asyncpg.Connection,
    make_topic: MakeTopic,
    monkeypatch: pytest.MonkeyPatch,
):
    small = await make_topic(1500)
    publish_to(monkeypatch, changes=Topic(small, 1500, DAY_MS))
    small_one, large = await add_payment(connection), await add_payment(connection)
    await enlarge(connection, large)
    settings = settings_for(stack, database.dsn, refused_in_row_max=2, batch_records_max=1)
    async with reading(stack, small, 1) as reader:
        for payment_id in (small_one, large, small_one):
            async with connection.transaction():
                await change(connection, payment_id)
        async with relaying(settings) as probe:
            await until(lambda: is_drained(connection))
            await reader.until(lambda records: len(records) == 2)
            assert {record.key for record in reader.records} == {str(small_one).encode()}
            for _ in range(3):
                async with connection.transaction():
                    await change(connection, large)
            await until(lambda: "max.message.bytes" in str(probe.unready()))
    assert (await outbox_depth(connection))["changes"] >= 1, "they wait for the topic to be mended"


async def test_a_compressed_record_above_the_bound_is_a_letter_and_its_neighbours_are_not(
    stack: Endpoints, table: RedriveHarness
):
    """5.4 MB of JSON are far below 2 MiB in lz4: the broker takes them, and the DLQ's topic does not."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, compression_type="gzip", max_request_size=8 * MEBIBYTE)
    await producer.start()
    try:
        value = b'{"id": "x", "pad": "' + b" " * 5_400_000 + b'"}'
        await producer.send_and_wait("payments.intents", value, key=b"big", partition=0)
        await producer.send_and_wait("payments.intents", b"no intent", key=b"small", partition=0)
    finally:
        await producer.stop()
    table.consumers.spawn()
    async with reading(stack, "payments.dlq") as reader, relaying(table.settings):
        await until(lambda: both(table), "both are letters")
        await until(lambda: is_drained(table.connection))
        await reader.until(lambda records: {record.key for record in records} >= {b"big", b"small"})
        large = next(record for record in reader.records if record.key == b"big")
    assert (large.value, dict(large.headers)["ratchet-dlq-truncated"]) == (None, b"value")
    assert {len(row["value"]) for row in await table.letters()} == {len(value), len(b"no intent")}


async def both(table: RedriveHarness) -> bool:
    return len(await table.letters()) == 2


@pytest.fixture
async def two_holders(connection: asyncpg.Connection) -> tuple[Lease, Lease]:
    """Two leases of one name and token, as a replica gives that did not know of a take-over; the second stands."""
    stale, valid = Lease("relay", "a:1:aa", 2), Lease("relay", "b:2:bb", 2)
    await connection.execute(
        "insert into leases (name, holder, token, expires_at) values ('relay', $1, 2, now() + interval '1 hour')",
        valid.holder,
    )
    return stale, valid


@pytest.mark.parametrize("taken", ["by another token", "under the same token"])
async def test_a_relay_without_its_lease_moves_no_cursor_deletes_no_spool_and_says_so(
    stack: Endpoints,
    database: Database,
    connection: asyncpg.Connection,
    two_holders: tuple[Lease, Lease],
    taken: str,
):
    stale, valid = two_holders
    lost = stale if taken == "under the same token" else Lease("relay", valid.holder, 1)
    settings = settings_for(stack, database.dsn)
    payment_id = await add_payment(connection)
    async with connection.transaction():
        await change(connection, payment_id)
    await add_letter(connection)
    await add_command(connection, payment_id)
    await spool(connection, "payments.webhooks", b"k", b"v")
    before = await connection.fetch("select name, relay_xid, id from relay_cursors order by name")
    for lane in ("changes", "state", "commands", "dead_letters", "spool"):
        with pytest.raises(LeaseLostError):
            await one_turn(settings, lane, lost)
    assert await connection.fetch("select name, relay_xid, id from relay_cursors order by name") == before
    assert await connection.fetchval("select count(*) from spool") == 1
    for lane in ("changes", "state", "commands", "dead_letters", "spool"):
        await connection.execute("update leases set expires_at = now() + interval '1 hour'")
        await one_turn(settings, lane, valid)
    assert await is_drained(connection)


async def test_rows_that_make_no_record_are_passed_behind_a_batch_of_which_many_were_refused(
    stack: Endpoints,
    database: Database,
    owner: asyncpg.Connection,
    make_topic: MakeTopic,
    monkeypatch: pytest.MonkeyPatch,
):
    """More are refused than may be in a row, others go: that is no topic that takes nothing, whatever comes next."""
    small = await make_topic(1500)
    publish_to(monkeypatch, changes=Topic(small, 1500, DAY_MS))
    fits, large = await add_payment(owner), await add_payment(owner)
    await enlarge(owner, large)
    for payment_id, versions in ((fits, 1), (large, 3), (fits, 1)):
        async with owner.transaction():
            await change(owner, payment_id, versions=versions)
    xid = await owner.fetchval("select pg_current_xact_id()::text::bigint")
    nothing = [ledger_row(None, None, xid) for _ in range(5)]
    await owner.copy_records_to_table("payment_logs", records=nothing, columns=LEDGER)
    async with owner.transaction():
        await change(owner, fits)
    settings = settings_for(stack, database.dsn, refused_in_row_max=2, batch_records_max=5)
    async with reading(stack, small, 1) as reader, relaying(settings):
        await reader.until(lambda records: len(records) == 3)
        await until(lambda: is_drained(owner))
    assert [record.key for record in reader.records] == [str(fits).encode()] * 3
