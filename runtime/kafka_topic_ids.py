"""Which topics there are, by their ids: one that was deleted and made anew has another.

The client asks for metadata in an older form that has no ids. Source of the form: Kafka's MetadataRequest.json and
MetadataResponse.json, version 12 (KIP-516); brokers before 2.8 don't speak it, and topics have no ids there.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from io import BytesIO

ID_BYTES: Final = 16
NO_ID: Final = bytes(ID_BYTES)


class TopicFound(NamedTuple):
    """A topic that exists: its id, or None where brokers are too old for ids, and its partitions' numbers."""

    topic_id: uuid.UUID | None
    partitions: frozenset[int]


class _Id:
    """16 bytes, as Kafka writes a UUID."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(ID_BYTES)

    @classmethod
    def repr(cls, value: bytes) -> str:
        return value.hex()


_NUMBERS: Final = CompactArray(Int32)


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", CompactString("utf-8")),
                ("topic_id", _Id),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", _NUMBERS),
                        ("isr", _NUMBERS),
                        ("offline_replicas", _NUMBERS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Id), ("topic", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIdsRequest(Request[_Question]):  # type: ignore[misc]
    """Asks for these topics, and never creates one by asking."""

    API_KEY = 3

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)

    def build(self, request_struct_class: type[Any]) -> Any:
        return request_struct_class([(NO_ID, name, {}) for name in self._names], False, False, {})


def found_by_id(answer: Any) -> dict[str, TopicFound]:
    """Return the topics that exist, from an answer to TopicIdsRequest."""
    return {
        topic["topic"]: TopicFound(
            uuid.UUID(bytes=topic["topic_id"]), frozenset(one["partition"] for one in topic["partitions"])
        )
        for topic in answer.to_object()["topics"]
        if not topic["error_code"]
    }
