"""The relay that leads tells of a transaction that somebody left open: since when it saw it, and whose it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from relay_rows import relaying, settings_for
from waiting import until

from ops import availability
from ops.status import gather
from runtime import metrics
from runtime.kafka import ensure_topics
from runtime.settings import MetricsSettings, OpsSettings

if TYPE_CHECKING:
    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


def seen_for() -> float:
    return metrics.REGISTRY.get_sample_value("ratchet_oldest_transaction_seconds") or 0.0


async def test_a_strangers_transaction_is_shown_while_it_is_open(stack: Endpoints, database: Database) -> None:
    every = {"metrics": MetricsSettings(sample_interval_seconds=0.05)}
    settings = settings_for(stack, database.dsn).model_copy(update=every)
    await ensure_topics(settings.kafka)
    stranger = await asyncpg.connect(database.dsn, server_settings={"application_name": "a stranger"})
    pid = await stranger.fetchval("select pg_backend_pid()")

    def shown(probe: Any) -> bool:
        held: Any = probe.facts.get("held_up_by") or {}
        return held.get("pid") == pid and held.get("application") == "a stranger"

    try:
        async with relaying(settings) as probe:
            await until(lambda: probe.facts.get("leading"))
            async with stranger.transaction():
                await stranger.fetchval("select pg_current_xact_id()")
                await until(lambda: shown(probe))
                assert seen_for() >= 1
            await until(lambda: not shown(probe) and seen_for() < 1)
    finally:
        await stranger.close()


@pytest.mark.parametrize(("seconds_max", "named"), [(10.0, False), (-1.0, True)])
async def test_doctor_and_status_compare_clocks_and_look_at_standbys(
    stack: Endpoints,
    database: Database,
    seconds_max: float,
    named: bool,  # noqa: FBT001
) -> None:
    ops = OpsSettings.model_construct(**(OpsSettings().model_dump() | {"clock_skew_seconds_max": seconds_max}))
    settings = settings_for(stack, database.dsn).model_copy(update={"ops": ops})
    await ensure_topics(settings.kafka)
    connection = await asyncpg.connect(database.dsn)
    try:
        assert (await availability.clock_finding(ops, connection)).ok == (not named)
        standby, oldest = await availability.replication_findings(ops, connection)
        assert (standby.check, standby.found, oldest.check) == ("postgres standby", "none", "oldest transaction")
    finally:
        await connection.close()
    assert any(line.startswith("clock: ") for line in (await gather(settings)).problems) == named
