"""Which topics there are, by their ids: one that was deleted and made anew has another.

Offsets say nothing of it: a new topic that is as long as the old one looks like the old one, read on. So whoever keeps
an offset beyond one look keeps the topic's id beside it.

The client asks for metadata in an older form that has no ids. Source of the form: Kafka's MetadataRequest.json and
MetadataResponse.json, version 12 (KIP-516); brokers before 2.8 don't speak it, and topics have no ids there.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.errors import for_code
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
    from collections.abc import Collection, Iterable, Mapping
    from io import BytesIO

    from aiokafka.admin import AIOKafkaAdminClient

ID_BYTES: Final = 16
NO_ID: Final = bytes(ID_BYTES)
NOT_THERE_YET: Final = (3, 5)
"""Kafka's error codes UNKNOWN_TOPIC_OR_PARTITION and LEADER_NOT_AVAILABLE."""


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


async def topics_of(admin: AIOKafkaAdminClient, names: Collection[str]) -> dict[str, TopicFound]:
    """Return those of these topics that exist; raise the client's error where one may not be looked at."""
    try:
        answer = await admin._send_request(TopicIdsRequest(names))  # noqa: SLF001 - there is no public way
    except NotImplementedError:
        found = await admin.describe_topics(list(names))
        _need_allowed(found)
        return {
            one["topic"]: TopicFound(None, frozenset(number["partition"] for number in one["partitions"]))
            for one in found
            if not one["error_code"]
        }
    _need_allowed(answer.to_object()["topics"])
    return found_by_id(answer)


def _need_allowed(topics: Iterable[Mapping[str, Any]]) -> None:
    """Raise the client's error for a topic that may not be looked at."""
    for topic in topics:
        if topic["error_code"] and topic["error_code"] not in NOT_THERE_YET:
            raise for_code(topic["error_code"])(topic["topic"])


class IdsSeen:
    """Which id each topic had when it was last looked at."""

    def __init__(self) -> None:
        self._ids: dict[str, uuid.UUID] = {}

    def note(self, topics: Mapping[str, TopicFound]) -> list[str]:
        """Remember these; return the names of those that had another id before. Without ids nothing is known."""
        anew = []
        for name, found in topics.items():
            if found.topic_id is None:
                continue
            if self._ids.setdefault(name, found.topic_id) != found.topic_id:
                self._ids[name] = found.topic_id
                anew.append(name)
        return anew
