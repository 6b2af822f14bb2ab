"""How the reader, handlers and the executor join a group."""

from __future__ import annotations

from typing import Any, Final

from aiokafka import AIOKafkaConsumer

from ratchet_client.connections import notice_losses

METADATA_AGE_MS: Final = 30_000


def consumer_of(bootstrap: str, group: str, *topics: str, **security: Any) -> AIOKafkaConsumer:
    """Return a member of a group that begins at the topics' first records and commits offsets by hand.

    A member that was killed has its partitions taken over after 10 s, the library's own default.
    """
    notice_losses()
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metadata_max_age_ms=METADATA_AGE_MS,
        **security,
    )
