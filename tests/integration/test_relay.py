from __future__ import annotations

import json
import struct
import uuid
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from relay_rows import (
    LEDGER,
    NOW,
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
from waiting import until

from ops.database import fetch
from producers.relay import outbox_depth
from producers.relay.cluster import find_mismatch
from producers.relay.rebase import rebase, rebase_if_restored
from runtime.kafka import ensure_topics
from runtime.lease import Lease, PostgresLeases
from runtime.sql import statement
from schemas.changes import Change
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from aiokafka import ConsumerRecord
    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
async def topics(stack: Endpoints) -> None:
    await ensure_topics(settings_for(stack, "postgresql://").kafka)


@pytest.fixture
async def connections(database: Database):
    """Two connections of the application and one of the owner."""
    async with AsyncExitStack() as opened:
        found = []
        for dsn in (database.dsn, database.dsn, database.owner_dsn):
            connection = await asyncpg.connect(dsn)
            opened.push_async_callback(connection.close)
            found.append(connection)
        yield found


def versions_of(records: Sequence[ConsumerRecord], payment_id: uuid.UUID) -> list[int]:
    key = str(payment_id).encode()
    return [json.loads(record.value)["version"] for record in records if record.key == key]


async def test_change_is_published_as_the_contract_says(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    first, _, owner = connections
    payment_id = await add_payment(first)
    async with first.transaction():
        await change(first, payment_id)
    await owner.copy_records_to_table("payment_logs", records=[ledger_row(None, None, 3)], columns=LEDGER)
    async with reading(stack, "payments.changes") as reader, relaying(settings_for(stack, database.dsn)):
        await reader.until(lambda records: versions_of(records, payment_id) == [1])
        record = next(record for record in reader.records if record.key == str(payment_id).encode())
        found = Change.model_validate_json(record.value)
        assert (found.payment_id, found.version, found.currency) == (payment_id, 1, "EUR")
        assert (found.source, found.event_type, found.outcome) == ("stripe", "charge.captured", "applied")
        assert (found.from_status, found.to_status, found.event_amount) == ("authorized", "captured", 700)
        assert (found.status, found.amount, found.livemode) == ("created", 0, True), "as the payment's own row says"
        assert found.recorded_at == found.occurred_at == NOW
        assert set(json.loads(record.value)) == set(Change.model_fields)
        headers = dict(record.headers)
        assert headers["ce_id"] == f"{payment_id}/1".encode()
        assert headers["ce_specversion"] == b"1.0"
        filters = {name: headers[name] for name in ("ce_status", "ce_provider", "ce_livemode")}
        assert filters == {"ce_status": b"created", "ce_provider": b"stripe", "ce_livemode": b"true"}
        await until(lambda: depth_is_zero(first))


async def depth_is_zero(connection: asyncpg.Connection) -> bool:
    return not any((await outbox_depth(connection)).values())


@pytest.mark.parametrize("limit", [1, 2, 1000])
async def test_slow_transaction_with_a_low_id_skips_nothing_and_keeps_order(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection], limit: int
):
    slow, fast, _ = connections
    same, other, third = [await add_payment(fast) for _ in range(3)]
    settings = settings_for(stack, database.dsn, batch_records_max=limit)
    async with reading(stack, "payments.changes") as reader, relaying(settings):
        begun = slow.transaction()
        await begun.start()
        low = await slow.fetchval("select pg_current_xact_id()::text::bigint")
        await change(slow, other)
        for payment_id in (same, third, same):
            async with fast.transaction():
                assert await fast.fetchval("select pg_current_xact_id()::text::bigint") > low
                await change(fast, payment_id, versions=2)
        assert await fast.fetch(statement("producers", "read_changes"), 0, 0, 1000, 1 << 24) == []
        assert await outbox_depth(fast) == {"changes": 6, "state": 6, "dead_letters": 0, "commands": 0, "spool": 0}
        await change(slow, same, versions=2)  # version 5 and 6, under an id below those of versions 1 to 4
        await begun.commit()
        wanted = {same: [1, 2, 3, 4, 5, 6], other: [1], third: [1, 2]}
        await reader.until(
            lambda records: all(len(versions_of(records, payment)) >= len(wanted[payment]) for payment in wanted)
        )
        assert {payment: versions_of(reader.records, payment) for payment in wanted} == wanted
        await until(lambda: depth_is_zero(fast))


@pytest.mark.parametrize("lane", ["changes", "states", "letters"])
async def test_nothing_is_read_that_a_slow_transaction_may_still_overtake(
    connections: list[asyncpg.Connection], lane: str
):
    slow, fast, _ = connections
    bounds = (0, 0, 1000, 1 << 24, *((1 << 20,) if lane == "letters" else ()))
    begun = slow.transaction()
    await begun.start()
    await slow.fetchval("select pg_current_xact_id()")
    async with fast.transaction():
        await change(fast, await add_payment(fast))
        await add_letter(fast)
    assert await fast.fetch(statement("producers", f"read_{lane}"), *bounds) == []
    await begun.commit()

    async def one_is_read() -> bool:
        return len(await fast.fetch(statement("producers", f"read_{lane}"), *bounds)) == 1

    await until(one_is_read)


async def test_a_strangers_open_transaction_holds_up_no_spooled_record(connections: list[asyncpg.Connection]):
    stranger, mine, _ = connections
    begun = stranger.transaction()
    await begun.start()
    await stranger.fetchval("select pg_current_xact_id()")
    for value in (b"1", b"2", b"3"):
        await spool(mine, "payments.webhooks", b"k", value)
    rows = await mine.fetch(statement("producers", "read_spool"), 1000, 1 << 24, [])
    assert [row["value"] for row in rows] == [b"1", b"2", b"3"]
    left = await mine.fetch(statement("producers", "read_spool"), 1000, 1 << 24, [rows[0]["id"]])
    assert [row["value"] for row in left] == [b"2", b"3"], "what waits for its partition is read past"
    await begun.rollback()


async def read_states(stack: Endpoints, payments: Collection[uuid.UUID]) -> dict[str, list[dict[str, Any]]]:
    """Read all of payments.state, a list of records a payment, until each of these has one."""
    wanted, found = {str(payment) for payment in payments}, dict[str, list[dict[str, Any]]]()
    async with reading(stack, "payments.state") as reader:
        await reader.from_the_beginning()
        await reader.until(lambda records: wanted <= {(record.key or b"").decode() for record in records})
        for record in reader.records:
            assert record.value is not None, "no tombstones"
            found.setdefault(record.key.decode(), []).append(json.loads(record.value))
    return {payment: found[payment] for payment in wanted}


async def test_the_newest_state_is_published_of_what_stood_before_and_of_a_loser_of_a_merge(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    first, _, _ = connections
    old, lost, kept = [await add_payment(first) for _ in range(3)]
    async with first.transaction():
        await change(first, old, versions=3)
    settings = settings_for(stack, database.dsn)
    async with relaying(settings):
        await until(lambda: depth_is_zero(first))
        await first.execute("update payments set metadata = '{\"cart\": [7]}' where id = $1", kept)
        async with first.transaction():
            await change(first, kept)
        async with first.transaction():
            await first.execute("update payments set merged_into = $2 where id = $1", lost, kept)
            await change(first, lost)
        await until(lambda: depth_is_zero(first))
    states = await read_states(stack, [old, lost, kept])
    assert [one["version"] for one in states[str(old)]] == [3], "once, at its newest version"
    assert states[str(lost)][-1]["merged_into"] == str(kept)
    assert states[str(kept)][-1]["metadata"] == {"cart": [7]}
    await first.execute("insert into epochs (epoch, timeline, because) select max(epoch) + 1, 1, 'test' from epochs")
    query = """select (epoch, id) = ((select max(epoch) from epochs), (select max(id) from payment_logs))
        from relay_cursors where name = 'state'"""
    async with relaying(settings):
        await until(lambda: is_equal(first, query, True))
    states = await read_states(stack, [old, lost, kept])
    assert [len({one["epoch"] for one in states[str(payment)]}) for payment in (old, lost, kept)] == [2, 2, 2]


async def test_rolled_back_transaction_does_not_hold_up_the_rest(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    slow, fast, _ = connections
    payment_id = await add_payment(fast)
    async with reading(stack, "payments.changes") as reader, relaying(settings_for(stack, database.dsn)):
        begun = slow.transaction()
        await begun.start()
        await slow.fetchval("select pg_current_xact_id()")
        async with fast.transaction():
            await change(fast, payment_id)
        await begun.rollback()
        await reader.until(lambda records: versions_of(records, payment_id) == [1])


async def test_dead_letter_of_a_mebibyte_is_published_byte_for_byte(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    first, _, _ = connections
    value = bytes(range(256)) * 4096
    names, values = [b"ce_id", "grüße".encode(), b"twice", b"twice"], [b"\xff\x00", None, b"1", b"2"]
    place = {"offset": 2**40 + uuid.uuid4().int % 2**20, "partition": 3}
    await add_letter(first, key=None, value=value, header_names=names, header_values=values, **place)
    await add_letter(first, key=b"\x00\xff", value=None, **(place | {"partition": 4}))
    async with reading(stack, "payments.dlq") as reader, relaying(settings_for(stack, database.dsn)):
        mine = struct.pack(">q", place["offset"])
        await reader.until(lambda records: len(letters(records, mine)) == 2)
        big, empty = sorted(letters(reader.records, mine), key=lambda record: record.key or b"")
        assert (big.key, big.value, big.timestamp) == (None, value, 1_767_323_045_678)
        assert (empty.key, empty.value) == (b"\x00\xff", None)
        kept = [(name.decode(), value) for name, value in zip(names, values, strict=True)]
        assert list(big.headers[:4]) == kept
        assert dict(big.headers[4:]) == {
            "__dlq.errors.topic": b"payments.webhooks",
            "__dlq.errors.partition": b"3",
            "__dlq.errors.offset": str(place["offset"]).encode(),
            "__dlq.errors.group": b"ratchet",
            "__dlq.errors.delivery.count": b"3",
            "__dlq.errors.message": b"no JSON",
            "kafka_dlt-original-topic": b"payments.webhooks",
            "kafka_dlt-original-partition": b"\0\0\0\3",
            "kafka_dlt-original-offset": mine,
            "kafka_dlt-original-timestamp": struct.pack(">q", 1_767_323_045_678),
            "ratchet-dlq-reason": b"undecodable",
            "ratchet-redrive-count": b"1",
        }
        await until(lambda: depth_is_zero(first))


def letters(records: Sequence[ConsumerRecord], offset: bytes):
    return [record for record in records if dict(record.headers)["kafka_dlt-original-offset"] == offset]


async def test_letters_over_the_byte_bound_come_in_several_batches(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    first, _, _ = connections
    marks = [await add_letter(first, value=b"x" * 3000, message=f"number {number}") for number in range(7)]
    settings = settings_for(stack, database.dsn, batch_bytes_max=5000)
    rows = await first.fetch(statement("producers", "read_letters"), 0, 0, 1000, 5000, 10_000)
    assert [row["id"] for row in rows] == marks[:2]
    async with reading(stack, "payments.dlq") as reader, relaying(settings):
        texts = {f"number {number}".encode() for number in range(7)}
        await reader.until(
            lambda records: texts <= {dict(record.headers)["__dlq.errors.message"] for record in records}
        )


async def test_spool_keeps_the_order_of_a_key_and_is_emptied(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    first, _, _ = connections
    key = uuid.uuid4().bytes
    async with reading(stack, "payments.intents") as reader:
        for number in range(5):
            await spool(first, "payments.intents", key, str(number).encode())
        await spool(first, "payments.webhooks", None, b"no key")
        async with relaying(settings_for(stack, database.dsn, batch_records_max=2)):
            await reader.until(lambda records: sum(record.key == key for record in records) == 5)
            mine = [record for record in reader.records if record.key == key]
            assert [record.value for record in mine] == [b"0", b"1", b"2", b"3", b"4"]
            assert mine[0].headers == (("ce_id", b"1"), ("null", None))
            await until(lambda: depth_is_zero(first))
    assert await first.fetchval("select count(*) from spool") == 0


async def test_read_uses_the_primary_key_and_sorts_nothing(connections: list[asyncpg.Connection]):
    first, _, owner = connections
    rows = [ledger_row(None, None, 3) for _ in range(50_000)]
    await owner.copy_records_to_table("payment_logs", records=rows, columns=LEDGER)
    for analyzed in (False, True):
        if analyzed:
            await owner.execute("analyze payment_logs")
        await first.execute("set plan_cache_mode = force_custom_plan")
        sql = f"explain (format json) {statement('producers', 'read_changes').split(chr(10), 1)[1]}"
        plan = await first.fetchval(sql, 3, 25_000, 1000, 1 << 24)
        assert '"payment_logs_pkey"' in plan
        assert '"Index Scan"' in plan
        assert '"Sort"' not in plan
        assert "Seq Scan" not in plan
        assert "ROW(relay_xid, id) >" in plan


async def test_a_token_given_twice_is_a_fence_for_its_former_holder(connections: list[asyncpg.Connection]):
    """A promoted replica that lacks the last take-over gives the same token to another: only that one writes."""
    connection, _, owner = connections
    former = await PostgresLeases(connection).acquire("relay", "former", 60)
    assert former is not None
    later = Lease("relay", "later", former.token)
    await owner.execute("update leases set holder = 'later'")
    await owner.execute("update epochs set timeline = timeline + 1000")
    await owner.execute("update relay_cursors set system_identifier = null, epoch = null")
    await spool(connection, "payments.webhooks", b"key", b"value")
    tables = {"relay_cursors": "name", "spool": "id", "epochs": "epoch"}

    async def written_under(lease: Lease) -> list[str]:
        """Run each statement that the relay guards by its lease; return those that wrote something."""
        spooled = await connection.fetchval("select min(id) from spool")
        start = await connection.fetchrow("select relay_xid, id from relay_cursors where name = 'changes'")
        statements = {
            "move_cursor": ("changes", *start, start["relay_xid"] + 1, 1, *lease.fence),
            "delete_spool": ([spooled], *lease.fence, *([[]] * 6)),
            "restart_states": lease.fence,
            "stamp_cursors": (7, *lease.fence),
            "begin_epoch": lease.fence,
        }
        wrote = []
        for name, arguments in statements.items():
            before = [await connection.fetch(f"select * from {table} order by {key}") for table, key in tables.items()]
            await connection.execute(statement("producers", name), *arguments)
            after = [await connection.fetch(f"select * from {table} order by {key}") for table, key in tables.items()]
            wrote += [name] if before != after else []
        return wrote

    assert await written_under(former) == []
    assert await written_under(later) == [
        "move_cursor",
        "delete_spool",
        "restart_states",
        "stamp_cursors",
        "begin_epoch",
    ]


async def test_rows_without_a_version_move_the_cursor_and_publish_nothing(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    first, _, owner = connections
    rows = [ledger_row(None, None, 3) for _ in range(25)]
    await owner.copy_records_to_table("payment_logs", records=rows, columns=LEDGER)
    async with relaying(settings_for(stack, database.dsn, batch_records_max=10)) as probe:
        query = "select id from relay_cursors where name = 'changes'"
        last = await first.fetchval("select max(id) from payment_logs")
        await until(lambda: is_equal(first, query, last))
        assert probe.facts["published"]["changes"] == 0


async def is_equal(connection: asyncpg.Connection, query: str, wanted: object) -> bool:
    return await connection.fetchval(query) == wanted


async def test_restored_database_halts_and_a_rebase_mends_it(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    first, _, owner = connections
    published, pending, written_since = [await add_payment(first) for _ in range(3)]
    far = 10**12
    await owner.execute("update payments set head_xid = $1", far + 1)
    old = [ledger_row(published, 1, far), ledger_row(pending, 1, far + 1)]
    await owner.copy_records_to_table("payment_logs", records=old, columns=LEDGER)
    await owner.execute("update payments set version = 1 where id = any ($1)", [published, pending])
    await owner.execute(
        "update relay_cursors set relay_xid = $1, system_identifier = 1, updated_at = $2, "
        "id = (select id from payment_logs where relay_xid = $1) where name = 'changes'",
        far,
        NOW,
    )
    late = (*ledger_row(written_since, 1, 3)[:14], NOW.replace(year=2027), 3, b"\0" * 32)
    await owner.copy_records_to_table("payment_logs", records=[late], columns=LEDGER)
    settings = settings_for(stack, database.dsn)
    async with reading(stack, "payments.changes") as reader:
        async with relaying(settings) as probe:
            await until(lambda: probe.state == "halted")
            assert "restored from a dump" in str(probe.unready())
            assert "ratchet migrate rebase" in str(probe.unready())
            assert probe.facts["published"]["changes"] == 0
        assert await rebase(database.owner_dsn) == {
            "changes": 2,
            "state": 3,
            "dead_letters": 0,
            "commands": 0,
            "spool": 0,
        }
        async with relaying(settings):
            async with first.transaction():
                await change(first, pending)
            wanted = {pending: [1, 2], written_since: [1], published: []}
            await reader.until(lambda records: len(versions_of(records, pending)) == 2)
            assert {payment: versions_of(reader.records, payment) for payment in wanted} == wanted
            await until(lambda: depth_is_zero(first))


async def test_what_came_between_a_restore_and_its_rebase_is_published_in_every_lane(
    database: Database, connections: list[asyncpg.Connection]
):
    """Its ids are below the old cursors, which tell nothing of it: only its time does."""
    first, _, owner = connections
    payment_id, far = await add_payment(first), 10**12
    await owner.execute(
        "update relay_cursors set relay_xid = $1, id = $1, system_identifier = 1, updated_at = $2", far, NOW
    )
    for number, at in enumerate((NOW.replace(year=2025), NOW.replace(year=2027), NOW.replace(year=2027)), start=1):
        row = (*ledger_row(payment_id, number, 3)[:14], at, 3, b"\0" * 32)
        await owner.copy_records_to_table("payment_logs", records=[row], columns=LEDGER)
        await add_letter(owner)
        await add_command(owner, payment_id)
        for table in ("dead_letters", "commands"):
            await owner.execute(f"update {table} set relay_xid = 3, created_at = $1 where relay_xid <> 3", at)
    waiting = await rebase(database.owner_dsn)
    assert (waiting["changes"], waiting["dead_letters"], waiting["commands"]) == (2, 2, 2)


@pytest.mark.parametrize("lane", ["changes", "commands", "dead_letters"])
async def test_the_rows_of_one_lane_alone_tell_that_the_database_was_restored(
    connections: list[asyncpg.Connection], lane: str
):
    first, _, owner = connections
    payment_id, far = await add_payment(first), 10**12
    if lane == "changes":
        await owner.copy_records_to_table("payment_logs", records=[ledger_row(payment_id, 1, far)], columns=LEDGER)
    elif lane == "commands":
        await add_command(owner, payment_id)
        await owner.execute("update commands set relay_xid = $1", far)
    else:
        await add_letter(owner)
        await owner.execute("update dead_letters set relay_xid = $1", far)
    rows = await first.fetch(statement("producers", "read_cluster"))
    assert f"{lane} hold transaction id {far}" in str(find_mismatch(rows))


async def test_what_is_not_published_is_counted_in_every_lane(connections: list[asyncpg.Connection]):
    first, _, _ = connections
    payment_id = await add_payment(first)
    wanted = {"changes": 1, "state": 1, "dead_letters": 2, "commands": 3, "spool": 4}
    async with first.transaction():
        await change(first, payment_id)
        same = await first.fetchval("select pg_current_xact_id()::text::bigint")
        silent = [ledger_row(payment_id, None, same) for _ in range(2)]
        await first.copy_records_to_table("payment_logs", records=silent, columns=LEDGER)
    for lane, add in (
        ("dead_letters", lambda: add_letter(first)),
        ("commands", lambda: add_command(first, payment_id)),
        ("spool", lambda: spool(first, "payments.webhooks", b"key", b"value")),
    ):
        for _ in range(wanted[lane]):
            await add()
    assert await outbox_depth(first) == wanted
    (counts,) = await fetch(first, "read_counts")
    assert (counts["outbox"], counts["spool"], counts["ledger"], counts["dead_letters_open"]) == (6, 4, 3, 2)


async def test_a_start_that_finds_the_database_restored_rebases_it_by_itself(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    first, _, owner = connections
    assert await rebase_if_restored(database.owner_dsn) is None, "nothing to do"
    payment_id = await add_payment(first)
    await owner.copy_records_to_table("payment_logs", records=[ledger_row(payment_id, 1, 10**12)], columns=LEDGER)
    epoch = await first.fetchval("select max(epoch) from epochs")
    assert await rebase_if_restored(database.owner_dsn) == {
        "changes": 1,
        "state": 1,
        "dead_letters": 0,
        "commands": 0,
        "spool": 0,
    }
    assert await rebase_if_restored(database.owner_dsn) is None
    assert await first.fetchval("select max(epoch) from epochs") > epoch
    async with reading(stack, "payments.changes") as reader, relaying(settings_for(stack, database.dsn)):
        await reader.until(lambda records: versions_of(records, payment_id) == [1])


async def test_a_relay_that_is_halted_does_not_keep_a_rebase_from_its_work(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    """`migrate up` while the roles run: the relay's term ends, and in its next one it goes on."""
    first, _, owner = connections
    payment_id = await add_payment(first)
    await owner.copy_records_to_table("payment_logs", records=[ledger_row(payment_id, 1, 10**12)], columns=LEDGER)
    async with reading(stack, "payments.changes") as reader, relaying(settings_for(stack, database.dsn)) as probe:
        await until(lambda: probe.state == "halted")
        outbox = await rebase_if_restored(database.owner_dsn)
        assert outbox == {"changes": 1, "state": 1, "dead_letters": 0, "commands": 0, "spool": 0}
        await reader.until(lambda records: versions_of(records, payment_id) == [1])
        await until(lambda: probe.state == "running")
        with pytest.raises(RatchetError, match="a relay is at work"):
            await rebase(database.owner_dsn)


async def test_a_promoted_replica_begins_an_epoch_that_changes_carry(
    stack: Endpoints, database: Database, connections: list[asyncpg.Connection]
):
    """As it looks from inside: Postgres is on another timeline than the one that the newest epoch knows."""
    first, _, owner = connections
    payment_id = await add_payment(first)
    before = await first.fetchval("select max(epoch) from epochs")
    async with reading(stack, "payments.changes") as reader:
        async with relaying(settings_for(stack, database.dsn)):
            async with first.transaction():
                await change(first, payment_id)
            await reader.until(lambda records: versions_of(records, payment_id) == [1])
        assert await first.fetchval("select max(epoch) from epochs") == before, "the same timeline"
        await owner.execute("update epochs set timeline = timeline + 1")
        async with relaying(settings_for(stack, database.dsn)):
            async with first.transaction():
                await change(first, payment_id)
            await until(lambda: is_equal(first, "select count(*) from epochs", 2))
            async with first.transaction():
                await change(first, payment_id)
            await reader.until(lambda records: versions_of(records, payment_id) == [1, 2, 3])
        mine = [json.loads(one.value) for one in reader.records if one.key == str(payment_id).encode()]
    newest = await first.fetchval("select max(epoch) from epochs")
    assert newest > before
    assert (mine[0]["epoch"], mine[-1]["epoch"]) == (before, newest)
