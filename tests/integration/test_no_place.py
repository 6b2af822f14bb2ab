"""Postgres has no place for our sessions: a pool keeps still, and a former leader is ready again without a restart."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest
from dispatching import office
from outside import outside
from pydantic import SecretStr
from relay_rows import relaying, settings_for
from waiting import until

from runtime.health import readyz
from runtime.kafka import ensure_topics
from runtime.lease import PostgresLeases
from runtime.postgres import OUTAGE_ERRORS, open_pool
from runtime.settings import PostgresSettings
from tests.conftest import run_as_superuser, with_database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from conftest import Database

    from runtime.health import Probe
    from runtime.lease import Lease
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

FULL = "TooManyConnectionsError"


def ready(probe: Probe) -> bool:
    return readyz(probe, verbose=False)[0] is HTTPStatus.OK


@asynccontextmanager
async def no_place(stack: Endpoints, database: Database) -> AsyncIterator[None]:
    """End all sessions with the database and let no new one in, but a superuser's."""
    name = urlsplit(database.dsn).path.removeprefix("/")
    ours = f"datname = '{name}' and usename <> current_user"
    await run_as_superuser(
        stack,
        f"alter database {name} connection limit 0",
        f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}",
    )
    try:
        yield
    finally:
        await run_as_superuser(stack, f"alter database {name} connection limit -1")


async def led_once(
    stack: Endpoints, database: Database, role: AbstractAsyncContextManager[Probe], lease_name: str
) -> None:
    """Have a role lead, fail, lose its lease to another one, and stand by."""
    name = urlsplit(database.dsn).path.removeprefix("/")
    async with role as probe:
        await until(lambda: probe.facts.get("leading") and ready(probe))
        above = await asyncpg.connect(with_database(stack.superuser_dsn, name))
        try:
            async with no_place(stack, database):
                await until(lambda: FULL in str(probe.unready()))
                assert not ready(probe)
                leases = PostgresLeases(above)
                other = await taken_at_last(leases, lease_name)
                await until(lambda: not probe.facts["leading"])
            await until(lambda: ready(probe), within_seconds=5)
            assert probe.facts["leading"] is False
            assert await leases.renew(other, 60), "the other one leads still"
            await leases.release(other)
            await until(lambda: probe.facts["leading"] and ready(probe))
        finally:
            await above.close()


async def taken_at_last(leases: PostgresLeases, name: str) -> Lease:
    """Take the lease once it has expired."""
    taken: list[Lease | None] = []

    async def take() -> bool:
        taken.append(await leases.acquire(name, "another", 60))
        return taken[-1] is not None

    await until(take)
    assert taken[-1]
    return taken[-1]


async def test_a_relay_is_ready_again_and_leads_again(stack: Endpoints, database: Database) -> None:
    settings = settings_for(stack, database.dsn)
    await ensure_topics(settings.kafka)
    await led_once(stack, database, relaying(settings), "relay")


async def test_a_dispatcher_is_ready_again_and_leads_again(stack: Endpoints, database: Database) -> None:
    async with outside() as world, office(database, world) as jobs:
        await led_once(stack, database, jobs.role(dispatcher={"lease_seconds": 2.0}), "dispatcher")


class Lines(logging.Handler):
    """What the driver's pool logs."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


async def test_a_pool_opens_sessions_for_those_who_ask_alone(stack: Endpoints, database: Database) -> None:
    """By itself it would hold a place that others wait for, and log a traceback each time."""
    lines, driver = Lines(), logging.getLogger("asyncpg.pool")
    driver.addHandler(lines)
    pool = await open_pool(PostgresSettings(dsn=SecretStr(database.dsn)), role="test", connections=1)
    try:
        assert pool.get_size() == 1, "who opens it learns at once that it can't be had"
        async with no_place(stack, database):
            for _ in range(3):
                with pytest.raises(OUTAGE_ERRORS):
                    await pool.fetchval("select 1")
            await asyncio.sleep(0.3)  # what must not come has no condition
            assert (pool.get_size(), lines.messages) == (0, [])
        assert await pool.fetchval("select 1") == 1
    finally:
        driver.removeHandler(lines)
        await pool.close()
