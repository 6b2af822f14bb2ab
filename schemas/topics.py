"""The Kafka topics: names, sizes and retention; and the group that reads them.

All names of one Ratchet begin with one prefix. Which one is a setting, so whoever needs a name is given a `Topics`; the
constants of single topics have the default prefix and are for the exported documents and for tests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

BODY_BYTES_MAX: Final = 1024 * 1024
"""The largest webhook or intent body that the ingress takes."""
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
    """One topic, and how long it keeps its records; a compacted one keeps the newest of each key for ever.

    Records of one that `must_end` may not be kept without end: what was redacted would stay in them.
    """

    name: str
    record_bytes_max: int
    retention_ms: int
    compacted: bool = False
    must_end: bool = False

    def settings(self) -> dict[str, str]:
        """Return the settings that the topic is made with, beside those that depend on the cluster."""
        kept = (
            {"cleanup.policy": "compact", "segment.ms": str(DAY_MS)}
            if self.compacted
            else {"cleanup.policy": "delete", "retention.ms": str(self.retention_ms)}
        )
        return {"max.message.bytes": str(self.record_bytes_max), "compression.type": "producer", **kept}


DEFAULT_PREFIX: Final = "payments."
DEFAULT_GROUP: Final = "ratchet"
NAME_LENGTH_MAX: Final = 249
"""Characters of a topic's name: org.apache.kafka.common.internals.Topic, as are the characters below."""
PREFIX_PATTERN: Final = re.compile(r"[A-Za-z0-9._-]*[._-]")
GROUP_PATTERN: Final = re.compile(r"[\x21-\x7e]{1,249}")
"""Kafka takes any text; this one fits into an ACL, a command line and a dashboard without quotes."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one Ratchet, which all begin with `prefix`, and the `group` of its consumers."""

    prefix: str
    group: str
    webhooks: Topic
    intents: Topic
    events: Topic
    dlq: Topic
    changes: Topic
    state: Topic
    commands: Topic

    @property
    def consumed(self) -> tuple[Topic, ...]:
        """What the consumer reads."""
        return self.webhooks, self.intents, self.events

    @property
    def published(self) -> tuple[Topic, ...]:
        """Where upstream services publish themselves."""
        return self.intents, self.events

    @property
    def all(self) -> tuple[Topic, ...]:
        """All of them."""
        return *self.consumed, self.dlq, self.changes, self.state, self.commands

    @property
    def consumed_names(self) -> tuple[str, ...]:
        """The names of what the consumer reads."""
        return tuple(topic.name for topic in self.consumed)

    def consumed_topic(self, name: str) -> Topic | None:
        """Return the topic of that name that the consumer reads, or None."""
        return next((topic for topic in self.consumed if topic.name == name), None)


_UNPREFIXED: Final = {
    "webhooks": Topic("webhooks", RECORD_BYTES_MAX, RETENTION_MS),
    "intents": Topic("intents", RECORD_BYTES_MAX, RETENTION_MS),
    "events": Topic("events", RECORD_BYTES_MAX, RETENTION_MS),
    "dlq": Topic("dlq", DEAD_LETTER_BYTES_MAX, DLQ_RETENTION_MS, must_end=True),
    "changes": Topic("changes", RECORD_BYTES_MAX, RETENTION_MS),
    "commands": Topic("commands", RECORD_BYTES_MAX, RETENTION_MS),
    "state": Topic("state", RECORD_BYTES_MAX, -1, compacted=True),
}
"""A closed segment of `state` can be compacted, so one is closed each day."""


@lru_cache
def topics_of(prefix: str = DEFAULT_PREFIX, group: str = DEFAULT_GROUP) -> Topics:
    """Return the topics of a prefix and a group that are legal (`illegal_prefix`, `illegal_group`)."""
    named = {kind: replace(topic, name=f"{prefix}{topic.name}") for kind, topic in _UNPREFIXED.items()}
    return Topics(prefix, group, **named)


def illegal_prefix(prefix: str) -> str | None:
    """Say why topics can't begin so and what to do, or None where they can. Pure.

    A separator ends a prefix: an ACL on all that begins with `acme` would take `acme2.webhooks` in.
    """
    if not PREFIX_PATTERN.fullmatch(prefix):
        return (
            f"{prefix!r} is no prefix of topics: it takes the letters A to Z and a to z, digits, '.', '_' and '-', and "
            "ends in one of these three, as 'acme.payments.' does"
        )
    if prefix.startswith("__"):
        return f"{prefix!r} begins with '__', as Kafka's own topics do; choose another one"
    length = max(len(prefix + topic.name) for topic in _UNPREFIXED.values())
    if length > NAME_LENGTH_MAX:
        return f"it makes names of {length} characters, and Kafka takes {NAME_LENGTH_MAX}; choose a shorter one"
    return None


def illegal_group(group: str) -> str | None:
    """Say why a group of consumers can't be called so, or None where it can. Pure."""
    if GROUP_PATTERN.fullmatch(group):
        return None
    return f"{group!r} is no group: it takes 1 to {NAME_LENGTH_MAX} printable ASCII characters without blanks"


DEFAULT: Final = topics_of(DEFAULT_PREFIX, DEFAULT_GROUP)
WEBHOOKS: Final = DEFAULT.webhooks
INTENTS: Final = DEFAULT.intents
EVENTS: Final = DEFAULT.events
DLQ: Final = DEFAULT.dlq
CHANGES: Final = DEFAULT.changes
COMMANDS: Final = DEFAULT.commands
STATE: Final = DEFAULT.state
CONSUMED: Final = DEFAULT.consumed
ALL: Final = DEFAULT.all
CONSUMER_GROUP: Final = DEFAULT.group
