"""What runs side by side in a role ends together: the first part that fails ends the others, which are awaited.

A part that stays ended while the others go on is an output of which nothing is published any more, with green lights.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from consumer import role as consumer_role
from consumer.dispatcher.role import WorkersHealth, dispatch
from consumer.pool import WorkerPool
from producers.relay import role as relay_role
from producers.relay.loop import LaneHealth
from producers.relay.redrive import NAME as REDRIVES
from runtime.health import Probe
from runtime.lease import Lease
from runtime.settings import Settings
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.unit

LEASE = Lease("role", "me", 1)
PATIENCE_SECONDS = 5.0


@dataclass
class Parts:
    """Parts that run until they are cancelled, and take a while to end; `failing` fails once all have begun."""

    failing: str
    expected: int
    begun: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    all_begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, name: str) -> None:
        self.begun.add(name)
        if len(self.begun) == self.expected:
            self.all_begun.set()
        try:
            if name == self.failing:
                await self.all_begun.wait()
                raise LeaseLostError(name)
            await asyncio.Event().wait()
        finally:
            for _ in range(5):
                await asyncio.sleep(0)
            self.ended.add(name)


LANES = ("changes", "state", "commands", "dead_letters", "spool", REDRIVES)
TASKS = (*LANES, "cleaning", "sampling")


@pytest.mark.parametrize("failing", TASKS)
async def test_the_first_part_of_a_relay_to_fail_ends_its_term(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = Parts(failing, len(TASKS))

    class PaperLoop:
        def __init__(self, lane: Any, *_: Any) -> None:
            self.name = lane.name

        async def run(self, *_: Any) -> None:
            await parts.run(self.name)

    monkeypatch.setattr(relay_role, "LaneLoop", PaperLoop)
    monkeypatch.setattr(relay_role, "keep_clean", lambda *_: parts.run("cleaning"))
    monkeypatch.setattr(relay_role, "keep_sampling", lambda *_: parts.run("sampling"))
    health = {name: LaneHealth() for name in LANES}
    with pytest.raises(LeaseLostError, match=failing):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await relay_role._carry(Settings(), None, health, {}, LEASE, asyncio.Event())  # type: ignore[arg-type]
    assert parts.ended == set(TASKS)


@pytest.mark.parametrize("failing", ["one-0", "two-0"])
async def test_the_first_worker_of_a_dispatcher_to_fail_ends_its_term(failing: str) -> None:
    names = ("one-0", "two-0", "three-0")
    parts = Parts(failing, len(names))

    @dataclass
    class PaperJob:
        name: str

        async def turn(self, _lease: Lease) -> bool:
            await parts.run(self.name)
            return False

    jobs = {name: PaperJob(name) for name in names}
    with pytest.raises(LeaseLostError, match=failing):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await dispatch(jobs, Settings(), WorkersHealth(), LEASE, asyncio.Event())
    assert parts.ended == set(names)


@pytest.mark.parametrize("failing", ["loop", "lag", "sweeping", "hand"])
async def test_the_first_watch_of_a_consumer_to_fail_ends_the_role(failing: str) -> None:
    names = ("loop", "lag", "sweeping", "hand")
    parts = Parts(failing, len(names))

    class PaperLoop:
        async def run(self, _stop: asyncio.Event) -> None:
            await parts.run("loop")

    watches = [parts.run(name) for name in names[1:]]
    with pytest.raises(LeaseLostError, match=failing):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await consumer_role._run(PaperLoop(), asyncio.Event(), watches)  # type: ignore[arg-type]
    assert parts.ended == set(names)


async def test_a_drain_waits_for_every_batch() -> None:
    """What the others have in work would be processed by the next owner beside us."""
    gates, pool = [asyncio.Event(), asyncio.Event()], WorkerPool(2)
    for worker, gate in enumerate(gates):
        pool.run_on(worker, _until(gate))
    draining = asyncio.create_task(pool.drain(PATIENCE_SECONDS))
    gates[0].set()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not draining.done()
    assert pool.first_free() == 0
    gates[1].set()
    await draining
    assert pool.all_are_free()
    await pool.drain(PATIENCE_SECONDS)


async def test_whoever_waits_for_a_worker_goes_on_with_the_first() -> None:
    gates, pool = [asyncio.Event(), asyncio.Event()], WorkerPool(2)
    for worker, gate in enumerate(gates):
        pool.run_on(worker, _until(gate))
    waiting = asyncio.create_task(pool.wait_for_one(PATIENCE_SECONDS))
    gates[1].set()
    async with asyncio.timeout(PATIENCE_SECONDS / 2):
        await waiting
    assert (pool.is_free(0), pool.is_free(1), pool.first_free()) == (False, True, 1)
    await pool.give_up()
    assert pool.all_are_free()


async def _until(gate: asyncio.Event) -> None:
    await gate.wait()


async def test_a_batch_that_is_given_up_has_ended_before_anybody_goes_on() -> None:
    """Else the process would note that nothing is in hand while a transaction goes on."""
    parts, pool = Parts("nobody", 2), WorkerPool(2)
    for worker, name in enumerate(("one", "two")):
        pool.run_on(worker, parts.run(name))
    await parts.all_begun.wait()
    await pool.give_up()
    assert parts.ended == {"one", "two"}


@pytest.mark.parametrize("role", ["relay", "dispatcher"])
async def test_a_report_has_ended_before_its_role_has(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes on would show a role that stops as running."""
    from consumer.dispatcher import role as dispatcher_role

    module: Any = {"relay": relay_role, "dispatcher": dispatcher_role}[role]
    parts, closed = Parts("nobody", 1), []

    class PaperPool:
        async def close(self) -> None:
            closed.append(set(parts.ended))

    async def opened(*_: Any, **__: Any) -> PaperPool:
        return PaperPool()

    class PaperLeader:
        leading = False

        def __init__(self, *_: Any) -> None: ...
        async def run(self, *_: Any) -> None:
            await parts.all_begun.wait()

    async def keep(_name: str, _work: Callable[[], Awaitable[None]]) -> None:
        await parts.run("report")

    monkeypatch.setattr(module, "open_when_there", opened)
    monkeypatch.setattr(module, "Leader", PaperLeader)
    monkeypatch.setattr(module, "keep_running", keep)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await module.serve(Settings(), asyncio.Event(), Probe(role))
    assert closed == [{"report"}]
