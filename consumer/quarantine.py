"""The quarantine: which records are touched one by one, each noted durably before.

The notes themselves stand in `marks`; here it is decided which records of a fetch go together.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from consumer.offsets import place_of
from runtime.postgres_session import noting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from consumer.hand import HandWatch
    from consumer.marks import Marks
    from consumer.offsets import Place
    from consumer.outages import Outages
    from schemas.record import Record

log = structlog.get_logger()


class Quarantine:
    """What is known of the partitions of ours: up to which offset, if any, their records go one by one."""

    def __init__(self, marks: Marks, hand: HandWatch, outages: Outages) -> None:
        self.marks = marks
        self.hand = hand
        self._outages = outages
        self._starting = asyncio.Lock()
        self._touching = asyncio.Lock()
        self._until: dict[Place, int | None] = {}

    def normal(self, records: Sequence[Record]) -> bool:
        """Tell whether these records may be worked on all at once: no partition is new, and none is in quarantine.

        The first records of a partition go through one worker, in order: where they begin is noted durably, and a note
        must be the same at the next start for a record that kills the process to be found.
        """
        for place, offset in {place_of(record): record.offset for record in reversed(records)}.items():
            until = self._until.get(place, sys.maxsize)
            if until is not None and offset < until:
                return False
        return True

    def holds(self, record: Record) -> bool:
        """Tell whether a record has to be touched by itself."""
        until = self._until.get(place_of(record))
        return until is not None and record.offset < until

    async def begin(self, records: Sequence[Record]) -> None:
        """Note durably, once an assignment, where the partitions of these records begin to be touched."""
        for record in records:
            if place_of(record) not in self._until:
                await self._start(place_of(record), record.offset)

    def portions(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Divide records whose partitions have begun into what is processed at once.

        That is all of normal partitions, then one by one what is in quarantine, then what stands behind it: each
        partition keeps its order, so no offset that may be committed steps over a record that is still to come.
        """
        isolated = [record for record in records if self.holds(record)]
        quarantined = {place_of(record) for record in isolated}
        behind = [record for record in records if place_of(record) in quarantined and not self.holds(record)]
        if normal := [record for record in records if place_of(record) not in quarantined]:
            yield normal
        for record in isolated:
            yield [record]
        if behind:
            yield behind

    async def _start(self, place: Place, offset: int) -> None:
        """Note durably, once an assignment, where the partition's records begin to be touched.

        What was asked under an assignment that ended meanwhile is not kept for the next one.
        """
        async with self._starting:
            if place not in self._until:
                held = self._until
                with noting(self.hand.activity):
                    held[place] = until = await self._outages.through(lambda: self.marks.start(place, offset))
                if until is not None:
                    log.warning("going_record_by_record", topic=place[0], partition=place[1], until_offset=until)

    @asynccontextmanager
    async def touching(self, record: Record) -> AsyncIterator[bool]:
        """Note durably that a record is about to be touched by itself; give whether it is convicted.

        One that is convicted must not be touched again. While any other is in hand, the process watches over itself.
        """
        place = place_of(record)
        async with self._touching:
            if await self._outages.through(lambda: self.marks.probe(place, record.offset)):
                yield True
                await self._end_quarantine(place)
                return
            with self.hand.holding():
                yield False
            until = self._until.get(place)
            if until is not None and record.offset + 1 >= until:
                await self._end_quarantine(place)

    async def _end_quarantine(self, place: Place) -> None:
        held = self._until
        await self._outages.through(lambda: self.marks.end_quarantine(place))
        if place in held:
            held[place] = None

    def forget(self) -> None:
        """Drop what is known of partitions that were given up."""
        self._until = {}
