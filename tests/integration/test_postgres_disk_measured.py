"""A real Postgres is asked what it uses of its disk: by a role of ours, with and without the right to list the WAL."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import asyncpg
import pytest
from consumer_harness import until
from relay_rows import relaying, settings_for

from ops import doctor, postgres_disk
from ops.status import gather
from runtime import metrics
from runtime.kafka import ensure_topics
from runtime.postgres_disk import disk_use
from runtime.settings import MetricsSettings, OpsSettings
from tests.conftest import role_of, run_as_superuser

if TYPE_CHECKING:
    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

ROWS_BYTES = 8_000_000
ENOUGH, TOO_LITTLE = 1 << 60, 1
"""Sizes of a disk."""


def value(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, labels)


async def test_tables_and_wal_are_measured(stack: Endpoints, database: Database) -> None:
    connection = await asyncpg.connect(database.dsn)
    role = role_of(database.dsn)
    try:
        before = await disk_use(connection, ENOUGH)
        grows_to = await connection.fetchval("select pg_size_bytes(current_setting('max_wal_size'))")
        assert before.wal_bytes == grows_to
        await run_as_superuser(stack, f"grant pg_monitor to {role}")
        listed = await disk_use(connection, ENOUGH)
        superuser = await asyncpg.connect(stack.superuser_dsn)
        wal_bytes = await superuser.fetchval("select sum(size)::bigint from pg_ls_waldir()")
        await superuser.close()
        assert listed.wal_bytes == pytest.approx(wal_bytes, abs=64 * 1024**2)
        assert listed.wal_bytes >= 16 * 1024**2, "one file of it at least"
        owner = await asyncpg.connect(database.owner_dsn)
        await owner.execute(
            "create table much as select repeat(md5(n::text), 250) as one from generate_series(1, 1000) n;"
            "alter table much alter column one set storage external;"
            "insert into much select repeat(md5(n::text), 250) from generate_series(1, 1000) n"
        )
        await owner.close()
        after = await disk_use(connection, ENOUGH)
        assert after.databases_bytes - before.databases_bytes >= ROWS_BYTES
        assert after.free_bytes == ENOUGH - after.databases_bytes - after.wal_bytes
    finally:
        await run_as_superuser(stack, f"revoke pg_monitor from {role}")
        await connection.close()


async def test_a_slot_that_keeps_wal_counts(stack: Endpoints, database: Database) -> None:
    connection = await asyncpg.connect(database.dsn)
    superuser = await asyncpg.connect(stack.superuser_dsn)

    async def small() -> bool:
        return (await disk_use(connection, ENOUGH)).wal_bytes == 32 * 1024**2

    await superuser.execute("alter system set max_wal_size = '32MB'")
    await superuser.execute("select pg_reload_conf()")
    await superuser.execute("select pg_create_physical_replication_slot('kept', true)")
    try:
        await until(small, "max_wal_size is small", 10)
        await superuser.execute(
            "create table filler as select repeat(md5(n::text), 8) as one from generate_series(1, 200000) n;"
            "drop table filler"
        )
        kept = await superuser.fetchval(
            "select pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint from pg_replication_slots"
        )
        await superuser.execute("select pg_create_physical_replication_slot('keeps_less', true)")
        assert kept > 40 * 1024**2
        assert (await disk_use(connection, ENOUGH)).wal_bytes >= kept
    finally:
        await superuser.execute("select pg_drop_replication_slot(slot_name) from pg_replication_slots")
        await superuser.execute("alter system reset max_wal_size")
        await superuser.execute("select pg_reload_conf()")
        await superuser.close()
        await connection.close()


async def test_a_database_that_we_may_not_enter_does_not_keep_us_from_measuring(
    stack: Endpoints, database: Database
) -> None:
    """Postgres refuses to say how large such a one is."""
    name = f"locked_{uuid.uuid4().hex[:12]}"
    await run_as_superuser(stack, f"create database {name}", f"revoke connect on database {name} from public")
    connection = await asyncpg.connect(database.dsn)
    try:
        assert (await disk_use(connection, ENOUGH)).databases_bytes > 0
    finally:
        await connection.close()
        await run_as_superuser(stack, f"drop database {name}")


@pytest.mark.parametrize(("disk_bytes", "low"), [(ENOUGH, False), (TOO_LITTLE, True), (None, False)])
async def test_doctor_status_and_the_relay_name_the_disk(
    stack: Endpoints,
    database: Database,
    disk_bytes: int | None,
    low: bool,  # noqa: FBT001
) -> None:
    settings = settings_for(stack, database.dsn).model_copy(
        update={
            "metrics": MetricsSettings(sample_interval_seconds=0.05),
            "ops": OpsSettings(postgres_disk_bytes=disk_bytes),
        }
    )
    await ensure_topics(settings.kafka)
    (found,) = [one for one in await doctor.examine(settings) if one.check == postgres_disk.CHECK]
    assert (found.ok, found == postgres_disk.UNKNOWN) == (not low, disk_bytes is None)
    assert any(line.startswith("postgres disk: ") for line in (await gather(settings)).problems) == low
    async with relaying(settings):
        await until(lambda: value("ratchet_lease_held", lease="relay") == 1)
        await until(lambda: value("ratchet_postgres_disk_low") == low)
    assert value("ratchet_postgres_disk_low") == 0, "who leads now tells it"
