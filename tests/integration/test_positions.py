"""How far partitions were processed, as Postgres keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from consumer.positions import Positions, StoredOffsets
from runtime.postgres import open_pool
from runtime.settings import PostgresSettings

if TYPE_CHECKING:
    from conftest import Database

pytestmark = pytest.mark.integration

W0, W1, I0 = ("payments.webhooks", 0), ("payments.webhooks", 1), ("payments.intents", 0)


async def test_the_last_word_counts_and_an_epoch_is_never_given_twice(database: Database):
    pool = await open_pool(PostgresSettings(dsn=SecretStr(database.dsn)), role="consumer", connections=2)
    try:
        own = StoredOffsets(pool)
        assert await own.read([W0, I0]) == {}
        await own.note({W1: 5, W0: 9, I0: 2**40})
        await own.note({W0: 3})
        assert await own.read([W0, W1, ("payments.webhooks", 2)]) == {W0: 3, W1: 5}, "a topic made anew begins lower"
        for _ in range(3):
            await own.begin_epoch("restored")
        epochs = [row["epoch"] for row in await pool.fetch("select epoch from epochs order by began_at, epoch")]
        assert epochs == sorted(set(epochs))
        assert len(epochs) == 4
    finally:
        await pool.close()


async def test_a_postgres_that_is_away_takes_no_offset(database: Database):
    pool = await open_pool(PostgresSettings(dsn=SecretStr(database.dsn)), role="consumer", connections=1)
    positions = Positions(StoredOffsets(pool), 0.2)
    assert await positions.note({W0: 1})
    async with pool.acquire():
        assert not await positions.note({W0: 2}), "no answer in time"
    pool.terminate()
    assert not await positions.note({W0: 3})
