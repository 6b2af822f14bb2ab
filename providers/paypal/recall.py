"""What PayPal's list of event notifications shows, for webhooks that never came.

`GET /v1/notifications/webhooks-events` takes `start_time`, `end_time` and `page_size`; the link `next` names the page
after (PayPal's webhooks API, version 1.11). Of that link only the query is taken: where it leads is ours to say. The
API wants an access token, got with the client's id and secret. How far the list goes back is published nowhere; PayPal
shows events of the last 30 days on its dashboard. Webhooks are tried again for three days (see `signature`).
"""

from __future__ import annotations

import base64
import math
from typing import Final
from urllib.parse import urlencode, urlsplit

from providers.core.reading import read_json, text_at, value_at
from providers.core.recall import (
    Listed,
    Listing,
    Page,
    PageAsked,
    Recall,
    instant,
    raw_member,
    unix_seconds,
    worth_recalling,
)
from providers.core.refetch import DAY, MINUTE, ApiRequest, Credentials, Grant, bearer
from providers.paypal.kinds import CATALOGUE
from providers.paypal.signature import notifications_of

_PATH: Final = "/v1/notifications/webhooks-events"
_FORM: Final = "application/x-www-form-urlencoded"
ITEMS_MAX: Final = 300


def _grant_request(credentials: Credentials) -> ApiRequest:
    basic = base64.b64encode(f"{credentials.key}:{credentials.secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": _FORM, "Accept": "application/json"}
    return ApiRequest("POST", f"{credentials.base_url}/v1/oauth2/token", headers, b"grant_type=client_credentials")


def _granted(body: bytes) -> tuple[str, float] | None:
    answer = read_json(body)
    token, seconds = text_at(answer, "access_token"), value_at(answer, "expires_in")
    return (token, float(seconds)) if token and isinstance(seconds, int | float) else None


GRANT: Final = Grant(_grant_request, _granted)


def _request(asked: PageAsked, credentials: Credentials) -> ApiRequest:
    query = asked.page or urlencode(
        {
            "start_time": instant(asked.since),
            "end_time": instant(math.ceil(asked.until)),
            "page_size": min(asked.items_max, ITEMS_MAX),
        }
    )
    return ApiRequest("GET", f"{credentials.base_url}{_PATH}?{query}", bearer(credentials.token))


def _read(_asked: PageAsked, body: bytes) -> Page | None:
    events = raw_member(body, "events")
    if events is None:
        return None
    items = tuple(
        one for event in events for one in _listed(event) if worth_recalling(CATALOGUE, one.notification.kind)
    )
    following = _following(value_at(read_json(body), "links")) if events else None
    return None if following == "" else Page(items, following)


def _listed(event: bytes) -> list[Listed]:
    occurred_at = unix_seconds(value_at(read_json(event), "create_time")) or 0.0
    return [Listed(notification, occurred_at) for notification in notifications_of(event)]


def _following(links: object) -> str | None:
    """Return the query of the link to the next page, None where there is none.

    It is empty where the link has none that can be asked: that would be the first page again, or the end too soon.
    """
    for link in links if isinstance(links, list) else ():
        if value_at(link, "rel") == "next":
            href = value_at(link, "href")
            query = _query(href) if isinstance(href, str) else ""
            return query if query.isascii() and query.isprintable() else ""
    return None


def _query(link: str) -> str:
    try:
        return urlsplit(link).query
    except ValueError:
        return ""


RECALL: Final = Recall(
    "https://api-m.paypal.com",
    (Listing("events", _request, _read, reach_seconds=30 * DAY, late_seconds=15 * MINUTE),),
    retried_seconds=3 * DAY,
    needs=("secret",),
    grant=GRANT,
)
