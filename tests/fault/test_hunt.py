"""The hunt for the record that ends the process, under the real supervisor: it gets on, and blames nobody else."""

from __future__ import annotations

import asyncio
import sys
import uuid
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from consumer_harness import Event, until, webhook
from consumer_processes import CHILD, member
from distance import away
from pydantic import SecretStr

from ops.supervisor import Supervisor
from runtime.settings import PostgresSettings, RoleSettings, Settings
from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from consumer_processes import ConsumerProcesses

pytestmark = pytest.mark.integration

PLACE = TopicPartition(WEBHOOKS.name, 0)
QUICK = {
    "RATCHET_CONSUMER__STALL_SECONDS": "3.0",
    "RATCHET_CONSUMER__HANG_SECONDS_MAX": "1.0",
    "RATCHET_CONSUMER__COMMIT_INTERVAL_SECONDS": "0.2",
    "RATCHET_POSTGRES__LOCK_TIMEOUT_SECONDS": "0.5",
    "RATCHET_POSTGRES__STATEMENT_TIMEOUT_SECONDS": "1.0",
    "RATCHET_POSTGRES__CONNECT_TIMEOUT_SECONDS": "2.0",
}
"""The product's own bounds, shortened all together; a consumer at rest looks each 2 s whether it is at the end."""
QUICK_ROLE = RoleSettings(probe_interval_seconds=0.2, stalled_after_seconds=3.0)


@dataclass
class Watched:
    """A consumer that the supervisor keeps, and what that reported."""

    supervisor: Supervisor
    reported: list[str] = field(default_factory=list)

    @property
    def starts(self) -> int:
        return self.supervisor.roles["consumer"].starts

    @property
    def replaced(self) -> list[str]:
        return [line for line in self.reported if "replacing it" in line]


@asynccontextmanager
async def supervised(
    harness: ConsumerProcesses,
    environment: dict[str, str],
    *,
    role: RoleSettings | None = None,
    dsn: str | None = None,
    **faults: str,
) -> AsyncIterator[Watched]:
    """Keep a consumer as `ratchet up` does; one with faults is the tests' own."""
    home = harness.folder / "home"
    home.mkdir()
    settings = Settings(
        home=home, role=role or RoleSettings(), postgres=PostgresSettings(dsn=SecretStr("postgresql://"))
    )
    reported: list[str] = []
    variables = {
        "RATCHET_HOME": str(home),
        "RATCHET_KAFKA__BOOTSTRAP": harness.kafka,
        "RATCHET_POSTGRES__DSN": dsn or harness.database.dsn,
        "RATCHET_CONSUMER__INSTANCE_ID": f"hunt-{uuid.uuid4().hex}",
        "FAULT_PROBE": str(harness.folder / "probe.json"),
        **environment,
        **{f"FAULT_{name.upper()}": value for name, value in faults.items()},
    }
    supervisor = Supervisor(settings, variables, reported.append)
    if faults:
        supervisor.command = lambda _: (sys.executable, str(CHILD))
    supervisor.start(["consumer"])
    try:
        yield Watched(supervisor, reported)
    finally:
        await supervisor.stop()
        print(*reported, sep="\n")  # noqa: T201
        print("\n".join(supervisor.log_path("consumer").read_text().splitlines()[-15:]))  # noqa: T201


async def two_ends_noted(harness: ConsumerProcesses) -> None:
    """Note what two unclean ends at the partition's next record leave behind, the second seen at the next start."""
    await harness.pool.execute(
        "insert into consumer_marks (topic, partition, start_offset, unclean_ends, owner) values ($1, $2, $3, 1, $4)",
        *(PLACE.topic, PLACE.partition, harness.start[PLACE], uuid.uuid4()),
    )


def harmless(count: int) -> list[Event]:
    return [webhook("payment.captured", f"pay_{number}", child=f"c{number}") for number in range(count)]


async def committed(harness: ConsumerProcesses) -> int:
    """Return how many records of the partition are committed."""
    async with member(harness.kafka) as reader:
        return int((await reader.committed(PLACE) or 0) - harness.start[PLACE])


async def in_hand(harness: ConsumerProcesses) -> int:
    """Return the number of the partition's record that was last noted before it was touched, alone."""
    query = "select probing_offset from consumer_marks where topic = $1 and partition = $2"
    return int(await harness.pool.fetchval(query, *PLACE)) - harness.start[PLACE]


async def reasons(harness: ConsumerProcesses) -> list[tuple[str, str]]:
    return [(row["reason"], row["event_id"]) for row in await harness.pool.fetch("select * from dead_letters")]


# --- getting on --------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_an_isolated_batch_longer_than_the_stall_bound_makes_progress_across_restarts(
    harness: ConsumerProcesses,
) -> None:
    await two_ends_noted(harness)
    await harness.publish(harmless(400), partition=0)
    async with away(harness.database.dsn, 0.002) as dsn:
        limits: dict[str, Any] = {"stall_seconds": 3.0, "commit_interval_seconds": 600}
        child = harness.spawn(limits=limits, dsn=dsn)
        reached = 0

        async def further() -> bool:
            assert child.health().get("stuck") is None
            return await committed(harness) > reached

        for _ in range(2):
            await until(further, "an offset is committed in the midst of the fetch")
            child.kill()
            await harness.bury_the_dead()
            # Not from what is committed: that may be a record behind, and the next process would be killed with
            # the same record in hand, which rightly convicts it.
            reached = await in_hand(harness)
            assert await harness.count("payment_logs") < 400, "it was killed in the midst"
            child = harness.spawn(limits=limits, dsn=dsn)
        await harness.until_written(400)
    assert await reasons(harness) == []
    assert await harness.pool.fetchval("select count(*) from payments where captured = 1000") == 400


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_4000_harmless_events_after_two_unclean_ends_far_from_postgres(harness: ConsumerProcesses) -> None:
    """The defaults, the real supervisor, Postgres 2 ms away: every event is applied, none is blamed, nobody killed."""
    await two_ends_noted(harness)
    await harness.publish(harmless(4000), partition=0)
    async with away(harness.database.dsn, 0.002) as dsn, supervised(harness, {}, dsn=dsn) as watched:
        await harness.until_written(4000, 550)
        assert (watched.starts, watched.replaced) == (1, [])
    assert await reasons(harness) == []
    assert await harness.pool.fetchval("select count(*) from payments where captured = 1000") == 4000


# --- who is to blame ---------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_real_killer_is_convicted_also_where_it_is_stopped_from_outside_first(
    harness: ConsumerProcesses,
) -> None:
    """A liveness probe or a deploy that stops the consumer in the midst of the hunt sends nobody back to its start."""
    before, fatal = harmless(150), webhook("payment.created", "magic-killer", event_id="fatal")
    await two_ends_noted(harness)
    await harness.publish([*before, fatal, *harmless(160)[150:]], partition=0)
    deaths, stops = 0, 0
    child = harness.spawn(fatal="magic-killer")

    async def under_way() -> bool:
        return not child.running or await harness.count("payment_logs") > 20 * stops

    while await harness.written() < 161:
        if stops < 3:
            await until(under_way, "it goes record by record")
            if child.running:
                assert await child.terminate() == 0
                stops += 1
        if not child.running:
            deaths += child.process.returncode != 0
            await harness.bury_the_dead()
            child = harness.spawn(fatal="magic-killer")
        await asyncio.sleep(0.02)
    assert await reasons(harness) == [("fatal", "fatal")]
    assert (stops, deaths) == (3, 2), "twice with exactly this record in hand"


@pytest.mark.parametrize("fault", ["block", "wait"])
@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_a_record_that_hangs_the_process_is_convicted_by_its_own_watch(
    harness: ConsumerProcesses, fault: str
) -> None:
    """Blocking the loop, or never coming back from an await: the supervisor's kills count for nothing, its own do."""
    await harness.publish([*harmless(20), webhook("payment.created", "magic-hang", event_id="hangs")], partition=0)
    await harness.publish(harmless(40)[20:], partition=0)
    async with supervised(harness, QUICK, role=QUICK_ROLE, **{fault: "magic-hang"}) as watched:
        await harness.until_written(41, 150)
        assert len(watched.replaced) == 2, "while the record was one of many"
        assert sum("ended with status 1" in line for line in watched.reported) == 2
    assert await reasons(harness) == [("fatal", "hangs")]


async def hold_payments(harness: ConsumerProcesses, watched: Watched, seconds: float) -> None:
    """Hold the lock of an index that is built, for longer than anybody may be found stuck; nothing is killed for it."""
    owner = await asyncpg.connect(harness.database.owner_dsn)
    try:
        async with owner.transaction():
            await owner.execute("lock table payments in share mode")
            await harness.publish([webhook("payment.captured", "pay_innocent", child="c1")], partition=0)
            for _ in range(10):
                await asyncio.sleep(seconds / 10)
                assert (watched.starts, watched.replaced) == (1, [])
            assert await harness.written() == 0
    finally:
        await owner.close()
    await harness.until_written(1)
    assert await reasons(harness) == []
    assert await harness.pool.fetchval("select captured from payments where provider_ref = 'pay_innocent'") == 1000


@pytest.mark.slow
@pytest.mark.parametrize("isolated", [False, True])
async def test_a_lock_on_payments_makes_no_letter_under_the_supervisor(
    harness: ConsumerProcesses,
    isolated: bool,  # noqa: FBT001
) -> None:
    if isolated:
        await two_ends_noted(harness)
    async with supervised(harness, QUICK, role=QUICK_ROLE) as watched:
        await until(harness.members, "the consumer is there")
        await hold_payments(harness, watched, 12.0)
        assert watched.starts == 1


@pytest.mark.slow
@pytest.mark.timeout(450)
async def test_a_lock_on_payments_for_five_minutes_makes_no_letter_under_the_supervisor(
    harness: ConsumerProcesses,
) -> None:
    async with supervised(harness, {}) as watched:
        await until(harness.members, "the consumer is there")
        await hold_payments(harness, watched, 300.0)
