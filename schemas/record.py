"""One Kafka record as bytes, and its CloudEvents attributes.

CloudEvents 1.0, Kafka protocol binding, binary content mode: the value is the event's own bytes, attributes are headers
named `ce_*`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

Headers = tuple[tuple[str, bytes | None], ...]
"""Names and values as Kafka has them: a name may come twice, and a value may be absent."""

SPEC_VERSION: Final = "1.0"
TRUST_HEADER: Final = "ce_ratchettrust"
"""`verified` or `hint`; an extension attribute of ours."""
REDRIVE_COUNT_HEADER: Final = "ratchet-redrive-count"
RECALL_HEADER: Final = "ce_ratchetrecall"
"""Names the provider's list that an event was read from; an event that a webhook brought has none."""


EVENT_ID_LENGTH_MAX: Final = 400
SOURCE_LENGTH_MAX: Final = 192
KIND_LENGTH_MAX: Final = 255
KEY_LENGTH_MAX: Final = 255
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def source_of(provider: str, account: str) -> str:
    """Return a provider with its account as events, settings and messages name the two: `adyen/acme`, or `stripe`."""
    return f"{provider}/{account}" if account else provider


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
    is unix seconds at the ingress.
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


def answer_of_api(  # noqa: PLR0913 - what a record is made of
    provider: str, account: str, kind: str, ref: str, *, body: bytes, asked_at: float, topic: str, part: str = ""
) -> Spooled:
    """Return what a provider's API answered as a row of the spool; its event id is the answer's digest.

    `part` tells the events apart that one answer makes; the first has none.
    """
    attributes = Attributes(
        source=source_of(provider, account),
        event_id=EVENT_ID_PREFIX + hashlib.sha256(body).hexdigest() + (f":{part}" if part else ""),
        kind=kind,
        received_at=asked_at,
    )
    names, values = zip(*attributes.to_headers(), strict=True)
    return topic, ref.encode(), body, [name.encode() for name in names], list(values)


class Recalled(NamedTuple):
    """An event that a provider's list showed, as a record of the topic of webhooks, and how it is known."""

    event_id: str
    kind: str
    key: bytes
    value: bytes
    headers: Headers

    def spooled(self, topic: str) -> Spooled:
        """Return it as a row of the spool, on its way to the topic of webhooks."""
        names, values = zip(*self.headers, strict=True)
        return topic, self.key, self.value, [name.encode() for name in names], list(values)


def recalled(  # noqa: PLR0913, PLR0917 - what a record is made of
    source: str, listing: str, event_id: str | None, kind: str | None, ref: str | None, body: bytes, asked_at: float
) -> Recalled:
    """Return the record of an event that a list showed: the same id, key and value as its webhook's.

    Its bytes prove nothing by themselves; they came over TLS from the provider's API, asked with the account's key.
    """
    known_by = storable(event_id or digest(body), EVENT_ID_LENGTH_MAX)
    named = storable(kind or "", KIND_LENGTH_MAX)
    attributes = Attributes(source=source, event_id=known_by, kind=named, received_at=asked_at)
    key = storable(ref or known_by, KEY_LENGTH_MAX)
    headers = (*attributes.to_headers(), (RECALL_HEADER, listing.encode()))
    return Recalled(known_by, named, key.encode(), body, headers)
