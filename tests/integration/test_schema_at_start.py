"""Roles compare the schema with their own version at their start, wait, say what to do, and go on by themselves."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import until, webhook
from consumer_processes import ConsumerProcesses, consumer_processes
from pydantic import SecretStr
from relay_rows import relaying, settings_for

from consumer import role
from ops import doctor
from ops.status import gather
from runtime.health import Probe, readyz
from runtime.postgres import open_pool
from runtime.schema_version import newest_known
from runtime.settings import KafkaSettings, PostgresSettings
from schemas.errors import SchemaMismatchError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg
    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration
FORGET = "delete from schema_migrations where version = $1"
KNOW = "insert into schema_migrations (version, name, checksum) values ($1, 'some_change', repeat('0', 64))"


@pytest.fixture
async def harness(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    async with consumer_processes(stack.kafka, database, tmp_path) as made:
        yield made


async def test_status_says_which_schema_it_met(
    stack: Endpoints, database: Database, owner: asyncpg.Connection[Any]
) -> None:
    """It is asked amid a migration too, when columns of its version are not there yet."""
    await owner.execute("alter table payments rename column flagged_at to flagged_once")
    found = await gather(settings_for(stack, database.dsn))
    assert found.counts == {}
    assert any("the schema is not that of this version" in one and "migrate up" in one for one in found.unknown)


async def test_a_consumer_waits_for_the_schema_and_goes_on_by_itself(
    harness: ConsumerProcesses, owner: asyncpg.Connection[Any]
) -> None:
    await owner.execute(FORGET, newest_known())
    child = harness.spawn()

    async def found() -> bool:
        return any("migrate up" in line["detail"] for line in child.lines("schema_differs_at_start"))

    await until(found, "the consumer says what to do")
    await harness.publish([webhook("payment.created", "p")])
    assert await harness.count("payments") == 0
    await owner.execute(KNOW, newest_known())

    async def processed() -> bool:
        return await harness.count("payments") == 1

    await until(processed, "the consumer goes on")


async def test_a_relay_says_of_a_newer_schema_what_to_do(
    stack: Endpoints, database: Database, owner: asyncpg.Connection[Any]
) -> None:
    await owner.execute(KNOW, newest_known() + 1)
    async with relaying(settings_for(stack, database.dsn)) as probe:

        async def found() -> bool:
            return "start the release that brought it" in str(probe.unready())

        await until(found, "the relay says what to do")
        await owner.execute(FORGET, newest_known() + 1)

        async def goes_on() -> bool:
            return probe.unready() is None and bool(probe.facts.get("leading"))

        await until(goes_on, "the relay goes on")


async def test_a_consumer_that_was_restarted_amid_an_upgrade_says_what_it_waits_for(
    stack: Endpoints, database: Database, owner: asyncpg.Connection[Any], topic_prefix: str
) -> None:
    """`ratchet status` shows what /readyz answers: until now that the role is starting, and no more."""
    await owner.execute(KNOW, newest_known() + 1)
    kafka = KafkaSettings(bootstrap=stack.kafka, topic_prefix=topic_prefix, group=topic_prefix)
    settings = settings_for(stack, database.dsn).model_copy(update={"kafka": kafka})
    stop, probe = asyncio.Event(), Probe("consumer")
    task = asyncio.create_task(role.serve(settings, stop, probe))
    known = newest_known()
    wanted = (f"at {known + 1:04d}", f"newer than {known:04d}", "this role waits", "start the release")

    async def waits() -> bool:
        _, document = readyz(probe, verbose=False)
        return all(one in str(document["reason"]) for one in wanted)

    async def goes_on() -> bool:
        return readyz(probe, verbose=False)[0] is HTTPStatus.OK

    try:
        await until(waits, "the consumer says what it waits for")
        [migrations] = [one for one in await doctor.postgres(settings) if one.check == "migrations"]
        assert migrations.advice == "the schema is newer than this version: use the release that brought it"
        await owner.execute(FORGET, newest_known() + 1)
        await until(goes_on, "the consumer goes on")
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def test_a_database_without_a_schema_is_kept_apart_from_one_that_is_away(
    database: Database, owner: asyncpg.Connection[Any]
) -> None:
    await owner.execute("alter table schema_migrations rename to elsewhere")
    settings = PostgresSettings(dsn=SecretStr(database.dsn))
    try:
        with pytest.raises(SchemaMismatchError, match="no schema yet"):
            await open_pool(settings, role="dispatcher")
        await (await open_pool(settings, role="ingress", any_schema=True)).close()
    finally:
        await owner.execute("alter table elsewhere rename to schema_migrations")
