"""What Square's search for events shows, for webhooks that never came.

`POST /v2/events` searches events of the last 28 days by `created_at`; `cursor` names the next page of the same query.
An application has to be made searchable first (`PUT /v2/events/enable`), and Square calls it beta
(developer.squareup.com, Events API). Webhooks are tried again for 24 hours (the same, docs/webhooks/troubleshooting).
"""

from __future__ import annotations

import json
import math
from typing import Final

from providers.core.reading import read_json, text_at
from providers.core.recall import (
    Listing,
    Page,
    PageAsked,
    Recall,
    instant,
    listed_of,
    raw_member,
    worth_recalling,
)
from providers.core.refetch import DAY, HOUR, MINUTE, ApiRequest, Credentials, bearer
from providers.square.kinds import CATALOGUE
from providers.square.meaning import notification_of

ITEMS_MAX: Final = 100


def _request(asked: PageAsked, credentials: Credentials) -> ApiRequest:
    span = {"start_at": instant(asked.since), "end_at": instant(math.ceil(asked.until))}
    query = {"filter": {"created_at": span}, "sort": {"field": "DEFAULT", "order": "ASC"}}
    more = {"cursor": asked.page} if asked.page else {}
    body = json.dumps({"query": query, "limit": min(asked.items_max, ITEMS_MAX), **more}).encode()
    headers = {**bearer(credentials.key), "Content-Type": "application/json"}
    return ApiRequest("POST", f"{credentials.base_url}/v2/events", headers, body)


def _read(_asked: PageAsked, body: bytes) -> Page | None:
    """Read a page; Square leaves out what is empty, so an answer without events is a page without any."""
    answer = read_json(body)
    if not isinstance(answer, dict) or "errors" in answer or not isinstance(answer.get("events", []), list):
        return None
    events = raw_member(body, "events") or []
    listed = listed_of(events, notification_of, "created_at")
    items = tuple(one for one in listed if worth_recalling(CATALOGUE, one.notification.kind))
    return Page(items, text_at(answer, "cursor") if events else None)


RECALL: Final = Recall(
    "https://connect.squareup.com",
    (Listing("events", _request, _read, reach_seconds=28 * DAY - HOUR, late_seconds=10 * MINUTE),),
    retried_seconds=1 * DAY,
)
