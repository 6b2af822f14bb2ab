"""Records as the ingress publishes them, with the bodies that Stripe, Adyen and Standard Webhooks senders post.

Amounts are minor units of EUR. The event id is made of what the event says, unless a test names another one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from consumer.decode import Event, decode
from schemas.record import Attributes, Record
from schemas.topics import INTENTS, WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Sequence

RECEIVED_AT = 1_790_000_000.0
INTENT_ID = UUID("01890000-0000-7000-8000-000000000001")


def record(source: str, event_id: str, kind: str, body: object, *, topic: str = WEBHOOKS.name) -> Record:
    """Return one record; `body` is its value as it is, or what becomes JSON."""
    value = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = Attributes(source=source, event_id=event_id, kind=kind, received_at=RECEIVED_AT).to_headers()
    return Record(topic, 0, 0, 1_790_000_000_000, b"key", value, headers)


def placed(records: Sequence[Record], *, partition: int = 0, first: int = 0) -> list[Record]:
    """Return the records at places of their own."""
    return [replace(one, partition=partition, offset=offset) for offset, one in enumerate(records, start=first)]


def understood(one: Record) -> Event:
    """Return the record as an event; it is one."""
    event = decode(one)
    assert isinstance(event, Event), event
    return event


def stripe(kind: str, thing: dict[str, Any], *, event_id: str = "", created: int = 1_790_000_000) -> Record:
    event_id = event_id or f"evt_{kind}_{thing.get('id')}_{thing.get('status', '')}"
    return record("stripe", event_id, kind, _stripe_body(event_id, kind, thing, created))


def _stripe_body(event_id: str, kind: str, thing: dict[str, Any], created: int) -> dict[str, Any]:
    return {"id": event_id, "object": "event", "type": kind, "created": created, "data": {"object": thing}}


def stripe_intent(kind: str, *, event_id: str = "", created: int = 1_790_000_000, **changes: Any) -> Record:
    """Return a payment_intent.* event of `pi_1` over 1000, whose charge is `ch_1`."""
    thing = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 1000,
        "amount_capturable": 0,
        "amount_received": 0,
        "currency": "eur",
        "latest_charge": "ch_1",
        "metadata": {},
    }
    return stripe(f"payment_intent.{kind}", {**thing, **changes}, event_id=event_id, created=created)


def stripe_charge(kind: str, *, event_id: str = "", **changes: Any) -> Record:
    """Return a charge.* event of `ch_1`, an attempt of `pi_1` over 1000."""
    thing = {
        "id": "ch_1",
        "object": "charge",
        "amount": 1000,
        "amount_captured": 0,
        "amount_refunded": 0,
        "captured": False,
        "currency": "eur",
        "payment_intent": "pi_1",
        "metadata": {},
    }
    return stripe(f"charge.{kind}", {**thing, **changes}, event_id=event_id)


def stripe_refund(kind: str, status: str, amount: int = 400, *, key: str = "re_1") -> Record:
    thing = {"id": key, "amount": amount, "currency": "eur", "payment_intent": "pi_1", "charge": "ch_1"}
    return stripe(kind, {**thing, "object": "refund", "status": status})


def stripe_dispute(kind: str, status: str, amount: int = 1000) -> Record:
    thing = {"id": "du_1", "amount": amount, "currency": "eur", "payment_intent": "pi_1", "charge": "ch_1"}
    return stripe(f"charge.dispute.{kind}", {**thing, "object": "dispute", "status": status})


def adyen(
    code: str,
    own: str,
    amount: int = 1000,
    *,
    success: bool = True,
    original: str | None = "PAY",
    reference: str = "ORD-1",
    currency: str = "EUR",
    event_id: str = "",
) -> Record:
    """Return one item; an AUTHORISATION or PENDING names no original payment."""
    reported = str(success).lower()
    item = {
        "additionalData": {"hmacSignature": "not looked at"},
        "amount": {"currency": currency, "value": amount},
        "eventCode": code,
        "eventDate": "2026-09-21T14:18:20+02:00",
        "merchantAccountCode": "Shop",
        "merchantReference": reference,
        "pspReference": own,
        "reason": "",
        "success": reported,
    }
    if original and code not in ("AUTHORISATION", "PENDING"):
        item["originalReference"] = original
    return record("adyen", event_id or f"{own}:{code}:{reported}", code, item)


def standard(
    kind: str,
    *,
    payment: str = "pay_1",
    amount: int | None = 1000,
    child: str | None = None,
    reference: str | None = None,
    currency: str | None = "EUR",
    event_id: str = "",
) -> Record:
    data = {"payment_id": payment, "id": child, "reference": reference, "amount": amount, "currency": currency}
    body = {"type": kind, "timestamp": "2026-09-21T14:18:20Z", "data": {k: v for k, v in data.items() if v is not None}}
    return record("standard_webhooks", event_id or f"msg_{payment}_{kind}_{child}_{amount}", kind, body)


def intent(
    payment_id: UUID = INTENT_ID,
    *,
    client: str = "shop",
    command: str = "create",
    event_id: str = "",
    **body: Any,
) -> Record:
    """Return an intent of 1000 EUR; `body` adds to it or changes it."""
    asked = {"amount": 1000, "currency": "EUR", "provider": "standard_webhooks", **body}
    value = {"id": str(payment_id), "client": client, "command": command, "body": asked if command == "create" else {}}
    event_id = event_id or f"{payment_id}:{command}"
    return record(f"intents/{client}", event_id, f"intent.{command}", value, topic=INTENTS.name)
