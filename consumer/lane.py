"""A lane settles one fetched batch, whatever happens: decoded, in quarantine, through outages, until a halt."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from consumer.decode import ANY, Endpoints, decode
from consumer.isolate import place_of
from consumer.outages import Outages
from consumer.quarantine import Quarantine
from consumer.tally import count, tally
from consumer.verdict import Dead
from runtime import metrics, telemetry
from runtime.postgres_session import noting
from schemas.dead_letter import Reason
from schemas.errors import HaltedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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

    `halted` holds the partitions that take no more records until a restart.
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
        self._outages = Outages(settings, hand.attempts)
        self._quarantine = Quarantine(marks, hand, self._outages)
        self.hand = hand
        self.attempts = hand.attempts
        self.halted: dict[Place, str] = {}

    def calm(self, records: Sequence[Record]) -> bool:
        """Tell whether all lanes may work on these records at once: no partition is new, and none wants caution."""
        return self._quarantine.calm(records)

    async def begin(self, records: Sequence[Record]) -> None:
        """Note durably, once an assignment, where the partitions of these records begin to be touched."""
        with noting(self.attempts):
            await self._quarantine.begin(records)

    def portions(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Divide records whose partitions have begun into what is settled at once, each partition in its order."""
        return self._quarantine.portions(records)

    async def settle(self, records: Sequence[Record]) -> bool:
        """Settle the records, all at once or the only one; False where some of a halted partition stay open."""
        began = time.monotonic()
        with telemetry.settling(records) as span, noting(self.attempts):
            if len(records) == 1 and self._quarantine.wants_caution(records[0]):
                plans = await self._settle_carefully(records[0])
            else:
                plans = await self._settle_all(_understand_all(records, self._endpoints))
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
        return [record for record in records if place_of(record) not in self.halted]

    async def _settle_carefully(self, record: Record) -> list[Plan]:
        """Settle one record by itself; a convicted one becomes a dead letter, untouched."""
        if place_of(record) in self.halted:
            return []
        dead = Dead(Reason.FATAL, "the record ended the process that touched it, again and again")
        return await self._quarantine.touch(
            record,
            settle=lambda: self._settle_all([understand(record, self._endpoints)]),
            bury=lambda: self._settle_all([(record, dead)]),
        )

    async def _settle_all(self, items: list[Item]) -> list[Plan]:
        """Settle items through outages; records of a partition that halts on the way are left open."""
        while items := [item for item in items if place_of(item[0]) not in self.halted]:
            try:
                return await self._outages.through(partial(self._isolator.settle, items))
            except HaltedError as error:
                self.halted[error.topic, error.partition] = str(error)
                metrics.PARTITION_HALTED.labels(error.topic, str(error.partition)).set(1)
                log.critical("partition_halted", topic=error.topic, partition=error.partition, detail=str(error))
        return []

    @property
    def outage(self) -> str | None:
        """Why Postgres can't be used, or None."""
        return self._outages.why

    @property
    def outage_since(self) -> float | None:
        """The monotonic time since when Postgres can't be used, or None."""
        return self._outages.since

    def forget(self) -> None:
        """Drop what is known of partitions that were given up."""
        self._quarantine.forget()

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
