"""How much room brokers have left; each is asked for its own folders.

The client has no such request. Source of the form: Kafka's DescribeLogDirsRequest.json and
DescribeLogDirsResponse.json, version 4 (KIP-827); brokers before 3.3 don't speak it. It needs the right to describe
the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

if TYPE_CHECKING:
    from collections.abc import Iterable

GIGABYTE: Final = 1e9


class Disk(NamedTuple):
    """A folder of a broker; a size is negative where the broker does not know it."""

    folder: str
    total_bytes: int
    free_bytes: int


class _Answer(Response):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 4
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        (
            "folders",
            CompactArray(
                ("error_code", Int16),
                ("folder", CompactString("utf-8")),
                (
                    "topics",
                    CompactArray(
                        ("topic", CompactString("utf-8")),
                        (
                            "partitions",
                            CompactArray(
                                ("partition", Int32),
                                ("size", Int64),
                                ("offset_lag", Int64),
                                ("is_future", Boolean),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("total_bytes", Int64),
                ("free_bytes", Int64),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY = 35
    API_VERSION = 4
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Answer
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("tags", TaggedFields),
    )


class DisksRequest(Request[_Question]):  # type: ignore[misc]
    """Asks a broker for its folders, and of no topic how large it is."""

    API_KEY = 35

    def build(self, request_struct_class: type[Any]) -> Any:
        return request_struct_class([], {})


def disks_of(answer: Any) -> list[Disk]:
    """Return a broker's folders, from its answer; none where we may not ask."""
    document = answer.to_object()
    if document["error_code"]:
        return []
    return [Disk(one["folder"], one["total_bytes"], one["free_bytes"]) for one in document["folders"]]


def low(disks: Iterable[Disk], bytes_min: int) -> list[str]:
    """Return one sentence for each folder whose disk has less room than that. Pure."""
    return [
        f"{one.folder} has {one.free_bytes / GIGABYTE:.1f} GB free of {one.total_bytes / GIGABYTE:.1f}"
        for one in disks
        if 0 <= one.free_bytes < bytes_min
    ]
