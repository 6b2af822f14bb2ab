"""What GoCardless' list of events shows, for webhooks that never came.

`GET /events` filters by `created_at`; `after` names the last event of the page before, and its events are those of the
webhooks (gocardless-pro-python, `events_service`; developer.gocardless.com, Events). How often a webhook is tried again
is published (8 times, support.gocardless.com, Webhook retries), and not for how long; three days are assumed.
"""

from __future__ import annotations

import datetime as dt
from typing import Final
from urllib.parse import urlencode

from providers.core.reading import read_json, text_at
from providers.core.recall import Listing, Page, PageAsked, Recall, listed_of, raw_member, worth_recalling
from providers.core.refetch import DAY, MINUTE, ApiRequest, Credentials, bearer
from providers.gocardless.kinds import CATALOGUE
from providers.gocardless.meaning import VERSION, notification_of

ITEMS_MAX: Final = 500


def _request(asked: PageAsked, credentials: Credentials) -> ApiRequest:
    query = {
        "created_at[gte]": _instant(asked.since),
        "created_at[lt]": _instant(asked.until),
        "limit": min(asked.items_max, ITEMS_MAX),
        **({"after": asked.page} if asked.page else {}),
    }
    headers = {**bearer(credentials.key), "GoCardless-Version": VERSION}
    return ApiRequest("GET", f"{credentials.base_url}/events?{urlencode(query)}", headers)


def _instant(unix_seconds: float) -> str:
    """Return a time to the millisecond, as GoCardless writes its own."""
    return dt.datetime.fromtimestamp(unix_seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _read(_asked: PageAsked, body: bytes) -> Page | None:
    events = raw_member(body, "events")
    if events is None:
        return None
    listed = listed_of(events, notification_of, "created_at")
    items = tuple(one for one in listed if worth_recalling(CATALOGUE, one.notification.kind))
    return Page(items, text_at(read_json(body), "meta", "cursors", "after") if events else None)


RECALL: Final = Recall(
    "https://api.gocardless.com",
    (Listing("events", _request, _read, reach_seconds=90 * DAY, late_seconds=10 * MINUTE),),
    retried_seconds=3 * DAY,
)
