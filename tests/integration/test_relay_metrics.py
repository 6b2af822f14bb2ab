"""What the relay that leads counts and samples: records, publish times, what waits; and that it stops telling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest
from relay_rows import NOW, add_command, add_letter, add_payment, relaying, settings_for, spool
from waiting import until

from runtime import metrics
from runtime.kafka import ensure_topics
from runtime.settings import MetricsSettings
from runtime.sql import statement
from schemas.payment import Flag

if TYPE_CHECKING:
    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


def value(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, labels)


async def park(connection: asyncpg.Connection, event_id: str) -> None:
    await connection.execute(
        """insert into parked_events (source, event_id, event_type, reason, detail, facts, topic, partition, "offset",
            timestamp_ms, key, value, header_names, header_values, parked_at, deadline)
        values ('stripe', $1, 'x', 'orphan', 'no payment', '[]', 'payments.webhooks', 0, 1, 0, null, null, '{}', '{}',
            $2, $2)""",
        event_id,
        NOW,
    )


async def flag(connection: asyncpg.Connection, flags: list[str], ago: str, *, livemode: bool = True) -> None:
    await connection.execute(
        "update payments set flags = $2, flagged_at = now() - $3::text::interval, livemode = $4 where id = $1",
        await add_payment(connection),
        flags,
        ago,
        livemode,
    )


async def test_the_relay_that_leads_counts_and_samples(stack: Endpoints, database: Database) -> None:
    settings = settings_for(stack, database.dsn).model_copy(
        update={"metrics": MetricsSettings(sample_interval_seconds=0.05, sample_rows_max=3)}
    )
    await ensure_topics(settings.kafka)
    connection = await asyncpg.connect(database.dsn)
    for number in range(2):
        await add_letter(connection, reason="orphan")
        await spool(connection, "payments.webhooks", b"key", b"{}")
        await park(connection, f"evt_{number}")
    await add_letter(connection, reason="fatal", status="discarded")
    await flag(connection, ["contradiction", "over_captured"], "3 days")
    await flag(connection, ["contradiction"], "2 days")
    await flag(connection, ["underpaid"], "9 days", livemode=False)
    before = {lane: value("ratchet_relay_records_total", lane=lane) or 0.0 for lane in ("dead_letters", "spool")}
    async with relaying(settings):
        await until(lambda: value("ratchet_relay_records_total", lane="dead_letters") == before["dead_letters"] + 3)
        await until(lambda: value("ratchet_relay_records_total", lane="spool") == before["spool"] + 2)
        await until(lambda: value("ratchet_outbox_rows", lane="dead_letters") == 0)
        assert value("ratchet_outbox_rows", lane="changes") == 0
        assert value("ratchet_dead_letters_open", reason="orphan") == 2
        assert value("ratchet_dead_letters_open", reason="fatal") == 0, "a discarded one is not open"
        assert value("ratchet_parked_events", reason="orphan") == 2
        flagged = {one: value("ratchet_flagged_payments", flag=one) for one in Flag}
        assert flagged == dict.fromkeys(Flag, 0) | {"contradiction": 2, "over_captured": 1}, "test money is no money"
        oldest = value("ratchet_flagged_oldest_seconds", flag="contradiction")
        assert oldest == pytest.approx(3 * 86400, abs=120)
        assert value("ratchet_flagged_oldest_seconds", flag="underpaid") == 0
        assert (value("ratchet_lease_held", lease="relay"), value("ratchet_relay_halted", lane="spool")) == (1, 0)
        assert (value("ratchet_relay_publish_seconds_count", lane="spool") or 0) >= 1
        assert (value("ratchet_postgres_pool_connections", state="in_use") or 0) >= 3, "one connection a lane"
        for number in range(2, 6):
            await park(connection, f"evt_{number}")
        await until(lambda: value("ratchet_parked_events", reason="orphan") == 3)  # counted no further than that
    assert value("ratchet_lease_held", lease="relay") == 0
    assert value("ratchet_outbox_rows", lane="changes") is None, "another relay tells now"
    assert value("ratchet_parked_events", reason="orphan") is None
    assert value("ratchet_flagged_payments", flag="contradiction") is None
    await connection.close()


async def test_a_command_is_unanswered_until_somebody_ends_it(database: Database) -> None:
    connection = await asyncpg.connect(database.owner_dsn)
    try:
        payment_id = await add_payment(connection)
        states = [None, "accepted", "accepted", *["done"] * 4, *["refused"] * 8]
        for _ in states:
            await add_command(connection, payment_id)
        ids = [row["id"] for row in await connection.fetch("select id from commands")]
        await connection.execute("update commands set expires_at = now() - interval '1 hour'")
        await connection.executemany(
            "update commands set state = $2 where id = $1", list(zip(ids, states, strict=True))
        )
        found = await connection.fetch(statement("producers", "sample_waiting"), 99)
    finally:
        await connection.close()
    assert [(row["kind"], row["reason"], row["count"]) for row in found] == [("unanswered", "refund", 3)]
