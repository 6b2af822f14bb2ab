"""Whose turn it is to be read: no list and no order waits for one that is long, or that can't be read."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from consumer.dispatcher.apis import Again, Refused
from consumer.dispatcher.recall import RecallJob
from consumer.dispatcher.recall_order import RecallOrders, next_place
from consumer.dispatcher.recall_rows import shown_of
from providers.core.contract import Notification
from providers.core.recall import PAGE_LENGTH_MAX, Listed, Listing, Page, PageAsked, Recall
from runtime.clock import SystemClock
from runtime.lease import Lease
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

pytestmark = pytest.mark.unit

LEASE = Lease("dispatcher", "me", 1)
EVENTS, OBJECTS = (Listing(name, None, None, 86_400.0, 60.0) for name in ("events", "objects"))  # type: ignore[arg-type]
TOO_LONG = "x" * (PAGE_LENGTH_MAX + 1)
LIMITS = Settings().recall
LONG = 2 * LIMITS.backoff_max_seconds + 60.0


def lists_of(account: str, ask: Callable[[PageAsked], Any], *listings: Listing) -> Any:
    async def answer(_listing: Listing, asked: PageAsked) -> Any:
        return ask(asked)

    recall = Recall("", listings or (EVENTS,), 60.0)
    return SimpleNamespace(
        provider="p", account=account, source=f"p/{account}", recall=recall, ready=lambda _now: True, ask=answer
    )


class Rows:
    """Gives each list the same cursor, and the order that is asked for; notes what is written."""

    webhooks = "payments.webhooks"

    def __init__(self, page: str | None = None, order: dict[str, Any] | None = None) -> None:
        self.page, self.order, self.written = page, order, []  # type: ignore[var-annotated]

    @asynccontextmanager
    async def guarded(self, _: Lease) -> AsyncIterator[Any]:
        yield self

    async def fetchrow(self, *_: object) -> dict[str, Any]:
        now = dt.datetime.now(dt.UTC)
        ago = now - dt.timedelta(hours=1)
        under_way = None if self.page is None else ago
        return {
            "now": now, "read_until": ago, "began_at": ago, "since": under_way, "until": now, "page": self.page,
            "spooled": 0, "turns": 4,
        }  # fmt: skip

    async def fetch_all(self, *_: object) -> list[Any]:
        return []

    async def fetch(self, *_: object) -> list[Any]:
        raise ValueError("a page that nobody foresaw")

    async def fetch_one(self, _lease: Lease, name: str, *arguments: object) -> Any:
        if name == "take_recall_order":
            return self.order
        self.written.append((name, *arguments))
        return None

    async def spool_page(self, _lease: Lease, cursor: tuple[Any, ...], *_: object) -> int:
        self.written.append(("spool_page", cursor[1]))
        return 0


def job_of(rows: Rows, *lists: Any) -> RecallJob:
    return RecallJob(rows, {("p", one.account): one for one in lists}, Settings(), SystemClock())  # type: ignore[arg-type]


async def test_lists_take_turns_page_by_page():
    """The list of an account that has months to read would keep all others from being read for as long."""
    rows = Rows()
    job = job_of(rows, *(lists_of(one, lambda asked: Page((), f"after {asked.page}")) for one in "ab"))
    for _ in range(4):
        assert await job.turn(LEASE)
    assert sorted(account for name, account, *_ in rows.written if name == "spool_page") == ["a", "a", "b", "b"]


async def test_a_list_that_raises_keeps_no_other_from_being_read():
    def fails(_: PageAsked) -> Page:
        raise RuntimeError("nobody foresaw it")

    rows = Rows()
    job = job_of(rows, lists_of("bad", fails), lists_of("good", lambda _: Page((), "more")))
    failures = 0
    for _ in range(4):
        try:
            await job.turn(LEASE)
        except RuntimeError:
            failures += 1
    assert (failures, rows.written.count(("spool_page", "good"))) == (2, 2)


async def test_a_count_that_fails_keeps_no_list_from_being_read():
    class Uncountable(Rows):
        async def fetch_all(self, *_: object) -> list[Any]:
            raise TimeoutError

    rows = Uncountable()
    job = job_of(rows, lists_of("a", lambda _: Page((), "more")))
    with pytest.raises(TimeoutError):
        await job.turn(LEASE)
    assert await job.turn(LEASE)
    assert rows.written[-1] == ("spool_page", "a")


@pytest.mark.parametrize(
    ("outcome", "page", "begins_anew"),
    [
        (Refused("no such page"), "p2", True),
        (Refused("no such list"), None, False),
        (Again("busy"), "p2", False),
        (Page((), TOO_LONG), "p2", True),
        (Page((), TOO_LONG), None, False),
    ],
)
async def test_a_page_that_is_refused_begins_its_span_anew(outcome: Any, page: str | None, begins_anew: bool):  # noqa: FBT001
    rows = Rows(page)
    assert not await job_of(rows, lists_of("a", lambda _: outcome)).turn(LEASE)
    (name, _, _, listing, error, anew) = rows.written[-1]
    assert (name, listing, anew) == ("fail_recall", "events", begins_anew)
    assert error == getattr(outcome, "error", f"the next page's name has {len(TOO_LONG)} characters")


async def test_a_list_waits_longer_with_each_failure_and_as_long_as_it_asks_and_forgets_both_once_it_is_read():
    outcomes: list[Any] = [Again("busy"), Again("busy"), Again("busy", LONG), Page((), "more"), Again("busy")]
    job = job_of(Rows(), lists_of("a", lambda _: outcomes.pop(0)))
    schedule = job._lists[0][2]
    pauses: list[tuple[int, float]] = []
    while outcomes:
        schedule.due_at = 0.0
        await job.turn(LEASE)
        pauses.append((schedule.failures, schedule.due_at - time.monotonic()))
    assert [failures for failures, _ in pauses] == [1, 2, 3, 0, 1]
    assert [seconds > LONG - 60 for _, seconds in pauses] == [False, False, True, False, False]


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_listed_event_is_as_old_as_the_question(ordered: bool, monkeypatch: pytest.MonkeyPatch):  # noqa: FBT001
    """What happened while the answer was on its way is not in it."""
    asked_at, kept = 1_790_000_000.0, []

    def ask(_: PageAsked) -> Page:
        monkeypatch.setattr(SystemClock, "now", lambda _: asked_at + 30.0)
        return Page((Listed(Notification("evt_1", "kind", "ref", b"{}"), 0.0),))

    async def keep(*arguments: Any) -> int:
        kept.extend(one for argument in arguments if isinstance(argument, list) for one in argument)
        return 0

    rows = Rows(order=order())
    job = orders_of(rows, lists_of("a", ask)) if ordered else job_of(rows, lists_of("a", ask))
    monkeypatch.setattr(SystemClock, "now", lambda _: asked_at)
    monkeypatch.setattr(*((job, "_count") if ordered else (rows, "spool_page")), keep)
    await job.turn(LEASE)
    [headers] = [dict(one.record.headers) for one in kept]
    assert dt.datetime.fromisoformat(headers["ce_time"].decode()).timestamp() == asked_at


@pytest.mark.parametrize("ordered", [False, True])
async def test_a_page_is_given_up_in_half_of_a_claim(ordered: bool, monkeypatch: pytest.MonkeyPatch):  # noqa: FBT001
    """A turn that lasts for longer counts as one that hangs, and the process is ended for it."""
    bounds, timeout = [], asyncio.timeout

    def noting(seconds: float) -> asyncio.Timeout:
        bounds.append(seconds)
        return timeout(seconds / 1000)

    async def hangs(*_: object) -> Any:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(asyncio, "timeout", noting)
    rows, lists = Rows(order=order()), lists_of("a", lambda _: None)
    lists.ask = hangs
    await (orders_of(rows, lists) if ordered else job_of(rows, lists)).turn(LEASE)
    assert bounds == [Settings().dispatcher.claim_seconds / 2]
    assert f"no answer in {bounds[0]:g} s" in rows.written[-1]


async def test_what_another_call_is_finding_out_is_no_failure():
    job = job_of(rows := Rows(), lists_of("a", lambda _: None))
    assert not await job.turn(LEASE)
    assert job._lists[0][2].failures == 0
    assert [name for name, *_ in rows.written] == ["trim_recalled"]


# --- orders -------------------------------------------------------------------------------------------------------


def order(**more: Any) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC)
    return {
        "id": 3, "provider": "p", "account": "a", "since": now - dt.timedelta(hours=2), "until": now, "now": now,
        "dry_run": True, "stopped_by": None, "asked_since": None, "secret_since": None, "list": "events", "page": "p2",
        "turns": 4, "failures": 0, "pages": 0, "known": 0, "history": 0, "kinds": "{}", "first_at": None,
        "last_at": None, "spooled": 0,
    } | more  # fmt: skip


def orders_of(rows: Rows, lists: Any) -> RecallOrders:
    return RecallOrders(rows, {("p", "a"): lists}, Settings(), SystemClock())  # type: ignore[arg-type]


async def test_an_order_whose_page_can_not_be_taken_is_put_off_and_ends():
    """Left as it is it would be the next one again, before all other orders, without end."""
    listed = Listed(Notification("evt_1", "kind", "ref", b"{}"), 0.0)
    lists = lists_of("a", lambda _: Page((listed,)))
    for failures, written in ((0, "delay_recall_order"), (LIMITS.order_tries_max - 1, "end_recall_order")):
        rows = Rows(order=order(failures=failures))
        with pytest.raises(ValueError, match="nobody foresaw"):
            await orders_of(rows, lists).turn(LEASE)
        assert [name for name, *_ in rows.written] == [written]
        assert "its page can't be taken: ValueError" in str(rows.written)


@pytest.mark.parametrize(
    ("outcome", "failures", "seconds"),
    [(None, 3, LIMITS.backoff_initial_seconds), (Again("busy", 9000.0), 4, 9000.0)],
)
async def test_an_order_waits_as_long_as_the_list_asks_and_counts_what_failed(
    outcome: Any, failures: int, seconds: float
):
    rows = Rows(order=order(failures=3))
    assert await orders_of(rows, lists_of("a", lambda _: outcome)).turn(LEASE)
    (name, _, waits, _, counted) = rows.written[-1]
    assert (name, waits, counted) == ("delay_recall_order", seconds, failures)


@pytest.mark.parametrize(("listing", "page"), [("objects", "p2"), ("events", "p2"), ("of yesterday", None)])
async def test_the_page_of_one_list_is_not_asked_of_another(listing: str, page: str | None):
    asked: list[str | None] = []

    def ask(one: PageAsked) -> Again:
        asked.append(one.page)
        return Again("busy")

    await orders_of(Rows(order=order(list=listing)), lists_of("a", ask, EVENTS, OBJECTS)).turn(LEASE)
    assert asked == [page]


def test_an_order_goes_on_with_the_next_list_until_the_last_one_is_read():
    lists = lists_of("a", lambda _: None, EVENTS, OBJECTS)
    assert next_place(lists, EVENTS, "p2") == ("events", "p2")
    assert next_place(lists, EVENTS, None) == ("objects", None)
    assert next_place(lists, OBJECTS, None) == (None, None)


@pytest.mark.parametrize("unix_seconds", [1e18, -1e18, float("inf"), float("nan")])
def test_a_time_that_no_calendar_has_costs_no_event(unix_seconds: float):
    """Nor the rest of its page, which would be asked for again and again."""
    items = [Listed(Notification(one, "kind", "ref", b"{}"), at) for one, at in (("a", unix_seconds), ("b", 1.0))]
    shown = shown_of(items, "p", EVENTS, 1_790_000_000.0)
    assert [(one.record.event_id, one.occurred_at.timestamp()) for one in shown] == [("a", 0.0), ("b", 1.0)]
