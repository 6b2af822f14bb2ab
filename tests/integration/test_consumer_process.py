"""The consumer as a process on real brokers: processes, commits what is durable, drains, shares, loses nothing."""

from __future__ import annotations

import random
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from consumer_harness import broken_chains, intent, lives, until, webhook, wrong_payments
from consumer_processes import ConsumerProcesses, consumer_processes

from schemas.topics import INTENTS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from conftest import Database
    from consumer_processes import Child

    from runtime.stack import Endpoints

pytestmark = pytest.mark.integration


@pytest.fixture
async def harness(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    async with consumer_processes(stack.kafka, database, tmp_path) as made:
        yield made


async def test_what_is_on_the_topics_is_processed_committed_and_drained(harness: ConsumerProcesses) -> None:
    expected = lives(60)
    events = [event for life in expected for event in life.events()]
    random.Random(1).shuffle(events)
    promised = uuid.uuid4()
    await harness.publish([*events, *events[::7], webhook("payment.created", "x")._replace(value=b"\xff", key=None)])
    await harness.publish([intent(promised, provider_ref=expected[0].payment, amount=expected[0].amount)], INTENTS.name)
    child = harness.spawn()
    tables = await harness.until_applied(len(events) + 2)
    await harness.until_no_lag()
    facts = {"lag": 0, "standstills": [], "away": []}
    await until(lambda: _shows(child, facts), "its probe says that nothing waits")
    health = child.health()
    assert (health["state"], health["stuck"], health["unready"]) == ("running", None, None)
    assert set(health["facts"]) <= {*facts, "disks", "commits_waiting_for_standby", "postgres_clock_ahead_seconds"}
    assert await child.terminate() == 0
    assert wrong_payments(tables, expected) == []
    assert tables.by_ref[expected[0].payment]["id"] == promised
    assert [row["reason"] for row in tables.letters] == ["undecodable"]
    assert (tables.parked, broken_chains(tables)) == ([], [])
    assert await harness.members() == [], "it left the group"
    assert await harness.count("consumer_marks") == 0, "a clean end leaves no mark"


async def _shows(child: Child, facts: dict[str, Any]) -> bool:
    shown = child.health().get("facts", {})
    return {name: shown.get(name) for name in facts} == facts


async def test_a_stop_under_load_commits_only_what_is_durable(harness: ConsumerProcesses) -> None:
    """Everything below the committed offset is in the ledger, and a second start processes the rest once."""
    expected = lives(300)
    events = [event for life in expected for event in life.events()]
    await harness.publish(events)
    child = harness.spawn(limits={"batch_records_max": 40})
    await harness.until_written(80)
    assert await child.terminate() == 0
    stopped = await harness.tables()
    assert len(stopped.dedupe_keys) + len(stopped.parked) < len(events), "it was stopped under load"
    lag = await harness.lag()
    assert lag >= len(events) - len(stopped.dedupe_keys) - len(stopped.parked)
    harness.spawn()
    tables = await harness.until_applied(len(events))
    await harness.until_no_lag()
    assert (wrong_payments(tables, expected), broken_chains(tables), tables.letters) == ([], [], [])
    assert len(tables.dedupe_keys) == len(set(tables.dedupe_keys)) == len(events)


async def test_a_second_consumer_joins_and_leaves_and_nothing_is_lost_or_doubled(harness: ConsumerProcesses) -> None:
    expected = lives(400)
    events = [event for life in expected for event in life.events()]
    random.Random(2).shuffle(events)
    third = len(events) // 3
    first = harness.spawn(limits={"batch_records_max": 50})
    await harness.publish(events[:third])
    await harness.until_written(50)
    second = harness.spawn(limits={"batch_records_max": 50})
    await harness.publish(events[third : 2 * third])

    async def both_work() -> bool:
        return len(await harness.members()) == 2 and bool(second.lines("partitions_assigned"))

    await until(both_work, "two members share the partitions")
    await harness.publish(events[2 * third :])
    assert await first.terminate() == 0
    tables = await harness.until_applied(len(events))
    await harness.until_no_lag()
    assert (wrong_payments(tables, expected), broken_chains(tables), tables.letters) == ([], [], [])
    assert len(tables.dedupe_keys) == len(set(tables.dedupe_keys)) == len(events)
    assert second.lines("batch_settled")


async def test_the_consumer_waits_for_brokers_that_are_away_at_its_start(
    harness: ConsumerProcesses, tmp_path: Path
) -> None:
    """Nobody listens at these addresses; it says so, goes on asking, and stops when asked to."""
    away = ConsumerProcesses(
        "127.0.0.1:1",
        harness.database._replace(dsn="postgresql://ratchet:x@127.0.0.1:1/x"),
        tmp_path,
        None,
        None,
        {},  # type: ignore[arg-type]
    )
    child = away.spawn()

    async def says_so() -> bool:
        return bool(child.lines("broker_away_at_start"))

    await until(says_so, "the consumer says that a broker is away")
    assert await child.terminate() == 0
