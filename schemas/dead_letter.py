"""Dead letters: why a record could not be processed, and the headers that report it on `payments.dlq`.

Header families: `__dlq.errors.*` follows Kafka's KIP-1191, `kafka_dlt-original-*` follows Spring for Apache Kafka, so
that tools which know either can read the letters.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from schemas.record import REDRIVE_COUNT_HEADER


class Reason(StrEnum):
    """Why a record is a dead letter."""

    UNDECODABLE = "undecodable"
    """No JSON, wrong shape, missing or impossible fields."""
    UNKNOWN_KIND = "unknown_kind"
    """A kind of a payment family that the provider's file does not know."""
    CONFLICT = "conflict"
    """It contradicts what is known: other facts under the same event id, or an invariant broken past its deadline."""
    ORPHAN = "orphan"
    """Its payment did not appear before the deadline."""
    DATA_REJECTED = "data_rejected"
    """Postgres refuses what it holds; or Kafka does, above all for its size, on the way to the consumer."""
    UNEXPECTED = "unexpected"
    """Interpreting or folding it raised an error that nobody foresaw."""
    FATAL = "fatal"
    """Process after process ended while it had this record in hand: `unclean_ends_max` of them, two by default."""


class LetterStatus(StrEnum):
    """What became of a dead letter."""

    OPEN = "open"
    REDRIVEN = "redriven"
    APPLIED = "applied"
    """Its payment came after the deadline; its event had its effect then."""
    DISCARDED = "discarded"


ERRORS_PREFIX: Final = "__dlq.errors."
ORIGINAL_PREFIX: Final = "kafka_dlt-original-"
REASON_HEADER: Final = "ratchet-dlq-reason"
ADDED_HEADERS: Final = (
    *(f"{ERRORS_PREFIX}{name}" for name in ("topic", "partition", "offset", "group", "delivery.count", "message")),
    *(f"{ORIGINAL_PREFIX}{name}" for name in ("topic", "partition", "offset", "timestamp")),
    REASON_HEADER,
    REDRIVE_COUNT_HEADER,
)
"""The names of the headers that stand behind the original's own on `payments.dlq`, in their order."""
TRUNCATED_HEADER: Final = "ratchet-dlq-truncated"
"""What of a letter was too large for `payments.dlq`: `value`, `value,headers`, `value,headers,key`. The row has it."""
DIGEST_HEADER: Final = "ratchet-dlq-digest"
"""Of a truncated letter: the digest of the whole one in hex, by which its row is found."""
MESSAGE_LENGTH_MAX: Final = 1000
"""Characters of a dead letter's message; it says what is wrong and never quotes the payload."""
