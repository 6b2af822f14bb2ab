"""A lane settles one fetched batch, whatever happens: decoding, caution, outages, halts."""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from consumer.decode import ANY, Endpoints, decode
from consumer.isolate import place_of, told
from consumer.tally import count, tally
from consumer.verdict import Dead
from runtime import metrics, telemetry
from runtime.postgres import classify
from runtime.postgres_session import noting
from runtime.refusals import PASSING
from runtime.retry import delays
from schemas.dead_letter import Reason
from schemas.errors import HaltedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from consumer.hand import HandWatch
    from consumer.isolate import Isolator
    from consumer.marks import Marks
    from consumer.offsets import Place
    from consumer.plan import Item, Plan
    from consumer.tally import Tally
    from runtime.settings import ConsumerSettings
    from schemas.record import Record

log = structlog.get_logger()
_observe_decoding: Final = metrics.BATCH_PHASE_SECONDS.labels("decode").observe
Result = TypeVar("Result")


class Lanes:
    """Settles batches side by side, at most as many as there are lanes.

    `outage` is why Postgres can't be used and `outage_since` the monotonic time since when, or None; `halted` holds the
    partitions that take no more records until a restart.
    """

    def __init__(
        self,
        isolator: Isolator,
        marks: Marks,
        hand: HandWatch,
        settings: ConsumerSettings,
        endpoints: Endpoints = ANY,
    ) -> None:
        self._endpoints = endpoints
        self._isolator = isolator
        self._marks = marks
        self._settings = settings
        self.hand = hand
        self.attempts = hand.attempts
        self._starting = asyncio.Lock()
        self._careful = asyncio.Lock()
        self._careful_until: dict[Place, int | None] = {}
        self.outage: str | None = None
        self.outage_since: float | None = None
        self.halted: dict[Place, str] = {}

    def calm(self, records: Sequence[Record]) -> bool:
        """Tell whether all lanes may work on these records at once: no partition is new, and none wants caution.

        The first records of a partition go through one lane, in order: where they begin is noted durably, and a note
        must be the same at the next start for a record that kills the process to be found.
        """
        for place, offset in {place_of(record): record.offset for record in reversed(records)}.items():
            until = self._careful_until.get(place, sys.maxsize)
            if until is not None and offset < until:
                return False
        return True

    async def begin(self, records: Sequence[Record]) -> None:
        """Note durably, once an assignment, where the partitions of these records begin to be touched."""
        with noting(self.attempts):
            for record in records:
                if place_of(record) not in self._careful_until:
                    await self._start(place_of(record), record.offset)

    def portions(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Divide records whose partitions have begun into what is settled at once.

        That is all of partitions that are calm, then one by one what wants caution, then what stands behind it: each
        partition keeps its order, so no offset that may be committed steps over a record that is still to come.
        """
        careful = [record for record in records if self._wants_caution(record)]
        cautious = {place_of(record) for record in careful}
        behind = [record for record in records if place_of(record) in cautious and not self._wants_caution(record)]
        if calm := [record for record in records if place_of(record) not in cautious]:
            yield calm
        for record in careful:
            yield [record]
        if behind:
            yield behind

    async def settle(self, records: Sequence[Record]) -> bool:
        """Settle the records, all at once or the only one; False where some of a halted partition stay open."""
        began = time.monotonic()
        with telemetry.settling(records) as span, noting(self.attempts):
            if len(records) == 1 and self._wants_caution(records[0]):
                plans = await self._settle_carefully(records[0])
            else:
                plans = await self._settle_all(_understand_all(records, self._endpoints))
            total, seconds = tally(plans), time.monotonic() - began
            span.note(total.outcomes(), duplicate=total.duplicates, parked=total.parked, dead_letter=total.dead_letters)
        settled = self._settled(records)
        count(total, settled, seconds)
        _log_batch(records, total, seconds)
        return len(settled) == len(records)

    def _wants_caution(self, record: Record) -> bool:
        until = self._careful_until.get(place_of(record))
        return until is not None and record.offset < until

    def _settled(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return those that are not left open by a halt."""
        if not self.halted:
            return records
        return [record for record in records if place_of(record) not in self.halted]

    async def _start(self, place: Place, offset: int) -> None:
        """Note durably, once an assignment, where the partition's records begin to be touched.

        What was asked under an assignment that ended meanwhile is not kept for the next one.
        """
        async with self._starting:
            if place not in self._careful_until:
                held = self._careful_until
                held[place] = until = await self._through_outages(lambda: self._marks.start(place, offset))
                if until is not None:
                    log.warning("going_record_by_record", topic=place[0], partition=place[1], until_offset=until)

    async def _settle_carefully(self, record: Record) -> list[Plan]:
        """Settle one record by itself, noted durably before it is touched; a convicted one is not touched again."""
        place = place_of(record)
        if place in self.halted:
            return []
        async with self._careful:
            if await self._through_outages(lambda: self._marks.probe(place, record.offset)):
                dead = Dead(Reason.FATAL, "the record ended the process that touched it, again and again")
                plans = await self._settle_all([(record, dead)])
                await self._end_caution(place)
                return plans
            with self.hand.holding():
                plans = await self._settle_all([understand(record, self._endpoints)])
            until = self._careful_until.get(place)
            if until is not None and record.offset + 1 >= until:
                await self._end_caution(place)
            return plans

    async def _end_caution(self, place: Place) -> None:
        held = self._careful_until
        await self._through_outages(lambda: self._marks.end_caution(place))
        if place in held:
            held[place] = None

    async def _settle_all(self, items: list[Item]) -> list[Plan]:
        """Settle items through outages; records of a partition that halts on the way are left open."""
        while items := [item for item in items if place_of(item[0]) not in self.halted]:
            try:
                return await self._through_outages(partial(self._isolator.settle, items))
            except HaltedError as error:
                self.halted[error.topic, error.partition] = str(error)
                metrics.PARTITION_HALTED.labels(error.topic, str(error.partition)).set(1)
                log.critical("partition_halted", topic=error.topic, partition=error.partition, detail=str(error))
        return []

    async def _through_outages(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        """Try until Postgres takes it; an outage never gives up and never dead-letters."""
        pauses = delays(self._settings.backoff_initial_seconds, self._settings.backoff_max_seconds)
        while True:
            self.attempts.note()
            try:
                result = await attempt()
            except Exception as error:
                if not isinstance(error, UnavailableError) and classify(error) not in PASSING:
                    raise
                self._note_outage(str(error) if isinstance(error, UnavailableError) else told(error))
                await asyncio.sleep(next(pauses))
            else:
                self._note_back()
                return result

    def _note_outage(self, why: str) -> None:
        self.outage = why
        if self.outage_since is None:
            self.outage_since = time.monotonic()
            metrics.POSTGRES_AWAY.set(1)
            log.warning("postgres_away", detail=why)

    def _note_back(self) -> None:
        if self.outage_since is not None:
            log.info("postgres_back", away_seconds=round(time.monotonic() - self.outage_since, 3))
            self.outage_since = self.outage = None
            metrics.POSTGRES_AWAY.set(0)

    def forget(self) -> None:
        """Drop what is known of partitions that were given up."""
        self._careful_until = {}

    async def let_go(self, *, clean: bool) -> None:
        """Note that nothing is in hand any more; `clean` says that all that was taken is settled, or still in work."""
        await self._marks.let_go(clean=clean)

    def leave_word(self) -> None:
        """Leave word that this process is ended on purpose, for where Postgres can't be told, or no time is left."""
        self._marks.leave_word()

    def take_word_back(self) -> None:
        """Take the word back: Postgres knows."""
        self._marks.take_word_back()


def _understand_all(records: Sequence[Record], endpoints: Endpoints) -> list[Item]:
    began = time.perf_counter()
    items = [understand(record, endpoints) for record in records]
    _observe_decoding(time.perf_counter() - began)
    return items


def understand(record: Record, endpoints: Endpoints = ANY) -> Item:
    """Decode one record; an error that nobody foresaw is that record's own verdict."""
    try:
        return record, decode(record, endpoints)
    except Exception as error:  # noqa: BLE001 - one record must not stop its neighbours
        return record, Dead(Reason.UNEXPECTED, f"{type(error).__name__} while interpreting the record")


def _log_batch(records: Sequence[Record], total: Tally, seconds: float) -> None:
    """Write the canonical line of a batch."""
    log.info(
        "batch_settled",
        records=len(records),
        transactions=total.transactions,
        seconds=round(seconds, 4),
        duplicates=total.duplicates,
        parked=total.parked,
        woken=total.woken,
        letters_applied=total.applied_letters,
        dead_letters=total.dead_letters,
        merges=total.merges,
        **total.outcomes(),
    )
