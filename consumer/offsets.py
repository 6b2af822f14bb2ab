"""Which offsets may be committed: those before the first record that is not processed yet. Pure.

Batches are processed side by side and finish in any order; a commit must never step over one that is still open.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.record import Record

Place = tuple[str, int]
"""(topic, partition)."""


def place_of(record: Record) -> Place:
    """Return the topic and partition that a record stands in."""
    return record.topic, record.partition


@dataclass(slots=True, eq=False)
class OffsetRange:
    """The records of one partition in one fetch; `next_offset` is the one after the last.

    `shares` is how many workers have a share of them that is not durable yet.
    """

    place: Place
    next_offset: int
    shares: int


@dataclass(slots=True)
class Offsets:
    """Open and processed spans a partition, in the order they were taken."""

    _spans: dict[Place, deque[OffsetRange]] = field(default_factory=dict)
    _ready: dict[Place, int] = field(default_factory=dict)
    _reached: dict[Place, int] = field(default_factory=dict)

    def begin(self, place: Place, next_offset: int, shares: int = 1) -> OffsetRange:
        """Note that records up to `next_offset` are being processed, by so many workers."""
        span = OffsetRange(place, next_offset, shares)
        self._spans.setdefault(place, deque()).append(span)
        return span

    def reach(self, place: Place, position: int) -> None:
        """Note that everything of the partition before `position` was taken, also where no record stands.

        Behind the last record may be what is given to nobody: the marker that ends a transaction, an aborted one, what
        was compacted away. It may be committed as soon as all that was taken is durable.
        """
        if queue := self._spans.get(place):
            queue[-1].next_offset = max(queue[-1].next_offset, position)
        elif position > self._reached.get(place, 0):
            self._ready[place] = position
        self._reached[place] = max(position, self._reached.get(place, 0))

    def restart(self, place: Place, offset: int) -> None:
        """Begin the partition at `offset`, wherever it stood; what was noted of it before is dropped."""
        self._spans.pop(place, None)
        self._ready[place] = self._reached[place] = offset

    def mark_processed(self, spans: Iterable[OffsetRange]) -> None:
        """Note that one share of each of these spans is durable; spans of a partition given up since are ignored."""
        for span in spans:
            span.shares -= 1
            queue = self._spans.get(span.place, deque())
            while queue and not queue[0].shares:
                self._ready[span.place] = ready = queue.popleft().next_offset
                self._reached[span.place] = max(ready, self._reached.get(span.place, 0))

    def take_ready(self) -> dict[Place, int]:
        """Return and forget the offsets that can be committed now."""
        ready, self._ready = self._ready, {}
        return ready

    def give_back(self, positions: dict[Place, int]) -> None:
        """Put offsets back whose commit did not go through, unless newer ones are ready or the partition is not ours.

        One that was committed for a topic that was made anew since lies beyond all that was taken, and is dropped.
        """
        for place, offset in positions.items():
            if offset <= self._reached.get(place, -1):
                self._ready[place] = max(offset, self._ready.get(place, offset))

    def forget(self) -> None:
        """Drop everything: the partitions belong to somebody else now."""
        self._spans.clear()
        self._ready.clear()
        self._reached.clear()
