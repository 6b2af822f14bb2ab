"""The refetch job: reads payments again at the providers' APIs and spools the answers like any event.

A row of `refetches` is claimed, its try counted and its next one put off, before the call: a crash tries again. The
answer becomes one record of `payments.webhooks` in the spool, in the transaction that marks the row done; its event id
is its digest, so an answer that says nothing new is a duplicate.

Whoever can post an unsigned webhook can make us ask. So what the ledger knows goes first, a payment is one row however
often it is hinted at, and calls about ids that nobody knows have a budget.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

from consumer.dispatcher.apis import Absent, Again, Answered, Api, Awaited, Refused
from consumer.dispatcher.worker import CALLS_PART, GuardedRows
from runtime import metrics
from runtime.retry import pause_seconds
from schemas.record import answer_of_api

if TYPE_CHECKING:
    from collections.abc import Mapping

    from consumer.dispatcher.apis import Outcome
    from consumer.dispatcher.worker import Row
    from runtime.clock import Clock
    from runtime.lease import Lease
    from runtime.settings import Settings
    from schemas.record import Spooled

log = structlog.get_logger()

ERROR_LENGTH_MAX: Final = 500


class RefetchJob:
    """Claims one refetch a turn; see `worker.Job`."""

    name = "refetch"

    def __init__(
        self, rows: GuardedRows, apis: Mapping[tuple[str, str], Api], settings: Settings, clock: Clock
    ) -> None:
        self._rows = rows
        self._apis = apis
        self._limits = settings.refetch
        self._claim_seconds = settings.dispatcher.claim_seconds
        self._breaker_seconds = settings.dispatcher.breaker_seconds
        self._clock = clock
        self._topic = settings.kafka.topics.webhooks.name

    async def turn(self, lease: Lease) -> bool:
        """Read one payment again; False where nothing is due that could be asked now."""
        now = time.monotonic()
        row = await self._claim(lease, now)
        if row is None:
            return False
        api = self._apis[row["provider"], row["account"].lower()]
        asked_at = self._clock.now()
        outcome = await self._ask(api, row["ref"], row["about"])
        await self._finish(lease, row, outcome, asked_at)
        self._report(row, outcome, time.monotonic() - now)
        return True

    async def _claim(self, lease: Lease, now: float) -> Row | None:
        """Claim the refetch that is next, for which the budget of its API has a call if nobody knows its payment."""
        ready = [(source, api, api.guesses.take(now)) for source, api in self._apis.items() if api.ready(now)]
        if not ready:
            return None
        columns = [[provider for (provider, _), _, _ in ready], [account for (_, account), _, _ in ready]]
        may_guess, row = [taken for _, _, taken in ready], None
        try:
            bounds = self._claim_seconds, may_guess, self._limits.related_seconds
            row = await self._rows.fetch_one(lease, "claim_refetch", *columns, *bounds)
        finally:
            guessed = None if row is None or row["known"] else (row["provider"], row["account"].lower())
            for source, api, taken in ready:
                if taken and source != guessed:
                    api.guesses.give_back()
        return row

    async def _ask(self, api: Api, ref: str, about: str | None) -> Outcome | None:
        try:
            async with asyncio.timeout(self._claim_seconds * CALLS_PART):
                return await api.ask(ref, self._clock.now(), about)
        except TimeoutError:
            return Again(f"no answer in {self._claim_seconds * CALLS_PART:g} s")

    async def _finish(self, lease: Lease, row: Row, outcome: Outcome | None, asked_at: float) -> None:
        claim = row["id"], row["attempts"]
        match outcome:
            case None:
                await self._rows.fetch_one(lease, "retry_refetch", *claim, self._breaker_seconds, None, 1)
            case Answered():
                record = _record(row, outcome, asked_at, self._topic)
                again, further = self._limits.same_payment_seconds, _further(row, outcome, asked_at, self._topic)
                await self._rows.fetch_one(lease, "finish_refetch", *claim, row["updated_at"], *record, again, further)
            case Awaited(query) if row["attempts"] < self._limits.attempts_max:
                wait = self._limits.query_seconds
                await self._rows.fetch_one(lease, "await_refetch", *claim, row["updated_at"], query, wait)
            case Again() if row["attempts"] < self._limits.attempts_max:
                pause = max(self._pause(row["attempts"]), outcome.after_seconds or 0.0)
                error = outcome.error[:ERROR_LENGTH_MAX]
                await self._rows.fetch_one(lease, "retry_refetch", *claim, pause, error, 0)
            case Again() | Awaited() | Absent() | Refused():
                why = "no answer came by a webhook" if isinstance(outcome, Awaited) else outcome.error
                error, again = why[:ERROR_LENGTH_MAX], self._limits.same_payment_seconds
                by_clock = self._limits.absent_seconds if isinstance(outcome, Absent) else again
                await self._rows.fetch_one(lease, "fail_refetch", *claim, row["updated_at"], error, again, by_clock)
                if not row["known"]:
                    await self._rows.fetch_one(lease, "trim_refetches", self._limits.unknown_waiting_max)

    def _pause(self, attempts: int) -> float:
        return pause_seconds(attempts, self._limits.backoff_initial_seconds, self._limits.backoff_max_seconds)

    def _report(self, row: Row, outcome: Outcome | None, seconds: float) -> None:
        """Count one refetch and write its canonical line."""
        named = type(outcome).__name__.lower() if outcome else "put_back"
        metrics.REFETCHES.labels(row["provider"], named).inc()
        failed = isinstance(outcome, Refused) or (
            isinstance(outcome, Again) and row["attempts"] >= self._limits.attempts_max
        )
        (log.error if failed else log.info)(
            "refetch_failed" if failed else "refetch",
            refetch=row["id"],
            provider=row["provider"],
            account=row["account"],
            attempts=row["attempts"],
            outcome=named,
            error=getattr(outcome, "error", None),
            seconds=round(seconds, 3),
        )


def _record(row: Row, answered: Answered, asked_at: float, topic: str, part: str = "") -> Spooled:
    """Return the answer as a row of the spool. Its time is that of the question: what happened since may be missing."""
    fetched = answered.fetched
    place, body = (row["provider"], row["account"]), answered.body
    return answer_of_api(*place, fetched.kind, fetched.ref, body=body, asked_at=asked_at, topic=topic, part=part)


def _further(row: Row, answered: Answered, asked_at: float, topic: str) -> list[bytes]:
    """Return the event ids of the answer's further rows, which differ from the first in nothing else."""
    records = (_record(row, answered, asked_at, topic, part) for part in answered.fetched.further)
    return [dict(zip(names, values, strict=True))[b"ce_id"] for *_, names, values in records]
