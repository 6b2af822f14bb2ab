"""What Mollie's list of payments shows, for webhooks that never came.

`GET /v2/payments` lists the payments of the key's profile, newest first. `from` names the payment that a page begins
with, and nothing filters by time: a span is read from now back to its beginning (docs.mollie.com, List payments). Its
payments hold neither refunds nor chargebacks, so only a payment's own state counts, which changes within days as a
rule; of all else the watches ask (`REFETCH`). Mollie tries to deliver a webhook ten times within 26 hours
(docs.mollie.com/reference/webhooks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from providers.core.contract import Notification
from providers.core.meaning import undecodable
from providers.core.payments import read_event
from providers.core.reading import read_json, text_at, value_at
from providers.core.recall import Listed, Listing, Page, PageAsked, Recall, raw_member, state_id, unix_seconds
from providers.core.refetch import DAY, HOUR, ApiRequest, Credentials, bearer
from providers.mollie.meaning import payment_meaning

if TYPE_CHECKING:
    from schemas.facts import Meaning

ITEMS_MAX: Final = 250
KIND: Final = "recall.payment"
_STATE: Final = ("status", "amount", "amountCaptured", "orderId")
"""The fields that a payment's own state is made of."""
_TIMES: Final = ("paidAt", "failedAt", "canceledAt", "expiredAt", "authorizedAt", "createdAt")
"""When a payment came to its state: the first of these that it has."""


def _request(asked: PageAsked, credentials: Credentials) -> ApiRequest:
    query = {"limit": min(asked.items_max, ITEMS_MAX), **({"from": asked.page} if asked.page else {})}
    return ApiRequest("GET", f"{credentials.base_url}/v2/payments?{urlencode(query)}", bearer(credentials.key))


def _read(asked: PageAsked, body: bytes) -> Page | None:
    payments = raw_member(body, "_embedded", "payments")
    if payments is None:
        return None
    made = [(payment, unix_seconds(value_at(read_json(payment), "createdAt")) or 0.0) for payment in payments]
    items = tuple(_listed(payment) for payment, at in made if asked.since <= at < asked.until)
    older = bool(made) and made[-1][1] < asked.since
    following = None if older or not payments else _following(value_at(read_json(body), "_links", "next"))
    return None if following == "" else Page(items, following)


def _following(link: object) -> str | None:
    """Return the id that the next page begins with, None at the end; empty where the link names none."""
    if link is None:
        return None
    href = value_at(link, "href")
    try:
        named = parse_qs(urlsplit(href).query).get("from", []) if isinstance(href, str) else []
    except ValueError:
        named = []
    return named[0] if named else ""


def _listed(body: bytes) -> Listed:
    payment = read_json(body)
    key = text_at(payment, "id") or ""
    state = {name: value_at(payment, name) for name in _STATE}
    at = next(filter(None, (unix_seconds(value_at(payment, name)) for name in _TIMES)), 0.0)
    return Listed(Notification(state_id(key, state), KIND, key or None, body), at, key or None)


def _interpret(kind: str, body: bytes) -> Meaning:
    if kind != KIND:
        raise undecodable("Mollie's list holds payments alone")
    payment: dict[str, Any] = read_event(body)
    return payment_meaning(payment)


RECALL: Final = Recall(
    "https://api.mollie.com",
    (Listing("payments", _request, _read, reach_seconds=90 * DAY, late_seconds=3 * DAY, objects=True,
             every_seconds=1 * HOUR),),
    retried_seconds=26 * HOUR,
    interpret=_interpret,
)  # fmt: skip
