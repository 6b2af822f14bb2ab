"""What Postgres refuses for reasons that have nothing to do with a record: nothing becomes a dead letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest
from consumer_harness import BatchHarness, batch_harness, outage_of, records, until, webhook

from consumer.decode import decoded
from runtime.postgres import classify, open_pool
from runtime.postgres_session import Session
from runtime.refusals import Failure

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Database

    from schemas.record import Record

pytestmark = pytest.mark.integration


@pytest.fixture
async def table(database: Database) -> AsyncIterator[BatchHarness]:
    async with batch_harness(database.dsn, connections=2) as made:
        yield made


def captured(number: int) -> list[Record]:
    return records([webhook("payment.captured", f"pay_{number}", child=f"c{number}")], first=number)


async def applied(table: BatchHarness) -> list[str]:
    tables = await table.tables()
    assert tables.letters == []
    return sorted(str(row["provider_ref"]) for row in tables.payments)


@pytest.mark.parametrize(
    "change",
    [
        "alter table payments alter column currency type varchar(8)",
        "alter table payment_logs alter column event_type type varchar(200)",
        "alter table payment_refs add column more text",
    ],
)
async def test_a_schema_that_changes_under_cached_statements_costs_no_event(
    table: BatchHarness, owner: asyncpg.Connection[asyncpg.Record], change: str
) -> None:
    """Single webhooks, as they come at night: each is a batch by itself, on a session that knows the old schema."""
    for number in range(6):
        await table.process(captured(number))
    await owner.execute(change)
    for number in range(6, 9):
        await table.process(captured(number))
    assert await applied(table) == [f"pay_{number}" for number in range(9)]


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        ("revoke insert on payment_logs from {app}", "grant insert on payment_logs to {app}"),
        (
            "alter table payments rename column captured to taken",
            "alter table payments rename column taken to captured",
        ),
        ("alter table payment_refs rename to others", "alter table others rename to payment_refs"),
    ],
    ids=["42501", "42703", "42P01"],
)
async def test_a_right_or_a_table_that_is_missing_is_waited_for(
    table: BatchHarness, owner: asyncpg.Connection[asyncpg.Record], spoil: str, mend: str
) -> None:
    app = await table.pool.fetchval("select current_user")
    await owner.execute(spoil.format(app=app))
    for number in range(3):
        items = [decoded(record) for record in captured(number)]
        assert "ratchet migrate up" in await outage_of(table.processor(), items)
    await owner.execute(mend.format(app=app))
    for number in range(3):
        await table.process(captured(number))
    assert await applied(table) == ["pay_0", "pay_1", "pay_2"]


async def test_sessions_that_were_opened_while_it_was_read_only_are_not_kept(
    table: BatchHarness, owner: asyncpg.Connection[asyncpg.Record]
) -> None:
    """A primary that was demoted, and is promoted again: what it reported to a new session holds for its life."""
    name = await owner.fetchval("select current_database()")
    await owner.execute(f"alter database {name} set default_transaction_read_only = on")
    stale = await asyncpg.create_pool(
        table.settings.postgres.dsn.get_secret_value() if table.settings.postgres.dsn else "",
        min_size=2,
        max_size=2,
        connection_class=Session,
        reset=table.pool._reset,
    )
    try:
        with pytest.raises(asyncpg.TargetServerAttributeNotMatched) as refused:
            await open_pool(table.settings.postgres, role="relay", connections=1)
        assert classify(refused.value) is Failure.OUTAGE, "a pool that writes takes no such session, and waits"
        await owner.execute("set default_transaction_read_only = off")
        await owner.execute(f"alter database {name} reset default_transaction_read_only")
        failures = 0

        async def writable() -> bool:
            nonlocal failures
            try:
                await stale.execute("delete from spool")
            except asyncpg.ReadOnlySQLTransactionError:
                failures += 1
                return False
            return True

        await until(writable, "the sessions are fresh", 10)
        assert 1 <= failures <= 2, "each of them failed once at most"
        assert await applied(table) == []
        again = BatchHarness(stale, table.settings)
        await again.process(captured(1))
        assert await applied(table) == ["pay_1"]
    finally:
        await stale.close()
