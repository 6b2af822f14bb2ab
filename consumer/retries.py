"""What to do after a transaction that failed: retry it, retry it on a fresh session, wait, or give up.

Who was in the way, and who is away, is nobody's fault: neither ever makes a dead letter.
"""

from __future__ import annotations

import asyncio
import random
from enum import Enum
from typing import TYPE_CHECKING

import asyncpg

from consumer.verdict import Dead
from runtime import metrics
from runtime.postgres import classify
from runtime.refusals import PASSING, Failure
from schemas.dead_letter import Reason
from schemas.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from consumer.plan import Plan
    from runtime.settings import ConsumerSettings

CONFLICT_PAUSE_SECONDS: float = 0.005
"""Mean pause before a batch that was in conflict is retried; random, so that two don't meet again."""


class Next(Enum):
    """What a failure asks for."""

    AGAIN = "another transaction was in the way: after a short pause"
    FRESH_SESSION = "the session may be what is wrong"
    WAIT = "until Postgres takes it"
    GIVE_UP = "the records' own fault, or too many of them at once"


class Retries:
    """The retries of one batch of `size` records: a bounded number of conflicts, and one on fresh sessions."""

    def __init__(self, size: int, limits: ConsumerSettings) -> None:
        self._size = size
        self._left = limits.twin_retries_max
        self._renewed = False

    def after(self, error: Exception) -> Next:
        """Decide what follows.

        A conflict that does not end is an outage where it is a lock, and bad data where it is a key. What is wrong
        with the session, or with a single record for all that is known yet, is retried once on a fresh session.
        """
        if isinstance(error, UnavailableError):
            return Next.WAIT
        failure = classify(error)
        if failure is Failure.CONFLICT:
            self._left -= 1
            if self._left > 0:
                return Next.AGAIN
            return Next.GIVE_UP if isinstance(error, asyncpg.IntegrityConstraintViolationError) else Next.WAIT
        if not self._renewed and self._wants_a_fresh_session(failure):
            self._renewed = True
            return Next.FRESH_SESSION
        return Next.WAIT if failure in PASSING and not too_slow(self._size, error) else Next.GIVE_UP

    def _wants_a_fresh_session(self, failure: Failure) -> bool:
        return failure is Failure.SESSION or (self._size == 1 and failure in (Failure.DATA, Failure.UNEXPECTED))


def too_slow(size: int, error: Exception) -> bool:
    """Tell whether a batch of so many did not fit the statement time-out; its halves may."""
    return size > 1 and isinstance(error, asyncpg.QueryCanceledError)


async def prepare(after: Next, renew: Callable[[], Awaitable[None]]) -> None:
    """Do what comes before a retry that is to be made at once, or nearly."""
    if after is Next.FRESH_SESSION:
        await renew()
        return
    metrics.CONFLICT_RETRIES.inc()
    await asyncio.sleep(random.uniform(0, 2 * CONFLICT_PAUSE_SECONDS))  # noqa: S311 - jitter


async def retry(work: Callable[[], Awaitable[Plan]], retries: Retries, renew: Callable[[], Awaitable[None]]) -> Plan:
    """Do the work again for as long as a retry may help at once; then raise what the last one did.

    That is UnavailableError where other transactions stay in the way.
    """
    while True:
        try:
            return await work()
        except Exception as error:
            after = retries.after(error)
            if after is Next.WAIT and classify(error) is Failure.CONFLICT:
                raise UnavailableError(explain(error)) from error
            if after in (Next.WAIT, Next.GIVE_UP):
                raise
            await prepare(after, renew)


def explain(error: Exception) -> str:
    """Describe why Postgres can't be used, and what to do where waiting alone does not help."""
    if isinstance(error, UnavailableError):
        return str(error)
    text = f"{type(error).__name__}: {error}"
    failure = classify(error)
    if failure is Failure.CONFLICT:
        return f"other transactions stay in the way: {text}"
    if failure is Failure.SETUP:
        return f"{text}; the schema or a right does not fit this version: run `ratchet migrate up`"
    return text


def verdict_on(error: Exception) -> Dead:
    """Return what becomes of a record that failed by itself."""
    reason = Reason.UNEXPECTED if classify(error) is Failure.UNEXPECTED else Reason.DATA_REJECTED
    return Dead(reason, _without_values(error))


def _without_values(error: Exception) -> str:
    """Describe an error without the values that it quotes: they may be secrets."""
    if isinstance(error, asyncpg.PostgresError):
        place = [getattr(error, name, None) for name in ("table_name", "column_name", "constraint_name")]
        named = ".".join(str(part) for part in place if part)
        return f"{type(error).__name__} {error.sqlstate} {named}".strip()
    return f"{type(error).__name__} while processing the record"
