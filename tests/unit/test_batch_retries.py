"""What follows a failure: who is retried how often, on which session, after which pause; and who waits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from events import placed, standard

from consumer import retries as module
from consumer.decode import decoded
from consumer.outages import Outages
from consumer.plan import Plan
from consumer.processing import Processor
from consumer.retries import CONFLICT_PAUSE_SECONDS, Next, Retries, prepare, retry
from consumer.verdict import Dead
from runtime import metrics
from runtime.postgres_session import _NOTED_BY, Activity
from runtime.settings import ConsumerSettings
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumer.plan import Item

pytestmark = pytest.mark.unit

LIMITS = ConsumerSettings(twin_retries_max=3, backoff_initial_seconds=0.25, backoff_max_seconds=8.0)
PATIENCE_SECONDS = 5.0
AGAIN, FRESH, WAIT, GIVE_UP = Next.AGAIN, Next.FRESH_SESSION, Next.WAIT, Next.GIVE_UP
SLOW = asyncpg.QueryCanceledError("statement time-out")
LOCK = asyncpg.LockNotAvailableError("lock time-out")
TAKEN = asyncpg.UniqueViolationError("key")
REFUSED = asyncpg.CheckViolationError("refused")
STALE = asyncpg.InvalidCachedStatementError("stale")
NO_RIGHT = asyncpg.InsufficientPrivilegeError("no right")


@pytest.mark.parametrize(
    ("error", "of_one", "of_many"),
    [
        (SLOW, [WAIT, WAIT], [GIVE_UP, GIVE_UP]),
        (LOCK, [AGAIN, AGAIN, WAIT, WAIT], [AGAIN, AGAIN, WAIT, WAIT]),
        (TAKEN, [AGAIN, AGAIN, GIVE_UP], [AGAIN, AGAIN, GIVE_UP]),
        (REFUSED, [FRESH, GIVE_UP], [GIVE_UP]),
        (ZeroDivisionError(), [FRESH, GIVE_UP], [GIVE_UP]),
        (STALE, [FRESH, WAIT, WAIT], [FRESH, WAIT]),
        (NO_RIGHT, [WAIT], [WAIT]),
        (OSError("away"), [WAIT], [WAIT]),
        (UnavailableError("away"), [WAIT], [WAIT]),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, Exception) else "",
)
def test_what_follows_each_failure(error: Exception, of_one: list[Next], of_many: list[Next]) -> None:
    """A record that is slow alone is nobody's fault; many together are halved until they fit, each half at once."""
    for size, wanted in ((1, of_one), (2, of_many)):
        one = Retries(size, LIMITS)
        assert [one.after(error) for _ in wanted] == wanted


async def test_two_in_conflict_do_not_meet_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    yields = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await yields(0)

    async def renew() -> None:
        raise AssertionError("its session is as good as any")

    monkeypatch.setattr("consumer.retries.asyncio.sleep", sleep)
    before = metrics.CONFLICT_RETRIES._value.get()
    for _ in range(50):
        await prepare(AGAIN, renew)
    assert len(set(pauses)) > 25
    assert CONFLICT_PAUSE_SECONDS / 2 < sum(pauses) / 50 < CONFLICT_PAUSE_SECONDS * 3 / 2
    assert metrics.CONFLICT_RETRIES._value.get() == before + 50


@dataclass
class Script:
    """Work that fails as it is to, in order, and then is done; `buried` counts how often it was given dead letters."""

    failures: list[Exception] = field(default_factory=list)
    tries: int = 0
    renewed: int = 0
    buried: int = 0

    async def __call__(self, batch: Sequence[Item] = ()) -> Plan:
        self.tries += 1
        self.buried += any(isinstance(item, Dead) for _, item in batch)
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return Plan()

    async def renew(self) -> None:
        await asyncio.sleep(0)
        self.renewed += 1


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONFLICT_PAUSE_SECONDS", 0.0)


@pytest.mark.usefixtures("_no_pause")
@pytest.mark.parametrize(
    ("failures", "raised", "tries", "renewed"),
    [
        ([LOCK, LOCK], None, 3, 0),
        ([LOCK] * 5, UnavailableError, 3, 0),
        ([TAKEN] * 5, asyncpg.UniqueViolationError, 3, 0),
        ([STALE], None, 2, 1),
        ([STALE] * 2, asyncpg.InvalidCachedStatementError, 2, 1),
        ([OSError("away")], OSError, 1, 0),
        ([REFUSED] * 2, asyncpg.CheckViolationError, 2, 1),
    ],
    ids=["conflict", "lock", "key", "stale", "stale for good", "away", "refused"],
)
async def test_what_wakes_is_tried_again_at_once_or_reported(
    failures: list[Exception], raised: type[Exception] | None, tries: int, renewed: int
) -> None:
    """A lock that stays held is reported as an outage: as itself it would be a record's fault."""
    work = Script(list(failures))
    if raised is None:
        await retry(work, Retries(1, LIMITS), work.renew)
    else:
        with pytest.raises(raised):
            await retry(work, Retries(1, LIMITS), work.renew)
    assert (work.tries, work.renewed) == (tries, renewed)


# --- through an outage ------------------------------------------------------------------------------------------------


class Waited(Outages):
    """Outages that are over at once; what each wait was given is kept."""

    def __init__(self) -> None:
        super().__init__(LIMITS, Activity())
        self.given: list[Iterator[float]] = []

    async def away(self, error: Exception, pauses: Iterator[float]) -> None:
        self.given.append(pauses)
        await asyncio.sleep(0)


def items(count: int) -> list[Item]:
    return [decoded(one) for one in placed([standard("payment.created")] * count)]


def processor(work: Script, outages: Outages) -> Processor:
    nobody: Any = None
    return Processor(work, nobody, outages, LIMITS, renew=work.renew)


async def test_one_outage_of_a_batch_is_waited_through_by_one_row_of_pauses() -> None:
    """Begun anew at each try they never grow: each worker asks a Postgres that is starting four times a second."""
    work, outages = Script([OSError("away")] * 4), Waited()
    await processor(work, outages).write(items(2))
    assert (work.tries, len(outages.given)) == (5, 4)
    assert len(set(map(id, outages.given))) == 1


@pytest.mark.usefixtures("_no_pause")
@pytest.mark.parametrize(
    ("before", "after"),
    [([LOCK] * 2, [TAKEN] * 2), ([REFUSED], [REFUSED]), ([STALE], [STALE])],
    ids=["locks", "data", "session"],
)
async def test_after_an_outage_all_retries_are_there_anew(before: list[Exception], after: list[Exception]) -> None:
    """What was in the way before it says nothing of what is now: a record must not be buried for both together."""
    work, outages = Script([*before, OSError("away"), *after]), Waited()
    await processor(work, outages).write(items(1))
    assert (work.failures, work.tries, work.buried) == ([], len(before) + 1 + len(after) + 1, 0)


async def test_who_tries_again_shows_that_it_lives() -> None:
    """A session may not even be had: no statement is sent, and still nothing stands still that a restart would mend."""
    outages, seen = Waited(), []

    class Looking(Script):
        async def __call__(self, batch: Sequence[Item] = ()) -> Plan:
            seen.append(outages.activity.at)
            outages.activity.at = 0.0
            return await super().__call__(batch)

    await processor(Looking([OSError("away")] * 2), outages).write(items(1))
    assert len(seen) == 3
    assert all(seen)


async def test_the_statements_of_a_batch_show_that_it_lives() -> None:
    outages, noted = Waited(), []

    class Asking(Script):
        async def __call__(self, batch: Sequence[Item] = ()) -> Plan:
            noted.append(_NOTED_BY.get())
            return await super().__call__(batch)

    class Normal:
        def holds(self, _: object) -> bool:
            return False

    quarantine: Any = Normal()
    work = Asking()
    await Processor(work, quarantine, outages, LIMITS).process([record for record, _ in items(2)])
    assert noted == [outages.activity]
    assert _NOTED_BY.get() is None


# --- outages ----------------------------------------------------------------------------------------------------------


def shown(outages: Outages) -> tuple[float | None, str | None]:
    return outages.since, outages.why


async def test_an_outage_is_shown_for_as_long_as_it_lasts_with_what_it_is_by_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outages = Outages(LIMITS, Activity())
    slept: list[float] = []
    yields = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        await yields(0)

    monkeypatch.setattr("consumer.outages.asyncio.sleep", sleep)
    pauses = outages.pauses()
    await outages.away(OSError("refused"), pauses)
    since = outages.since
    await outages.away(NO_RIGHT, pauses)
    assert outages.since == since is not None
    assert outages.why is not None
    assert "ratchet migrate up" in outages.why, "it came back with another schema"
    assert metrics.POSTGRES_AWAY._value.get() == 1
    for _ in range(5):
        await outages.away(OSError("refused"), pauses)
    bounds = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert all(bound / 10 <= one <= bound for one, bound in zip(slept, bounds, strict=True))
    outages.back()
    assert shown(outages) == (None, None)
    assert metrics.POSTGRES_AWAY._value.get() == 0


async def test_what_is_done_through_an_outage_shows_that_it_lives_and_that_it_is_over() -> None:
    outages, seen = Waited(), []
    outages.since, outages.why = 1.0, "away"

    async def work() -> int:
        seen.append(outages.activity.at)
        outages.activity.at = 0.0
        await asyncio.sleep(0)
        if len(seen) < 3:
            raise UnavailableError("away")
        return 7

    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await outages.through(work) == 7
    assert (len(seen), all(seen)) == (3, True)
    assert shown(outages) == (None, None)
    assert len(set(map(id, outages.given))) == 1
