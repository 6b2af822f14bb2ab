"""Finding the record that kills the process.

Such a record raises nothing that a bisection could catch. So a consumer notes durably where it starts before it touches
the first record; after too many unclean ends at one place it goes record by record, noting each before it is touched.
One end at a noted record may be anybody's doing (an operator, a full memory); a record that was noted at as many ends
in a row as made us careful becomes a dead letter, undecoded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.sql import statement

if TYPE_CHECKING:
    from consumer.offsets import Place
    from runtime.postgres import Pool


@dataclass(frozen=True, slots=True)
class Caution:
    """How careful to be with a partition: up to which offset one by one, and which record is fatal."""

    until_offset: int
    fatal_offset: int | None


class Marks:
    """The durable notes on starts and probes, in `consumer_marks`."""

    def __init__(self, pool: Pool, *, unclean_ends_max: int, window_records: int) -> None:
        self._pool = pool
        self._unclean_ends_max = unclean_ends_max
        self._window_records = window_records

    async def start(self, place: Place, offset: int) -> Caution | None:
        """Note that records from `offset` on are about to be touched; return how careful to be, or None."""
        row = await self._pool.fetchrow(statement("consumer", "mark_start"), *place, offset)
        assert row is not None
        if row["unclean_ends"] < self._unclean_ends_max:
            return None
        probing = row["probing_offset"]
        fatal = probing if row["unclean_ends"] >= 2 * self._unclean_ends_max else None
        return Caution(max(offset, probing or 0) + self._window_records, fatal)

    async def probe(self, place: Place, offset: int) -> None:
        """Note that this record is about to be touched by itself."""
        await self._pool.execute(statement("consumer", "mark_probe"), *place, offset, self._unclean_ends_max)

    async def clear(self, place: Place) -> None:
        """Remove the note: the consumer lets go of the partition cleanly."""
        await self._pool.execute(statement("consumer", "clear_mark"), *place)
