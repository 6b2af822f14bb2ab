"""What would make an answered 202 a guess: too few copies in Kafka, or a Postgres that confirms before it has written.

Pure; `doctor` brings what the endpoints say. Sources: Kafka's topic settings `min.insync.replicas` and
`unclean.leader.election.enable` (kafka.apache.org, Topic Configs), Postgres' `fsync`, `synchronous_commit` and
`full_page_writes` (chapter "Write Ahead Log" of its settings).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DURABLE: Final = {
    "fsync": "set fsync = on in postgresql.conf",
    "full_page_writes": "set full_page_writes = on in postgresql.conf",
    "synchronous_commit": "set synchronous_commit = on for role, database and server: our sessions set it for"
    " themselves, what else writes does not",
}
"""What of Postgres' settings must be on, and what to do where it is not."""
COPIES_MIN: Final = 2
"""Copies that must have a record before it counts as written, where there is more than one broker."""


def lacks_of_topic(brokers: int, replicas: int | None, found: Mapping[str, Any]) -> list[str]:
    """Return what a topic lacks so that an acknowledged record survives the loss of one broker, as advice.

    With one broker there is nothing to ask for. `replicas` is None, and a setting missing, where they are not known.
    """
    if brokers <= 1:
        return []
    lacks = []
    if replicas is not None and replicas < COPIES_MIN:
        lacks.append("give it 3 replicas with kafka-reassign-partitions, and set RATCHET_KAFKA__REPLICATION_FACTOR=3")
    if 0 < int(found.get("min.insync.replicas") or 0) < COPIES_MIN:
        lacks.append(f"set min.insync.replicas={COPIES_MIN} with kafka-configs: one broker's disk is enough now")
    if found.get("unclean.leader.election.enable") == "true":
        lacks.append("set unclean.leader.election.enable=false: a broker that lacks records may become leader")
    return lacks


def lacks_of_postgres(found: Mapping[str, str]) -> list[str]:
    """Return what of Postgres' settings lets a committed row be lost, as advice."""
    return [advice for name, advice in DURABLE.items() if found.get(name) == "off"]
