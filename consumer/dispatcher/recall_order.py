"""Orders to read a provider's lists: people write them, this reads page by page and says what was found.

What a page brought and where reading goes on are written in one transaction under the lease: whoever takes the lease
after a crash goes on with the next page. A dry run counts what it would bring and spools nothing.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from consumer.dispatcher.apis import Again, Refused
from consumer.dispatcher.lists import ADVICE, ASK_AGAIN, ask_within
from consumer.dispatcher.recall import ERROR_LENGTH_MAX
from consumer.dispatcher.recall_found import RecallFound
from consumer.dispatcher.recall_rows import new_of, open_cursor, shown_of, spool_new
from consumer.dispatcher.worker import CALLS_PART
from providers.core.recall import PAGE_LENGTH_MAX, Page, PageAsked
from runtime import metrics
from runtime.postgres import CONFLICT_ERRORS, OUTAGE_ERRORS
from runtime.retry import pause_seconds
from runtime.sql import statement
from schemas.errors import LeaseLostError
from schemas.record import source_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.dispatcher.lists import Lists
    from consumer.dispatcher.recall_rows import Shown
    from consumer.dispatcher.worker import GuardedRows, Row
    from providers.core.recall import Listing
    from runtime.clock import Clock
    from runtime.lease import Lease
    from runtime.settings import Settings

log = structlog.get_logger()


def found_of(order: Row, source: str, reach_seconds: float) -> RecallFound:
    """Return what an order has found until now; the lists reach back so far. Pure."""
    reaches = order["asked_since"] or max(order["since"], order["now"] - dt.timedelta(seconds=reach_seconds))
    counted = {name: order[name] for name in ("pages", "known", "history")}
    kinds = Counter[str](json.loads(order["kinds"]))
    return RecallFound(source, reaches, order["secret_since"], **counted, new=kinds, first=order["first_at"],
                 last=order["last_at"])  # fmt: skip


def next_place(lists: Lists, listing: Listing, following: str | None) -> tuple[str | None, str | None]:
    """Return the list and the page after this one; nothing twice where that was the last. Pure."""
    if following is not None:
        return listing.name, following
    names = [one.name for one in lists.recall.lists]
    after = names[names.index(listing.name) + 1 :]
    return (after[0], None) if after else (None, None)


class RecallOrders:
    """Reads one page of one order a turn. Orders take turns, so that none waits for a long one."""

    name = "recall orders"

    def __init__(
        self, rows: GuardedRows, lists: Mapping[tuple[str, str], Lists | str], settings: Settings, clock: Clock
    ) -> None:
        self._rows = rows
        self._lists = lists
        self._limits = settings.recall
        self._calls_seconds = settings.dispatcher.claim_seconds * CALLS_PART
        self._clock = clock
        self._look_at = 0.0

    async def turn(self, lease: Lease) -> bool:
        """Read the next page of the order that has waited the longest; False where none can be read now."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        order = await self._rows.fetch_one(lease, "take_recall_order", self._limits.spool_rows_max)
        if order is None:
            self._look_at = now + self._limits.order_look_seconds
            return False
        if order["stopped_by"] is not None:
            return await self._end(lease, order, "stopped")
        source = source_of(order["provider"], order["account"])
        lists = self._lists.get((order["provider"], order["account"]), f"{source} is not configured; {ADVICE}")
        if isinstance(lists, str):
            return await self._end(lease, order, "failed", lists)
        if order["spooled"] >= self._limits.spool_rows_max:
            return await self._delay(lease, order, self._limits.spool_wait_seconds, order["failures"])
        try:
            return await self._read(lease, order, lists)
        except (LeaseLostError, *OUTAGE_ERRORS, *CONFLICT_ERRORS):
            raise
        except Exception as error:
            # Put off like any other, and bounded: else it would be the next one again, before all others, without end.
            await self._put_off(lease, order, Again(f"its page can't be taken: {type(error).__name__}"))
            raise

    async def _read(self, lease: Lease, order: Row, lists: Lists) -> bool:
        """Read one page. A list that a newer version of us does not know any more is begun with the first one."""
        known = {one.name: one for one in lists.recall.lists}
        listing = known.get(order["list"]) or lists.recall.lists[0]
        page = order["page"] if listing.name == order["list"] else None
        found = found_of(order, lists.source, max(one.reach_seconds for one in lists.recall.lists))
        if found.reaches >= order["until"]:
            error = f"{lists.source}'s lists reach back until {found.reaches.isoformat(timespec='seconds')} only"
            return await self._end(lease, order, "failed", error)
        span = found.reaches.timestamp(), order["until"].timestamp()
        asked_at = self._clock.now()
        asked = PageAsked(*span, page, self._limits.page_items_max)
        outcome = await ask_within(self._calls_seconds, lists, listing, asked)
        if not isinstance(outcome, Page):
            return await self._put_off(lease, order, outcome)
        if outcome.following is not None and len(outcome.following) > PAGE_LENGTH_MAX:
            error = f"the next page's name has {len(outcome.following)} characters; {ASK_AGAIN}"
            return await self._end(lease, order, "failed", error)
        shown = shown_of(outcome.items, lists.source, listing, asked_at)
        await self._count(lease, order, lists, listing, found, shown, outcome.following)
        return True

    async def _count(  # noqa: PLR0913, PLR0917 - a page, of which list and of which order
        self,
        lease: Lease,
        order: Row,
        lists: Lists,
        listing: Listing,
        found: RecallFound,
        shown: list[Shown],
        following: str | None,
    ) -> None:
        """Count a page, spool what is new of it unless it is a dry run, and move the order: all of it or nothing."""
        place = lists.provider, lists.account, listing.name, lists.source, 1
        async with self._rows.guarded(lease) as connection:
            cursor = await open_cursor(connection, *place)
            if order["dry_run"]:
                new = await new_of(connection, lists.source, shown)
            else:
                new = await spool_new(connection, self._rows.webhooks, lists.source, shown, cursor["began_at"])
            found.take(shown, new, cursor["began_at"])
            await connection.fetchrow(
                statement("consumer.dispatcher", "move_recall_order"),
                order["id"],
                order["turns"],
                *next_place(lists, listing, following),
                found.reaches,
                found.began_at,
                found.pages,
                found.known,
                sum(found.new.values()),
                found.history,
                json.dumps(found.new),
                found.first,
                found.last,
            )
        metrics.RECALL_PAGES.labels(lists.provider, "read").inc()
        log.info("recall_order_page", order=order["id"], source=lists.source, items=len(shown), new=len(new))

    async def _put_off(self, lease: Lease, order: Row, outcome: Again | Refused | None) -> bool:
        """Wait after an answer that is no page; what is refused, or failed too often in a row, ends the order."""
        limits, failures = self._limits, order["failures"]
        if outcome is None:  # another call is finding out whether the API is well again
            return await self._delay(lease, order, limits.backoff_initial_seconds, failures)
        failures += 1
        metrics.RECALL_PAGES.labels(order["provider"], "refused" if isinstance(outcome, Refused) else "again").inc()
        if isinstance(outcome, Refused):
            return await self._end(lease, order, "failed", outcome.error)
        if failures >= limits.order_tries_max:
            return await self._end(lease, order, "failed", f"{outcome.error}; {ASK_AGAIN}")
        pause = pause_seconds(failures, limits.backoff_initial_seconds, limits.backoff_max_seconds)
        return await self._delay(lease, order, max(pause, outcome.after_seconds or 0.0), failures, outcome.error)

    async def _delay(self, lease: Lease, order: Row, seconds: float, failures: int, error: str | None = None) -> bool:
        error = None if error is None else error[:ERROR_LENGTH_MAX]
        await self._rows.fetch_one(lease, "delay_recall_order", order["id"], seconds, error, failures)
        return True

    async def _end(self, lease: Lease, order: Row, status: str, error: str | None = None) -> bool:
        error = None if error is None else error[:ERROR_LENGTH_MAX]
        await self._rows.fetch_one(lease, "end_recall_order", order["id"], status, error)
        (log.error if error else log.info)("recall_order_ended", order=order["id"], status=status, error=error)
        return True
