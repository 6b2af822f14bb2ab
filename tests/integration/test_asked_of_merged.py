"""What was asked for an attempt counts for the payment that the attempt was merged into."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import asyncpg
import pytest
from relay_rows import add_command, add_payment

from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration


async def test_an_attempt_that_was_merged_is_the_one_it_was_merged_into(database: Database) -> None:
    """Also of a request that the consumer has not taken on yet: it counted for none, and a second refund got 202."""
    connection = await asyncpg.connect(database.dsn)
    try:
        intent, merged, kept = [await add_payment(connection) for _ in range(3)]
        await add_command(connection, intent)
        await connection.execute("update commands set attempt_id = $1", merged)
        await connection.execute(
            """insert into intent_claims (client, idempotency_key, fingerprint, command, payment_id, event_id,
                record_key, amount, seen, attempt_id, answer, expires_at)
            values ('shop', $1, sha256(''), 'refund', $2, 'e', 'k', 70, 0, $3, '', now() + interval '2 days')""",
            uuid.uuid4(),
            intent,
            merged,
        )
        await connection.execute("update payments set merged_into = $2 where id = $1", merged, kept)
        found = await connection.fetch(statement("producers", "read_asked"), intent, 3600.0, 3600.0)
    finally:
        await connection.close()
    assert sorted((row["command"], row["amount"], row["attempt_id"]) for row in found) == [
        ("refund", 70, kept),
        ("refund", 100, kept),
    ]


async def test_two_requests_that_look_the_same_count_twice(database: Database) -> None:
    """Two refunds of one amount, asked for in the same microsecond: counted as one, a third would be accepted."""
    connection = await asyncpg.connect(database.dsn)
    try:
        intent = await add_payment(connection)
        for name in ("one", "two"):
            await connection.execute(
                """insert into intent_claims (client, idempotency_key, fingerprint, command, payment_id, event_id,
                    record_key, amount, seen, attempt_id, answer, created_at, expires_at)
                values ('shop', $1, sha256(''), 'refund', $2, $3, 'k', 70, 0, $2, '', date_trunc('minute', now()),
                    now() + interval '2 days')""",
                uuid.uuid4(),
                intent,
                name,
            )
        found = await connection.fetch(statement("producers", "read_asked"), intent, 3600.0, 3600.0)
    finally:
        await connection.close()
    assert [row["amount"] for row in found] == [70, 70]
