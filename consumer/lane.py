"""A lane settles one fetched batch, whatever happens: decoding, caution, outages, halts."""

from __future__ import annotations

import asyncio
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from consumer.decode import ANY, Endpoints, decode
from consumer.marks import Caution
from consumer.tally import count, tally
from consumer.verdict import Dead
from runtime import metrics, telemetry
from runtime.postgres import Failure, classify
from runtime.retry import delays
from schemas.dead_letter import Reason
from schemas.errors import HaltedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from consumer.batch import Item
    from consumer.isolate import Isolator
    from consumer.marks import Marks
    from consumer.offsets import Place
    from consumer.plan import Plan
    from consumer.tally import Tally
    from runtime.settings import ConsumerSettings
    from schemas.record import Record

log = structlog.get_logger()
_observe_decoding: Final = metrics.BATCH_PHASE_SECONDS.labels("decode").observe
Result = TypeVar("Result")

_NEW: Final = Caution(sys.maxsize, None)
"""How careful to be with a partition of which nothing is noted yet."""


class Lanes:
    """Settles batches side by side, at most as many as there are lanes.

    `outage_since` is the monotonic time since when Postgres is away, or None; `halted` holds the partitions that take
    no more records until a restart.
    """

    def __init__(
        self, isolator: Isolator, marks: Marks, settings: ConsumerSettings, endpoints: Endpoints = ANY
    ) -> None:
        self._endpoints = endpoints
        self._isolator = isolator
        self._marks = marks
        self._settings = settings
        self._starting = asyncio.Lock()
        self._careful = asyncio.Lock()
        self._cautions: dict[Place, Caution | None] = {}
        self.outage_since: float | None = None
        self.halted: dict[Place, str] = {}

    def calm(self, records: Sequence[Record]) -> bool:
        """Tell whether all lanes may work on these records at once: no partition is new, and none wants caution.

        The first records of a partition go through one lane, in order: where they begin is noted durably, and a note
        must be the same at the next start for a record that kills the process to be found.
        """
        for place, offset in {(record.topic, record.partition): record.offset for record in reversed(records)}.items():
            caution = self._cautions.get(place, _NEW)
            if caution is not None and offset < caution.until_offset:
                return False
        return True

    async def settle(self, records: Sequence[Record]) -> bool:
        """Settle the records; False where some belong to a halted partition and stay open."""
        began = time.monotonic()
        with telemetry.settling(records) as span:
            calm, careful = await self._sort(records)
            plans = await self._settle_all(_understand_all(calm, self._endpoints))
            for record, caution in careful:
                plans += await self._settle_carefully(record, caution)
            total, seconds = tally(plans), time.monotonic() - began
            span.note(total.outcomes(), duplicate=total.duplicates, parked=total.parked, dead_letter=total.dead_letters)
        settled = self._settled(records)
        count(total, settled, seconds)
        _log_batch(records, total, seconds)
        return len(settled) == len(records)

    def _settled(self, records: Sequence[Record]) -> Sequence[Record]:
        """Return those that are not left open by a halt."""
        if not self.halted:
            return records
        return [record for record in records if (record.topic, record.partition) not in self.halted]

    async def _sort(self, records: Sequence[Record]) -> tuple[list[Record], list[tuple[Record, Caution]]]:
        """Tell records that may be settled together from those to be touched one by one."""
        calm: list[Record] = []
        careful: list[tuple[Record, Caution]] = []
        cautions: dict[Place, Caution | None] = {}
        for record in records:
            place = (record.topic, record.partition)
            if place not in cautions:
                cautions[place] = await self._start(place, record.offset)
            caution = cautions[place]
            if caution is None or record.offset >= caution.until_offset:
                calm.append(record)
            else:
                careful.append((record, caution))
        return calm, careful

    async def _start(self, place: Place, offset: int) -> Caution | None:
        """Note durably, once an assignment, where the partition's records begin to be touched.

        What was asked under an assignment that ended meanwhile is not kept for the next one.
        """
        async with self._starting:
            if place in self._cautions:
                return self._cautions[place]
            held = self._cautions
            held[place] = caution = await self._through_outages(lambda: self._marks.start(place, offset))
            return caution

    async def _settle_carefully(self, record: Record, caution: Caution) -> list[Plan]:
        """Settle one record by itself, noted durably before it is touched; a fatal one is not touched again."""
        place = (record.topic, record.partition)
        async with self._careful:
            if record.offset == caution.fatal_offset:
                dead = Dead(Reason.FATAL, "the record ended the process that touched it, again and again")
                return await self._settle_all([(record, dead)])
            await self._through_outages(lambda: self._marks.probe(place, record.offset))
            return await self._settle_all([understand(record, self._endpoints)])

    async def _settle_all(self, items: list[Item]) -> list[Plan]:
        """Settle items through outages; records of a partition that halts on the way are left open."""
        while items := [item for item in items if (item[0].topic, item[0].partition) not in self.halted]:
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
            try:
                result = await attempt()
            except Exception as error:
                if not isinstance(error, UnavailableError) and classify(error) is not Failure.OUTAGE:
                    raise
                if self.outage_since is None:
                    self.outage_since = time.monotonic()
                    metrics.POSTGRES_AWAY.set(1)
                    log.warning("postgres_away", error=type(error).__name__, detail=str(error))
                await asyncio.sleep(next(pauses))
            else:
                if self.outage_since is not None:
                    log.info("postgres_back", away_seconds=round(time.monotonic() - self.outage_since, 3))
                    self.outage_since = None
                    metrics.POSTGRES_AWAY.set(0)
                return result

    def forget(self) -> None:
        """Drop what is known of partitions that were given up."""
        self._cautions = {}

    async def end_cleanly(self) -> None:
        """Remove the notes on the partitions held: nothing here ended uncleanly."""
        for place in tuple(self._cautions):
            await self._marks.clear(place)


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
        dead_letters=total.dead_letters,
        merges=total.merges,
        **total.outcomes(),
    )
