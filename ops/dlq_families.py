"""Reading letters back from the DLQ topic: what each tool's headers say of where a record came from. Pure.

A letter of ours ends in the block `ADDED_HEADERS`; what stands before it is the original's, byte for byte. Of others
the first family that names a topic counts, and the headers of all families go:

- `__dlq.errors.*`: Kafka's share groups (KIP-1191), texts
- `kafka_dlt-*`: Spring for Apache Kafka (DeadLetterPublishingRecoverer), big-endian integers; of several values of one
  name the first, for a record that fails again gets more of them behind it
- `__connect.errors.*`: Kafka Connect (KIP-298), texts
- `__streams.errors.*`: Kafka Streams (KIP-1034), texts

What went wrong is named by the class of the error alone: its text may quote the payload, and stays in the topic.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from schemas.dead_letter import (
    ADDED_HEADERS,
    DIGEST_HEADER,
    ERRORS_PREFIX,
    MESSAGE_LENGTH_MAX,
    REASON_HEADER,
    TRUNCATED_HEADER,
    Reason,
)
from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.record import Headers

INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1
TOPIC_LENGTH_MAX: Final = 249
DIGEST_BYTES: Final = 32
TEXT_LENGTH_MAX: Final = 200
"""Characters of what another tool's header says that are kept."""


@dataclass(frozen=True, slots=True)
class HeaderFamily:
    """One tool's headers: what it is called, what their names begin with, which ones name the place and the error."""

    tool: str
    prefix: str
    topic: str
    partition: str
    offset: str
    timestamp: str | None
    notes: tuple[str, ...]


FAMILIES: Final = (
    HeaderFamily("a share group (KIP-1191)", ERRORS_PREFIX, "topic", "partition", "offset", None, ("group",)),
    HeaderFamily(
        "Spring",
        "kafka_dlt-",
        "original-topic",
        "original-partition",
        "original-offset",
        "original-timestamp",
        ("exception-fqcn", "exception-cause-fqcn", "original-consumer-group"),
    ),
    HeaderFamily(
        "Kafka Connect",
        "__connect.errors.",
        "topic",
        "partition",
        "offset",
        None,
        ("connector.name", "stage", "exception.class.name"),
    ),
    HeaderFamily("Kafka Streams", "__streams.errors.", "topic", "partition", "offset", None, ("exception",)),
)


@dataclass(frozen=True, slots=True)
class TopicLetter:
    """A letter as the DLQ topic has it: the original record at its own place, and why it is there.

    `ours` is True where the relay published it. `digest` is that of the whole letter where it was too large for the
    topic.
    """

    record: Record
    reason: Reason
    message: str
    delivery_count: int
    ours: bool
    digest: bytes | None = None


def read_back(letter: Record) -> TopicLetter:
    """Decode one record of the DLQ topic; never raises for what it holds."""
    names = tuple(name for name, _ in letter.headers)
    if names[-len(ADDED_HEADERS) :] == ADDED_HEADERS:
        found = _ours(letter)
        if found is not None:
            return found
    kept = tuple(
        (name, value)
        for name, value in letter.headers
        if name != REASON_HEADER and not name.startswith(tuple(family.prefix for family in FAMILIES))
    )
    for family in FAMILIES:
        topic = text_of(first(letter.headers, family.prefix + family.topic), TOPIC_LENGTH_MAX)
        if topic:
            return _foreign(letter, family, topic, kept)
    own = letter.topic, letter.partition, letter.offset
    message = f"put into {letter.topic} without a header that tells where it came from"
    return TopicLetter(_moved(letter, own, None, kept), _reason(letter), message, 1, ours=False)


def _ours(letter: Record) -> TopicLetter | None:
    """Read a letter that the relay published; None where its block is not what the relay writes."""
    size = len(ADDED_HEADERS)
    added = letter.headers[-size:]
    topic = text_of(first(added, f"{ERRORS_PREFIX}topic"), TOPIC_LENGTH_MAX)
    partition = number_of(first(added, f"{ERRORS_PREFIX}partition"), INT32_MAX)
    offset = number_of(first(added, f"{ERRORS_PREFIX}offset"), INT64_MAX)
    if not topic or partition is None or offset is None:
        return None
    headers, digest = _digest_of(letter, letter.headers[:-size])
    record = _moved(letter, (topic, partition, offset), None, headers)
    message = text_of(first(added, f"{ERRORS_PREFIX}message"), MESSAGE_LENGTH_MAX)
    count = number_of(first(added, f"{ERRORS_PREFIX}delivery.count"), INT32_MAX) or 1
    return TopicLetter(
        record, _reason(letter), message or f"read back from {letter.topic}", count, ours=True, digest=digest
    )


def _digest_of(letter: Record, headers: Headers) -> tuple[Headers, bytes | None]:
    """Return the original's headers, and the digest of a letter that stands here without all of it."""
    last = headers[-2:]
    if letter.value is not None or [name for name, _ in last] != [TRUNCATED_HEADER, DIGEST_HEADER]:
        return headers, None
    try:
        digest = bytes.fromhex(text_of(last[1][1], 2 * DIGEST_BYTES))
    except ValueError:
        return headers, None
    return (headers[:-2], digest) if len(digest) == DIGEST_BYTES else (headers, None)


def _foreign(letter: Record, family: HeaderFamily, topic: str, kept: Headers) -> TopicLetter:
    """Read a letter of another tool; without partition and offset it stands at its own in the DLQ topic."""
    partition = number_of(first(letter.headers, family.prefix + family.partition), INT32_MAX)
    offset = number_of(first(letter.headers, family.prefix + family.offset), INT64_MAX)
    if partition is None or offset is None:
        partition, offset = letter.partition, letter.offset
    named = first(letter.headers, family.prefix + family.timestamp) if family.timestamp else None
    notes = [text_of(first(letter.headers, family.prefix + name), TEXT_LENGTH_MAX) for name in family.notes]
    why = ", ".join(text for text in notes if text)
    message = f"put into {letter.topic} by {family.tool}" + (f": {why}" if why else "")
    record = _moved(letter, (topic, partition, offset), number_of(named, INT64_MAX), kept)
    count = number_of(first(letter.headers, f"{ERRORS_PREFIX}delivery.count"), INT32_MAX) or 1
    return TopicLetter(record, _reason(letter), message[:MESSAGE_LENGTH_MAX], count, ours=False)


def _moved(letter: Record, place: tuple[str, int, int], timestamp_ms: int | None, headers: Headers) -> Record:
    """Return the original record; a time that is missing is that in the DLQ topic."""
    topic, partition, offset = place
    return Record(
        topic=topic,
        partition=partition,
        offset=offset,
        timestamp_ms=letter.timestamp_ms if timestamp_ms is None else timestamp_ms,
        key=letter.key,
        value=letter.value,
        headers=headers,
    )


def _reason(letter: Record) -> Reason:
    """Return the reason that a header of ours tells, last first; what others reject is unexpected to us."""
    for name, value in reversed(letter.headers):
        if name == REASON_HEADER and text_of(value, TEXT_LENGTH_MAX) in set(Reason):
            return Reason(text_of(value, TEXT_LENGTH_MAX))
    return Reason.UNEXPECTED


def first(headers: Sequence[tuple[str, bytes | None]], name: str) -> bytes | None:
    """Return the first value of a header, or None."""
    return next((value for key, value in headers if key == name), None)


def text_of(value: bytes | None, length_max: int) -> str:
    """Return a header's text, without NULs and cut to a length; "" where it is absent or no UTF-8."""
    try:
        return (value or b"").decode().replace("\x00", "")[:length_max]
    except UnicodeDecodeError:
        return ""


def number_of(value: bytes | None, most: int) -> int | None:
    """Return a number written in digits or as a big-endian int32 or int64; None where it is none from 0 to `most`.

    Four or eight digits are digits: as an integer they would be a partition or an offset beyond all that exist.
    """
    if not value:
        return None
    if value.isdigit():
        number = int(value) if len(value) <= len(str(INT64_MAX)) else -1
    elif len(value) in (4, 8):
        (number,) = struct.unpack(">i" if len(value) == 4 else ">q", value)  # noqa: PLR2004 - int32, else int64
    else:
        return None
    return number if 0 <= number <= most else None
