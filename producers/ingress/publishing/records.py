"""Events of a webhook as Kafka records; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from schemas.record import (
    EVENT_ID_LENGTH_MAX,
    KEY_LENGTH_MAX,
    KIND_LENGTH_MAX,
    Attributes,
    Headers,
    digest,
    storable,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from providers.core.contract import Notification

_CONTENT_TYPE: Final = re.compile(r"[\x20-\x7e]{1,255}\Z")


class Outgoing(msgspec.Struct, frozen=True):
    """One record on its way to Kafka, by the producer or through the spool."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class Arrival(msgspec.Struct, frozen=True):
    """What a request says of all its events. `received_at` is unix seconds at the ingress."""

    source: str
    received_at: float
    content_type: str = "application/json"
    traceparent: str | None = None


def build(notifications: Sequence[Notification], arrival: Arrival, topic: str) -> list[Outgoing]:
    """Return one record of the topic an event, in their order.

    The key is the payment's reference, so the events of a payment meet in one partition; without one it is the event's
    id, which spreads them. The value is the provider's own bytes.
    """
    return [_record(notification, arrival, topic) for notification in notifications]


def _record(notification: Notification, arrival: Arrival, topic: str) -> Outgoing:
    event_id = storable(notification.event_id or digest(notification.body), EVENT_ID_LENGTH_MAX)
    attributes = Attributes(
        source=arrival.source,
        event_id=event_id,
        kind=storable(notification.kind or "", KIND_LENGTH_MAX),
        received_at=arrival.received_at,
        content_type=arrival.content_type,
        trust=str(notification.trust),
        traceparent=arrival.traceparent,
    )
    key = storable(notification.payment_ref or event_id, KEY_LENGTH_MAX)
    return Outgoing(topic, key.encode(), notification.body, attributes.to_headers())


def well_formed_content_type(value: str | None) -> str:
    """Return the sender's content type if it is printable, else the one that says nothing."""
    return value if value and _CONTENT_TYPE.match(value) else "application/octet-stream"
