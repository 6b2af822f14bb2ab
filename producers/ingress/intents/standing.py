"""What a payment's state forbids; pure.

The books lag behind the provider, and what a client only asked for is in no book at all. So a request counts from the
moment it is taken: two refunds of 60 on a capture of 100 can't both be.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from schemas.intents import Command
from schemas.payment import Status

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

_UNDECIDED: Final = frozenset({Status.CREATED, Status.REQUIRES_ACTION, Status.PROCESSING})
"""The provider may have authorized it already; we only do not know yet."""
_RESERVED: Final = frozenset({Status.AUTHORIZED, Status.PARTIALLY_CAPTURED})
_CANCELABLE: Final = _UNDECIDED | {Status.AUTHORIZED, Status.FAILED}


@dataclass(frozen=True, slots=True)
class Standing:
    """A payment as the books have it, or as it was claimed; columns of read_standing.sql. Amounts are minor units.

    `captures_seen` and `refunds_seen` sum what its facts show of each, in any state; they never shrink. `disputes` and
    `reversals` name those that hold or took back captured money. `metadata` is JSON, or None;
    `commands` is a JSON array of `schemas.intent_answers.CommandShown`.
    """

    id: UUID
    provider: str
    account: str
    provider_ref: str | None
    reference: str | None
    status: str
    refund_status: str
    dispute_status: str
    currency: str | None
    amount: int
    authorized: int
    captured: int
    refunded: int
    disputed: int
    version: int
    created_at: dt.datetime
    updated_at: dt.datetime
    captures_seen: int
    refunds_seen: int
    refunds_pending: int
    record_key: str
    disputes: Sequence[str] = ()
    reversals: Sequence[str] = ()
    merchant_account: str = ""
    livemode: bool = True
    flags: Sequence[str] = ()
    metadata: str | None = None
    commands: str = "[]"

    def seen(self, command: Command) -> int | None:
        """Return what the facts show of a command's kind."""
        return {Command.CAPTURE: self.captures_seen, Command.REFUND: self.refunds_seen}.get(command)


@dataclass(frozen=True, slots=True)
class Request:
    """A command that a client asked for, and what the payment's facts showed of its kind then."""

    command: str
    amount: int | None
    seen: int | None


@dataclass(frozen=True, slots=True)
class Granted:
    """The command may go on its way, for this amount (None for cancel)."""

    amount: int | None


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The state forbids the command; `detail` says why, in words that name the state, `members` in further fields."""

    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)


def decide(
    standing: Standing, requests: Iterable[Request], command: Command, amount: int | None, currency: str | None
) -> Granted | Forbidden:
    """Decide on a capture, cancel or refund. `amount` of None is all that is left."""
    asked = list(requests)
    if currency is not None and standing.currency is not None and currency != standing.currency:
        return Forbidden(f"the payment is {standing.status}, in {standing.currency}, not in {currency}")
    match command:
        case Command.CAPTURE:
            return _capture(standing, asked, amount)
        case Command.CANCEL:
            return _cancel(standing, asked)
        case _:
            return _refund(standing, asked, amount)


def _capture(standing: Standing, asked: list[Request], amount: int | None) -> Granted | Forbidden:
    status = Status(standing.status)
    if status not in _UNDECIDED | _RESERVED:
        return Forbidden(f"the payment is {status}: there is nothing to capture")
    if _canceling(asked):
        return Forbidden(f"the payment is {status}, and its cancel was asked for")
    ceiling = standing.authorized if status in _RESERVED else standing.amount
    waiting = outstanding(asked, Command.CAPTURE, standing.captures_seen)
    return _within(status, amount, ceiling, standing.captured, waiting, "captured")


def _cancel(standing: Standing, asked: list[Request]) -> Granted | Forbidden:
    status = Status(standing.status)
    if status not in _CANCELABLE:
        return Forbidden(f"the payment is {status}: it can't be canceled")
    if _canceling(asked):
        return Forbidden(f"the payment is {status}, and its cancel was asked for already")
    if waiting := outstanding(asked, Command.CAPTURE, standing.captures_seen):
        return Forbidden(f"the payment is {status}, and a capture of {waiting} was asked for")
    return Granted(None)


def _refund(standing: Standing, asked: list[Request], amount: int | None) -> Granted | Forbidden:
    """Refund what is there: captured money less what went back already, and less what the bank took by itself."""
    status = Status(standing.status)
    taken, members = _taken_back(standing)
    if not standing.captured:
        return Forbidden(f"the payment is {status}: there is nothing to refund{taken}", members)
    waiting = outstanding(asked, Command.REFUND, standing.refunds_seen)
    returned = standing.refunded + standing.refunds_pending
    room = _within(status, amount, standing.captured - standing.disputed, returned, waiting, "refunded")
    return Forbidden(room.detail + taken, members) if isinstance(room, Forbidden) else room


def _taken_back(standing: Standing) -> tuple[str, dict[str, Any]]:
    """Say which disputes and reversals took captured money, in words and as members of the problem."""
    said, members = "", {}
    if standing.disputed:
        named = ", ".join(standing.disputes) or "a dispute"
        said += f"; {standing.disputed} of {standing.captured} was taken by {named} ({standing.dispute_status})"
        members["disputes"] = list(standing.disputes)
    if standing.reversals:
        said += f"; taken back by the reversal of {', '.join(standing.reversals)}"
        members["reversals"] = list(standing.reversals)
    return said, members


def _within(  # noqa: PLR0913, PLR0917 - the figures of one comparison
    status: Status, amount: int | None, ceiling: int, done: int, waiting: int, what: str
) -> Granted | Forbidden:
    room = ceiling - done - waiting
    wanted = room if amount is None else amount
    if 0 < wanted <= room:
        return Granted(wanted)
    said = f"the payment is {status}: of {ceiling}, {done} is {what} and {waiting} is asked for"
    return Forbidden(f"{said}, which leaves no {wanted}" if wanted > 0 else f"{said}, which leaves nothing")


def _canceling(asked: list[Request]) -> bool:
    return any(request.command == Command.CANCEL for request in asked)


def outstanding(asked: Iterable[Request], command: Command, seen_now: int) -> int:
    """Return how much was asked for that the facts do not show yet.

    No provider's event names our request, so requests are matched by sums: each one is shown once the facts have grown
    by its amount since it was made, after those before it.
    """
    due = 0
    for request in asked:
        if request.command == command:
            due = max(due, request.seen or 0) + (request.amount or 0)
    return max(0, due - seen_now)
