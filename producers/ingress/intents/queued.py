"""A client's command as the record that the relay publishes to the topic of intents; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from producers.ingress.publishing.records import Outgoing
from schemas.intents import Command, IntentRecord
from schemas.record import Attributes

if TYPE_CHECKING:
    from uuid import UUID

    from schemas.intents import Intent


@dataclass(frozen=True, slots=True)
class Asking:
    """One request, beside its body: who asks, under which key, when (unix seconds), and its trace."""

    client: str
    idempotency_key: UUID
    received_at: float
    traceparent: str | None = None


def record_of(  # noqa: PLR0913 - the parts of one record
    asking: Asking, command: Command, payment_id: UUID, body: dict[str, Any], *, event_id: str, key: str, topic: str
) -> Outgoing:
    """Return the record. `event_id` belongs to the idempotency record, which is made once: so does the event."""
    record = IntentRecord(id=payment_id, client=asking.client, command=command, body=body)
    attributes = Attributes(
        source=f"intents/{asking.client}",
        event_id=event_id,
        kind=f"intent.{command}",
        received_at=asking.received_at,
        traceparent=asking.traceparent,
    )
    value = msgspec.json.encode(record.model_dump(mode="json"))
    return Outgoing(topic, key.encode(), value, attributes.to_headers())


def key_of(intent: Intent, payment_id: UUID) -> str:
    """Return the key of all records of a payment: the reference of its webhooks, if the client knows one."""
    return intent.provider_ref or intent.reference or str(payment_id)
