"""What providers' files share about payments: reading an event's object, and the facts of a payment's life."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from providers.core.meaning import id_or_none, maybe_time, undecodable, unknown_kind
from providers.core.money import minor_units
from providers.core.reading import read_json
from schemas.currencies import exponent
from schemas.errors import UninterpretableError
from schemas.facts import INTENT, Fact, FactKind, Meaning

if TYPE_CHECKING:
    from collections.abc import Callable

Facts = tuple[Fact, ...]

REFERENCE_NAMES: Final = ("reference", "order_id", "order_ref")
"""Under which names of a payment's metadata a shop writes its own reference; the first that is there counts."""


def read_event(body: bytes) -> dict[str, Any]:
    """Return the body as a JSON object, or raise `undecodable`."""
    event = read_json(body)
    if not isinstance(event, dict):
        raise undecodable("the body is no JSON object")
    return event


def need_kind(given: object, kind: str) -> None:
    """Raise `undecodable` unless the body names the kind that the event came as; an empty kind is refused too."""
    if not kind or given != kind:
        raise undecodable("the body does not tell the kind it came as")


def need_object(value: object, what: str) -> dict[str, Any]:
    """Return the object, or raise `undecodable`; `what` names the field."""
    if not isinstance(value, dict):
        raise undecodable(f"{what} is no object")
    return value


def need_state(states: dict[str, str], value: object, what: str) -> str:
    """Return the state that a provider's word stands for, or raise `undecodable` for a word that is not known."""
    state = states.get(value) if isinstance(value, str) else None
    if state is None:
        raise undecodable(f"{what} is none that is known")
    return state


def unread_kind(kind: str, families: tuple[str, ...]) -> Meaning:
    """Return the empty meaning of a kind that no reader knows; raise `unknown_kind` in a payment family."""
    if kind.startswith(families):
        raise unknown_kind(kind)
    return Meaning()


def major_units(value: object, currency: str, what: str) -> int:
    """Turn an amount in major units, text or number, into minor ones; raise `undecodable` for what is not exact."""
    return minor_units(value, exponent(currency), what)


def if_given(read: Callable[[], tuple[int, str]], *fields: object) -> tuple[int, str | None]:
    """Return a sum and its currency; 0 and None where one of their `fields` is absent or can't be read.

    `summed` then refuses the event, or keeps of it what needs no sum.
    """
    try:
        return (0, None) if None in fields else read()
    except UninterpretableError:
        return 0, None


def amount_if_given(read: Callable[[], int], *fields: object) -> int | None:
    """Return a figure beside the one that an event is about; None where it is absent or can't be read."""
    try:
        return None if None in fields else read()
    except UninterpretableError:
        return None


def summed(meaning: Meaning) -> Meaning:
    """Return the meaning; without a currency there is no sum, so its facts lose their amounts and TERMS are dropped.

    A try, an end, a dispute need no sum. Raises `undecodable` where a fact says nothing without one.
    """
    if meaning.currency is not None:
        return meaning
    kept = [fact for fact in meaning.facts if fact.kind is not FactKind.TERMS]
    if any(_is_a_sum(fact) for fact in kept):
        raise undecodable("the event moves money and no amount and currency that can be read tell how much")
    return replace(meaning, facts=tuple(replace(fact, amount=None) for fact in kept), amount=None)


def _is_a_sum(fact: Fact) -> bool:
    """Tell whether a fact says nothing without its amount. A dispute without one is about all that was captured."""
    if fact.kind is FactKind.END:
        return fact.parent is not None
    return fact.state not in _SUMLESS.get(fact.kind, ()) and fact.kind not in _ALWAYS_SUMLESS


_ALWAYS_SUMLESS: Final = frozenset(
    {
        FactKind.ATTEMPT,
        FactKind.MODE,
        FactKind.VOID,
        FactKind.DISPUTE,
        FactKind.DISPUTE_OUT,
        FactKind.DISPUTE_IN,
    }
)
_SUMLESS: Final = {
    FactKind.CAPTURE: ("pending",),
    FactKind.REVERSAL: ("failed",),
    FactKind.REFUND: ("pending", "failed", "reversed", "canceled"),
}


def noted_reference(notes: object) -> str | None:
    """Return the merchant's own reference from a payment's metadata; None where there is none that can be one."""
    held = notes if isinstance(notes, dict) else {}
    found = (id_or_none(held.get(name)) for name in REFERENCE_NAMES)
    return next((reference for reference in found if reference), None)


def iso_seconds(value: object) -> float | None:
    """Return an ISO 8601 time with a zone as unix seconds, or None; it is shown, and orders nothing."""
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
        return maybe_time(moment.timestamp()) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def micros(seconds: float | None) -> int:
    """Return a signed time as a version of facts: whole microseconds, 0 where there is none.

    Only for a child that may begin anew, or a figure that may be lowered: a time orders the states of one child, never
    two children.
    """
    return 0 if seconds is None else int(seconds * 1_000_000)


_STAGE_BITS: Final = 53
"""A stage's number stands above all microseconds until the year 2255."""


def at_stage(number: int, version: int = 0) -> int:
    """Return the version of a dispute's state: the stage of its life cycle first, within it the provider's own."""
    return (number << _STAGE_BITS) + version


def terms(key: str, amount: int, *, version: int = 0) -> Fact:
    """Say what was asked for in all, as the payment or order `key` tells it."""
    return Fact(FactKind.TERMS, key, "asked", amount, version=version)


def attempt(key: str, state: str, *, amount: int | None = None, payment: str | None = None, version: int = 0) -> Fact:
    """Say where one try to pay stands; `payment` is the id of its payment, where it is another."""
    return Fact(FactKind.ATTEMPT, key, state, amount, payment, version)


def authorized(
    key: str, amount: int, *, attempt: str | None = None, replaces: str | None = None, version: int = 0
) -> Fact:
    """Say that an authorization reserved the amount; `attempt` is the id of its try, where it is another."""
    return Fact(FactKind.AUTHORIZATION, key, "authorized", amount, attempt, version, replaces)


def adjusted(key: str, authorization: str, amount: int, *, version: int = 0) -> Fact:
    """Say an authorization's new figure; `key` is the adjustment's own id."""
    return Fact(FactKind.ADJUSTMENT, key, "adjusted", amount, authorization, version)


def mode(authorization: str, state: str) -> Fact:
    """Say when the money of an authorization is taken: `account`, `manual` or `automatic`."""
    return Fact(FactKind.MODE, authorization, state)


def captured(key: str, amount: int | None, *, authorization: str | None = None, version: int = 0) -> Fact:
    """Say that money was taken, from an authorization or payment; without it, from any that there is.

    Where that authorization is not known the capture proves its own amount. No amount: all that was asked for.
    """
    return Fact(FactKind.CAPTURE, key, "succeeded", amount, authorization, version)


def capture_pending(key: str, amount: int | None, *, authorization: str | None = None) -> Fact:
    """Say that money is being taken."""
    return Fact(FactKind.CAPTURE, key, "pending", amount, authorization)


def captured_in_all(payment: str, amount: int | None) -> Fact:
    """Say a cumulative figure of captures that names none of them. No amount: all that was asked for."""
    return Fact(FactKind.CAPTURE_TOTAL, payment, "succeeded", amount)


def capture_failed(key: str, amount: int | None, *, authorization: str | None = None, version: int = 0) -> Facts:
    """Say that a capture failed, before or after it had succeeded."""
    return (
        capture_pending(key, amount, authorization=authorization),
        Fact(FactKind.REVERSAL, key, "failed", amount, key, version),
    )


def reversal(key: str, capture: str, amount: int | None, state: str = "done") -> Fact:
    """Say that captured money was taken back; `key` is the reversal's own id, or the capture's. No amount: all.

    `capture` is the payment that the captures name, where the provider names none of them.
    """
    return Fact(FactKind.REVERSAL, key, state, amount, capture)


def void(authorization: str, state: str) -> Fact:
    """Say that an authorization, or what is left of it, was released: `failed`, `expired` or `canceled`."""
    return Fact(FactKind.VOID, authorization, state)


def ended(payment: str, state: str) -> Fact:
    """Say that a payment was ended, with its tries and authorizations: `expired`, `canceled`; or `closed`."""
    return Fact(FactKind.END, payment, state)


def order_ended(order: str, amount: int) -> Fact:
    """Say that an order of several parts was not paid in full: the provider gives back what its parts had taken.

    It reaches the parts that stand under the same intent, as long as they come to less than the order's amount.
    """
    return Fact(FactKind.END, order, "canceled", amount, INTENT)


def refund(key: str, state: str, amount: int | None, *, payment: str | None = None) -> Fact:
    """Say where one refund stands; `payment` is the authorization or payment that it names."""
    return Fact(FactKind.REFUND, key, state, amount, payment)


def refunded_in_all(payment: str, amount: int) -> Fact:
    """Say a cumulative figure of refunds that names none of them."""
    return Fact(FactKind.REFUND_TOTAL, payment, "succeeded", amount)


def dispute(key: str, state: str, *, payment: str | None = None, version: int = 0) -> Fact:
    """Say where one dispute stands; see `at_stage` for the version."""
    return Fact(FactKind.DISPUTE, key, state, None, payment, version)


def dispute_funds(key: str, state: str, amount: int | None, *, number: int = 0, part: str | None = None) -> Fact:
    """Say that a dispute took money (`withdrawn`) or gave it back (`reinstated`), in its round `number`.

    `part` is the id of this movement, where a round has several. No amount: all that was captured, all of the round.
    """
    kind = FactKind.DISPUTE_OUT if state == "withdrawn" else FactKind.DISPUTE_IN
    own = part or (f"{key}#{number}" if number else key)
    return Fact(kind, own, state, amount, None if own == key else key, number)
