"""What Stripe's list of events shows, for webhooks that never came.

`GET /v1/events` goes back 30 days, newest first; each event is rendered in the API version of its own time, as its
webhook was (docs.stripe.com/api/events/list). An account lists its own events, not those of connected accounts.
Webhooks are tried again for three days (docs.stripe.com/webhooks, Retry behavior).
"""

from __future__ import annotations

import math
from typing import Final
from urllib.parse import urlencode

from providers.core.reading import read_json, value_at
from providers.core.recall import Listing, Page, PageAsked, Recall, listed_of, raw_member, worth_recalling
from providers.core.refetch import DAY, MINUTE, ApiRequest, Credentials, bearer
from providers.stripe.kinds import CATALOGUE
from providers.stripe.signature import notification_of

ITEMS_MAX: Final = 100
"""The most that a page of Stripe's lists may hold."""


def _request(asked: PageAsked, credentials: Credentials) -> ApiRequest:
    query = {
        "created[gte]": math.floor(asked.since),
        "created[lt]": math.ceil(asked.until),
        "limit": min(asked.items_max, ITEMS_MAX),
        **({"starting_after": asked.page} if asked.page else {}),
    }
    return ApiRequest("GET", f"{credentials.base_url}/v1/events?{urlencode(query)}", bearer(credentials.key))


def _read(_asked: PageAsked, body: bytes) -> Page | None:
    answer, events = read_json(body), raw_member(body, "data")
    if events is None or value_at(answer, "object") != "list":
        return None
    listed = listed_of(events, notification_of, "created")
    items = tuple(one for one in listed if worth_recalling(CATALOGUE, one.notification.kind))
    more = value_at(answer, "has_more") is True and listed
    return Page(items, listed[-1].notification.event_id if more else None)


RECALL: Final = Recall(
    "https://api.stripe.com",
    (Listing("events", _request, _read, reach_seconds=30 * DAY, late_seconds=10 * MINUTE),),
    retried_seconds=3 * DAY,
)
