"""Asks a provider's list by hand: for what never came in a span of time, and for history.

Each page's new events are spooled in a transaction of their own, beside what the dispatcher does: what both find is
spooled once, and a run that was broken off is begun again without making anything twice.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from consumer.dispatcher.apis import Again, Refused
from consumer.dispatcher.lists import ADVICE, ASK_AGAIN, Lists, client_bounds, lists_of
from consumer.dispatcher.recall_found import RecallFound
from consumer.dispatcher.recall_rows import new_of, open_cursor, shown_of, spool_new
from ops.database import connected
from ops.operators import Operator, note_action
from providers.core.recall import Page, PageAsked
from runtime.http import HttpClient
from runtime.retry import delays
from schemas.errors import SettingsError, UnavailableError
from schemas.record import source_of

if TYPE_CHECKING:
    from providers.core.recall import Listing
    from runtime.postgres import Connection
    from runtime.settings import Settings


@dataclass(frozen=True, slots=True)
class RecallRange:
    """What is asked for: events from `since` on and before `until`."""

    since: dt.datetime
    until: dt.datetime


class OnPage(Protocol):
    """Is called with what was found, after each page."""

    def __call__(self, found: RecallFound, /) -> None: ...


async def recall(  # noqa: PLR0913 - what is asked, and by whom
    settings: Settings,
    provider: str,
    account: str,
    span: RecallRange,
    *,
    dry_run: bool,
    operator: Operator,
    because: str,
    report: OnPage,
) -> RecallFound:
    """Ask all lists of an account and spool what is new, or only count it; `report` is called after each page.

    Raises SettingsError where the account can't be asked, UnavailableError where its API stays away.
    """
    async with HttpClient(settings.http.model_copy(update=client_bounds(settings))) as client:
        lists = _lists(settings, client, provider, account)
        now = dt.datetime.now(dt.UTC)
        found = RecallFound(lists.source, max(span.since, now - dt.timedelta(seconds=_reach(lists))))
        async with connected(settings) as connection:
            if not dry_run:
                why = "; ".join(
                    filter(None, (f"from {span.since.isoformat()} until {span.until.isoformat()}", because))
                )
                await note_action(connection, operator, "recall", lists.source, why)
            for listing in lists.recall.lists:
                await _read(
                    connection, settings, lists, listing, RecallRange(found.reaches, span.until), found, dry_run, report
                )
    return found


def _reach(lists: Lists) -> float:
    return max(listing.reach_seconds for listing in lists.recall.lists)


def _lists(settings: Settings, client: HttpClient, provider: str, account: str) -> Lists:
    whole = {name.lower(): one for name, one in settings.providers.items()}.get(provider)
    configured = None if whole is None else whole.account(account)
    if configured is None:
        place = source_of(provider, account)
        raise SettingsError(f"{place} is not configured; {ADVICE}")
    found = lists_of(settings, client, provider, account.lower(), configured)
    if isinstance(found, str):
        raise SettingsError(found)
    return found


async def _read(  # noqa: PLR0913, PLR0917 - what is asked, of whom, and where it goes
    connection: Connection,
    settings: Settings,
    lists: Lists,
    listing: Listing,
    span: RecallRange,
    found: RecallFound,
    dry_run: bool,  # noqa: FBT001 - as above
    report: OnPage,
) -> None:
    """Read one list page by page."""
    page = None
    while True:
        cursor = await _cursor(connection, settings, lists, listing)
        asked = PageAsked(span.since.timestamp(), span.until.timestamp(), page, settings.recall.page_items_max)
        answer = await _ask(settings, lists, listing, asked)
        shown = shown_of(answer.items, lists.source, listing, cursor["now"].timestamp())
        if dry_run:
            new = await new_of(connection, lists.source, shown)
        else:
            async with connection.transaction():
                topic = settings.kafka.topics.webhooks.name
                new = await spool_new(connection, topic, lists.source, shown, cursor["began_at"])
        found.take(shown, new, cursor["began_at"])
        report(found)
        if answer.following is None:
            return
        page = answer.following


async def _cursor(connection: Connection, settings: Settings, lists: Lists, listing: Listing) -> Any:
    """Return the list's cursor, once the spool has room."""
    most = settings.recall.spool_rows_max
    while True:
        row = await open_cursor(connection, lists.provider, lists.account, listing.name, lists.source, most)
        if row["spooled"] < most:
            return row
        await asyncio.sleep(settings.recall.spool_wait_seconds)


async def _ask(settings: Settings, lists: Lists, listing: Listing, asked: PageAsked) -> Page:
    """Ask for one page, again after a while where the API is not well."""
    limits, error = settings.recall, "its breaker is open"
    for pause in islice(delays(limits.backoff_initial_seconds, limits.backoff_max_seconds), limits.order_tries_max):
        outcome = await lists.ask(listing, asked)
        if isinstance(outcome, Page):
            return outcome
        if isinstance(outcome, Refused):
            raise SettingsError(outcome.error)
        error = outcome.error if outcome else error
        wanted = outcome.after_seconds if isinstance(outcome, Again) else None
        await asyncio.sleep(max(pause, wanted or 0.0))
    raise UnavailableError(f"{error}; {ASK_AGAIN}")
