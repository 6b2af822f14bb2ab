"""What Razorpay's list of payments shows, for webhooks that never came.

`GET /v1/payments` lists payments that were made `from` and `to` a second, newest first, `count` (100 at most) after
`skip` (razorpay.com/docs: api/payments/fetch-all-payments, api/pagination). A payment says how it stands, and of its
refunds only their sum. `GET /v1/refunds` has each, and does not say whether its payment was ever captured: a refund of
one that was not gives back a hold and no money, so that list is left alone. How far back the lists go is published
nowhere. A webhook is tried again for 24 hours after its event was made (webhooks/best-practices).
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from providers.core.contract import Notification
from providers.core.meaning import undecodable
from providers.core.payments import read_event
from providers.core.reading import read_json, text_at, value_at
from providers.core.recall import Listed, Listing, Page, PageAsked, Recall, raw_member, state_id, unix_seconds
from providers.core.refetch import DAY, HOUR, ApiRequest, Credentials
from providers.razorpay.meaning import meaning_of_payment

if TYPE_CHECKING:
    from schemas.facts import Meaning

ITEMS_MAX: Final = 100
KIND: Final = "recall.payment"
_STATE: Final = ("status", "captured", "amount", "currency", "order_id")
"""The fields that a payment's own state is made of."""
_MOVED: Final = ("captured", "refunded")
"""States that a payment comes to after it was made, and no field says when."""


def _request(asked: PageAsked, credentials: Credentials) -> ApiRequest:
    basic = base64.b64encode(f"{credentials.key}:{credentials.secret}".encode()).decode()
    query = {
        "from": math.floor(asked.since),
        "to": math.ceil(asked.until),
        "count": min(asked.items_max, ITEMS_MAX),
        "skip": _skipped(asked),
    }
    headers = {"Authorization": f"Basic {basic}", "Accept": "application/json"}
    return ApiRequest("GET", f"{credentials.base_url}/v1/payments?{urlencode(query)}", headers)


def _skipped(asked: PageAsked) -> int:
    return int(asked.page) if asked.page is not None and asked.page.isdecimal() else 0


def _read(asked: PageAsked, body: bytes) -> Page | None:
    payments = raw_member(body, "items")
    if payments is None or value_at(read_json(body), "entity") != "collection":
        return None
    full = len(payments) >= min(asked.items_max, ITEMS_MAX)
    return Page(
        tuple(_listed(asked, payment) for payment in payments), str(_skipped(asked) + len(payments)) if full else None
    )


def _listed(asked: PageAsked, body: bytes) -> Listed:
    """Return a payment's state. Where no field says since when it stands, the end of the span counts."""
    payment = read_json(body)
    key = text_at(payment, "id") or ""
    state = {name: value_at(payment, name) for name in _STATE}
    at = asked.until if state["status"] in _MOVED else unix_seconds(value_at(payment, "created_at")) or 0.0
    return Listed(Notification(state_id(key, state), KIND, key or None, body), at, key or None)


def _interpret(kind: str, body: bytes) -> Meaning:
    if kind != KIND:
        raise undecodable("Razorpay's list holds payments alone")
    payment: dict[str, Any] = read_event(body)
    return meaning_of_payment(payment)


RECALL: Final = Recall(
    "https://api.razorpay.com",
    (Listing("payments", _request, _read, reach_seconds=90 * DAY, late_seconds=5 * DAY, objects=True,
             every_seconds=1 * HOUR),),
    retried_seconds=1 * DAY,
    needs=("secret",),
    interpret=_interpret,
)  # fmt: skip
