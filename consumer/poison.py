"""The poison limit: so many bad records of one partition in a row, with no success between, halt it.

A bad deploy must not pour a topic into the DLQ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import structlog

from consumer.offsets import place_of
from consumer.rows import redrive_count_of
from consumer.verdict import Dead
from runtime import metrics
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from consumer.offsets import Place
    from consumer.plan import Item, Plan
    from schemas.record import Record

log = structlog.get_logger()
_FOREBODING: Final = frozenset({Reason.UNEXPECTED, Reason.DATA_REJECTED})


class PoisonRun:
    """Counts a partition's bad records with no success between; redriven ones don't count.

    `halted` says of each partition that is past the bound why it takes no more records until a restart.
    """

    def __init__(self, length_max: int) -> None:
        self._length_max = length_max
        self._lengths: dict[Place, int] = {}
        self.halted: dict[Place, str] = {}

    def portions(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        """Count what decoding found bad; yield what to write next, before more is counted.

        What stands before one too many goes first: a success of its partition starts the count anew.
        """
        begin = 0
        for position, item in enumerate(items):
            if isinstance(item[1], Dead) and item[1].reason in _FOREBODING:
                if self._lengths.get(place_of(item[0]), 0) == self._length_max and position > begin:
                    yield items[begin:position]
                    begin = position
                self.failed(item)
        yield items[begin:]

    def still_open(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the items without those of halted partitions: those are left for a later start."""
        return [item for item in items if place_of(item[0]) not in self.halted] if self.halted else items

    def failed(self, item: Item) -> bool:
        """Count a bad record, unless it was redriven; return whether its partition takes no more records."""
        record = item[0]
        place = place_of(record)
        if place not in self.halted and not redrive_count_of(record):
            length = self._lengths[place] = self._lengths.get(place, 0) + 1
            if length > self._length_max:
                self._halt(record, length)
        return place in self.halted

    def _halt(self, record: Record, length: int) -> None:
        why = self.halted[place_of(record)] = (
            f"{record.topic} [{record.partition}] is halted: {length} records in a row failed with no success between, "
            f"the last at offset {record.offset}; look at the newest dead letters and at the last deploy, then restart "
            "the consumer"
        )
        metrics.PARTITION_HALTED.labels(record.topic, str(record.partition)).set(1)
        log.critical("partition_halted", topic=record.topic, partition=record.partition, detail=why)

    def written(self, items: Sequence[Item], plan: Plan) -> None:
        """Start the count of those partitions anew of which an event was processed: single records are to blame."""
        for place in _successful(items, plan):
            self._lengths.pop(place, None)


def _successful(items: Iterable[Item], plan: Plan) -> set[Place]:
    """Return the partitions of which an event was processed; one that parks or becomes a dead letter is none."""
    places = {(row.topic, row.partition) for row in plan.rows}
    if plan.duplicates:
        others = [letter.record for letter in plan.letters] + [parking.event.record for parking in plan.parkings]
        lost = {(*place_of(record), record.offset) for record in others}
        taken = (record for record, decoded in items if not isinstance(decoded, Dead))
        places |= {place_of(record) for record in taken if (*place_of(record), record.offset) not in lost}
    return places
