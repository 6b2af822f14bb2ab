"""Publishes events of one's own (`payments.events`) and commands (`payments.intents`).

Each record carries `ce_id`, which is the same whenever it is sent again: whoever does not know whether a record arrived
sends it once more, and it has one effect. The producer is idempotent and waits for all replicas; a key's records share
a partition, and aiokafka hashes keys as Java's client does (murmur2), so those of all clients share it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Self

from aiokafka import AIOKafkaProducer

from ratchet_client.connections import notice_losses

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from ratchet_client.types import CancelRecord, CaptureRecord, CreateRecord, RefundRecord

PREFIX = "payments."


@dataclass(frozen=True, slots=True)
class Record:
    """What is published: the topic less its prefix (`events`, `intents`), key, headers, and the JSON value."""

    topic: str
    key: str
    headers: Mapping[str, str]
    value: Any


def event(kind: str, data: Any, *, source: str, event_id: str) -> Record:
    """Return an event of `source` (one of RATCHET_SOURCES); `data` is the type that belongs to `kind`, or its dict.

    `event_id` is unique within the source, and the same when the event is sent again.
    """
    value = plain(data)
    headers = {"ce_specversion": "1.0", "ce_id": event_id, "ce_source": source, "ce_type": kind}
    return Record("events", value.get("payment_id") or value["id"], headers, value)


def command(
    asked: CreateRecord | CaptureRecord | CancelRecord | RefundRecord | dict[str, Any], *, command_id: str
) -> Record:
    """Return a command about the payment `asked.id`; `command_id` is the same when the command is sent again."""
    value = plain(asked)
    return Record("intents", value["id"], {"ce_id": command_id}, value)


def plain(data: Any) -> Any:
    """Return a generated type as JSON has it; what is None is left out."""
    if is_dataclass(data) and not isinstance(data, type):
        return {name: plain(value) for name, value in vars(data).items() if value is not None}
    if isinstance(data, dict):
        return {name: plain(value) for name, value in data.items()}
    if isinstance(data, Enum):
        return data.value
    return data


class Publisher:
    """An idempotent producer; `security` are aiokafka's own settings of TLS and SASL."""

    def __init__(self, bootstrap: str, *, prefix: str = PREFIX, **security: Any) -> None:
        notice_losses()
        self._prefix = prefix
        self._producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=5, **security
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def begin(self, record: Record) -> asyncio.Future[Any]:
        """Hand a record over; the future is done when all replicas have it."""
        value = json.dumps(record.value, separators=(",", ":"), ensure_ascii=False).encode()
        headers = [(name, text.encode()) for name, text in record.headers.items()]
        sent: asyncio.Future[Any] = await self._producer.send(
            self._prefix + record.topic, value, key=record.key.encode(), headers=headers
        )
        return sent

    async def send(self, record: Record) -> Any:
        """Return where a record stands once all replicas have it."""
        return await (await self.begin(record))
