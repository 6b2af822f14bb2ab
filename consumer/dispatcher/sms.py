"""The SMS job: sends each queued message once.

A row is claimed (`sending`, its try counted) before the message is handed over. Whatever happened to a try, the next
one looks the message up at the provider before it sends: a hand-over that got no answer, or whose process died before
it was noted, is found by the message's mark. A provider's list may be late, so that next try comes no sooner than after
`unsure_seconds`. After `sends_max` tries a message is only looked up.

Where the provider refuses our account (password, suspension, credit) no message is at fault: the breaker opens, the row
waits, and its try counts no more. A message that has become untrue while it waited is not sent.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from consumer.dispatcher.sender import AccountRefusedError, Rejected, SmsMessage, Taken
from consumer.dispatcher.worker import CALLS_PART, GuardedRows
from runtime import metrics
from runtime.http import HttpUnavailableError
from runtime.retry import pause_seconds
from schemas.currencies import exponent
from schemas.payment import Status
from schemas.sms import SmsStatus, Template, is_true, mark_of, text_for

if TYPE_CHECKING:
    from consumer.dispatcher.sender import SmsSender
    from consumer.dispatcher.worker import Row
    from runtime.breaker import Breaker
    from runtime.lease import Lease
    from runtime.settings import Settings

log = structlog.get_logger()

_FIGURES: Final = {
    Template.AUTHORIZED: "authorized",
    Template.CAPTURED: "captured",
    Template.REFUNDED: "refunded",
    Template.FAILED: "amount",
    Template.CANCELED: "amount",
}
"""The payment's column that a template speaks of."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known of what the provider did; `error` says why. `unsure`: it may have the message."""

    error: str
    after_seconds: float | None = None
    unsure: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """The provider refuses our account, so it took nothing; `error` says why."""

    error: str


@dataclass(frozen=True, slots=True)
class Untrue:
    """What the message says is true no more, and the provider does not have it."""

    error: str


Outcome = Taken | Rejected | Unknown | Held | Untrue


class SmsJob:
    """Claims one message a turn; see `worker.Job`."""

    name = "sms"

    def __init__(self, rows: GuardedRows, sender: SmsSender, breaker: Breaker, settings: Settings) -> None:
        self._rows = rows
        self._sender = sender
        self._breaker = breaker
        self._limits = settings.sms
        self._claim_seconds = max(settings.dispatcher.claim_seconds, settings.sms.unsure_seconds)
        self._calls_seconds = settings.dispatcher.claim_seconds * CALLS_PART

    async def turn(self, lease: Lease) -> bool:
        """Send one message; False where none is due, or the provider is left alone for now."""
        claimed_at = time.monotonic()
        if not self._breaker.allows(claimed_at):
            return False
        try:
            row = await self._rows.fetch_one(lease, "claim_sms", self._claim_seconds)
            if row is None:
                self._breaker.abandoned(time.monotonic())
                return False
            outcome = await self._dispatch(row, claimed_at)
        except BaseException:
            self._breaker.abandoned(time.monotonic())
            raise
        await self._finish(lease, row, outcome)
        self._report(row, outcome, time.monotonic() - claimed_at)
        return True

    async def _dispatch(self, row: Row, claimed_at: float) -> Outcome:
        """Look the message up if it was tried before, then send it if it may be; tell the breaker how that went."""
        message = message_of(row, dt.timedelta(seconds=self._limits.clock_skew_seconds))
        if message is None:
            self._breaker.abandoned(time.monotonic())
            return Rejected(f"there is no template {row['template']!r}")
        try:
            async with asyncio.timeout(self._calls_seconds):
                still_true = is_true(Template(row["template"]), Status(row["survivor_status"]))
                outcome = await self._find_or_send(message, row["attempts"], claimed_at, still_true=still_true)
        except TimeoutError:
            self._breaker.failed(time.monotonic())
            return Unknown(f"no answer in {self._calls_seconds:g} s")
        except AccountRefusedError as error:
            self._breaker.rest(time.monotonic(), self._limits.account_pause_seconds)
            return Held(str(error))
        except HttpUnavailableError as error:
            now = time.monotonic()
            self._breaker.failed(now)
            if error.retry_after_seconds is not None:
                self._breaker.rest(now, error.retry_after_seconds)
            return Unknown(str(error), error.retry_after_seconds, unsure=error.sent)
        if isinstance(outcome, Untrue):  # nobody may have been asked
            self._breaker.abandoned(time.monotonic())
        else:
            self._breaker.succeeded()
        return outcome

    async def _find_or_send(
        self, message: SmsMessage, attempts: int, claimed_at: float, *, still_true: bool = True
    ) -> Outcome:
        if attempts > 1:
            found = await self._sender.find(message)
            if found is not None:
                return found
        if not still_true:
            return Untrue("what it says is true no more")
        if attempts > self._limits.sends_max:
            return Rejected(f"not taken in {self._limits.sends_max} tries")
        if time.monotonic() - claimed_at > self._calls_seconds:  # this process was paused
            return Unknown("too late: the claim may be another's soon")
        return await self._sender.send(message)

    async def _finish(self, lease: Lease, row: Row, outcome: Outcome) -> None:
        claim = row["id"], row["attempts"]
        match outcome:
            case Taken():
                await self._rows.finish_sent(lease, outcome.sid, *claim, outcome.status)
            case Held():
                await self._rows.fetch_one(lease, "hold_sms", *claim, self._limits.account_pause_seconds)
            case Unknown() if row["attempts"] < self._limits.attempts_max:
                await self._rows.fetch_one(lease, "retry_sms", *claim, self._pause(row["attempts"], outcome))
            case Rejected() | Unknown() | Untrue():
                await self._rows.fetch_one(lease, "finish_sms", *claim, SmsStatus.FAILED, None)

    def _pause(self, attempts: int, outcome: Unknown) -> float:
        """Return how long the next try waits: a minute and more where the provider may have the message."""
        pause = pause_seconds(attempts, self._limits.backoff_initial_seconds, self._limits.backoff_max_seconds)
        return max(pause, outcome.after_seconds or 0.0, self._limits.unsure_seconds if outcome.unsure else 0.0)

    def _report(self, row: Row, outcome: Outcome, seconds: float) -> None:
        """Count one try and write its canonical line; neither number nor text is in it."""
        metrics.SMS.labels(type(outcome).__name__.lower()).inc()
        failed = isinstance(outcome, Rejected) or (
            isinstance(outcome, Unknown) and row["attempts"] >= self._limits.attempts_max
        )
        (log.error if failed else log.info)(
            "sms_failed" if failed else "sms",
            sms=row["id"],
            payment_id=str(row["payment_id"]),
            template=row["template"],
            attempts=row["attempts"],
            outcome=type(outcome).__name__.lower(),
            provider_sid=getattr(outcome, "sid", None),
            error=getattr(outcome, "error", None),
            seconds=round(seconds, 3),
        )


def message_of(row: Row, clock_skew: dt.timedelta) -> SmsMessage | None:
    """Return the message of a claimed row with its payment's figures; None for a template that does not exist."""
    if row["template"] not in set(Template):
        return None
    template, currency = Template(row["template"]), row["currency"]
    amount = row["own_amount"] or row[_FIGURES[template]] or row["amount"]
    mark = mark_of(row["payment_id"], template, row["child"])
    return SmsMessage(
        to_number=row["to_number"],
        text=text_for(template, amount, currency, exponent(currency) if currency else 0, mark),
        mark=mark,
        not_before=row["created_at"] - clock_skew,
    )
