"""Is the ingress open: one store that answers is enough, none is believed unasked, and each is asked again."""

from __future__ import annotations

import asyncio

import pytest
from waiting import until

from producers.ingress.clock_check import ClockCheck
from producers.ingress.readiness import Readiness
from runtime.clock import SystemClock
from runtime.health import Probe
from schemas.errors import UnavailableError

pytestmark = pytest.mark.unit


class Store:
    """Answers as the test says, after it has let others run; or not at all."""

    def __init__(self, *, away: bool = False) -> None:
        self.away, self.hangs, self.asked = away, False, 0
        self.failure: Exception | None = None

    async def check(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        if self.away:
            raise UnavailableError(f"away for the {self.asked}. time")


def ready_of(**stores: Store) -> tuple[Readiness, Probe, ClockCheck]:
    probe, clocks = Probe("ingress", "running"), ClockCheck(SystemClock())
    return Readiness(stores, clocks, probe, 0.001), probe, clocks


async def test_nothing_is_ready_that_was_not_asked() -> None:
    readiness, _, _ = ready_of(kafka=Store(), postgres=Store())
    assert readiness.unready() == "kafka: not asked yet; postgres: not asked yet"
    await readiness.refresh()
    assert readiness.unready() is None


@pytest.mark.parametrize("kafka", [False, True])
@pytest.mark.parametrize("postgres", [False, True])
async def test_one_store_that_answers_is_enough(*, kafka: bool, postgres: bool) -> None:
    readiness, probe, _ = ready_of(kafka=Store(away=not kafka), postgres=Store(away=not postgres))
    await readiness.refresh()
    away = "away for the 1. time"
    assert readiness.unready() == (None if kafka or postgres else f"kafka: {away}; postgres: {away}")
    assert probe.facts["stores"] == {"kafka": "ok" if kafka else away, "postgres": "ok" if postgres else away}


async def test_what_was_away_is_back_and_what_was_there_goes() -> None:
    store = Store()
    readiness, _, _ = ready_of(kafka=store)
    found = []
    for store.away in (True, False, True, False):
        await readiness.refresh()
        found.append(readiness.unready())
    assert found == ["kafka: away for the 1. time", None, "kafka: away for the 3. time", None]


async def test_a_check_that_fails_unforeseen_leaves_no_old_answer() -> None:
    """It did: the ingress stayed ready by what was true before."""
    store = Store()
    readiness, _, _ = ready_of(kafka=store)
    await readiness.refresh()
    store.failure = KeyError("of the client")
    with pytest.raises(KeyError):
        await readiness.refresh()
    assert readiness.unready() == "kafka: the check failed with KeyError"
    store.failure = None
    await readiness.refresh()
    assert readiness.unready() is None


@pytest.mark.parametrize("hanging", ["kafka", "postgres"])
async def test_a_store_that_hangs_hides_no_other(hanging: str) -> None:
    stores = {"kafka": Store(), "postgres": Store()}
    stores[hanging].hangs = True
    readiness, _, _ = ready_of(**stores)
    looking = asyncio.create_task(readiness.refresh())
    await until(lambda: readiness.unready() is None, "the other one answers", 10)
    looking.cancel()


async def test_it_is_asked_again_and_again() -> None:
    store = Store(away=True)
    readiness, _, _ = ready_of(kafka=store)
    running = asyncio.create_task(readiness.run())
    await until(lambda: store.asked > 2, "it is asked", 10)
    store.away = False
    await until(lambda: readiness.unready() is None, "it is back", 10)
    running.cancel()


@pytest.mark.parametrize("state", ["starting", "stopping", "halted"])
async def test_a_role_that_does_not_run_takes_nothing(state: str) -> None:
    readiness, probe, _ = ready_of(kafka=Store())
    await readiness.refresh()
    probe.state = state
    assert readiness.unready() == f"the role is {state}"


async def test_a_clock_that_was_proven_wrong_closes_it_whatever_the_stores_answer() -> None:
    readiness, probe, clocks = ready_of(kafka=Store())
    await readiness.refresh()
    figures = [probe.facts["postgres_clock_ahead_seconds"]]
    clocks.look(1000, 1600, 1000)
    clocks.prove_wrong()
    await readiness.refresh()
    assert "600 s behind" in str(readiness.unready())
    figures.append(probe.facts["postgres_clock_ahead_seconds"])
    assert figures == [0, 600]
