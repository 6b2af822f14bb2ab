"""Which offsets may be committed: those before the first record that is not settled yet. Pure.

Batches settle side by side and finish in any order; a commit must never step over one that is still open.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

Place = tuple[str, int]
"""(topic, partition)."""


@dataclass(slots=True, eq=False)
class Span:
    """The records of one partition in one fetch; `next_offset` is the one after the last.

    `shares` is how many lanes have a share of them that is not durable yet.
    """

    place: Place
    next_offset: int
    shares: int


@dataclass(slots=True)
class Offsets:
    """Open and settled spans a partition, in the order they were taken."""

    _spans: dict[Place, deque[Span]] = field(default_factory=dict)
    _ready: dict[Place, int] = field(default_factory=dict)

    def begin(self, place: Place, next_offset: int, shares: int = 1) -> Span:
        """Note that records up to `next_offset` are being settled, by so many lanes."""
        span = Span(place, next_offset, shares)
        self._spans.setdefault(place, deque()).append(span)
        return span

    def settle(self, spans: Iterable[Span]) -> None:
        """Note that one share of each of these spans is durable; spans of a partition given up since are ignored."""
        for span in spans:
            span.shares -= 1
            queue = self._spans.get(span.place, deque())
            while queue and not queue[0].shares:
                self._ready[span.place] = queue.popleft().next_offset

    def take_ready(self) -> dict[Place, int]:
        """Return and forget the offsets that can be committed now."""
        ready, self._ready = self._ready, {}
        return ready

    def give_back(self, positions: dict[Place, int]) -> None:
        """Put offsets back whose commit did not go through, unless newer ones are ready."""
        for place, offset in positions.items():
            if place in self._spans:
                self._ready[place] = max(offset, self._ready.get(place, offset))

    def forget(self) -> None:
        """Drop everything: the partitions belong to somebody else now."""
        self._spans.clear()
        self._ready.clear()
