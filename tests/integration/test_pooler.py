"""PgBouncer between us and Postgres: in session mode as without it, in transaction mode a refusal that says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from consumer_harness import until, webhook
from consumer_processes import consumer_processes
from pooler import DROPS_SETTINGS, PGBOUNCER, pgbouncer
from pydantic import SecretStr

from ops import availability
from ops.database import connected
from runtime.postgres import open_pool
from runtime.settings import PostgresSettings, Settings
from schemas.errors import SharedSessionsError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed (Debian: apt-get install pgbouncer)"),
]


def settings_of(dsn: str) -> PostgresSettings:
    return PostgresSettings(dsn=SecretStr(dsn))


@pytest.mark.parametrize("extra", ["", DROPS_SETTINGS], ids=["refuses settings", "drops settings"])
async def test_in_session_mode_all_works_and_every_bound_holds(
    stack: Endpoints, database: Database, tmp_path: Path, extra: str
) -> None:
    with pgbouncer(tmp_path / "pooler", database.dsn, "session", extra) as dsn:
        pool = await open_pool(settings_of(dsn), role="consumer", parameters={"enable_seqscan": "off"})
        try:
            for name, value in (("statement_timeout", "30s"), ("synchronous_commit", "on"), ("enable_seqscan", "off")):
                assert await pool.fetchval("select current_setting($1)", name) == value
        finally:
            await pool.close()
        async with consumer_processes(stack.kafka, database, tmp_path) as harness:
            harness.spawn(dsn=dsn)
            await harness.publish([webhook("payment.created", f"p{number}") for number in range(20)])

            async def applied() -> bool:
                return await harness.count("payments") == 20

            await until(applied, "the consumer applies events through it")


async def test_in_transaction_mode_the_reason_is_reported_at_the_start_and_by_doctor(
    stack: Endpoints, database: Database, tmp_path: Path
) -> None:
    with pgbouncer(tmp_path / "pooler", database.dsn, "transaction", DROPS_SETTINGS) as dsn:
        with pytest.raises(SharedSessionsError, match=r"transaction mode .* set pool_mode = session"):
            await open_pool(settings_of(dsn), role="relay")
        settings = Settings().model_copy(update={"postgres": settings_of(dsn)})
        async with connected(settings, as_it_is=True) as connection:
            found = await availability.cluster_findings(settings, connection)
        assert [one.check for one in found if not one.ok] == ["session"]
        async with consumer_processes(stack.kafka, database, tmp_path) as harness:
            child = harness.spawn(dsn=dsn)

            async def says_why() -> bool:
                return any("transaction mode" in line["detail"] for line in child.lines("sessions_shared_at_start"))

            await until(says_why, "the consumer says why it does not start")
        await (await open_pool(settings_of(dsn), role="ingress", any_schema=True)).close()
