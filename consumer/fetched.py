"""What was fetched: the client's records as ours, cut into batches and shared out to workers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from schemas.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from aiokafka import ConsumerRecord

Item = TypeVar("Item")


def record_of(message: ConsumerRecord) -> Record:
    """Take a record from the client's type, byte for byte."""
    return Record(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=message.timestamp,
        key=message.key,
        value=message.value,
        headers=tuple(message.headers),
    )


def share_out(records: Sequence[Record], workers: int) -> dict[int, list[Record]]:
    """Share records out to workers by their keys, in order: workers that touch the same payment wait for each other."""
    shares: dict[int, list[Record]] = {}
    for record in records:
        shares.setdefault(hash(record.key or record.partition) % workers, []).append(record)
    return shares


def split(records: Sequence[Record], bytes_max: int) -> Iterator[list[Record]]:
    """Cut records into batches of at most `bytes_max` of values; a larger record stands alone."""
    return portions(records, _value_bytes, bytes_max)


def portions(items: Iterable[Item], bytes_of: Callable[[Item], int], bytes_max: int) -> Iterator[list[Item]]:
    """Divide items, in order, into portions that fit the bound; a larger item stands alone."""
    portion: list[Item] = []
    size = 0
    for item in items:
        length = bytes_of(item)
        if portion and size + length > bytes_max:
            yield portion
            portion, size = [], 0
        portion.append(item)
        size += length
    if portion:
        yield portion


def _value_bytes(record: Record) -> int:
    return len(record.value or b"")
