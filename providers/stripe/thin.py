"""What Stripe's thin events ask for: they name an object, and only the API has its state.

"Thin events are lightweight, unversioned, and let you fetch the most up-to-date resource state"
(docs.stripe.com/event-destinations/overview); Stripe recommends them for new integrations. Their kind is that of the
event that holds the object, behind `v1.`, as the published ones have it (`v1.billing.meter.no_meter_found`), and
`related_object` names the object. An endpoint that gets them needs `API_KEY`: without it no money is learned of.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from providers.core.meaning import decode_or_raise, need_id, undecodable
from providers.core.objects import DISPUTES, REFUNDS
from schemas.facts import Meaning, RefKind

THIN: Final = "v1."
SESSIONS: Final = f"{RefKind.SESSION}:"


class _Related(msgspec.Struct):
    id: Any = None
    type: Any = None


class _Thin(msgspec.Struct):
    type: Any = None
    related_object: _Related | None = None


_EVENT: Final = msgspec.json.Decoder(_Thin)
_ASKED_BY: Final = {
    "payment_intent": "",
    "charge": "",
    "refund": REFUNDS,
    "dispute": DISPUTES,
    "checkout.session": SESSIONS,
}
"""What stands before the id in the reference that the API is asked about, by the type of the object."""


def read_thin(kind: str, body: bytes) -> Meaning:
    """Return what to ask about; an invoice names no payment that could be asked about, and says nothing."""
    event = decode_or_raise(_EVENT, body)
    if event.type != kind:
        raise undecodable("the body's type is not the kind it came as")
    if kind.startswith((f"{THIN}invoice.", f"{THIN}invoice_payment.")):
        return Meaning()
    related = event.related_object or _Related()
    prefix = _ASKED_BY.get(related.type) if isinstance(related.type, str) else None
    if prefix is None:
        raise undecodable("related_object is no object of a payment's")
    return Meaning(ask=prefix + need_id(related.id, "related_object.id"))
