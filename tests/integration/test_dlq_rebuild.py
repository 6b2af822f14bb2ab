"""Letters read back from `payments.dlq`: those of a lost database, and those that other tools put there."""

from __future__ import annotations

import asyncio
import json
import os
import struct
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from consumer_harness import Event, digest, until, webhook
from consumer_processes import administration
from redriving import RedriveHarness, empty_dlq, redrive_harness
from relay_rows import LEDGER, add_letter, ledger_row, reading, relaying
from typer.testing import CliRunner

from ops import redrives
from ops.cli import app
from ops.dlq_rebuild import rebuild, take_in
from ops.redrives import LetterFilter, RedriveStatus
from producers.relay import outbox_depth
from runtime.kafka import ensure_topics
from runtime.settings import KafkaSettings
from schemas.topics import DLQ, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

Headers = list[tuple[str, bytes]]


def spring(offset: int) -> Headers:
    return [
        ("kafka_dlt-original-topic", b"payments.webhooks"),
        ("kafka_dlt-original-partition", struct.pack(">i", 2)),
        ("kafka_dlt-original-offset", struct.pack(">q", offset)),
        ("kafka_dlt-original-timestamp", struct.pack(">q", 1_790_000_000_000)),
        ("kafka_dlt-original-timestamp-type", b"CreateTime"),
        ("kafka_dlt-exception-fqcn", b"org.springframework.kafka.listener.ListenerExecutionFailedException"),
        ("kafka_dlt-exception-message", b"Cannot read 4111111111111111"),
        ("kafka_dlt-original-consumer-group", b"billing"),
    ]


def connect(offset: int) -> Headers:
    reported = {
        "topic": "payments.webhooks",
        "partition": "1",
        "offset": str(offset),
        "connector.name": "sink",
        "task.id": "0",
    }
    return [(f"__connect.errors.{name}", value.encode()) for name, value in reported.items()]


def share_group(offset: int) -> Headers:
    reported = {"topic": "payments.webhooks", "partition": "3", "offset": str(offset), "delivery.count": "5"}
    return [(f"__dlq.errors.{name}", value.encode()) for name, value in reported.items()]


@pytest.fixture
async def table(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[RedriveHarness]:
    """Give a harness whose `payments.dlq` is empty, and leave it so."""
    async with redrive_harness(stack, database, tmp_path) as made:
        await empty_dlq(stack)
        yield made
        await empty_dlq(stack)


async def put(table: RedriveHarness, events: Iterable[tuple[Event, Headers]]) -> None:
    """Put records into `payments.dlq` as a plain client does."""
    for event, added in events:
        headers = [*event.headers, *added]
        await table.consumers.producer.send_and_wait(DLQ.name, event.value, key=event.key, headers=headers)


async def run(table: RedriveHarness, folder: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """Run a command of `ratchet dlq` in this process; return its status, its document and what it wrote."""
    own = {name: None for name in os.environ if name.startswith("RATCHET_")} | {
        "RATCHET_HOME": str(folder),
        "RATCHET_KAFKA__BOOTSTRAP": table.consumers.kafka,
        "RATCHET_POSTGRES__DSN": table.consumers.database.dsn,
    }
    done = await asyncio.to_thread(CliRunner().invoke, app, ["dlq", *words, "--json"], env=own)
    begin = done.stdout.find("{\n")  # the relay of this process logs to the same place
    document = json.JSONDecoder().raw_decode(done.stdout, begin)[0] if begin >= 0 else {}
    return done.exit_code, document, done.stderr


async def test_letters_of_other_tools_are_listed_and_redriven(stack: Endpoints, table: RedriveHarness, tmp_path: Path):
    """By the command line alone; the record that goes back has none of their headers. Looking takes nothing in."""
    events = [webhook("payment.created", f"foreign-{n}") for n in range(4)]
    await put(table, zip(events, [spring(7), connect(8), share_group(9), []], strict=True))
    for words in (("list",), ("redrive", "--dry-run")):
        status, seen, reported = await run(table, tmp_path, *words)
        assert (status, reported) == (0, "")
        assert seen.get("total", seen.get("matched")) == 0
        assert await table.connection.fetchval("select count(*) from dlq_positions") == 0, "nothing was written"
    status, done, reported = await run(table, tmp_path, "rebuild")
    assert (status, done["added_foreign"]) == (0, 4), reported
    status, listed, reported = await run(table, tmp_path, "list")
    assert (status, listed["total"]) == (0, 4), reported
    places = {(row["topic"], row["partition"], row["offset"]) for row in listed["dead_letters"]}
    assert places >= {("payments.webhooks", 2, 7), ("payments.webhooks", 1, 8), ("payments.webhooks", 3, 9)}
    assert {row["reason"] for row in listed["dead_letters"]} == {"unexpected"}
    assert not any("4111" in row["message"] for row in listed["dead_letters"])
    status, listed, reported = await run(table, tmp_path, "list", "--status", "open")
    assert (listed["total"], reported) == (4, "")

    table.consumers.spawn()
    async with reading(stack, WEBHOOKS.name) as reader, relaying(table.settings):
        status, done, reported = await run(table, tmp_path, "redrive", "--yes")
        assert (status, done["matched"], done["published"], done["status"]) == (0, 4, 3, "done"), reported
        assert [one["would"] for one in done["messages"]] == ["apply"] * 3
        assert "--to" in done["left_out"][0]["why"]
        assert "is left out" in reported
        keys = {event.key for event in events[:3]}
        await reader.until(lambda records: keys <= {record.key for record in records})
        again = [("ratchet-redrive-count", b"1")]
        sent = {record.key: record.headers for record in reader.records if record.key in keys}
        assert all(list(sent[event.key]) == [*event.headers, *again] for event in events[:3])
        status, done, _ = await run(table, tmp_path, "redrive", "--yes", "--to", WEBHOOKS.name)
        assert (status, done["published"]) == (0, 1)

        async def applied() -> bool:
            return len(await table.written()) == 4

        await until(applied, "all four are in the ledger")
        await until(lambda: _at_rest(table), "nothing of them was published to the DLQ again")


async def _at_rest(table: RedriveHarness) -> bool:
    return not any((await outbox_depth(table.connection)).values())


async def test_lost_table_is_rebuilt(stack: Endpoints, table: RedriveHarness, database: Database):
    """Byte for byte, what was redriven or applied is kept apart from what is open; nothing goes out twice."""
    first = table.connection
    await ensure_topics(table.settings.kafka)
    names, values = [b"ce_id", b"ce_source", b"n"], [b"evt", b"stripe", None]
    columns = {
        "header_names": names,
        "header_values": values,
        "source": "stripe",
        "payment_ref": "key",
        "event_id": "evt",
        "redrive_count": 0,
    }
    old = await add_letter(first, value=b"\xff", digest=digest(b"key", b"\xff"), **columns)
    await first.execute("update dead_letters set status = 'redriven' where id = $1", old)
    back = columns | {
        "header_names": [*names, b"ratchet-redrive-count"], "header_values": [*values, b"1"], "redrive_count": 1,
    }  # fmt: skip
    await add_letter(first, value=b"\xff", digest=digest(b"key", b"\xff"), **back)
    empty = await add_letter(first, key=None, value=None, digest=digest(None, None), redrive_count=0)
    done = ledger_row(None, None, 1)
    await first.copy_records_to_table("payment_logs", records=[done], columns=LEDGER)
    orphan = columns | {"header_values": [done[2].encode(), b"stripe", None], "event_id": done[2], "reason": "orphan"}
    applied = await add_letter(first, value=b"late", digest=digest(b"key", b"late"), **orphan)
    await first.execute("update dead_letters set status = 'applied' where id = $1", applied)
    async with relaying(table.settings):
        await until(lambda: _at_rest(table), "the letters are in the DLQ")
    kept = [dict(row) for row in await first.fetch("select * from dead_letters order by id")]
    assert (await rebuild(first, table.settings)).added == 0, "what is known is not taken in"
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("delete from dead_letters")
    assert (await take_in(first, table.settings)).added == 0, "a listing does not bring our own back"
    found = await rebuild(first, table.settings)
    assert (found.read, found.added, found.added_foreign, found.complete) == (4, 4, 0, True)
    assert (await rebuild(first, table.settings)).added == 0
    rows = [dict(row) for row in await first.fetch("select * from dead_letters")]
    same = sorted(set(kept[0]) - {"id", "relay_xid", "created_at"})
    places = lambda found: sorted(tuple(str(row[name]) for name in same) for row in found)  # noqa: E731
    assert places(rows) == places(kept)
    assert empty
    async with reading(stack, DLQ.name) as reader, relaying(table.settings):
        assert await _at_rest(table), "rebuilt rows count as published"
        late = await add_letter(first, digest=digest(b"key", b"later"), value=b"later")
        assert late
        await reader.until(bool)
    assert [record.value for record in reader.records] == [b"later"]
    await owner.close()


async def test_topic_made_anew_is_read_from_its_beginning(table: RedriveHarness):
    await put(table, [(webhook("payment.created", "one"), spring(1))])
    assert (await take_in(table.connection, table.settings)).added == 1
    await table.connection.execute("update dlq_positions set next_offset = next_offset + 1000000")
    await put(table, [(webhook("payment.created", "two"), spring(2))])
    found = await take_in(table.connection, table.settings)
    assert (found.added, found.complete) == (1, True)
    assert (await redrives.list_letters(table.connection, LetterFilter(), 10)).total == 2


@pytest.mark.parametrize("known", ["its id", "no id"])
async def test_topic_made_anew_and_as_long_as_the_old_one_is_read_from_its_beginning(
    stack: Endpoints, table: RedriveHarness, unique: Callable[[str], str], known: str
):
    """By its offsets it looks like the old one, read on; what a table of before says counts as of the first found."""
    names = {"topic_prefix": f"{unique('anew')}.", "partitions": 1, "replication_factor": 1}
    kafka = KafkaSettings(bootstrap=stack.kafka, **names)
    settings, name = table.settings.model_copy(update={"kafka": kafka}), kafka.topics.dlq.name
    await ensure_topics(kafka, [kafka.topics.dlq])
    await put_into(stack, name, "old", 2)
    assert (await take_in(table.connection, settings)).added == 2
    if known == "no id":
        await table.connection.execute("update dlq_positions set topic_id = null")
        assert (await take_in(table.connection, settings)).read == 0
    await put_into(stack, name, "later", 1)
    if known == "its id":
        found = await take_in(table.connection, settings)
        assert (found.read, found.added, found.made_anew) == (1, 1, False), "one topic is read on"
    await make_anew(stack, kafka)
    await put_into(stack, name, "new", 4)
    found = await take_in(table.connection, settings)
    assert (found.read, found.added, found.made_anew) == (4, 4, True)
    assert (await take_in(table.connection, settings)).read == 0
    listed = await redrives.list_letters(table.connection, LetterFilter(), 10)
    assert listed.total == 2 + 4 + (known == "its id"), "what nobody looked at went with the old topic"


async def put_into(stack: Endpoints, topic: str, named: str, count: int) -> None:
    """Put so many letters of other tools into the only partition of a topic."""
    async with AIOKafkaProducer(bootstrap_servers=stack.kafka) as producer:
        for number in range(count):
            event = webhook("payment.created", f"{named}-{number}")
            headers = [*event.headers, *spring(number)]
            await producer.send_and_wait(topic, event.value, key=event.key, headers=headers)


async def make_anew(stack: Endpoints, kafka: KafkaSettings) -> None:
    """Delete the DLQ topic and make it again."""
    async with administration(stack.kafka) as client:

        async def gone() -> bool:
            await client.delete_topics([kafka.topics.dlq.name])
            return kafka.topics.dlq.name not in await client.list_topics()

        async def there() -> bool:
            await ensure_topics(kafka, [kafka.topics.dlq])
            return kafka.topics.dlq.name in await client.list_topics()

        await until(gone, "the topic is deleted")
        await until(there, "it is there again")


async def test_command_line_refuses_and_goes_on(table: RedriveHarness, tmp_path: Path):
    for words in (("redrive",), ("discard", "--because", "x"), ("redrive", "--resume", "1", "--max", "3", "--yes")):
        status, _, reported = await run(table, tmp_path, *words)
        assert status == 2, reported
    status, _, reported = await run(table, tmp_path, "redrive", "--resume", "1")
    assert (status, "no redrive 1" in reported) == (1, True)
    await put(table, [(webhook("payment.created", f"p-{n}"), spring(n)) for n in range(3)])
    assert (await run(table, tmp_path, "rebuild"))[1]["added_foreign"] == 3
    status, seen, _ = await run(table, tmp_path, "redrive", "--dry-run", "--limit", "2")
    assert (status, seen["redrive_id"], seen["matched"], seen["published"]) == (0, None, 3, 0)
    assert [one["would"] for one in seen["messages"]] == ["apply"] * 2
    status, gone, _ = await run(table, tmp_path, "discard", "--because", "a test", "--limit", "1", "--yes")
    assert (status, gone["matched"], gone["discarded"]) == (0, 3, 1)
    async with relaying(table.settings):
        status, done, _ = await run(table, tmp_path, "redrive", "--max", "1", "--yes", "--rate", "100")
        assert (status, done["matched"], done["published"]) == (0, 2, 1)
        status, resumed, _ = await run(table, tmp_path, "redrive", "--resume", str(done["redrive_id"]))
        assert (status, resumed["status"], resumed["messages"]) == (0, "done", [{"id": 2, "would": "apply"}])
        status, stopped, _ = await run(table, tmp_path, "stop", str(done["redrive_id"]))
        assert (status, stopped["status"]) == (0, RedriveStatus.DONE)
    status, found, _ = await run(table, tmp_path, "redrives")
    assert [one["status"] for one in found["redrives"]] == ["done"]
    status, found, _ = await run(table, tmp_path, "rebuild")
    assert (status, found["added"]) == (0, 0)
