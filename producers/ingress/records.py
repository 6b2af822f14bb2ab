"""Events of a webhook as Kafka records; pure."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

import msgspec

from schemas import topics
from schemas.record import Attributes, Headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from providers.core.contract import Notification

EVENT_ID_LENGTH_MAX: Final = 400
KIND_LENGTH_MAX: Final = 255
KEY_LENGTH_MAX: Final = 255
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_CONTENT_TYPE: Final = re.compile(r"[\x20-\x7e]{1,255}\Z")


class Outgoing(msgspec.Struct, frozen=True):
    """One record on its way to Kafka, by the producer or through the spool."""

    topic: str
    key: bytes
    value: bytes
    headers: Headers


class Arrival(msgspec.Struct, frozen=True):
    """What a request says of all its events. `received_at` is unix seconds at the door."""

    source: str
    received_at: float
    content_type: str = "application/json"
    traceparent: str | None = None


def digest(data: bytes) -> str:
    """Return `sha256:` and the hex digest: an id for what has none that could be stored."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def storable(text: str, length_max: int) -> str:
    """Return the text as Kafka, Postgres and a log can hold it.

    The one place that normalises identities: over-long text, NUL and lone surrogates give way to the text's digest,
    so equal ids stay equal and different ones different.
    """
    if len(text) <= length_max and not _UNSTORABLE.search(text):
        return text
    return digest(text.encode("utf-8", "surrogatepass"))


def build(notifications: Sequence[Notification], arrival: Arrival) -> list[Outgoing]:
    """Return one record an event, in their order.

    The key is the payment's reference, so the events of a payment meet in one partition; without one it is the event's
    id, which spreads them. The value is the provider's own bytes.
    """
    return [_record(notification, arrival) for notification in notifications]


def _record(notification: Notification, arrival: Arrival) -> Outgoing:
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
    return Outgoing(topics.WEBHOOKS.name, key.encode(), notification.body, attributes.to_headers())


def well_formed_content_type(value: str | None) -> str:
    """Return the sender's content type if it is printable, else the one that says nothing."""
    return value if value and _CONTENT_TYPE.match(value) else "application/octet-stream"
