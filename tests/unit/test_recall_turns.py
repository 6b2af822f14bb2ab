"""Whose turn it is to be read: no list and no order waits for one that is long, or that can't be read."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from consumer.dispatcher.apis import Again, Refused
from consumer.dispatcher.lists import ASK_AGAIN
from consumer.dispatcher.recall import RecallJob
from consumer.dispatcher.recall_order import RecallOrders, next_place
from consumer.dispatcher.recall_rows import shown_of
from providers.core.contract import Notification
from providers.core.recall import PAGE_LENGTH_MAX, Listed, Listing, Page, PageAsked, Recall
from runtime.clock import SystemClock
from runtime.lease import Lease
from runtime.settings import Settings
from schemas.errors import LeaseLostError

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

    def __init__(self, page: str | None = None, order: dict[str, Any] | None = None, **cursor: Any) -> None:
        self.page, self.order, self.written, self.cursor = page, order, [], cursor  # type: ignore[var-annotated]

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
        } | self.cursor  # fmt: skip

    async def fetch_all(self, _lease: Lease, *counted: object) -> list[Any]:
        self.counted = counted
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
async def test_a_short_wish_of_a_list_is_no_reason_to_ask_it_without_end(ordered: bool):  # noqa: FBT001
    """One that says `Retry-After: 0` in a whole outage would be asked as fast as it answers."""
    failures = LIMITS.order_tries_max - 2
    rows, lists = Rows(order=order(failures=failures)), lists_of("a", lambda _: Again("x" * 900, 0.001))
    shortest = min(LIMITS.backoff_initial_seconds * 2**failures, LIMITS.backoff_max_seconds) / 10
    if ordered:
        await orders_of(rows, lists).turn(LEASE)
        waits = rows.written[-1][2]
    else:
        job = job_of(rows, lists)
        job._lists[0][2].failures = failures
        began = time.monotonic()
        await job.turn(LEASE)
        waits = job._lists[0][2].due_at - began
    assert waits >= shortest
    assert "x" * 500 in rows.written[-1], "an error is cut to what a line shows"


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


async def ask_nobody(*_: object) -> Any:
    raise AssertionError("nothing is asked")


@pytest.mark.parametrize(
    ("cursor", "every", "wait"),
    [
        ({"spooled": LIMITS.spool_rows_max}, None, LIMITS.spool_wait_seconds),
        ({"spooled": LIMITS.spool_rows_max}, 900.0, LIMITS.spool_wait_seconds),
        ({"began_at": dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)}, None, LIMITS.interval_seconds),
        ({"began_at": dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)}, 900.0, 900.0),
        ({}, None, LIMITS.interval_seconds),
        ({}, 60.0, 60.0),
        ({}, 900.0, 900.0),
    ],
)
async def test_a_list_that_gives_nothing_now_is_asked_again_in_its_time(
    cursor: dict[str, Any], every: float | None, wait: float
):
    """A full spool empties within seconds; what a list of objects shows changes in hours, and each look costs calls."""
    lists = lists_of("a", lambda _: Page(()), replace(EVENTS, every_seconds=every))
    if cursor:
        lists.ask = ask_nobody
    job, began = job_of(Rows(**cursor), lists), time.monotonic()
    assert not await job.turn(LEASE)
    assert began + wait <= job._lists[0][2].due_at <= time.monotonic() + wait


async def test_a_list_whose_api_rests_is_not_asked_and_keeps_its_turn():
    rows, lists = Rows(), lists_of("a", lambda _: None)
    lists.ask, lists.ready = ask_nobody, lambda _now: False
    job = job_of(rows, lists)
    assert not await job.turn(LEASE)
    assert job._lists[0][2].due_at == 0.0
    assert [name for name, *_ in rows.written] == ["trim_recalled"]


async def test_webhooks_are_counted_as_lost_by_the_time_of_their_own_provider_and_now_and_then():
    asked: list[PageAsked] = []

    def ask(one: PageAsked) -> Page:
        asked.append(one)
        return Page((), "more")

    rows, one = Rows(), lists_of("", ask)
    other = SimpleNamespace(**vars(one) | {"provider": "q", "recall": replace(one.recall, retried_seconds=7.0)})
    job = RecallJob(rows, {("p", ""): one, ("q", ""): other}, Settings(), SystemClock())  # type: ignore[arg-type]
    for _ in range(2):
        assert await job.turn(LEASE)
    assert rows.counted == ("count_recalled", ["p", "q"], [60.0, 7.0])
    assert [name for name, *_ in rows.written].count("trim_recalled") == 1
    job._count_at -= LIMITS.count_seconds
    assert await job.turn(LEASE)
    assert [name for name, *_ in rows.written].count("trim_recalled") == 2
    assert {page.items_max for page in asked} == {LIMITS.page_items_max}


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


async def test_an_order_that_is_stopped_reads_no_further_page():
    rows, lists = Rows(order=order(stopped_by="ann")), lists_of("a", lambda _: None)
    lists.ask = ask_nobody
    assert await orders_of(rows, lists).turn(LEASE)
    assert rows.written == [("end_recall_order", 3, "stopped", None)]


async def test_an_order_waits_while_the_spool_is_full_and_that_is_no_failure_of_its_list():
    rows = Rows(order=order(spooled=LIMITS.spool_rows_max, failures=LIMITS.order_tries_max - 1))
    lists = lists_of("a", lambda _: None)
    lists.ask = ask_nobody
    assert await orders_of(rows, lists).turn(LEASE)
    assert rows.written == [("delay_recall_order", 3, LIMITS.spool_wait_seconds, None, LIMITS.order_tries_max - 1)]


async def test_an_order_for_what_is_not_configured_says_so_and_ends():
    rows = Rows(order=order(account="b"))
    assert await orders_of(rows, lists_of("a", lambda _: None)).turn(LEASE)
    [(name, _, status, error)] = rows.written
    assert (name, status) == ("end_recall_order", "failed")
    assert error.startswith("p/b is not configured; set ")


@pytest.mark.parametrize(
    ("outcome", "failures", "written", "says"),
    [
        (Refused("x" * 900), 0, "end_recall_order", "x" * 500),
        (Again("busy"), LIMITS.order_tries_max - 2, "delay_recall_order", "busy"),
        (Again("busy"), LIMITS.order_tries_max - 1, "end_recall_order", f"busy; {ASK_AGAIN}"),
        (Again("x" * 900), 0, "delay_recall_order", "x" * 500),
        (Page((), TOO_LONG), 0, "end_recall_order", f"the next page's name has 2001 characters; {ASK_AGAIN}"),
    ],
)  # fmt: skip
async def test_an_order_ends_where_no_later_try_does_better(outcome: Any, failures: int, written: str, says: str):
    """Another would stand behind it, page by page, without end."""
    rows = Rows(order=order(failures=failures))
    assert await orders_of(rows, lists_of("a", lambda _: outcome)).turn(LEASE)
    [(name, *arguments)] = rows.written
    assert name == written
    assert says in arguments


@pytest.mark.parametrize(
    "error", [LeaseLostError("gone"), OSError("Postgres is away"), asyncpg.DeadlockDetectedError()]
)
async def test_what_is_no_fault_of_a_page_does_not_count_against_its_order(error: Exception):
    """Else ten outages in a row end an order that somebody waits for; and who has lost the lease writes nothing."""
    rows = Rows(order=order(failures=LIMITS.order_tries_max - 1))

    def ask(_: PageAsked) -> Page:
        raise error

    with pytest.raises(type(error)):
        await orders_of(rows, lists_of("a", ask)).turn(LEASE)
    assert rows.written == []


async def test_an_order_asks_for_one_span_from_its_first_page_to_its_last():
    """Names of pages hold within the span that they were given for; a list reaches back a little less each minute."""
    asked: list[PageAsked] = []

    def ask(one: PageAsked) -> Again:
        asked.append(one)
        return Again("busy")

    now = dt.datetime.now(dt.UTC)
    old, began = now - dt.timedelta(days=9), now - dt.timedelta(hours=3)
    long, short = replace(EVENTS, reach_seconds=7200.0), replace(OBJECTS, reach_seconds=60.0)
    for order_row, since in (
        (order(since=old, now=now), now.timestamp() - 7200.0),
        (order(since=old, now=now, list="objects"), now.timestamp() - 7200.0),
        (order(since=old, now=now, asked_since=began), began.timestamp()),
        (order(since=now - dt.timedelta(hours=1), now=now), now.timestamp() - 3600.0),
    ):
        await orders_of(Rows(order=order_row), lists_of("a", ask, long, short)).turn(LEASE)
        assert asked[-1] == PageAsked(since, order_row["until"].timestamp(), "p2", LIMITS.page_items_max)


@pytest.mark.parametrize("later_seconds", [0.0, 60.0])
async def test_an_order_for_what_no_list_reaches_back_to_asks_nothing(later_seconds: float):
    now = dt.datetime.now(dt.UTC)
    until = now - dt.timedelta(seconds=EVENTS.reach_seconds + later_seconds)
    rows, lists = (
        Rows(order=order(since=until - dt.timedelta(hours=1), until=until, now=now)),
        lists_of("a", lambda _: None),
    )
    lists.ask = ask_nobody
    assert await orders_of(rows, lists).turn(LEASE)
    [(name, _, status, error)] = rows.written
    assert (name, status) == ("end_recall_order", "failed")
    assert "lists reach back until" in error


async def test_orders_are_looked_for_now_and_then():
    looks: list[str] = []

    class Idle(Rows):
        async def fetch_one(self, _lease: Lease, name: str, *_: object) -> Any:
            looks.append(name)

    orders = orders_of(Idle(), lists_of("a", lambda _: None))
    assert [await orders.turn(LEASE), await orders.turn(LEASE)] == [False, False]
    assert looks == ["take_recall_order"]
    orders._look_at -= LIMITS.order_look_seconds
    await orders.turn(LEASE)
    assert len(looks) == 2


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
