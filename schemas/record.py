"""One Kafka record as bytes, and its CloudEvents attributes.

CloudEvents 1.0, Kafka protocol binding, binary content mode: the value is the event's own bytes, attributes are headers
named `ce_*`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from schemas.topics import WEBHOOKS

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers = tuple[tuple[str, bytes | None], ...]
"""Names and values as Kafka has them: a name may come twice, and a value may be absent."""

SPEC_VERSION: Final = "1.0"
TRUST_HEADER: Final = "ce_ratchettrust"
"""`verified` or `hint`; an extension attribute of ours."""
REDRIVE_COUNT_HEADER: Final = "ratchet-redrive-count"


EVENT_ID_LENGTH_MAX: Final = 400
SOURCE_LENGTH_MAX: Final = 192
KIND_LENGTH_MAX: Final = 255


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of a consumed topic, byte for byte. `timestamp_ms` is unix milliseconds."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    def present(self) -> dict[str, bytes]:
        """Return the headers that have a value; of several of one name the last."""
        found = dict(self.headers)
        if None in found.values():
            return {name: value for name, value in self.headers if value is not None}
        return found  # type: ignore[return-value]

    def header(self, name: str) -> str | None:
        """Return the last header of that name as text, or None; bytes that are no UTF-8 count as absent."""
        for key, value in reversed(self.headers):
            if key == name and value is not None:
                try:
                    return value.decode()
                except UnicodeDecodeError:
                    return None
        return None


def identity_of(headers: Mapping[str, bytes]) -> tuple[str | None, str | None, str | None]:
    """Return (source, event id, kind) as far as the headers tell them and they can be stored."""
    return (
        readable(headers.get("ce_source"), SOURCE_LENGTH_MAX),
        readable(headers.get("ce_id"), EVENT_ID_LENGTH_MAX),
        readable(headers.get("ce_type"), KIND_LENGTH_MAX),
    )


def readable(value: bytes | None, length_max: int) -> str | None:
    """Return bytes as a text that Postgres can store within so many characters; None where they are none."""
    try:
        text = value.decode() if value else ""
    except UnicodeDecodeError:
        return None
    return text if text and len(text) <= length_max and "\x00" not in text else None


class Attributes(msgspec.Struct, frozen=True):
    """The CloudEvents attributes of one event.

    `source` is `provider` or `provider/account` for webhooks and `intents/<client>` for intents; with `event_id` it is
    the idempotency key. `kind` is the provider's own name of what happened, or "" where it gives none. `received_at`
    is unix seconds at the door.
    """

    source: str
    event_id: str
    kind: str
    received_at: float
    content_type: str = "application/json"
    trust: str = "verified"
    traceparent: str | None = None

    def to_headers(self) -> Headers:
        """Return the binary-mode headers, in a fixed order."""
        headers = (
            ("ce_specversion", SPEC_VERSION.encode()),
            ("ce_id", self.event_id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.kind.encode() or b"unknown"),
            ("ce_time", dt.datetime.fromtimestamp(self.received_at, dt.UTC).isoformat().encode()),
            ("content-type", self.content_type.encode()),
            (TRUST_HEADER, self.trust.encode()),
        )
        return (*headers, ("traceparent", self.traceparent.encode())) if self.traceparent else headers


EVENT_ID_PREFIX: Final = "refetch:"
Spooled = tuple[str, bytes, bytes, list[bytes], list[bytes]]
"""A row of the spool: topic, key, value, header names, header values."""


def answer_of_api(provider: str, account: str, kind: str, ref: str, body: bytes, asked_at: float) -> Spooled:  # noqa: PLR0913, PLR0917
    """Return what a provider's API answered as a row of the spool; its event id is the answer's digest."""
    attributes = Attributes(
        source="/".join(filter(None, (provider, account))),
        event_id=EVENT_ID_PREFIX + hashlib.sha256(body).hexdigest(),
        kind=kind,
        received_at=asked_at,
    )
    names, values = zip(*attributes.to_headers(), strict=True)
    return WEBHOOKS.name, ref.encode(), body, [name.encode() for name in names], list(values)
