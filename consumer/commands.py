"""A client's command on its payment: whether there is room for it still, and the row that the relay publishes. Pure.

The ingress has asked already, but what it saw may be out of date, and services publish commands past it. What finds no
room is refused, as an executor would refuse it, and is no dead letter: the command was right, the money is not there.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Final

import msgspec

from schemas.command_room import Balance, Bound, Request, Undetermined, Wish, bind
from schemas.facts import CommandState, FactKind
from schemas.intents import REASON_LENGTH_MAX, Command

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from consumer.decode import Event
    from schemas.facts import CommandAsked
    from schemas.payment import Facts, Payment

LASTS_SECONDS: Final = 6 * 3600.0
"""How long after it was asked for a command may be begun, unless a setting says otherwise."""
_ORDER: Final = list(CommandState)


class CommandRow(msgspec.Struct, frozen=True):
    """One row of `commands`, in the order of insert_command.sql. `attempt` is what it is for."""

    payment_id: UUID
    command_id: str
    client: str
    command: str
    attempt: Payment
    reference: str | None
    amount: int | None
    seen: int | None
    reason: str | None
    metadata: str | None
    traceparent: str | None
    refusal: str | None
    asked_at: dt.datetime
    expires_at: dt.datetime
    relay_xid: int


class OpenCommand(msgspec.Struct):
    """A command that is in the table: what it asked for, the latest answer, and whether silence has freed its money."""

    request: Request
    state: CommandState | None = None
    over: bool = False

    @property
    def counts(self) -> bool:
        """Whether it holds money: carried out, or neither refused nor over."""
        return self.state is CommandState.DONE or (self.state is not CommandState.REFUSED and not self.over)

    def note(self, state: CommandState) -> None:
        """Take in an answer; a later state stands against an earlier one, however they come."""
        if self.state is None or _ORDER.index(self.state) < _ORDER.index(state):
            self.state = state


def row_of(  # noqa: PLR0913 - what a command is checked against
    event: Event,
    whole: Payment,
    attempts: Sequence[Payment],
    known: Iterable[OpenCommand],
    *,
    now: dt.datetime,
    lasts_seconds: float,
    relay_xid: int,
) -> CommandRow:
    """Return the row of a command on its payment, which stands as `whole` together with its adopted attempts."""
    asked = event.meaning.asked
    assert asked is not None
    asked_at = now if asked.asked_at is None else min(now, dt.datetime.fromtimestamp(asked.asked_at, dt.UTC))
    expires_at = asked_at + dt.timedelta(seconds=lasts_seconds)
    found = _room(asked, whole, attempts, known)
    refusal = None if isinstance(found, Bound) else found
    if refusal is None and expires_at <= now:
        refusal = f"it expired at {expires_at.isoformat(timespec='seconds')}, before it could be published"
    bound = found if isinstance(found, Bound) and refusal is None else None
    attempt = next((one for one in attempts if bound is not None and one.id == bound.attempt.id), whole)
    return CommandRow(
        payment_id=whole.id,
        command_id=event.event_id,
        client=event.meaning.asker or "",
        command=asked.command,
        attempt=attempt,
        reference=whole.reference,
        amount=asked.amount if bound is None else bound.amount,
        seen=None if bound is None else bound.attempt.seen(Command(asked.command)),
        reason=asked.reason,
        metadata=asked.metadata,
        traceparent=event.traceparent,
        refusal=None if refusal is None else refusal[:REASON_LENGTH_MAX],
        asked_at=asked_at,
        expires_at=expires_at,
        relay_xid=relay_xid,
    )


def open_command(row: CommandRow) -> OpenCommand:
    """Return a row that is written now as what the next command finds."""
    state = None if row.refusal is None else CommandState.REFUSED
    return OpenCommand(Request(row.command, row.amount, row.seen, row.attempt.id), state)


def _room(
    asked: CommandAsked, whole: Payment, attempts: Sequence[Payment], known: Iterable[OpenCommand]
) -> Bound | str:
    """Return what the command is bound to, or why it is refused."""
    wish = Wish(Command(asked.command), asked.amount, asked.currency, asked.attempt_id)
    requests = [one.request for one in known if one.counts]
    found = bind(balance_of(whole), [balance_of(one) for one in attempts], requests, wish)
    if isinstance(found, Undetermined):
        return f"attempt_id {found.detail}: {', '.join(map(str, found.attempt_ids))}"
    return found if isinstance(found, Bound) else found.detail


def balance_of(payment: Payment) -> Balance:
    """Return what a payment holds, by its facts and what they come to; read_payment_view.sql says the same in SQL."""
    shown, facts = payment.projection, payment.facts
    captures, refunds = _amounts(facts, FactKind.CAPTURE), _amounts(facts, FactKind.REFUND)
    pending = [state for (kind, _), state in facts.items() if kind is FactKind.REFUND and state.name == "pending"]
    return Balance(
        id=payment.id,
        status=shown.status,
        currency=payment.currency,
        amount=shown.amount,
        authorized=shown.authorized,
        captured=shown.captured,
        refunded=shown.refunded,
        disputed=shown.disputed,
        captures_seen=max(shown.captured, captures),
        refunds_seen=max(shown.refunded, refunds, _amounts(facts, FactKind.REFUND_TOTAL)),
        refunds_pending=sum(shown.captured if state.amount is None else state.amount for state in pending),
        dispute_status=shown.dispute_status,
    )


def _amounts(facts: Facts, wanted: FactKind) -> int:
    return sum(state.amount or 0 for (kind, _), state in facts.items() if kind is wanted)
