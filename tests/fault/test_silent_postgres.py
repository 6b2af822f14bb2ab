"""A Postgres that is frozen, or a first host that never answers: noticed within seconds, not after the time-outs."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest
from consumer_processes import new_database

from runtime.postgres import OUTAGE_ERRORS, open_pool
from runtime.settings import PostgresSettings

if TYPE_CHECKING:
    from conftest import Brokers

pytestmark = [pytest.mark.integration, pytest.mark.slow]

NOTICED_SECONDS_MAX = 9.0
"""Far below the 35 s of a statement and the 70 s of one and its ROLLBACK."""


async def test_a_session_with_a_frozen_server_is_ended_within_seconds(brokers: Brokers) -> None:
    async with new_database(brokers.endpoints) as database:
        pool = await open_pool(PostgresSettings(dsn=database.dsn), role="test")

        async def transact() -> None:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("select 1")
                await connection.execute("select 2")

        await transact()
        frozen = brokers.freeze("postgres")
        begun = time.monotonic()
        try:
            with pytest.raises(OUTAGE_ERRORS):
                await transact()
            assert time.monotonic() - begun < NOTICED_SECONDS_MAX
            with pytest.raises(OUTAGE_ERRORS):
                async with asyncio.timeout(2):
                    await pool.fetchval("select 1")
            assert time.monotonic() - begun < 2 * NOTICED_SECONDS_MAX
        finally:
            brokers.thaw(frozen)
        assert await pool.fetchval("select 3") == 3
        pool.terminate()


async def test_a_wait_that_is_given_up_is_not_waited_for_at_its_end(brokers: Brokers) -> None:
    """As a lease's renewal does: it has a time-out of its own, and gives the session back."""
    async with new_database(brokers.endpoints) as database:
        pool = await open_pool(PostgresSettings(dsn=database.dsn), role="test")
        frozen = brokers.freeze("postgres")
        begun = time.monotonic()
        try:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await pool.fetchval("select 1")
            assert time.monotonic() - begun < 4
        finally:
            brokers.thaw(frozen)
        pool.terminate()


async def test_a_statement_that_takes_long_is_left_alone(brokers: Brokers) -> None:
    async with new_database(brokers.endpoints) as database:
        pool = await open_pool(PostgresSettings(dsn=database.dsn), role="test")
        assert await pool.fetchval("select 1 from pg_sleep(6)") == 1
        pool.terminate()


async def test_the_second_host_is_asked_while_the_first_one_hangs(brokers: Brokers) -> None:
    async with new_database(brokers.endpoints) as database:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            parts = urlsplit(database.dsn)
            login, _, server = parts.netloc.rpartition("@")
            hosts = f"127.0.0.1:{silent.getsockname()[1]},{server}"
            dsn = urlunsplit(parts._replace(netloc=f"{login}@{hosts}"))
            begun = time.monotonic()
            pool = await open_pool(PostgresSettings(dsn=dsn), role="test")
            assert time.monotonic() - begun < 4
            assert await pool.fetchval("select 1") == 1
            begun = time.monotonic()
            await asyncio.gather(*(pool.fetchval("select 1 from pg_sleep(0.2)") for _ in range(4)))
            assert time.monotonic() - begun < 3, "the host that served is asked first"
            pool.terminate()
