"""Processing: what becomes of records that were fetched, whatever they hold. The one failure policy.

A batch is one transaction. While another transaction is in the way, or Postgres is away, it is tried again: neither is
a record's fault. A batch that fails on data, or is too slow, is halved until the bad record stands alone: its
neighbours commit, it becomes a dead letter. Too many of those in a row halt their partition (`consumer.poison`).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

from consumer.decode import ANY, DecodingTerms, decoded
from consumer.offsets import place_of
from consumer.poison import PoisonRun
from consumer.retries import Next, Retries, prepare, verdict_on
from consumer.tally import count, tally
from consumer.verdict import Dead
from runtime import metrics, telemetry
from runtime.postgres_session import noting
from schemas.dead_letter import Reason

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from consumer.offsets import Place
    from consumer.outages import Outages
    from consumer.plan import Item, Plan
    from consumer.quarantine import Quarantine
    from consumer.tally import Tally
    from runtime.settings import ConsumerSettings
    from schemas.record import Record

log = structlog.get_logger()
_observe_decoding: Final = metrics.BATCH_PHASE_SECONDS.labels("decode").observe
FATAL: Final = Dead(Reason.FATAL, "the record ended the process that touched it, again and again")


async def _nothing_to_renew() -> None:
    """Stand for a pool of which no session needs to be replaced."""


class Processor:
    """Processes batches, as many side by side as are handed to it. Raises only what a dead letter itself fails with.

    `transact` writes items in one transaction, or raises and has written nothing. `renew` lets the sessions that are
    open be replaced by fresh ones before they are used again.
    """

    def __init__(  # noqa: PLR0913 - its neighbours, by name
        self,
        transact: Callable[[Sequence[Item]], Awaitable[Plan]],
        quarantine: Quarantine,
        outages: Outages,
        settings: ConsumerSettings,
        *,
        endpoints: DecodingTerms = ANY,
        renew: Callable[[], Awaitable[None]] = _nothing_to_renew,
    ) -> None:
        self._transact = transact
        self.quarantine = quarantine
        self.outages = outages
        self._settings = settings
        self._poison = PoisonRun(settings.unexpected_run_max)
        self._endpoints = endpoints
        self._renew = renew

    @property
    def halted(self) -> Mapping[Place, str]:
        """Partitions that take no more records until a restart, and why."""
        return self._poison.halted

    async def process(self, records: Sequence[Record]) -> bool:
        """Process records, all at once or the only one; False where some of a halted partition are left."""
        began = time.monotonic()
        with telemetry.processing(records) as span, noting(self.outages.activity):
            if not (taken := self._not_halted(records)):
                plans = []
            elif len(records) == 1 and self.quarantine.holds(records[0]):
                async with self.quarantine.touching(records[0]) as convicted:
                    item = (records[0], FATAL) if convicted else decoded(records[0], self._endpoints)
                    plans = await self.write([item])
            else:
                plans = await self.write(self._decode(taken))
            total, seconds = tally(plans), time.monotonic() - began
            span.note(total.outcomes(), duplicate=total.duplicates, parked=total.parked, dead_letter=total.dead_letters)
        done = self._not_halted(records)
        count(total, done, seconds)
        _log_batch(records, total, seconds)
        return len(done) == len(records)

    def _not_halted(self, records: Sequence[Record]) -> Sequence[Record]:
        halted = self.halted
        return [record for record in records if place_of(record) not in halted] if halted else records

    def _decode(self, records: Sequence[Record]) -> list[Item]:
        began = time.perf_counter()
        items = [decoded(record, self._endpoints) for record in records]
        _observe_decoding(time.perf_counter() - began)
        return items

    async def write(self, items: Sequence[Item]) -> list[Plan]:
        """Write all items, in one transaction where none of them is bad; return what was written.

        Those of a partition that halts on the way are left.
        """
        plans: list[Plan] = []
        for portion in self._poison.portions(items):
            ahead = [portion]
            while ahead:
                if not (part := self._poison.still_open(ahead.pop())):
                    continue
                try:
                    plan = await self._commit(part)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is found out whose fault it is
                    if len(part) == 1:
                        plans += await self._bury(part[0], error)
                    else:
                        ahead += _halves(part)
                else:
                    plans.append(plan)
                    self._poison.written(part, plan)
        return plans

    async def _commit(self, items: Sequence[Item]) -> Plan:
        """Write these in one transaction, again after conflicts and through outages; raise what is their own fault."""
        retries, pauses = Retries(len(items), self._settings), self.outages.pauses()
        while True:
            self.outages.activity.note()
            try:
                plan = await self._transact(items)
            except Exception as error:
                after = retries.after(error)
                if after is Next.GIVE_UP:
                    self.outages.back()  # it was answered
                    raise
                if after is Next.WAIT:
                    await self.outages.away(error, pauses)
                    retries = Retries(len(items), self._settings)
                else:
                    await prepare(after, self._renew)
            else:
                self.outages.back()
                return plan

    async def _bury(self, item: Item, error: Exception) -> list[Plan]:
        """Make a dead letter of a record that failed by itself, unless it is one too many."""
        if self._poison.failed(item):
            return []
        return [await self._commit([(item[0], verdict_on(error))])]


def _halves(items: Sequence[Item]) -> list[Sequence[Item]]:
    """Return both halves, the one to begin with last."""
    metrics.BISECTIONS.inc()
    middle = len(items) // 2
    return [items[middle:], items[:middle]]


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
