"""The ledger, checked on demand: its chains, the money, and every event in one place alone.

It reads the whole ledger, so it runs when somebody asks, one at a time, on a connection and in a thread of its own, and
is given up past its time-out. The last result is kept until the next one.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ops.audit import walk
from ops.console.reader import Reader
from runtime import log
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ops.audit import Audit
    from runtime.settings import Settings

BROKEN_MAX: Final = 50

_log = log.get("console")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold: what it is, whether it does, and what was found."""

    name: str
    holds: bool
    found: str


@dataclass(frozen=True, slots=True)
class LedgerCheckResult:
    """What one check of the ledger found. `failure` says why there is no result; then the rest is empty."""

    at: dt.datetime
    seconds: float
    checks: tuple[Check, ...] = ()
    money: tuple[Mapping[str, Any], ...] = ()
    events: Mapping[str, int] | None = None
    statuses: tuple[Mapping[str, Any], ...] = ()
    broken: tuple[Any, ...] = ()
    failure: str = ""

    @property
    def balanced(self) -> bool:
        """Whether everything holds."""
        return not self.failure and all(check.holds for check in self.checks)


class LedgerCheck:
    """Runs the check, one at a time, and keeps the last result."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._running: asyncio.Task[None] | None = None
        self._began = 0.0
        self.result: LedgerCheckResult | None = None

    @property
    def running_seconds(self) -> float | None:
        """How long the check under way has taken by now, or None where none is."""
        return time.monotonic() - self._began if self._running is not None else None

    def start(self) -> None:
        """Begin a check, unless one is under way."""
        if self._running is None:
            self._began = time.monotonic()
            self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Leave a check that is under way alone: its thread ends with its time-out or the process."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))

    async def _run(self) -> None:
        try:
            self.result = await asyncio.to_thread(lambda: asyncio.run(examine(self._settings)))
        except RatchetError as error:
            seconds = time.monotonic() - self._began
            self.result = LedgerCheckResult(dt.datetime.now(dt.UTC), seconds, failure=str(error))
        except Exception:  # noqa: BLE001 - the page must say that there is no result
            _log.exception("console_books_failed")
            failure = "the check failed; the console's log says why"
            self.result = LedgerCheckResult(dt.datetime.now(dt.UTC), time.monotonic() - self._began, failure=failure)
        finally:
            self._running = None


async def examine(settings: Settings) -> LedgerCheckResult:
    """Check the ledger on a connection of its own. Raises UnavailableError where that takes too long."""
    began, console = time.monotonic(), settings.console
    bounds = {"statement_timeout_seconds": console.books_timeout_seconds, "pool_connections_max": 1}
    reader = Reader(settings.model_copy(update={"console": console.model_copy(update=bounds)}))
    try:
        async with asyncio.timeout(console.books_timeout_seconds):
            money = await reader.fetch("sum_money")
            events = (await reader.fetch("count_events"))[0]
            statuses = await reader.fetch("count_statuses")
            audit = await reader.run(lambda connection: walk(connection, BROKEN_MAX))
    except TimeoutError as error:
        raise RatchetError(
            f"the check took longer than {console.books_timeout_seconds:g} s and was given up; "
            "use `ratchet audit verify`, or raise RATCHET_CONSOLE__BOOKS_TIMEOUT_SECONDS"
        ) from error
    finally:
        await reader.close()
    return LedgerCheckResult(
        at=dt.datetime.now(dt.UTC),
        seconds=time.monotonic() - began,
        checks=tuple(reconcile(money, events, audit)),
        money=tuple(money),
        events=events,
        statuses=tuple(statuses),
        broken=tuple(audit.broken),
    )


def reconcile(money: Sequence[Mapping[str, Any]], events: Mapping[str, int], audit: Audit) -> list[Check]:
    """Return what must hold of a ledger, and whether it does; pure."""
    wrong = sum(row["impossible"] for row in money)
    broken = (
        f"{len(audit.broken)} or more findings" if len(audit.broken) >= BROKEN_MAX else f"{len(audit.broken)} findings"
    )
    return [
        Check(
            "every payment's chain of ledger rows holds, its versions have no hole, its row follows from them, "
            "and what people did is what was written",
            audit.ok,
            f"{audit.rows:,} ledger rows, {audit.actions:,} actions" if audit.ok else broken,
        ),
        Check("refunded ≤ captured ≤ authorized for every payment", not wrong, f"{wrong:,} payments break it"),
        Check(
            "no event is processed and parked as well", not events["doubled"], f"{events['doubled']:,} events are both"
        ),
    ]
