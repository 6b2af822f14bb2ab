"""The Kafka topics: names, sizes and retention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BODY_BYTES_MAX: Final = 1024 * 1024
"""The largest webhook or intent body that the door takes."""
RECORD_BYTES_MAX: Final = 2 * 1024 * 1024
"""The largest record of a payments topic: a body, its key and headers."""
DEAD_LETTER_BYTES_MAX: Final = 4 * 1024 * 1024
"""The largest record of the DLQ: a record and the headers that say why it is there."""
DAY_MS: Final = 24 * 3600 * 1000
RETENTION_MS: Final = 30 * DAY_MS
DLQ_RETENTION_MS: Final = 90 * DAY_MS
"""Dead letters hold what strangers sent: their copies in Kafka end, the table's rows stay until they are removed."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, and how long it keeps its records; a compacted one keeps the newest of each key for ever."""

    name: str
    record_bytes_max: int
    retention_ms: int
    compacted: bool = False

    def settings(self) -> dict[str, str]:
        """Return the settings that the topic is made with, beside those that depend on the cluster."""
        kept = (
            {"cleanup.policy": "compact", "segment.ms": str(DAY_MS)}
            if self.compacted
            else {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}
        )
        return {"max.message.bytes": str(self.record_bytes_max), "compression.type": "producer", **kept}


WEBHOOKS: Final = Topic("payments.webhooks", RECORD_BYTES_MAX, RETENTION_MS)
INTENTS: Final = Topic("payments.intents", RECORD_BYTES_MAX, RETENTION_MS)
EVENTS: Final = Topic("payments.events", RECORD_BYTES_MAX, RETENTION_MS)
DLQ: Final = Topic("payments.dlq", DEAD_LETTER_BYTES_MAX, DLQ_RETENTION_MS)
CHANGES: Final = Topic("payments.changes", RECORD_BYTES_MAX, RETENTION_MS)
COMMANDS: Final = Topic("payments.commands", RECORD_BYTES_MAX, RETENTION_MS)
STATE: Final = Topic("payments.state", RECORD_BYTES_MAX, -1, compacted=True)
"""A closed segment can be compacted, so one is closed each day."""

CONSUMED: Final = (WEBHOOKS, INTENTS, EVENTS)
PUBLISHED: Final = (INTENTS, EVENTS)
"""Where upstream services publish themselves."""
ALL: Final = (WEBHOOKS, INTENTS, EVENTS, DLQ, CHANGES, STATE, COMMANDS)
CONSUMER_GROUP: Final = "ratchet"
