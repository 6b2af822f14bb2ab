"""What the relay cleans first: the oldest, in whatever order the table has its rows."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING

import pytest
from plain_rows import lying

from runtime.sql import statement

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration

CLAIM = """
insert into intent_claims (client, idempotency_key, fingerprint, command, payment_id, event_id, record_key, answer,
    created_at, expires_at)
values ('shop', $1, sha256(''), 'cancel', $2, $3, 'k', '', now() - interval '9 days', $4)
"""


async def test_a_bounded_batch_of_records_is_of_those_that_expired_first(database: Database) -> None:
    """Else one that is never reached keeps its key, and whatever it names, for good."""
    now = dt.datetime.now(dt.UTC)
    async with lying(database.owner_dsn) as owner:
        for hours in (2, 1, 4, 3):
            expired = now - dt.timedelta(hours=hours)
            await owner.execute(CLAIM, uuid.uuid4(), uuid.uuid4(), str(hours), expired)
        for left in ({"1", "2", "3"}, {"1", "2"}):
            await owner.execute(statement("producers", "delete_idempotency_records"), 1)
            assert {row["event_id"] for row in await owner.fetch("select event_id from intent_claims")} == left
