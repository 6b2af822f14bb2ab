from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Never

import pytest

from runtime import lease as module
from runtime import metrics
from runtime.lease import Leader, Lease, holder_name, wait_for_event
from schemas.errors import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.unit

SECONDS = 0.09


@dataclass
class ScriptedLeases:
    """Answers as a test says: True, False or an exception for each call; past the script everything works."""

    acquires: list[object] = field(default_factory=list)
    renewals: list[object] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    renewed: int = 0
    renewed_often: asyncio.Event = field(default_factory=asyncio.Event)
    token: int = 0

    async def acquire(self, name: str, holder: str, seconds: float) -> Lease | None:
        if not self._next(self.acquires):
            return None
        self.token += 1
        return Lease(name, holder, self.token)

    async def renew(self, lease: Lease, seconds: float) -> bool:
        self.renewed += 1
        if self.renewed > 3:
            self.renewed_often.set()
        return self._next(self.renewals)

    async def release(self, lease: Lease) -> None:
        self.released.append(lease.token)

    async def wait(self, name: str, seconds: float, stop: asyncio.Event) -> None:
        await wait_for_event(stop, seconds)

    def _next(self, script: list[object]) -> bool:
        answer = script.pop(0) if script else True
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)


async def lead(leases: ScriptedLeases, work: Callable[..., Awaitable[None]]) -> Leader:
    stop = asyncio.Event()
    leader = Leader(leases, "work", "me", SECONDS)

    async def work_and_stop(lease: Lease, ending: asyncio.Event) -> None:
        assert leader.leading
        await work(lease, ending, stop)

    async with asyncio.timeout(5):
        await leader.run(stop, work_and_stop)
    assert not leader.leading
    return leader


async def test_lease_is_renewed_while_work_goes_on_and_released_at_the_stop():
    leases = ScriptedLeases()

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        await leases.renewed_often.wait()
        stop.set()
        await ending.wait()

    await lead(leases, work)
    assert leases.released == [1]
    assert leases.token == 1


async def test_waits_for_a_lease_that_another_holds_or_an_issuer_that_is_away():
    leases = ScriptedLeases(acquires=[False, OSError("away"), TimeoutError(), False])

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        stop.set()

    await lead(leases, work)
    assert leases.acquires == []


async def test_refused_renewal_cancels_the_work_and_a_new_term_begins():
    leases = ScriptedLeases(renewals=[True, False])
    cancelled = []

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        if lease.token == 2:
            stop.set()
            return
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append((lease.token, ending.is_set()))
            raise

    await lead(leases, work)
    assert cancelled == [(1, True)]


async def test_issuer_away_past_the_leases_time_is_a_loss_and_a_short_outage_is_none():
    leases = ScriptedLeases(renewals=[OSError("away"), True, *[OSError("away")] * 20])
    tokens = []

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        tokens.append(lease.token)
        if lease.token == 2:
            stop.set()
            return
        await asyncio.Event().wait()

    await lead(leases, work)
    assert tokens == [1, 2]
    assert leases.renewed > 3


async def test_a_lease_is_believed_for_its_own_time_and_no_longer(monkeypatch: pytest.MonkeyPatch):
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Away(ScriptedLeases):
        async def renew(self, lease: Lease, seconds: float) -> bool:
            self.renewed += 1
            if self.renewed == 1:
                now[0] += SECONDS * 1.01
                raise OSError("away")
            return True

    leases, tokens = Away(), []

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        tokens.append(lease.token)
        if lease.token == 2:
            stop.set()
            return
        await asyncio.Event().wait()

    await lead(leases, work)
    assert (tokens, leases.renewed) == ([1, 2], 1)


async def test_a_renewal_that_was_answered_late_counts_from_when_it_was_asked(monkeypatch: pytest.MonkeyPatch):
    """The issuer's clock may have begun with the question."""
    now = [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(ScriptedLeases):
        async def renew(self, lease: Lease, seconds: float) -> bool:
            await super().renew(lease, seconds)
            if self.renewed == 1:
                now[0] += SECONDS * 0.9
            if self.renewed == 2:
                now[0] += SECONDS * 0.2
                raise OSError("away")
            return True

    leases, tokens = Slow(), []

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        tokens.append(lease.token)
        if lease.token == 1:
            await leases.renewed_often.wait()
        stop.set()

    await lead(leases, work)
    assert (tokens, leases.renewed) == ([1, 2], 2)


async def test_work_that_finds_its_lease_lost_ends_the_term_only():
    leases = ScriptedLeases()

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        if lease.token == 1:
            raise LeaseLostError("gone")
        stop.set()

    await lead(leases, work)
    assert leases.released == [1, 2]


async def test_other_errors_of_the_work_come_out():
    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> Never:
        raise ValueError("bug")

    leases = ScriptedLeases()
    with pytest.raises(ValueError, match="bug"):
        await lead(leases, work)
    assert leases.released == [1]


def test_holders_are_kept_apart():
    assert holder_name() != holder_name()
    assert len(holder_name()) <= 128


async def test_a_renewal_that_hangs_is_waited_for_until_the_lease_ends_and_no_longer(monkeypatch: pytest.MonkeyPatch):
    """Of half a minute all but a moment is over when it is asked for."""
    seconds, now = 30.0, [0.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(module, "RENEW_PART", 0.0)

    class Hanging(ScriptedLeases):
        async def renew(self, lease: Lease, seconds: float) -> bool:
            self.renewed += 1
            try:
                await asyncio.Event().wait()
            finally:
                now[0] = seconds
            return True

    leases, stop = Hanging(), asyncio.Event()
    leader = Leader(leases, "work", "me", seconds)

    async def work(lease: Lease, ending: asyncio.Event) -> None:
        now[0] = seconds - 0.01
        try:
            await asyncio.Event().wait()
        finally:
            stop.set()

    async with asyncio.timeout(5):
        await leader.run(stop, work)
    assert (leases.renewed, leases.released) == (1, [1])


async def test_a_lease_that_is_lost_after_the_stop_ends_the_work_all_the_same():
    """What it has in hand then is somebody else's."""
    leases, cancelled = ScriptedLeases(renewals=[False]), []

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        stop.set()
        await ending.wait()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(leases.renewed)
            raise

    await lead(leases, work)
    assert cancelled == [1]


async def test_a_lease_is_renewed_until_the_work_has_finished_what_it_has_in_hand():
    leases, finished = ScriptedLeases(), []

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        stop.set()
        await ending.wait()
        await leases.renewed_often.wait()
        finished.append(lease.token)

    await lead(leases, work)
    assert (finished, leases.released) == ([1], [1])


@pytest.mark.parametrize("question", ["acquire", "release"])
async def test_an_issuer_that_does_not_answer_is_waited_for_as_long_as_a_lease_lasts(
    question: str, monkeypatch: pytest.MonkeyPatch
):
    leases, asked = ScriptedLeases(), []
    answer = getattr(leases, question)

    async def hang_once(*arguments: object) -> object:
        asked.append(arguments)
        if len(asked) == 1:
            await asyncio.Event().wait()
        return await answer(*arguments)

    monkeypatch.setattr(leases, question, hang_once)

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        stop.set()

    await lead(leases, work)
    assert len(asked) == (2 if question == "acquire" else 1)


class LingeringWork:
    """Work that takes a few turns of the loop to end once it is cancelled."""

    def __init__(self, done: list[str]) -> None:
        self.done, self.begun, self.cancelled = done, asyncio.Event(), asyncio.Event()

    async def run(self, _lease: Lease, _ending: asyncio.Event) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
            for _ in range(5):
                await asyncio.sleep(0)
            self.done.append("ended")


@pytest.mark.parametrize("lost", [False, True])
async def test_who_is_cancelled_gives_the_lease_back_when_its_work_has_ended_and_leads_no_more(*, lost: bool):
    """Given back before, the next one writes beside it; and that the lease is lost meanwhile is no reason to go on."""
    done: list[str] = []

    class Noting(ScriptedLeases):
        async def release(self, lease: Lease) -> None:
            await asyncio.sleep(0)
            done.append("released")

    work = LingeringWork(done)
    leading = asyncio.create_task(
        Leader(Noting(renewals=[not lost]), "work", "me", SECONDS).run(asyncio.Event(), work.run)
    )
    async with asyncio.timeout(5):
        await (work.cancelled if lost else work.begun).wait()
        leading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leading
    assert done == ["ended", "released"]


async def test_losses_stand_at_zero_before_the_first_one():
    """A series that appears with its first loss has not risen: no alert would see that one."""
    seen, stop = [], asyncio.Event()

    async def work(lease: Lease, ending: asyncio.Event) -> None:
        seen.append(metrics.REGISTRY.get_sample_value("ratchet_lease_losses_total", {"lease": "never_lost"}))
        stop.set()

    async with asyncio.timeout(5):
        await Leader(ScriptedLeases(), "never_lost", "me", SECONDS).run(stop, work)
    assert seen == [0]


async def test_what_a_term_shows_ends_with_it():
    def shown(name: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(name, {"lease": "work"})

    seen, losses = [], shown("ratchet_lease_losses_total") or 0.0

    async def work(lease: Lease, ending: asyncio.Event, stop: asyncio.Event) -> None:
        seen.append((shown("ratchet_lease_held"), shown("ratchet_lease_token")))
        if lease.token == 2:
            stop.set()
            return
        await asyncio.Event().wait()

    await lead(ScriptedLeases(renewals=[False]), work)
    assert seen == [(1, 1), (1, 2)]
    assert (shown("ratchet_lease_held"), shown("ratchet_lease_losses_total")) == (0, losses + 1)
