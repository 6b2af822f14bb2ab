"""The ledger as evidence: the application can't alter it, whoever does is found, and retention keeps it provable."""

from __future__ import annotations

import datetime as dt
import hmac
import json
from contextlib import closing
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from consumer_harness import batch_harness, intent, intent_records, lives, records, webhook
from typer.testing import CliRunner

from consumer.facts_json import dump_joined, load_reported
from consumer.fold import newer
from ops import audit
from ops.audit import Audit, AuditInputs, _unsealed, walk
from ops.cli import app
from ops.retention import COLUMNS as COLUMNS_MOVED
from ops.retention import DAYS_MIN, LEASE_NAME, Signing, remove_old, remove_step
from ops.seal import PREFIX, Sealed, SealError, SealReader, SealWriter, anchor_without_payment_mac
from ops.seal_topic import newest_seal, publish_seal
from runtime.lease import Lease, PostgresLeases
from runtime.settings import KafkaSettings, Settings
from runtime.sql import statement
from schemas.errors import LeaseLostError, RatchetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

COUNT = 12
KEY = b"a key that nobody who owns the schema has"
NOW = dt.datetime.now(dt.UTC)
INTENT_ID = UUID("01890000-0000-7000-8000-000000000001")


class Given:
    """A processed ledger, seen by the application's role and by the owner's."""

    def __init__(self, database: Any, connection: asyncpg.Connection[Any], owner: asyncpg.Connection[Any]) -> None:
        self.database = database
        self.connection = connection
        self.owner = owner

    async def audit(self, broken_max: int = 10) -> Audit:
        return await walk(self.connection, broken_max)

    async def some_row(self, nth: int = 2) -> Any:
        """Return the nth row of some payment's chain."""
        query = "select * from payment_logs where payment_id = (select min(payment_id::text)::uuid from payment_logs)"
        return (await self.owner.fetch(f"{query} order by id"))[nth]


@pytest.fixture
async def given(database: Any) -> AsyncIterator[Given]:
    events = [event for life in lives(COUNT) for event in life.events()]
    async with batch_harness(database.dsn) as harness:
        for start in range(0, len(events), 7):
            await harness.process(records(events[start : start + 7], first=start))
        await harness.process(records([webhook("customer.updated", "nobody", event_id="loose")], first=1000))
    connection, owner = await asyncpg.connect(database.dsn), await asyncpg.connect(database.owner_dsn)
    yield Given(database, connection, owner)
    await connection.close()
    await owner.close()


async def test_an_untouched_ledger_holds(given: Given) -> None:
    found = await given.audit()
    assert (found.ok, found.broken) == (True, [])
    assert found.rows == await given.owner.fetchval("select count(*) from payment_logs")


async def test_a_batch_in_the_middle_of_a_step_is_no_forger(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    """Payments and their rows are read by statements of their own: all of one moment, or live traffic looks forged."""
    ref, read, batches = await given.owner.fetchval("select max(provider_ref) from payments"), audit.fetch, 0

    async def fetch(connection: Any, name: str, *arguments: Any) -> Any:
        nonlocal batches
        found = await read(connection, name, *arguments)
        if name == "read_chain_heads" and found:
            async with batch_harness(given.database.dsn) as harness:
                event = webhook("refund.succeeded", ref, amount=1, child=f"late-{batches}")
                await harness.process(records([event], first=2000 + batches))
            batches += 1
        return found

    monkeypatch.setattr(audit, "fetch", fetch)
    rows = await given.owner.fetchval("select count(*) from payment_logs")
    found = await given.audit()
    assert (batches, found.ok, found.broken, found.rows) == (1, True, [], rows)
    assert await given.owner.fetchval("select count(*) from payment_logs") == rows + 1


@pytest.mark.parametrize(
    "statement",
    [
        "update payment_logs set amount = 1",
        "delete from payment_logs",
        "truncate payment_logs",
        "drop table payment_logs",
    ],
)
async def test_the_application_cannot_alter_the_ledger(given: Given, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await given.connection.execute(statement)


ALTERATIONS = {
    "a changed amount": ("update payment_logs set amount = amount + 1 where id = $1", "is not what was written"),
    "a removed row": ("delete from payment_logs where id = $1", "is not what was written"),
    "facts that nobody can read": (
        """update payment_logs set facts = '[["capture", "c", "succeeded"]]' where id = $1""",
        "is not what was written",
    ),
    "facts of a kind that there is not": (
        """update payment_logs set facts = '[["tip", "c", ["succeeded"]]]' where id = $1""",
        "is not what was written",
    ),
    "another place in Kafka": (
        'update payment_logs set "offset" = "offset" + 1 where id = $1',
        "is not what was written",
    ),
    "a row of another payment": (
        "update payment_logs set payment_id = (select id from payments where id <> payment_id limit 1) where id = $1",
        "is not what was written",
    ),
}


@pytest.mark.parametrize("name", ALTERATIONS)
async def test_an_alteration_is_found(given: Given, name: str) -> None:
    statement, why = ALTERATIONS[name]
    row = await given.some_row()
    await given.owner.execute(statement, row["id"])
    found = await given.audit()
    assert not found.ok
    assert any(why in one.why for one in found.broken)


async def test_a_row_removed_at_the_end_is_found(given: Given) -> None:
    row = await given.some_row(-1)
    await given.owner.execute("delete from payment_logs where id = $1", row["id"])
    (one,) = (await given.audit()).broken
    assert (one.payment_id, one.id) == (row["payment_id"], None)
    assert "missing at the end" in one.why


async def test_facts_that_left_the_payment_are_found(given: Given) -> None:
    row = await given.some_row(0)
    await given.owner.execute("update payments set facts = '{}' where id = $1", row["payment_id"])
    (one,) = (await given.audit()).broken
    assert "does not hold what its ledger says" in one.why


async def test_facts_of_a_payment_that_nobody_can_read_are_found(given: Given) -> None:
    row = await given.some_row(0)
    await given.owner.execute("""update payments set facts = '{"tip:c": 1}' where id = $1""", row["payment_id"])
    (one,) = (await given.audit()).broken
    assert "facts cannot be read" in one.why


async def test_a_version_that_the_ledger_lacks_is_found(given: Given) -> None:
    row = await given.some_row(0)
    await given.owner.execute("update payments set version = version + 1 where id = $1", row["payment_id"])
    (one,) = (await given.audit()).broken
    assert "the payment is at version" in one.why


async def test_a_row_of_no_payment_is_evidence_too(given: Given) -> None:
    await given.owner.execute("update payment_logs set event_type = 'other' where payment_id is null")
    (one,) = (await given.audit()).broken
    assert one.payment_id is None


@pytest.mark.parametrize("which", ["min", "max", "all"])
async def test_ledger_rows_whose_payment_is_gone_are_named(given: Given, which: str) -> None:
    """Also where it was the first or the last of the payments that are walked, or where none is left."""
    where = "true" if which == "all" else f"id::text = (select {which}(id::text) from payments)"
    gone = [row["id"] for row in await given.owner.fetch(f"select id from payments where {where}")]
    await given.owner.execute("delete from payment_refs where payment_id = any($1)", gone)
    await given.owner.execute("delete from payments where id = any($1)", gone)
    rows = await given.owner.fetch("select id, payment_id from payment_logs where payment_id = any($1)", gone)
    found = await given.audit(broken_max=1000)
    assert {(one.id, one.payment_id) for one in found.broken} == {(row["id"], row["payment_id"]) for row in rows}
    assert {one.why for one in found.broken} == {"its payment is not there"}
    assert found.rows == await given.owner.fetchval("select count(*) from payment_logs")


async def test_findings_are_bounded_and_all_of_them_count(given: Given) -> None:
    await given.owner.execute("update payment_logs set amount = coalesce(amount, 0) + 1")
    found = await given.audit(broken_max=3)
    assert (found.ok, len(found.broken)) == (False, 3)


HELD = "the payment holds what no ledger row says"
COLUMNS = {
    "sums and status": (
        "captured = 1, authorized = 1, amount = 1, status = 'failed'",
        "captured is 1, the facts come to",
    ),
    "a sum alone": ("refunded = refunded + 1", "refunded is"),
    "a flag that nothing raises": ("flags = '{over_captured}'", "flags are ['over_captured']"),
    "a fact that no ledger row reported": (
        """captured = 999999, facts = facts || '{"capture:fake": ["succeeded", 999999]}'""",
        f"{HELD}: capture fake",
    ),
    "a fact that says more than its ledger row": (
        """facts = facts || '{"terms:intent": ["asked", 1, null, 99]}'""",
        f"{HELD}: terms intent",
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
async def test_columns_and_facts_changed_by_hand_are_found(given: Given, name: str) -> None:
    change, why = COLUMNS[name]
    row = await given.some_row(0)
    await given.connection.execute(f"update payments set {change} where id = $1", row["payment_id"])
    (one,) = (await given.audit()).broken
    assert one.payment_id == row["payment_id"]
    assert why in one.why


async def test_money_moved_between_an_intent_and_its_attempts_is_found(database: Any) -> None:
    """An intent's columns show what its attempts hold: neither can be changed, nor the tie between them."""
    async with batch_harness(database.dsn) as harness:
        await harness.process(intent_records([intent(INTENT_ID, amount=1000, reference="ORD-1")]))
        gift = webhook("payment.captured", "gift", child="c", amount=200, reference="ORD-1")
        card = webhook("payment.captured", "card", child="d", amount=800, reference="ORD-1")
        await harness.process(records([gift, card]))
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        shown = await owner.fetchrow("select status, captured from payments where id = $1", INTENT_ID)
        assert tuple(shown) == ("captured", 1000)
        found = await walk(owner, 10)
        assert (found.ok, found.broken) == (True, [])
        await owner.execute("update payments set intent_id = null where provider_ref = 'gift'")
        (one,) = (await walk(owner, 10)).broken
        assert one.payment_id == INTENT_ID
        assert "captured is 1000, the facts come to 800" in one.why
    finally:
        await owner.close()


async def test_merged_payments_follow_from_both_ledgers(database: Any) -> None:
    async with batch_harness(database.dsn) as harness:
        await harness.process(records([webhook("payment.captured", "one", child="c", amount=500)]))
        await harness.process(intent_records([intent(INTENT_ID, amount=500, provider_ref="one")]))
        await harness.process(records([webhook("refund.succeeded", "one", child="r", amount=100)], first=20))
    owner = await asyncpg.connect(database.owner_dsn)
    try:
        found = await walk(owner, 10)
        assert (found.ok, found.broken) == (True, [])
        assert await owner.fetchval("select count(*) from payments where merged_into is not null") == 1
        await owner.execute("update payments set facts = '{}' where merged_into is not null")
        assert {one.why.split(":")[0] for one in (await walk(owner, 10)).broken} == {
            "the payment does not hold what its ledger says",
            "the payment holds what no ledger row says",
        }
    finally:
        await owner.close()


async def publish_all(given: Given) -> None:
    """Move the relay's cursor to the end, as if everything had been published."""
    newest = "select relay_xid, id from payment_logs order by 1 desc, 2 desc limit 1"
    await given.owner.execute(f"update relay_cursors set (relay_xid, id) = ({newest})")


async def test_retention_leaves_what_can_be_proved(given: Given) -> None:
    await publish_all(given)
    ids = await given.owner.fetch("select id from payment_logs order by relay_xid, id limit 20")
    later = NOW + dt.timedelta(days=DAYS_MIN, hours=1)
    kept = await given.owner.fetchval("select count(*) from payment_logs") - len(ids)
    await given.owner.execute(
        "update payment_logs set recorded_at = recorded_at + interval '2 days' where id <> all($1)",
        [row["id"] for row in ids],
    )
    removed = await remove_old(given.owner, DAYS_MIN, later)
    assert removed == len(ids)
    await given.owner.execute("update payment_logs set recorded_at = recorded_at - interval '2 days'")
    found = await given.audit()
    assert (found.ok, found.broken, found.rows) == (True, [], kept)
    assert await remove_old(given.owner, DAYS_MIN, later + dt.timedelta(days=3)) == kept
    found = await given.audit()
    assert (found.ok, found.rows) == (True, 0)


async def rewrite(given: Given, payment_id: Any, change: str, *arguments: Any) -> None:
    """Rewrite a payment's chain as the schema's owner can: change rows, and make every hash and the head fit."""
    await given.owner.execute(f"update payment_logs set {change} where payment_id = $1", payment_id, *arguments)
    rows = await given.owner.fetch("select * from payment_logs where payment_id = $1 order by id", payment_id)
    before = await given.owner.fetchval("select hash from ledger_anchors where payment_id = $1", payment_id) or b""
    for row in rows:
        before = _unsealed(row).seal(before)
        await given.owner.execute("update payment_logs set hash = $2 where id = $1", row["id"], before)
    await given.owner.execute("update payments set head_hash = $2 where id = $1", payment_id, before)


async def test_retention_with_two_clocks_leaves_what_can_be_proved(given: Given) -> None:
    """One consumer's clock is ahead: rows of every chain stand between rows that are older by the clock."""
    await publish_all(given)
    rows = await given.owner.fetch("select id, payment_id from payment_logs order by relay_xid, id")
    for payment_id in {row["payment_id"] for row in rows if row["payment_id"] is not None}:
        await rewrite(given, payment_id, "recorded_at = recorded_at + (id % 2) * interval '1 hour'")
    assert (await given.audit()).ok
    first_to_stay = next(place for place, row in enumerate(rows) if row["id"] % 2)
    between = NOW + dt.timedelta(days=DAYS_MIN, minutes=30)
    assert await remove_old(given.owner, DAYS_MIN, between) == first_to_stay
    found = await given.audit()
    assert (found.ok, found.broken, found.rows) == (True, [], len(rows) - first_to_stay)
    assert await remove_old(given.owner, DAYS_MIN, between + dt.timedelta(hours=2)) == len(rows) - first_to_stay
    assert (await given.audit()).ok, "the next night"


async def test_an_anchor_never_moves_back(given: Given) -> None:
    await publish_all(given)
    later = NOW + dt.timedelta(days=DAYS_MIN + 1)
    await given.owner.execute(
        """insert into ledger_anchors (payment_id, hash, version, rows_removed, relay_xid, ledger_id, facts)
        select id, sha256('x'), 99, 1, 1, 10 ^ 9, '{}' from payments order by id limit 1"""
    )
    rows = await given.owner.fetchval("select count(*) from payment_logs")
    with pytest.raises(RatchetError, match="is not what was written"):
        await remove_old(given.owner, DAYS_MIN, later)
    anchors = await given.owner.fetch("select * from ledger_anchors")
    back = dict(anchors[0]) | {"ledger_id": 10**9 - 1, "hash": b"h" * 32}
    moved = await given.owner.fetchval(
        statement("ops", "move_anchors"), *([back[name]] for name in COLUMNS_MOVED), [None]
    )
    assert (moved, await given.owner.fetch("select * from ledger_anchors")) == (0, anchors)
    assert await given.owner.fetchval("select count(*) from payment_logs") == rows


async def test_only_what_can_be_proved_is_removed(given: Given) -> None:
    await publish_all(given)
    row = await given.some_row(1)
    await given.owner.execute("update payment_logs set amount = 1 where id = $1", row["id"])
    rows = await given.owner.fetchval("select count(*) from payment_logs")
    with pytest.raises(RatchetError, match=f"ledger row {row['id']} of payment"):
        await remove_old(given.owner, DAYS_MIN, NOW + dt.timedelta(days=DAYS_MIN + 1))
    assert await given.owner.fetchval("select count(*) from payment_logs") == rows


async def make_seal(given: Given, path: Path) -> Path:
    writer = SealWriter(path, KEY, NOW)
    assert (await walk(given.connection, 10, AuditInputs(KEY, writer=writer))).ok
    writer.finish()
    return path


async def held(given: Given, path: Path) -> Audit:
    with closing(SealReader(path, KEY)) as reader:
        return await walk(given.connection, 10, AuditInputs(KEY, reader))


async def test_a_chain_rewritten_from_the_first_row_to_the_head_is_seen_by_the_seal_alone(
    given: Given, tmp_path: Path
) -> None:
    path = await make_seal(given, tmp_path / "today.seal")
    assert (await held(given, path)).ok
    row = await given.some_row(0)
    await rewrite(given, row["payment_id"], "event_type = 'payment.forged'")
    assert (await given.audit()).ok, "every hash fits"
    (one,) = (await held(given, path)).broken
    assert one.payment_id == row["payment_id"]
    assert "is another row now" in one.why


async def test_what_comes_after_the_seal_is_no_matter_and_what_was_cut_off_is(given: Given, tmp_path: Path) -> None:
    path = await make_seal(given, tmp_path / "today.seal")
    row = await given.some_row(0)
    async with batch_harness(given.database.dsn) as harness:
        ref = await given.owner.fetchval("select provider_ref from payments where id = $1", row["payment_id"])
        await harness.process(records([webhook("refund.succeeded", ref, child="later", amount=1)], first=2000))
    assert (await held(given, path)).ok
    last = await given.owner.fetchrow(
        "delete from payment_logs where id = (select max(id) from payment_logs where payment_id = $1) returning *",
        row["payment_id"],
    )
    assert last["event_type"] == "refund.succeeded"
    await given.owner.execute("delete from payment_logs where payment_id = $1", row["payment_id"])
    assert "is gone" in next(one.why for one in (await held(given, path)).broken if one.id is not None)


async def test_a_seal_from_before_retention_verifies_where_retention_signed(given: Given, tmp_path: Path) -> None:
    path = await make_seal(given, tmp_path / "before.seal")
    await publish_all(given)
    later = NOW + dt.timedelta(days=DAYS_MIN + 1)
    assert await remove_old(given.owner, DAYS_MIN, later, Signing(KEY)) > COUNT
    found = await held(given, path)
    assert (found.ok, found.broken, found.rows) == (True, [], 0)
    assert (await make_seal(given, tmp_path / "after.seal")).exists()
    async with batch_harness(given.database.dsn) as harness:
        ref = await given.owner.fetchval("select provider_ref from payments order by id limit 1")
        await harness.process(records([webhook("refund.succeeded", ref, child="later", amount=1)], first=2000))
    await publish_all(given)
    with pytest.raises(RatchetError, match="set RATCHET_AUDIT__SEAL_KEY"):
        await remove_old(given.owner, DAYS_MIN, later + dt.timedelta(days=1))


@pytest.mark.parametrize("without", ["a signature", "the key"])
async def test_a_removal_that_nobody_signed_is_kept_apart_from_retention(
    given: Given, tmp_path: Path, without: str
) -> None:
    path = await make_seal(given, tmp_path / "before.seal")
    await publish_all(given)
    await remove_old(given.owner, DAYS_MIN, NOW + dt.timedelta(days=DAYS_MIN + 1), Signing(KEY))
    if without == "a signature":
        await given.owner.execute("update ledger_anchors set mac = null")
    else:
        await given.owner.execute("update ledger_anchors set version = version + 1, hash = hash")
        await given.owner.execute("update payments set version = version + 1")
    found = await held(given, path)
    assert not found.ok
    assert ("unsigned" if without == "a signature" else "not what retention signed") in found.broken[0].why


REMOVED_BY_SOMEBODY = "delete from payment_logs where id = $1"
REWRITTEN = "update payment_logs set event_type = 'customer.deleted', hash = $2 where id = $1"


async def add_rows_without_payment(given: Given, count: int) -> list[dict[str, Any]]:
    """Process events that say nothing of a payment; return all ledger rows of no payment."""
    async with batch_harness(given.database.dsn) as harness:
        first = 3000 + int(await given.owner.fetchval("select count(*) from payment_logs"))
        events = [webhook("customer.updated", f"n{first + number}") for number in range(count)]
        await harness.process(records(events, first=first))
    query = "select * from payment_logs where payment_id is null order by relay_xid, id"
    return [dict(row) for row in await given.owner.fetch(query)]


@pytest.mark.parametrize("change", [REMOVED_BY_SOMEBODY, REWRITTEN], ids=["removed", "rewritten with a hash that fits"])
async def test_a_row_of_no_payment_that_somebody_took_or_changed_is_seen_by_the_seal_alone(
    given: Given, tmp_path: Path, change: str
) -> None:
    rows = await add_rows_without_payment(given, 20)
    path = await make_seal(given, tmp_path / "today.seal")
    await add_rows_without_payment(given, 3)
    found = await held(given, path)
    assert (found.ok, found.broken) == (True, []), "what comes after the seal is no matter"
    row = rows[7]
    fitting = _unsealed(row | {"event_type": "customer.deleted"}).seal(b"")
    await given.owner.execute(change, *([row["id"]] if change == REMOVED_BY_SOMEBODY else [row["id"], fitting]))
    assert (await given.audit()).ok, "nothing else tells"
    (one,) = (await held(given, path)).broken
    why = "it was sealed, and is gone" if change == REMOVED_BY_SOMEBODY else "it was sealed, and is another row now"
    assert (one.id, one.payment_id, one.why) == (row["id"], None, why)


async def test_rows_of_no_payment_that_were_given_other_transactions_after_a_restore_are_known(
    given: Given, tmp_path: Path
) -> None:
    rows = await add_rows_without_payment(given, 20)
    path = await make_seal(given, tmp_path / "today.seal")
    query = "update payment_logs set relay_xid = case when id < $1 then 1 else 2 end where payment_id is null"
    await given.owner.execute(query, rows[9]["id"])
    assert (await held(given, path)).ok


async def test_of_rows_of_no_payment_retention_takes_what_it_signs_and_no_more(given: Given, tmp_path: Path) -> None:
    rows = await add_rows_without_payment(given, 20)
    path = await make_seal(given, tmp_path / "before.seal")
    await publish_all(given)
    stay = [row["id"] for row in rows[12:]]
    later = "update payment_logs set recorded_at = recorded_at + $2::interval where id = any($1)"
    await given.owner.execute(later, stay, dt.timedelta(days=2))
    assert await remove_old(given.owner, DAYS_MIN, NOW + dt.timedelta(days=DAYS_MIN + 1), Signing(KEY)) > 12
    await given.owner.execute(later, stay, dt.timedelta(days=-2))
    found = await held(given, path)
    assert (found.ok, found.broken, found.rows) == (True, [], len(stay))
    newer = await make_seal(given, tmp_path / "after.seal")
    assert (await held(given, newer)).ok
    await given.owner.execute(REMOVED_BY_SOMEBODY, stay[3])
    for seal in (path, newer):
        assert [one.id for one in (await held(given, seal)).broken] == [stay[3]]


@pytest.mark.parametrize(
    ("covering", "why"),
    [
        ("update anchor_without_payment set ledger_id = $1, rows_removed = 1", "removed without the key"),
        (
            "update anchor_without_payment set ledger_id = $1, rows_removed = 1, mac = sha256('guess')",
            "not what retention signed",
        ),
    ],
)
async def test_a_removal_of_rows_of_no_payment_that_nobody_signed_is_reported(
    given: Given, tmp_path: Path, covering: str, why: str
) -> None:
    rows = await add_rows_without_payment(given, 5)
    path = await make_seal(given, tmp_path / "today.seal")
    await given.owner.execute(REMOVED_BY_SOMEBODY, rows[0]["id"])
    await given.owner.execute(covering, rows[-1]["id"])
    found = (await held(given, path)).broken
    assert [one.id for one in found] == [rows[0]["id"]]
    assert why in found[0].why


async def test_more_rows_of_no_payment_gone_than_retention_signed_are_reported(given: Given, tmp_path: Path) -> None:
    """Somebody removes rows that stand below what retention took: their number tells."""
    rows = await add_rows_without_payment(given, 5)
    path = await make_seal(given, tmp_path / "today.seal")
    ledger_id = rows[-1]["id"]
    signed = anchor_without_payment_mac(KEY, ledger_id, 2)
    await given.owner.execute(
        "update anchor_without_payment set ledger_id = $1, rows_removed = 2, mac = $2", ledger_id, signed
    )
    for row in rows[:2]:
        await given.owner.execute(REMOVED_BY_SOMEBODY, row["id"])
    assert (await held(given, path)).ok
    await given.owner.execute(REMOVED_BY_SOMEBODY, rows[2]["id"])
    (one,) = (await held(given, path)).broken
    assert one.why == "3 sealed rows of no payment are gone, retention removed 2 since"


async def test_what_retention_took_before_a_seal_covers_no_removal_after_it(given: Given, tmp_path: Path) -> None:
    rows = await add_rows_without_payment(given, 5)
    ledger_id = rows[-1]["id"]
    signed = anchor_without_payment_mac(KEY, ledger_id, 2)
    await given.owner.execute(
        "update anchor_without_payment set ledger_id = $1, rows_removed = 2, mac = $2", ledger_id, signed
    )
    path = await make_seal(given, tmp_path / "today.seal")
    assert (await held(given, path)).ok
    await given.owner.execute(REMOVED_BY_SOMEBODY, rows[0]["id"])
    (one,) = (await held(given, path)).broken
    assert one.why == "1 sealed rows of no payment are gone, retention removed 0 since"


async def test_a_seal_of_the_first_format_still_verifies(given: Given, tmp_path: Path) -> None:
    rows = await add_rows_without_payment(given, 3)
    path = await make_seal(given, tmp_path / "today.seal")
    lines = path.read_text().replace("ratchet-seal/2", "ratchet-seal/1").splitlines(keepends=True)
    body = "".join(line for line in lines if not line.startswith(("row", PREFIX))).encode()
    path.write_bytes(body + f"{PREFIX}{hmac.digest(KEY, body, 'sha256').hex()}\n".encode())
    assert (await held(given, path)).ok
    await given.owner.execute(REMOVED_BY_SOMEBODY, rows[0]["id"])
    assert (await held(given, path)).ok, "it knows of payments alone"


@pytest.fixture
async def seal_topic(stack: Endpoints) -> AsyncIterator[str]:
    """Name a topic for seals that is not there yet, and is gone afterwards."""
    name = f"payments.seals.{uuid4().hex}"
    yield name
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.kafka)
    await admin.start()
    await admin.delete_topics([name])
    await admin.close()


async def test_a_topic_keeps_seals_and_its_newest_whole_one_is_held_against_the_ledger(
    given: Given,
    stack: Endpoints,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    seal_topic: str,
) -> None:
    settings = Settings(kafka=KafkaSettings(bootstrap=stack.kafka))
    monkeypatch.setattr("ops.seal_topic.PART_BYTES", 500)
    with pytest.raises(SealError, match="is not there"):
        async with newest_seal(settings, seal_topic):
            pass
    old = await make_seal(given, tmp_path / "old.seal")
    assert await publish_seal(settings, seal_topic, old) > 3
    row = (await add_rows_without_payment(given, 3))[-1]
    new = await make_seal(given, tmp_path / "new.seal")
    await publish_seal(settings, seal_topic, new)
    await put_what_is_no_seal(stack.kafka, seal_topic)
    async with newest_seal(settings, seal_topic) as path:
        assert path.read_bytes() == new.read_bytes()
        assert (await held(given, path)).ok
        await given.owner.execute(REMOVED_BY_SOMEBODY, row["id"])
        assert [one.id for one in (await held(given, path)).broken] == [row["id"]]


async def put_what_is_no_seal(kafka: str, topic: str) -> None:
    """Put beside the seals what a crash, or somebody else, may leave there."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    for headers in (
        [],
        [("ratchet-seal-part", b"0"), ("ratchet-seal-parts", b"3")],
        [("ratchet-seal-part", b"2"), ("ratchet-seal-parts", b"3")],
        [("ratchet-seal-part", b"x"), ("ratchet-seal-parts", None)],
    ):
        await producer.send_and_wait(topic, b"some", key=b"torn", partition=0, headers=headers)
    await producer.stop()


@pytest.mark.parametrize("whose", ["a payment", "no payment"])
async def test_retention_signs_no_removal_that_was_not_its_own_unless_people_say_so(given: Given, whose: str) -> None:
    await add_rows_without_payment(given, 5)
    await publish_all(given)
    if whose == "a payment":
        row = await given.some_row(0)
        await given.owner.execute(
            """insert into ledger_anchors (payment_id, hash, version, rows_removed, relay_xid, ledger_id, facts)
            values ($1, $2, $3, 1, $4, $5, $6)""",
            row["payment_id"],
            row["hash"],
            row["version"],
            row["relay_xid"],
            row["id"],
            dump_joined(newer({}, load_reported(row["facts"]))),
        )
        await given.owner.execute(REMOVED_BY_SOMEBODY, row["id"])
    else:
        await given.owner.execute("update anchor_without_payment set ledger_id = 1, rows_removed = 1")
    assert (await given.audit()).ok
    later = NOW + dt.timedelta(days=DAYS_MIN + 1)
    rows = await given.owner.fetchval("select count(*) from payment_logs")
    with pytest.raises(RatchetError, match="--adopt-unsigned"):
        await remove_old(given.owner, DAYS_MIN, later, Signing(KEY))
    assert await given.owner.fetchval("select count(*) from payment_logs") == rows
    assert await remove_old(given.owner, DAYS_MIN, later, Signing(KEY, adopt_unsigned=True)) == rows


async def test_a_seal_of_payments_that_are_not_there(given: Given, tmp_path: Path) -> None:
    writer = SealWriter(tmp_path / "other.seal", KEY, NOW)
    for number in (1, 2**127):
        writer.add(Sealed(UUID(int=number), 7, 1, b"\1" * 32))
    writer.finish()
    found = await held(given, tmp_path / "other.seal")
    assert [(one.payment_id, one.why) for one in found.broken] == [
        (UUID(int=1), "its payment was sealed, and is not there"),
        (UUID(int=2**127), "its payment was sealed, and is not there"),
    ]


async def test_two_retentions_do_not_move_anchors_side_by_side(given: Given) -> None:
    await publish_all(given)
    later, leases = NOW + dt.timedelta(days=DAYS_MIN + 1), PostgresLeases(given.owner)
    other = await leases.acquire(LEASE_NAME, "another", 60)
    assert other is not None
    with pytest.raises(RatchetError, match="another retention"):
        await remove_old(given.owner, DAYS_MIN, later)
    overtaken = Lease(LEASE_NAME, "paused", other.token - 1)
    rows = await given.owner.fetchval("select count(*) from payment_logs")
    with pytest.raises(LeaseLostError):
        await remove_step(given.owner, later, overtaken)
    assert await given.owner.fetchval("select count(*) from payment_logs") == rows
    await leases.release(other)
    assert await remove_old(given.owner, DAYS_MIN, later) == rows


async def test_retention_never_removes_what_is_not_published(given: Given) -> None:
    later = NOW + dt.timedelta(days=DAYS_MIN + 1)
    assert await remove_old(given.owner, DAYS_MIN, later) == 0
    await publish_all(given)
    for behind in ("changes", "state"):
        await given.owner.execute("update relay_cursors set relay_xid = 0, id = 0 where name = $1", behind)
        assert await remove_old(given.owner, DAYS_MIN, later) == 0, f"{behind} are not published"
        await publish_all(given)
    assert await remove_old(given.owner, DAYS_MIN, later) > 0


async def test_the_commands(given: Given, stack: Endpoints, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in stack.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RATCHET_POSTGRES__DSN", given.database.dsn)
    monkeypatch.setenv("RATCHET_POSTGRES__OWNER_DSN", given.database.owner_dsn)

    def run(*arguments: str) -> Any:
        import asyncio

        return asyncio.get_running_loop().run_in_executor(None, CliRunner().invoke, app, list(arguments))

    result = await run("audit", "verify", "--json")
    assert (result.exit_code, json.loads(result.stdout)["ok"]) == (0, True)
    assert "every chain holds" in (await run("audit", "verify")).stdout
    assert (await run("audit", "retain", "--days", "400")).exit_code == 1
    result = await run("audit", "retain", "--days", "400", "--yes", "--json")
    assert result.exit_code == 0
    gone = {"removed": 0, "messages": 0, "refetches": 0, "body_claims": 0}
    assert json.loads(result.stdout) == gone | {"waiting_for_archive": False}
    assert (await run("audit", "retain", "--days", "1", "--yes")).exit_code == 2
    path = str(tmp_path / "of-today.seal")
    assert "RATCHET_AUDIT__SEAL_KEY" in (await run("audit", "seal", path)).stderr
    monkeypatch.setenv("RATCHET_AUDIT__SEAL_KEY", KEY.decode())
    assert f"{COUNT} payments" in (await run("audit", "seal", path)).stdout
    assert "never written over" in (await run("audit", "seal", path)).stderr
    result = await run("audit", "verify", "--seal", path)
    assert (result.exit_code, "all that was sealed" in result.stdout) == (0, True)
    assert (await run("audit", "verify", "--seal", str(tmp_path / "nowhere"))).exit_code != 0
    assert (await run("audit", "seal")).exit_code == 2
    assert (await run("audit", "verify", "--seal", path, "--seal-topic", "a")).exit_code == 2
    await given.owner.execute("update payment_logs set amount = coalesce(amount, 0) + 1")
    result = await run("audit", "seal", str(tmp_path / "broken.seal"))
    assert (result.exit_code, [one.name for one in tmp_path.iterdir()]) == (1, ["of-today.seal"])  # noqa: ASYNC240
    result = await run("audit", "verify")
    assert result.exit_code == 1
    assert "broken" in result.stdout
    monkeypatch.delenv("RATCHET_POSTGRES__OWNER_DSN")
    assert (await run("audit", "retain", "--days", "400", "--yes")).exit_code == 2
