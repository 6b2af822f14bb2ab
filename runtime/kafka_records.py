"""Reading records whose header names are no UTF-8: the broker takes them, and one must not stop its partition.

The Kafka client decodes header names strictly and fails the whole fetch, at every start anew. Here a batch that fails
so is read again by the client's own slow parser, with the names' bytes kept as lone surrogates (PEP 383), so that a
dead letter can give them back. The client has no seam for this: the classes touched are private to aiokafka 0.14. Tests
hold each stand-in against the whole protocol of what it replaces, and read such records from a real broker.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Final

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC_OFFSET: Final = 16
MAGIC_WITH_HEADERS: Final = 2
"""The record format, since Kafka 0.11, that has headers."""


class _NameBytes(bytes):
    """A slice of a batch whose text keeps what is no UTF-8."""

    __slots__ = ()

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return bytes(self).decode(encoding, errors)


class _TolerantBuffer(bytearray):
    """A batch's bytes; every slice of it decodes with surrogates."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _NameBytes(found) if isinstance(index, slice) else found


class _SlowBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """The client's own parser in Python, on bytes that decode leniently."""

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _TolerantBuffer(self._buffer)


class TolerantBatch:
    """One batch: read fast, and slowly from the record on that the fast way can't read.

    It stands in for the client's `DefaultRecordBatch`, which can't be subclassed, and is an iterator as that one is:
    the fetcher reads records with `for`, and the control record that ends a transaction with `next`. Everything else
    is asked of the fast batch. Python looks special methods up on the class, never by `__getattr__`, so each one that
    the client's class has must stand here.
    """

    __slots__ = ("_fast", "_raw", "_records")

    def __init__(self, raw: memoryview) -> None:
        self._raw = raw
        self._fast = DefaultRecordBatch(raw)
        self._records = self._read()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fast, name)

    def __iter__(self) -> Iterator[Any]:
        return self._records

    def __next__(self) -> Any:
        return next(self._records)

    def _read(self) -> Iterator[Any]:
        read = 0
        try:
            for record in self._fast:
                yield record
                read += 1
        except UnicodeDecodeError:
            yield from islice(_SlowBatch(self._raw), read, None)


class TolerantRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of one fetched partition."""

    def next_batch(self) -> Any:
        """Return the next batch, or None after the last."""
        raw = self._next_slice
        if raw is None or len(raw) <= MAGIC_OFFSET or raw[MAGIC_OFFSET] < MAGIC_WITH_HEADERS:
            return super().next_batch()
        self._cache_next()
        return TolerantBatch(raw)


class BoundedResult(fetcher.FetchResult):  # type: ignore[misc]
    """What was fetched of one partition, given out by bytes as well as by records.

    A batch of Kafka is decompressed when its first record is asked for. The client counts records alone: thousands of
    one megabyte each, of which a codec made a few hundred bytes, would all be in memory at once.
    """

    bytes_max: ClassVar[int]
    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """Return the next records; one that is larger than `bytes_max` is given out by itself."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        found: list[Any] = []
        size = 0
        for record in self._partition_records:
            found.append(record)
            size += bytes_of(record)
            if size >= self.bytes_max or len(found) == max_records:
                self._update_position()
                break
        else:
            self._update_position()
            self._partition_records = None
        return found


def bytes_of(record: Any) -> int:
    """Return how large a record is: its key, value and headers."""
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


def bound_fetches(bytes_max: int) -> None:
    """Let each consumer of this process give out `bytes_max` of a partition at once, or one record."""
    BoundedResult.bytes_max = bytes_max
    fetcher.FetchResult = BoundedResult


def tolerate_odd_headers() -> None:
    """Let every consumer of this process read such records."""
    fetcher.MemoryRecords = TolerantRecords
