"""From rows to Kafka records: pure. What a row says decides the record, byte for byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError, RecordListTooLargeError

from schemas.changes import CHANGE_TYPE, STATE_TYPE
from schemas.changes import headers_of as reader_headers
from schemas.commands import headers_of as command_headers
from schemas.dead_letter import (
    ADDED_HEADERS,
    DIGEST_HEADER,
    ERRORS_PREFIX,
    ORIGINAL_PREFIX,
    REASON_HEADER,
    TRUNCATED_HEADER,
)
from schemas.record import REDRIVE_COUNT_HEADER, identity_of, readable
from schemas.topics import DEAD_LETTER_BYTES_MAX, DEFAULT, Topics
from schemas.traceparent import HEADER as TRACEPARENT_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import asyncpg

    Row = Mapping[str, Any] | asyncpg.Record
    Header = tuple[str, bytes | None]

EVENT_FIELDS: Final = (
    "source",
    "event_id",
    "event_type",
    "outcome",
    "from_status",
    "to_status",
    "event_amount",
    "occurred_at",
    "recorded_at",
)
PAYMENT_FIELDS: Final = (
    "provider",
    "account",
    "merchant_account",
    "livemode",
    "provider_ref",
    "reference",
    "client",
    "status",
    "refund_status",
    "dispute_status",
    "currency",
    "amount",
    "authorized",
    "captured",
    "refunded",
    "disputed",
    "flags",
    "intent_id",
    "merged_into",
    "metadata",
    "created_at",
    "epoch",
)
CHANGE_FIELDS: Final = ("payment_id", "version", *EVENT_FIELDS, *PAYMENT_FIELDS)
STATE_FIELDS: Final = ("payment_id", "version", *PAYMENT_FIELDS)
"""The JSON keys of a change and of a state, in order; columns of read_changes.sql and read_states.sql."""
COMMAND_FIELDS: Final = (
    "payment_id",
    "attempt_id",
    "client",
    "command",
    "provider",
    "account",
    "merchant_account",
    "livemode",
    "provider_ref",
    "reference",
    "currency",
    "amount",
    "reason",
    "metadata",
    "asked_at",
    "expires_at",
)
"""The JSON keys of a command after `id`; columns of read_commands.sql."""
INT32: Final = struct.Struct(">i")
INT64: Final = struct.Struct(">q")
PAYMENT_REF_LENGTH_MAX: Final = 255
FRAME_BYTES: Final = 1024
"""Room for Kafka's own framing of one record and of its headers."""

_encode = msgspec.json.Encoder().encode


class RelayedRecord(NamedTuple):
    """One record on its way to Kafka.

    `timestamp_ms` of None is the time of sending. A record without a key goes to partition `spread` modulo their
    number. A header's value of None is Kafka's null. `digest` is a dead letter's, which names its row.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]
    timestamp_ms: int | None
    spread: int
    digest: bytes | None = None

    def size(self) -> int:
        """Return about how many bytes the record takes."""
        return (
            len(self.key or b"")
            + len(self.value or b"")
            + sum(len(name) + len(value or b"") for name, value in self.headers)
        )


def change_of(row: Row, topics: Topics = DEFAULT) -> RelayedRecord | None:
    """Return the record of a ledger row, or None for a row that changed no payment."""
    if row["version"] is None:
        return None
    change = _of_payment(topics.changes.name, CHANGE_TYPE, CHANGE_FIELDS, row)
    if row["traceparent"] is None:
        return change
    return change._replace(headers=(*change.headers, (TRACEPARENT_HEADER, row["traceparent"].encode())))


def state_of(row: Row, topics: Topics = DEFAULT) -> RelayedRecord | None:
    """Return the record of a payment's newest state, or None for a ledger row that is not its newest."""
    return None if row["payment_id"] is None else _of_payment(topics.state.name, STATE_TYPE, STATE_FIELDS, row)


def command_of(row: Row, topics: Topics = DEFAULT) -> RelayedRecord | None:
    """Return the record of a command, or None where nobody has to begin it: refused, answered, or expired by now."""
    if not row["due"]:
        return None
    content = {"id": row["command_id"]} | {name: row[name] for name in COMMAND_FIELDS}
    if content["metadata"] is not None:
        content["metadata"] = msgspec.Raw(content["metadata"].encode())
    headers = command_headers(
        row["command_id"],
        row["command"],
        row["asked_at"],
        row["expires_at"],
        row["provider"],
        livemode=row["livemode"],
    )
    if row["traceparent"] is not None:
        headers = (*headers, (TRACEPARENT_HEADER, row["traceparent"].encode()))
    return RelayedRecord(topics.commands.name, str(row["payment_id"]).encode(), _encode(content), headers, None, 0)


def _of_payment(topic: str, kind: str, fields: Sequence[str], row: Row) -> RelayedRecord:
    """Return a record whose key is the payment's id. Metadata are JSON already."""
    payment_id = str(row["payment_id"])
    content = {name: row[name] for name in fields}
    if content["metadata"] is not None:
        content["metadata"] = msgspec.Raw(content["metadata"].encode())
    headers = reader_headers(
        kind,
        payment_id,
        row["version"],
        row["recorded_at"],
        row["status"],
        row["provider"],
        livemode=row["livemode"],
    )
    return RelayedRecord(topic, payment_id.encode(), _encode(content), headers, None, 0)


def letter_of(row: Row, topics: Topics = DEFAULT) -> RelayedRecord:
    """Return the record of a dead letter: the original's bytes, headers and time, and after its headers ours.

    `__dlq.errors.*` are texts, as in Kafka's KIP-1191; `kafka_dlt-original-*` are what Spring for Apache Kafka's
    DeadLetterPublishingRecoverer writes: big-endian int32 (partition) and int64 (offset, timestamp). A letter without a
    key stays on its partition's number. What is too large for the topic goes without its value; see `truncated`.
    """
    partition, offset, timestamp_ms = row["partition"], row["offset"], row["timestamp_ms"]
    added: tuple[Header, ...] = (
        (f"{ERRORS_PREFIX}topic", row["topic"].encode()),
        (f"{ERRORS_PREFIX}partition", str(partition).encode()),
        (f"{ERRORS_PREFIX}offset", str(offset).encode()),
        (f"{ERRORS_PREFIX}group", topics.group.encode()),
        (f"{ERRORS_PREFIX}delivery.count", str(row["delivery_count"]).encode()),
        (f"{ERRORS_PREFIX}message", row["message"].encode()),
        (f"{ORIGINAL_PREFIX}topic", row["topic"].encode()),
        (f"{ORIGINAL_PREFIX}partition", INT32.pack(partition)),
        (f"{ORIGINAL_PREFIX}offset", INT64.pack(offset)),
        (f"{ORIGINAL_PREFIX}timestamp", INT64.pack(timestamp_ms)),
        (REASON_HEADER, row["reason"].encode()),
        (REDRIVE_COUNT_HEADER, str(row["redrive_count"]).encode()),
    )
    headers = (*headers_of(row), *added)
    letter = RelayedRecord(topics.dlq.name, row["key"], row["value"], headers, timestamp_ms, partition, row["digest"])
    if row["value_left_out"]:
        letter = _without(letter, "value")
    while letter.size() + FRAME_BYTES > DEAD_LETTER_BYTES_MAX and (smaller := truncated(letter)) is not None:
        letter = smaller
    return letter


def truncated(letter: RelayedRecord) -> RelayedRecord | None:
    """Return a dead letter with one part less: its value, then the original's headers, then its key; None at the end.

    Its headers say what is left out (TRUNCATED_HEADER), and where the row is that has all of it. Pure.
    """
    if letter.value is not None:
        return _without(letter, "value")
    if _own_headers(letter):
        return _without(letter, "headers")
    return None if letter.key is None else _without(letter, "key")


def _own_headers(letter: RelayedRecord) -> Sequence[Header]:
    """Return the original's headers."""
    ours = len(ADDED_HEADERS) + 2 * _is_truncated(letter)
    return letter.headers[:-ours]


def _is_truncated(letter: RelayedRecord) -> bool:
    before = letter.headers[: -len(ADDED_HEADERS)][-2:]
    return letter.value is None and [name for name, _ in before] == [TRUNCATED_HEADER, DIGEST_HEADER]


def _without(letter: RelayedRecord, part: str) -> RelayedRecord:
    """Leave a part out, and say so before the headers that every letter gets."""
    added = letter.headers[-len(ADDED_HEADERS) :]
    before = letter.headers[-len(ADDED_HEADERS) - 2][1] or b"" if _is_truncated(letter) else b""
    left_out = b",".join(filter(None, (before, part.encode())))
    content: tuple[Header, ...] = ((TRUNCATED_HEADER, left_out), (DIGEST_HEADER, (letter.digest or b"").hex().encode()))
    own = () if part == "headers" else _own_headers(letter)
    return letter._replace(
        key=None if part == "key" else letter.key,
        value=None if part == "value" else letter.value,
        headers=(*own, *content, *added),
    )


def smaller_letter(letter: RelayedRecord, error: Exception) -> RelayedRecord | None:
    """Return what to publish in place of a letter that Kafka refuses, or None where nothing helps. Pure."""
    if isinstance(error, InvalidTimestampError):
        return None if letter.timestamp_ms is None else letter._replace(timestamp_ms=None)
    return truncated(letter) if isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError)) else None


def burial_of(record: RelayedRecord, error: Exception) -> tuple[str | None, ...]:
    """Return what a dead letter says of a record that Kafka refuses: message, source, event id, kind, payment. Pure."""
    present = {name: value for name, value in record.headers if value is not None}
    return (refusal_of(record, error), *identity_of(present), readable(record.key, PAYMENT_REF_LENGTH_MAX))


def refusal_of(record: RelayedRecord, error: Exception) -> str:
    """Say that Kafka refuses a record, and what to do. Pure."""
    size = isinstance(error, (MessageSizeTooLargeError, RecordListTooLargeError))
    why = f"it has {record.size()} bytes; see max.message.bytes of {record.topic}" if size else "see the broker's log"
    return f"Kafka refuses it ({type(error).__name__}): {why}"


def spooled_of(row: Row) -> RelayedRecord:
    """Return the record of a spooled row, as the ingress would have sent it."""
    return RelayedRecord(row["topic"], row["key"], row["value"], headers_of(row), None, row["id"])


def headers_of(row: Row) -> tuple[Header, ...]:
    r"""Return the headers that a row keeps as two arrays.

    Names are UTF-8, as Kafka demands of them; bytes that are not are written out as `\xff`, for the client sends text.
    """
    pairs = zip(row["header_names"], row["header_values"], strict=True)
    return tuple((name.decode(errors="backslashreplace"), value) for name, value in pairs)
