"""What holds the consumer up and what wants a restart; and the sweeper's loop, whatever goes wrong in a turn."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka import TopicPartition
from events import placed, standard

from consumer import role, sweeper
from consumer.caught_up import CatchUp
from consumer.decode import identity
from consumer.sweeper import Sweeper, sweep
from runtime.clock import SystemClock
from runtime.health import Probe
from runtime.kafka_ends import Ends
from runtime.lease import Lease
from runtime.postgres_looks import WAITING
from runtime.settings import Settings
from runtime.sql import statement
from schemas.errors import LeaseLostError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.unit

SETTINGS = Settings()
STALL = SETTINGS.consumer.stall_seconds
ACTS_AFTER = 40.0
LEASE = Lease("sweeper", "me", 1)


def watched(
    *,
    quiet: float,
    asked: float,
    away: float | None = None,
    held: bool = False,
    waits: bool = False,
    checks: bool = False,
) -> Probe:
    """Return the probe of a loop without progress for so long, which attempted something last so long ago."""
    now = time.monotonic()
    outages = SimpleNamespace(since=away, why="away", activity=SimpleNamespace(at=now - asked))
    hand = SimpleNamespace(held=held, acts_after_seconds=ACTS_AFTER)
    processor = SimpleNamespace(outages=outages, quarantine=SimpleNamespace(hand=hand))
    loop = SimpleNamespace(progress_at=now - quiet, lag=3, unknown=6, batches_open=2, waits_for_postgres=checks)
    probe = Probe("consumer")
    if waits:
        probe.facts[WAITING] = 1
    role._show(probe, loop, processor, SETTINGS)  # type: ignore[arg-type]
    return probe


@pytest.mark.parametrize(
    ("situation", "stuck", "unready"),
    [
        ({"quiet": STALL - 5, "asked": STALL - 5}, False, False),
        ({"quiet": STALL + 5, "asked": STALL + 5}, True, False),
        ({"quiet": STALL + 5, "asked": 1.0}, False, False),
        ({"quiet": 1.0, "asked": STALL + 5}, False, False),
        ({"quiet": STALL + 5, "asked": STALL + 5, "away": 1.0}, False, True),
        ({"quiet": STALL + 5, "asked": STALL + 5, "waits": True}, False, True),
        ({"quiet": 1.0, "asked": STALL + 5, "checks": True}, False, True),
        ({"quiet": STALL + 5, "asked": STALL + 5, "held": True}, False, False),
        ({"quiet": STALL + ACTS_AFTER + 5, "asked": STALL + ACTS_AFTER + 5, "held": True}, True, False),
    ],
)
def test_a_restart_is_asked_for_where_it_would_mend_something(situation: dict[str, Any], stuck: bool, unready: bool):  # noqa: FBT001
    """Not in an outage, not while commits wait for a standby, and not while the process watches over one record."""
    probe = watched(**situation)
    assert ((probe.stuck() is not None), (probe.unready() is not None)) == (stuck, unready)


def test_who_finds_it_stuck_reads_how_far_it_is_behind_and_what_it_does_not_know() -> None:
    found = watched(quiet=STALL + 5, asked=STALL + 5).stuck()
    assert found is not None
    assert found.startswith("lag 3, 6 partitions without a position, 2 batches open and nothing attempted for ")


@pytest.mark.parametrize("answers", [True, False])
async def test_a_kafka_that_is_away_is_no_standstill_and_a_client_that_alone_is_broken_is_one(
    monkeypatch: pytest.MonkeyPatch,
    answers: bool,  # noqa: FBT001
):
    async def ping(_: object) -> None:
        await asyncio.sleep(0)
        if not answers:
            raise UnavailableError("away")

    monkeypatch.setattr(role, "ping", ping)
    loop = SimpleNamespace(progress_at=0.0)
    await role._excuse(loop, SETTINGS)  # type: ignore[arg-type]
    assert (loop.progress_at == 0.0) is answers


# --- the sweeper ------------------------------------------------------------------------------------------------------


class Turns(Sweeper):
    """A sweeper whose turns do as a test says."""

    def __init__(self, *script: object) -> None:
        super().__init__(None, SystemClock(), None, None, Settings().parking)  # type: ignore[arg-type]
        self.script = list(script)

    async def turn(self, lease: Lease | None, ending: asyncio.Event) -> int:
        await asyncio.sleep(0)
        if not self.script:
            ending.set()
            return 0
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return int(str(step))


async def test_a_turn_that_fails_is_tried_again_after_a_pause_and_a_full_one_at_once(monkeypatch: pytest.MonkeyPatch):
    waits: list[int] = []
    turns = Turns(5, OSError("away"), 0, 7)

    async def wait(_ending: asyncio.Event, _seconds: float) -> None:
        waits.append(len(turns.script))
        await asyncio.sleep(0)

    monkeypatch.setattr(sweeper, "wait_for_event", wait)
    async with asyncio.timeout(5):
        await turns.keep(LEASE, asyncio.Event())
    assert waits == [2, 1, 0], "after the failure, after nothing was due, and at the end"


async def test_a_lost_lease_ends_the_sweeping():
    """Who goes on without it does another's work; the leader must learn of it."""
    turns, ending = Turns(1, LeaseLostError("another has it"), 1), asyncio.Event()
    with pytest.raises(LeaseLostError):
        async with asyncio.timeout(5):
            await turns.keep(LEASE, ending)
    assert turns.script == [1]


async def test_a_stop_ends_the_waking_between_two_parts():
    ending, woken = asyncio.Event(), []

    class Waker:
        async def turn(self) -> Any:
            await asyncio.sleep(0)
            woken.append(1)
            if len(woken) == 2:
                ending.set()
            return SimpleNamespace(woken=[1, 2], applied=[3], rows=[], letters=[], merges=[], applied_letters=0)

    async with asyncio.timeout(5):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sweeper, "count_woken", lambda _: None)
            assert await sweeper.wake_all(Waker(), ending) == 6  # type: ignore[arg-type]


class PaperPool:
    """A pool of one session, which is itself."""

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        yield self

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield


@pytest.mark.parametrize("hours", [-1, 1])
async def test_nobody_is_buried_whose_deadline_lies_behind_the_watermark_or_the_present(hours: int):
    """A restored copy may have a watermark that is ahead, and a clock that was set back one that is behind."""
    asked: list[dt.datetime] = []

    class Pool(PaperPool):
        async def fetch(self, _sql: str, passed: dt.datetime, *_: object) -> list[Any]:
            asked.append(passed)
            return []

    now = dt.datetime(2026, 9, 21, tzinfo=dt.UTC)
    before = now + dt.timedelta(hours=hours)
    clock = SimpleNamespace(now=now.timestamp)
    assert await sweep(Pool(), clock, records_max=5, before=before) == 0  # type: ignore[arg-type]
    assert asked == [min(now, before)]


async def test_the_letters_of_orphans_alone_go_on_waiting_for_their_payment():
    """What a payment that comes would apply is no event that was buried for what it says."""
    records = dict(enumerate(placed([standard("refund.succeeded", payment="pay_9", child=one) for one in ("a", "b")])))
    reasons = {0: "conflict", 1: "orphan"}
    kept: list[Any] = []

    class Pool(PaperPool):
        async def fetch(self, sql: str, *_: object) -> list[Any]:
            if sql == statement("consumer", "find_expired"):
                ref = {"provider": "p", "account": "", "merchant_account": "", "livemode": True, "kind": "payment"}
                return [{"id": one, "ref": "pay_9", **ref} for one in records]
            return [row(one) for one in records]

        async def fetchval(self, *_: object) -> int:
            return 1

        async def executemany(self, sql: str, arguments: list[Any]) -> None:
            await asyncio.sleep(0)
            if sql == statement("consumer", "keep_orphan_refs"):
                kept.extend(arguments)

    def row(one: int) -> dict[str, Any]:
        record = records[one]
        names, values = [name.encode() for name, _ in record.headers], [value for _, value in record.headers]
        fields = {
            name: getattr(record, name) for name in ("topic", "partition", "offset", "timestamp_ms", "key", "value")
        }
        return fields | {
            "id": one, "header_names": names, "header_values": values, "reason": reasons[one], "detail": "too late"
        }  # fmt: skip

    assert await sweep(Pool(), SystemClock(), records_max=5) == 2  # type: ignore[arg-type]
    assert [arguments[:2] for arguments in kept] == [identity(records[1])[:2]]


def test_a_partition_of_which_nothing_is_committed_is_caught_up_with_nothing():
    """Whoever waits for what stands in it would be buried before it is read for the first time."""
    place = TopicPartition("payments.webhooks", 0)
    catch_up = CatchUp()
    assert catch_up.note({place: Ends(0, 5, 5)}, {}, 100.0).caught_up is None
    assert catch_up.note({place: Ends(0, 5, 5)}, {place: 5}, 101.0).caught_up is not None
