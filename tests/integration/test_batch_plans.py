"""The plans of the batch's statements on 50,000 rows: index look-ups, also where nobody analyzed the tables."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

import asyncpg
import pytest
from consumer_harness import BatchHarness, batch_harness
from consumer_processes import new_database

from consumer import rows
from runtime.postgres_arrays import plain_array
from runtime.sql import statement
from schemas.payment import Payment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from consumer.resolve import RefKey
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration
ROWS = 50_000
BATCH = 200

FILL = (
    """insert into payments (id, provider, account, status, refund_status, dispute_status, amount, authorized, captured,
        refunded, disputed, version, facts, head_hash, head_xid, created_at, updated_at)
    select lpad(to_hex(n), 32, '0')::uuid, 'p', '', 'created', 'none', 'none', 0, 0, 0, 0, 0, 1, '{}', '', 0,
        now(), now()
    from generate_series(1, %d) n""",
    """insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
    select 'p', '', '', true, 'payment', 'ref-' || n, lpad(to_hex(n), 32, '0')::uuid from generate_series(1, %d) n""",
    """insert into payment_refs (provider, account, merchant_account, livemode, kind, ref, payment_id)
    select 'p', '', '', true, 'reference', 'ord-' || n, case n %% 2 when 0 then lpad(to_hex(n), 32, '0')::uuid end
    from generate_series(1, %d) n""",
    """insert into reference_payments (provider, account, livemode, kind, ref, payment_id, promise, groups)
    select 'p', '', true, 'reference', 'ord-' || n, lpad(to_hex(n), 32, '0')::uuid, case n %% 2 when 0 then 1 end,
        n %% 2 = 0 from generate_series(1, %d) n""",
    """insert into payment_logs (payment_id, source, event_id, event_type, outcome, version, facts, topic, partition,
        "offset", recorded_at, relay_xid, hash)
    select lpad(to_hex(n), 32, '0')::uuid, 'p', 'event-' || n, 'k', 'applied', 1, '[]', 't', 0, n, now(), 1,
        sha256(n::text::bytea) from generate_series(1, %d) n""",
    """insert into body_claims (source, digest, event_id)
    select 'p', sha256(n::text::bytea), 'event-' || n from generate_series(1, %d) n""",
    """insert into parked_events (source, event_id, event_type, reason, detail, facts, topic, partition, "offset",
        timestamp_ms, header_names, header_values, parked_at, deadline)
    select 'p', 'parked-' || n, 'k', 'orphan', '', '[]', 't', 0, n, 0, '{}', '{}', now(), now()
    from generate_series(1, %d) n""",
    """insert into parked_refs (provider, account, merchant_account, livemode, kind, ref, parked_id)
    select 'p', '', '', true, 'payment', 'ref-' || n, n from generate_series(1, %d) n""",
    """insert into wake_marks (provider, account, merchant_account, livemode, kind, ref)
    select 'p', '', '', true, 'payment', 'ref-' || n from generate_series(1, %d) n""",
)


def payment_id(number: int) -> uuid.UUID:
    return uuid.UUID(int=number)


def refs() -> list[str]:
    numbers = range(1, ROWS, ROWS // BATCH)
    return rows.ref_arrays(sorted(("p", "", "", True, "payment", f"ref-{number}") for number in numbers))


def orders() -> list[RefKey]:
    return [("p", "", "", True, "reference", f"ord-{number}") for number in range(1, ROWS, ROWS // BATCH)]


def locks() -> list[str]:
    return [*refs(), plain_array([False] * len(ids())), "{}", BATCH]


def ids() -> list[uuid.UUID]:
    return [payment_id(number) for number in range(1, ROWS, ROWS // BATCH)]


def events() -> list[str]:
    return rows.dedupe_arrays([("p", f"event-{number}") for number in range(1, ROWS, ROWS // BATCH)])


def payments() -> list[str]:
    return rows.payment_arrays((Payment(one, "p", "", version=2) for one in ids()), opened=())


SNAPSHOT = object()
"""Stands for the snapshot of the filled database."""
LATE = """insert into reference_payments (provider, account, livemode, kind, ref, payment_id)
    select 'p', '', true, 'reference', 'ord-' || n, lpad(to_hex(n + 1), 32, '0')::uuid
    from generate_series(2, %d, 2) n"""
"""What came since that snapshot: payments under references that are promised."""
STATEMENTS = {
    "lock_refs": locks,
    "find_reported": lambda: [*events(), SNAPSHOT],
    "find_groups": lambda: [plain_array(ids()), *rows.group_arrays(()), BATCH],
    "find_under": lambda: rows.group_arrays([("p", "", "", True, "shared", "ord-1")]),
    "find_parked": lambda: [list(range(1, BATCH))],
    "find_waited_refs": lambda: [list(range(1, BATCH))],
    "mark_bound": refs,
    "find_marked": lambda: [None, BATCH],
    "write_payments": lambda: [*payments(), dt.datetime.now(dt.UTC), *refs(), plain_array(ids())],
    "find_bodies": lambda: [["p"] * BATCH, [hashlib.sha256(b"%d" % number).digest() for number in range(BATCH)]],
    "copy_members": lambda: [ids(), ids()[::-1]],
    "lock_refs_only": refs,
    "follow_chains": lambda: [plain_array(ids()), *rows.group_arrays(orders()), BATCH],
    "delete_parked": lambda: [list(range(1, BATCH))],
}

AUDIT = {
    "read_rows_without_payment": lambda: [0, 0, BATCH],
    "find_rows_of_gone_payments": lambda: [payment_id(ROWS // 2), 2**63 - 1, payment_id(ROWS // 2 + BATCH), BATCH],
}
"""What `audit verify` reads step by step beside the chains."""

FOLLOWING = {
    ("consumer", "read_commands"): lambda: [ids(), 3600.0],
    ("consumer.dispatcher", "claim_sms"): lambda: [60.0],
    ("producers", "read_asked"): lambda: [payment_id(1), 3600.0, 3600.0],
    ("ops", "read_ends"): lambda: [["p"], ["ref-1"], [""], ["payment"]],
}
"""Who asks `surviving_payment` what a payment turned out to be."""


class Filled(NamedTuple):
    """A filled database, by the consumer's role and by its owner's."""

    harness: BatchHarness
    owner: asyncpg.Connection[Any]
    snapshot: str


@pytest.fixture(scope="module")
async def filled(stack: Endpoints) -> AsyncIterator[Filled]:
    """Fill one database for all statements; the plans are made in transactions that roll back."""
    async with new_database(stack) as database:
        owner = await asyncpg.connect(database.owner_dsn)
        for fill in FILL:
            await owner.execute(fill % ROWS)
        snapshot = await owner.fetchval("select pg_current_snapshot()::text")
        await owner.execute(LATE % BATCH)
        async with batch_harness(database.dsn, connections=1) as fresh:
            yield Filled(fresh, owner, snapshot)
        await owner.close()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


async def explain(
    filled: Filled, name: str, folder: str = "consumer", arguments: list[Any] | None = None
) -> list[dict[str, Any]]:
    async with filled.harness.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            query = f"explain (analyze, format json) {statement(folder, name)}"
            if arguments is None:
                arguments = (STATEMENTS if folder == "consumer" else AUDIT)[name]()
            arguments = [filled.snapshot if one is SNAPSHOT else one for one in arguments]
            text = await connection.fetchval(query, *arguments)
        finally:
            await transaction.rollback()
    return list(nodes(json.loads(text)[0]["Plan"]))


async def assert_looked_up(filled: Filled, name: str) -> None:
    found = await explain(filled, name)
    scans = [node for node in found if "Scan" in node["Node Type"] and node.get("Relation Name")]
    assert scans, "a plan reads some table"
    for node in scans:
        touched = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        exists_probe = node["Relation Name"] in ("parked_refs", "reference_payments") and node["Actual Rows"] <= 1
        assert node["Node Type"] != "Seq Scan" or exists_probe, node
        assert touched <= 4 * BATCH, node
    assert not any(node["Node Type"] in ("Hash Join", "Merge Join") for node in found)


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_rows_are_looked_up_before_anybody_analyzed(filled: Filled, name: str) -> None:
    await assert_looked_up(filled, name)


async def test_rows_are_looked_up_after_an_analyze(filled: Filled) -> None:
    await filled.owner.execute("analyze")
    for name in sorted(STATEMENTS):
        await assert_looked_up(filled, name)


async def test_a_step_of_the_audit_reads_no_more_than_its_part_of_the_ledger(filled: Filled) -> None:
    for name in AUDIT:
        found = await explain(filled, name, "ops")
        scans = [node for node in found if "Scan" in node["Node Type"]]
        assert [node["Node Type"] for node in scans if node["Node Type"] == "Seq Scan"] == []
        touched = [(node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) for node in scans]
        assert max(touched) <= BATCH, found


async def test_what_a_payment_turned_out_to_be_is_followed_within_the_statement(filled: Filled) -> None:
    """The function's body stands in the plan: it is called nowhere, and each step is a look-up."""
    for (folder, name), arguments in FOLLOWING.items():
        found = await explain(filled, name, folder, arguments())
        assert not any(node.get("Function Name") == "surviving_payment" for node in found), name
        assert any(node["Node Type"] == "Recursive Union" for node in found), name
        scans = {node["Node Type"] for node in found if node.get("Relation Name") == "payments"}
        assert scans <= {"Index Scan", "Index Only Scan"}, name
        assert scans, name
