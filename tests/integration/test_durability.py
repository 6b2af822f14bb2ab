"""What is confirmed is on disk, whatever role and database say; what is less than that is found."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr

from ops import doctor, durability
from ops.database import connected
from runtime.kafka import ensure_topics
from runtime.postgres import open_pool
from runtime.settings import KafkaSettings, PostgresSettings, Settings
from schemas import topics

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


async def test_our_sessions_write_before_they_confirm_and_doctor_names_what_does_not(database: Database):
    settings = Settings(postgres=PostgresSettings(dsn=SecretStr(database.dsn)))
    owner = await asyncpg.connect(database.owner_dsn)
    assert all(finding.ok for finding in await doctor.postgres(settings))
    await owner.execute(f"alter database {database.dsn.rsplit('/', 1)[1].split('?')[0]} set synchronous_commit = off")
    await owner.close()
    plain = await asyncpg.connect(database.dsn)
    assert await plain.fetchval("show synchronous_commit") == "off"
    await plain.close()
    pool = await open_pool(settings.postgres, role="test")
    assert await pool.fetchval("show synchronous_commit") == "on"
    await pool.close()
    async with connected(settings) as connection:
        assert await connection.fetchval("show synchronous_commit") == "on"
    (finding,) = [one for one in await doctor.postgres(settings) if not one.ok]
    assert finding.check == "durability"
    assert "set synchronous_commit = on" in finding.advice


@pytest.mark.parametrize(
    ("check", "change"),
    [
        *(
            ("ledger", f"grant {right} on payment_logs to {{role}}")
            for right in ("update", "delete", "truncate", "update (hash)")
        ),
        ("writes", "alter database {name} set default_transaction_read_only = on"),
        ("migrations", "delete from schema_migrations where version = (select max(version) from schema_migrations)"),
    ],
)
async def test_doctor_names_whatever_was_changed_by_hand(database: Database, check: str, change: str):
    settings, parts = Settings(postgres=PostgresSettings(dsn=SecretStr(database.dsn))), urlsplit(database.dsn)
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute(change.format(role=parts.username, name=parts.path[1:]))
    await owner.close()
    assert [one.check for one in await doctor.postgres(settings) if not one.ok] == [check]


@pytest.mark.parametrize("zone", ["America/St_Johns", "Pacific/Chatham"])
async def test_our_sessions_are_in_utc_whatever_zone_the_database_has(database: Database, zone: str):
    """Newfoundland set its clocks back on 2026-11-01: by its calendar that day has 25 hours."""
    settings = Settings(postgres=PostgresSettings(dsn=SecretStr(database.dsn)))
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute(f"alter database {database.dsn.rsplit('/', 1)[1].split('?')[0]} set timezone = '{zone}'")
    await owner.close()
    look = (
        "select current_setting('timezone'),"
        " extract(epoch from timestamptz '2026-11-01 03:00Z' + make_interval(days => 1))::bigint"
        " - extract(epoch from timestamptz '2026-11-01 03:00Z')::bigint,"
        " to_jsonb(timestamptz '2026-09-21 14:15Z') #>> '{}'"
    )
    plain = await asyncpg.connect(database.dsn)
    assert (await plain.fetchrow(look))[0] == zone
    pool = await open_pool(settings.postgres, role="test")
    async with connected(settings) as connection:
        for session in (pool, connection):
            assert tuple(await session.fetchrow(look)) == ("UTC", 86_400, "2026-09-21T14:15:00+00:00")
    await pool.close()
    await plain.close()


async def no_partitions(_: Settings) -> list[doctor.Finding]:
    return []


async def test_topics_of_one_copy_are_a_problem_where_there_are_more_brokers(
    stack: Endpoints, monkeypatch: pytest.MonkeyPatch
):
    settings = Settings(kafka=KafkaSettings(bootstrap=stack.kafka))
    monkeypatch.setattr(doctor, "partitions", no_partitions)
    await ensure_topics(settings.kafka)
    names = {f"topic {topic.name}" for topic in topics.ALL}
    assert all(one.ok for one in await doctor.kafka(settings) if one.check in names), "one broker can't have two copies"

    def as_of_three(_: int, replicas: int | None, found: Mapping[str, Any]) -> list[str]:
        return durability.lacks_of_topic(3, replicas, found)

    monkeypatch.setattr(doctor, "lacks_of_topic", as_of_three)
    found = {one.check: one for one in await doctor.kafka(settings) if one.check in names}
    assert set(found) == names
    for finding in found.values():
        assert not finding.ok
        assert "3 replicas" in finding.advice
        assert "min.insync.replicas=2" in finding.advice
