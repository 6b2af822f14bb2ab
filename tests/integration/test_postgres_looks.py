"""Every role compares its clock with Postgres's, for as long as it runs: the alert on wrong clocks knows it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dispatching import office
from outside import outside
from relay_rows import relaying, settings_for
from running_consumer import consuming
from waiting import until

from runtime import metrics, postgres_looks
from runtime.kafka import ensure_topics

if TYPE_CHECKING:
    from conftest import Database

    from runtime.health import Probe
    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"
RULE = r"alert: RatchetClockWrong\n\s+expr: max by \(instance\) \(abs\((\w+)\)\) > (\d+)"


async def found_wrong(probe: Probe, off: list[float]) -> None:
    """Wait until a role's probe shows that its clock is off, and again once it is set right."""
    asked = re.search(RULE, RULES.read_text())
    assert asked, "the alert asks one metric of all roles"
    name, bound = asked[1], float(asked[2])

    def shown() -> float:
        return float(str(probe.facts.get("postgres_clock_ahead_seconds", 0)))

    await until(lambda: -601 < shown() < -598)
    assert abs(metrics.REGISTRY.get_sample_value(name) or 0) > bound
    assert probe.facts["commits_waiting_for_standby"] == 0
    off[0] = 0.0
    await until(lambda: abs(shown()) < 1)
    assert abs(metrics.REGISTRY.get_sample_value(name) or 0) < bound


@pytest.mark.parametrize("role", ["consumer", "relay", "dispatcher"])
async def test_a_role_whose_clock_is_off_says_so(
    stack: Endpoints, database: Database, monkeypatch: pytest.MonkeyPatch, topic_prefix: str, role: str
) -> None:
    off = [600.0]
    monkeypatch.setattr(postgres_looks.SYSTEM, "now", lambda: time.time() + off[0])
    monkeypatch.setattr(postgres_looks, "LOOK_SECONDS", 0.05)
    settings = settings_for(stack, database.dsn)
    kafka = settings.kafka.model_copy(update={"topic_prefix": topic_prefix})
    settings = settings.model_copy(update={"kafka": kafka})
    if role == "dispatcher":
        async with outside() as world, office(database, world) as jobs, jobs.role() as probe:
            await found_wrong(probe, off)
        return
    await ensure_topics(settings.kafka)
    async with relaying(settings) if role == "relay" else consuming(settings) as probe:
        await found_wrong(probe, off)
