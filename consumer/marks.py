"""Finding the record that kills the process.

Such a record raises nothing that a bisection could catch. So a consumer notes durably where it takes a partition up
before it touches the first record. After too many unclean ends at one place it goes record by record: each is noted
before it is touched, and its offset is committed after, so that the next start goes on where this one ended.

A record is convicted when as many processes ended with exactly it in hand. An end counts only where the process ended
by itself: who still lives and lost the partition takes the note back, and so does the next start for one that somebody
ended on purpose (`runtime.ends`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.sql import statement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from consumer.offsets import Place
    from runtime.ends import PurposefulEnds
    from runtime.postgres import Connection, Pool


@dataclass(frozen=True, slots=True)
class Mark:
    """What is noted of a partition: who took it up where, and how often processes ended there before any progress.

    `owner` is None where it was let go; records before `careful_until` are touched one by one; `probing_offset` is the
    record that the owner has in hand, alone.
    """

    owner: UUID | None
    start_offset: int
    unclean_ends: int = 0
    careful_until: int | None = None
    probing_offset: int | None = None


@dataclass(frozen=True, slots=True)
class QuarantineRule:
    """How many unclean ends begin a quarantine, of how many records, and how many ends convict."""

    unclean_ends_max: int
    window_records: int

    def take_up(self, mark: Mark | None, owner: UUID, offset: int) -> Mark:
        """Return the note of a process that takes the partition up at `offset`, after what was noted before."""
        if mark is None or offset < mark.start_offset:
            return Mark(owner, offset)
        ended = mark.owner not in (None, owner)
        unclean_ends = mark.unclean_ends + ended if offset == mark.start_offset else 0
        until = offset + self.window_records if unclean_ends >= self.unclean_ends_max else mark.careful_until or 0
        return Mark(owner, offset, unclean_ends, until if until > offset else None)

    @staticmethod
    def suspect(mark: Mark | None, owner: UUID, offset: int) -> int | None:
        """Return the record that a process which is gone had in hand, alone, if it is still to be touched."""
        if mark is None or mark.owner in (None, owner) or mark.probing_offset is None:
            return None
        return mark.probing_offset if mark.start_offset <= offset <= mark.probing_offset else None


class Marks:
    """The durable notes of one process, in `consumer_marks` and `consumer_ends`."""

    def __init__(self, pool: Pool, owner: UUID, rule: QuarantineRule, on_purpose: PurposefulEnds) -> None:
        self._pool = pool
        self._owner = owner
        self._rule = rule
        self._on_purpose = on_purpose

    async def start(self, place: Place, offset: int) -> int | None:
        """Note that records from `offset` on are about to be touched; return up to which one by one, or None."""
        excused = [self._owner, *self._on_purpose.read()]
        async with self._pool.acquire() as connection, connection.transaction():
            await _excuse(connection, excused)
            row = await connection.fetchrow(statement("consumer", "read_mark"), *place)
            mark = None if row is None else Mark(**row)
            before = mark is not None and offset < mark.start_offset
            await connection.execute(statement("consumer", "forget_ends"), *place, offset, before)
            suspect = self._rule.suspect(mark, self._owner, offset)
            if mark is not None and suspect is not None:
                await connection.execute(statement("consumer", "note_end"), *place, suspect, mark.owner)
            begun = self._rule.take_up(mark, self._owner, offset)
            await connection.execute(
                statement("consumer", "write_mark"),
                *(*place, self._owner, begun.start_offset, begun.unclean_ends, begun.careful_until),
            )
        self._on_purpose.forget(excused)
        return begun.careful_until

    async def probe(self, place: Place, offset: int) -> bool:
        """Note that this record is about to be touched by itself; return whether it is convicted."""
        row = await self._pool.fetchrow(statement("consumer", "note_probe"), *place, offset, self._owner)
        return row is not None and row["ends"] >= self._rule.unclean_ends_max

    async def end_quarantine(self, place: Place) -> None:
        """Note that the hunt is over in this partition."""
        await self._pool.execute(statement("consumer", "end_quarantine"), *place, self._owner)

    async def let_go(self, *, clean: bool) -> None:
        """Note that nothing of ours is in hand any more: what comes after is no end that a record is to blame for.

        Where it is not `clean`, batches were given up unfinished: the next start counts that as an unclean end.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await _excuse(connection, [self._owner])
            if clean:
                await connection.execute(statement("consumer", "drop_marks"), self._owner)
            await connection.execute(statement("consumer", "let_go"), self._owner, clean)

    def leave_word(self) -> None:
        """Leave word for the next start that this process is ended on purpose."""
        self._on_purpose.note(self._owner)

    def take_word_back(self) -> None:
        """Remove that word."""
        self._on_purpose.forget([self._owner])


async def _excuse(connection: Connection, owners: Sequence[UUID]) -> None:
    await connection.execute(statement("consumer", "excuse_ends"), owners)
    await connection.execute(statement("consumer", "excuse_owners"), owners)
