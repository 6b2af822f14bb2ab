"""Whether a payment has room for a command, and which of an intent's attempts it is for; pure.

The ledger lags behind the provider, and what a client only asked for is in no ledger at all. So a request counts from
the moment it is taken: two refunds of 60 on a capture of 100 can't both be. The ingress asks when it takes a command,
the consumer asks again under the payment's lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from schemas.intents import Command
from schemas.payment import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

_UNDECIDED: Final = frozenset({Status.CREATED, Status.REQUIRES_ACTION, Status.PROCESSING})
"""The provider may have authorized it already; we only do not know yet."""
_RESERVED: Final = frozenset({Status.AUTHORIZED, Status.PARTIALLY_CAPTURED})
_CANCELABLE: Final = _UNDECIDED | {Status.AUTHORIZED, Status.FAILED}
_SUMS: Final = ("authorized", "captured", "refunded", "disputed", "captures_seen", "refunds_seen", "refunds_pending")
"""The figures of an intent that are its own and its attempts' added up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What a payment, or one attempt of an intent, holds. Amounts are minor units.

    `captures_seen` and `refunds_seen` sum what its facts show of each, in any state; they never shrink. `disputes` and
    `reversals` name those that hold or took back captured money.
    """

    id: UUID
    status: str
    currency: str | None
    amount: int
    authorized: int
    captured: int
    refunded: int
    disputed: int
    captures_seen: int
    refunds_seen: int
    refunds_pending: int
    dispute_status: str = "none"
    disputes: Sequence[str] = ()
    reversals: Sequence[str] = ()

    def seen(self, command: Command) -> int | None:
        """Return what the facts show of a command's kind."""
        return {Command.CAPTURE: self.captures_seen, Command.REFUND: self.refunds_seen}.get(command)


@dataclass(frozen=True, slots=True)
class Request:
    """A command that a client asked for, and what the facts showed of its kind then.

    `attempt_id` is what it is for; None, or the payment's own id, where no attempt was known yet.
    """

    command: str
    amount: int | None
    seen: int | None
    attempt_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Wish:
    """What a command asks for. `amount` of None is all that is left; without `attempt_id` the one that has room."""

    command: Command
    amount: int | None = None
    currency: str | None = None
    attempt_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """The command may go on its way, for this amount (None for cancel)."""

    amount: int | None


@dataclass(frozen=True, slots=True)
class Bound:
    """The command may go on its way, for this amount (None for cancel), to this payment or attempt."""

    amount: int | None
    attempt: Balance


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The state forbids the command; `detail` says why, in words that name the state, `members` in further fields."""

    detail: str
    members: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Undetermined:
    """What the command is for can't be known: it has to name one of `attempt_ids`."""

    detail: str
    attempt_ids: tuple[UUID, ...]


def bind(
    whole: Balance, attempts: Sequence[Balance], requests: Iterable[Request], wish: Wish
) -> Bound | Forbidden | Undetermined:
    """Decide on a command and what it is for. `whole` is the payment with all its adopted `attempts`."""
    asked = list(requests)
    parts = parts_of(whole, attempts)
    if wish.attempt_id is None and len(parts) > 1:
        return _choose(parts, whole, asked, wish)
    named = [part for part in parts if wish.attempt_id in (None, part.id)]
    if not named:
        return Undetermined("is no attempt of this payment", tuple(part.id for part in parts))
    return _decide_on(named[0], whole, asked, wish)


def _choose(parts: list[Balance], whole: Balance, asked: list[Request], wish: Wish) -> Bound | Forbidden | Undetermined:
    """Decide on a command that names none of several parts: the one that has room is meant."""
    roomy = [part for part in parts if _has_room(part, whole, asked, wish)]
    if len(roomy) > 1:
        return Undetermined("is needed: several attempts have room", tuple(part.id for part in roomy))
    if roomy:
        return _decide_on(roomy[0], whole, asked, wish)
    answer = decide(whole, asked, wish.command, wish.amount, wish.currency)
    if isinstance(answer, Forbidden):
        return answer
    if wish.command is Command.CANCEL:
        return Bound(None, whole)
    return Forbidden(f"the payment is {whole.status}, and none of its attempts has room")


def parts_of(whole: Balance, attempts: Sequence[Balance]) -> list[Balance]:
    """Return what of a payment has money of its own: the attempts, and itself where it holds more than they do."""
    if not attempts:
        return [whole]
    rest = {name: getattr(whole, name) - sum(getattr(one, name) for one in attempts) for name in _SUMS}
    if rest["authorized"] <= 0 and rest["captured"] <= 0:
        return list(attempts)
    status = Status.AUTHORIZED if rest["captured"] <= 0 else Status.PARTIALLY_CAPTURED
    own = {name: max(figure, 0) for name, figure in rest.items()}
    return [*attempts, _own(whole, status, own)]


def _own(whole: Balance, status: Status, figures: Mapping[str, int]) -> Balance:
    """Return what a payment holds beside its attempts."""
    return replace(
        whole,
        status=status,
        amount=figures["authorized"],
        authorized=figures["authorized"],
        captured=figures["captured"],
        refunded=figures["refunded"],
        disputed=figures["disputed"],
        captures_seen=figures["captures_seen"],
        refunds_seen=figures["refunds_seen"],
        refunds_pending=figures["refunds_pending"],
    )


def _has_room(part: Balance, whole: Balance, asked: list[Request], wish: Wish) -> bool:
    if wish.command is Command.CANCEL and part.status == Status.FAILED:
        return False
    return isinstance(_decide_on(part, whole, asked, replace(wish, amount=None)), Bound)


def _decide_on(part: Balance, whole: Balance, asked: Iterable[Request], wish: Wish) -> Bound | Forbidden:
    """Decide on a command for one part. What was asked for before any attempt was known counts for each of them."""
    own = [request for request in asked if request.attempt_id in (None, whole.id, part.id)]
    answer = decide(part, own, wish.command, wish.amount, wish.currency)
    return answer if isinstance(answer, Forbidden) else Bound(answer.amount, part)


def decide(
    balance: Balance, requests: Iterable[Request], command: Command, amount: int | None, currency: str | None
) -> Granted | Forbidden:
    """Decide on a capture, cancel or refund. `amount` of None is all that is left."""
    asked = list(requests)
    if currency is not None and balance.currency is not None and currency != balance.currency:
        return Forbidden(f"the payment is {balance.status}, in {balance.currency}, not in {currency}")
    match command:
        case Command.CAPTURE:
            return _capture(balance, asked, amount)
        case Command.CANCEL:
            return _cancel(balance, asked)
        case _:
            return _refund(balance, asked, amount)


def _capture(balance: Balance, asked: list[Request], amount: int | None) -> Granted | Forbidden:
    status = Status(balance.status)
    if status not in _UNDECIDED | _RESERVED:
        return Forbidden(f"the payment is {status}: there is nothing to capture")
    if _canceling(asked):
        return Forbidden(f"the payment is {status}, and its cancel was asked for")
    ceiling = balance.authorized if status in _RESERVED else balance.amount
    waiting = outstanding(asked, Command.CAPTURE, balance.captures_seen)
    return _within(status, amount, ceiling, balance.captured, waiting, "captured")


def _cancel(balance: Balance, asked: list[Request]) -> Granted | Forbidden:
    status = Status(balance.status)
    if status not in _CANCELABLE:
        return Forbidden(f"the payment is {status}: it can't be canceled")
    if _canceling(asked):
        return Forbidden(f"the payment is {status}, and its cancel was asked for already")
    if waiting := outstanding(asked, Command.CAPTURE, balance.captures_seen):
        return Forbidden(f"the payment is {status}, and a capture of {waiting} was asked for")
    return Granted(None)


def _refund(balance: Balance, asked: list[Request], amount: int | None) -> Granted | Forbidden:
    """Refund what is there: captured money less what went back already, and less what the bank took by itself."""
    status = Status(balance.status)
    taken, members = _taken_back(balance)
    if not balance.captured:
        return Forbidden(f"the payment is {status}: there is nothing to refund{taken}", members)
    waiting = outstanding(asked, Command.REFUND, balance.refunds_seen)
    returned = balance.refunded + balance.refunds_pending
    room = _within(status, amount, balance.captured - balance.disputed, returned, waiting, "refunded")
    return Forbidden(room.detail + taken, members) if isinstance(room, Forbidden) else room


def _taken_back(balance: Balance) -> tuple[str, dict[str, Any]]:
    """Say which disputes and reversals took captured money, in words and as members of the problem."""
    detail, members = "", {}
    if balance.disputed:
        named = ", ".join(balance.disputes) or "a dispute"
        detail += f"; {balance.disputed} of {balance.captured} was taken by {named} ({balance.dispute_status})"
        members["disputes"] = list(balance.disputes)
    if balance.reversals:
        detail += f"; taken back by the reversal of {', '.join(balance.reversals)}"
        members["reversals"] = list(balance.reversals)
    return detail, members


def _within(  # noqa: PLR0913, PLR0917 - the figures of one comparison
    status: Status, amount: int | None, ceiling: int, done: int, waiting: int, what: str
) -> Granted | Forbidden:
    room = ceiling - done - waiting
    wanted = room if amount is None else amount
    if 0 < wanted <= room:
        return Granted(wanted)
    detail = f"the payment is {status}: of {ceiling}, {done} is {what} and {waiting} is asked for"
    return Forbidden(f"{detail}, which leaves no {wanted}" if wanted > 0 else f"{detail}, which leaves nothing")


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
