"""Recall: asks providers' lists for webhooks that never came, and spools what is new.

A list is read in spans of time, page by page. The page's new events and the cursor that says where reading goes on are
written in one transaction under the lease: a crash loses nothing and makes nothing twice. What came already costs
nothing. Which of the events were lost is counted from `recalled_events`; the consumer notes there when a webhook comes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from consumer.dispatcher.apis import Again, Refused
from consumer.dispatcher.lists import ask_within
from consumer.dispatcher.recall_rows import open_cursor, shown_of
from consumer.dispatcher.worker import CALLS_PART
from providers.core.recall import PAGE_LENGTH_MAX, Page, PageAsked
from runtime import metrics
from runtime.retry import pause_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.dispatcher.lists import Lists
    from consumer.dispatcher.worker import GuardedRows, Row
    from providers.core.recall import Listing
    from runtime.clock import Clock
    from runtime.lease import Lease
    from runtime.settings import Settings

log = structlog.get_logger()

ERROR_LENGTH_MAX: Final = 500
TRIM_ROWS_MAX: Final = 1000


@dataclass(slots=True)
class Schedule:
    """When a list is asked next (monotonic seconds), and how often in a row it failed."""

    due_at: float = 0.0
    failures: int = 0


@dataclass(frozen=True, slots=True)
class ListRange:
    """What is read now, in unix seconds, and the page of it that comes next."""

    since: float
    until: float
    page: str | None


def next_span(cursor: Row, listing: Listing, delay_seconds: float) -> ListRange | None:
    """Return what to read: the span under way, else what happened since the last one; None where that is nothing yet.

    A span begins a while before the last one ended, for a list may show something late; and never before the endpoint's
    secret was configured, for that is history, nor further back than the list reaches. Pure.
    """
    if cursor["since"] is not None:
        return ListRange(cursor["since"].timestamp(), cursor["until"].timestamp(), cursor["page"])
    now, until = cursor["now"].timestamp(), cursor["now"].timestamp() - delay_seconds
    back = cursor["read_until"].timestamp() - listing.late_seconds
    since = max(back, cursor["began_at"].timestamp(), now - listing.reach_seconds)
    return ListRange(since, until, None) if since < until else None


class RecallJob:
    """Reads one page of one list a turn; see `worker.Job`."""

    name = "recall"

    def __init__(
        self, rows: GuardedRows, lists: Mapping[tuple[str, str], Lists], settings: Settings, clock: Clock
    ) -> None:
        self._rows = rows
        self._limits = settings.recall
        self._calls_seconds = settings.dispatcher.claim_seconds * CALLS_PART
        self._clock = clock
        self._lists = [(one, listing, Schedule()) for one in lists.values() for listing in one.recall.lists]
        self._retried = {one.provider: one.recall.retried_seconds for one in lists.values()}
        self._count_at = 0.0

    async def turn(self, lease: Lease) -> bool:
        """Read the next page of the list that is due the longest; False where none is due, or nothing more is there."""
        now = time.monotonic()
        if now >= self._count_at:
            self._count_at = now + self._limits.count_seconds  # first: a count that fails must not keep lists waiting
            await self._count(lease)
        due = [one for one in self._lists if one[2].due_at <= now and one[0].ready(now)]
        if not due:
            return False
        lists, listing, schedule = min(due, key=lambda one: one[2].due_at)
        schedule.due_at = now  # lists take turns: none waits for a long one, or for one that can't be read
        return await self._read(lease, lists, listing, schedule)

    async def _read(self, lease: Lease, lists: Lists, listing: Listing, schedule: Schedule) -> bool:
        place = lists.provider, lists.account, listing.name
        most = self._limits.spool_rows_max
        async with self._rows.guarded(lease) as connection:
            cursor = await open_cursor(connection, *place, lists.source, most)
        behind = (cursor["now"] - cursor["read_until"]).total_seconds()
        metrics.RECALL_BEHIND_SECONDS.labels(lists.source).set(behind)
        if cursor["spooled"] >= most:
            return self._wait(schedule, self._limits.spool_wait_seconds)
        span = next_span(cursor, listing, self._limits.delay_seconds)
        if span is None:
            return self._wait(schedule, listing.every_seconds or self._limits.interval_seconds)
        asked = PageAsked(span.since, span.until, span.page, self._limits.page_items_max)
        asked_at = self._clock.now()
        outcome = await ask_within(self._calls_seconds, lists, listing, asked)
        if isinstance(outcome, Page) and len(outcome.following or "") > PAGE_LENGTH_MAX:
            outcome = Refused(f"the next page's name has {len(outcome.following or '')} characters")
        if not isinstance(outcome, Page):
            return await self._put_off(lease, lists, listing, schedule, asked, outcome)
        shown, following = shown_of(outcome.items, lists.source, listing, asked_at), outcome.following
        new = await self._rows.spool_page(lease, (*place, cursor["turns"]), span, following, shown, cursor["began_at"])
        schedule.failures = 0
        metrics.RECALL_PAGES.labels(lists.provider, "read").inc()
        log.info("recall_page", source=lists.source, list=listing.name, items=len(shown), new=new, more=bool(following))
        if following is None:
            self._wait(schedule, listing.every_seconds or self._limits.interval_seconds)
        return following is not None

    async def _put_off(  # noqa: PLR0913, PLR0917 - what was asked, of whom, and what came of it
        self,
        lease: Lease,
        lists: Lists,
        listing: Listing,
        schedule: Schedule,
        asked: PageAsked,
        outcome: Again | Refused | None,
    ) -> bool:
        """Note what went wrong and wait; a page that the list does not know any more begins its span anew."""
        limits = self._limits
        if outcome is None:
            return self._wait(schedule, limits.backoff_initial_seconds)
        schedule.failures += 1
        refused = isinstance(outcome, Refused)
        pause = pause_seconds(schedule.failures, limits.backoff_initial_seconds, limits.backoff_max_seconds)
        if isinstance(outcome, Again):
            pause = max(pause, outcome.after_seconds or 0.0)
        place, error = (lists.provider, lists.account, listing.name), outcome.error[:ERROR_LENGTH_MAX]
        await self._rows.fetch_one(lease, "fail_recall", *place, error, refused and asked.page is not None)
        metrics.RECALL_PAGES.labels(lists.provider, "refused" if refused else "again").inc()
        (log.error if refused else log.warning)("recall_failed", source=lists.source, list=listing.name, error=error)
        return self._wait(schedule, pause)

    @staticmethod
    def _wait(schedule: Schedule, seconds: float) -> bool:
        schedule.due_at = time.monotonic() + seconds
        return False

    async def _count(self, lease: Lease) -> None:
        """Note which webhooks are lost, show the totals, and forget what needs no counting any more."""
        await self._rows.fetch_one(lease, "trim_recalled", self._limits.kept_days, TRIM_ROWS_MAX)
        retried = list(self._retried), list(self._retried.values())
        rows = await self._rows.fetch_all(lease, "count_recalled", *retried)
        metrics.WEBHOOKS_RECALLED.read({row["provider"]: row["recalled"] for row in rows})
        metrics.WEBHOOKS_LOST.read({row["provider"]: row["lost"] for row in rows})
