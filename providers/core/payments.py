"""What the providers' files say of payments alike: reading an event's object, and the facts that go together."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from providers.core.meaning import maybe_id, maybe_time, undecodable, unknown_kind
from providers.core.money import minor_units
from providers.core.reading import read_json
from schemas.currencies import exponent
from schemas.facts import Fact, FactKind, Meaning

Facts = tuple[Fact, ...]

REFERENCE_NAMES: Final = ("reference", "order_id", "order_ref")
"""Under which names of a payment's metadata a shop writes its own reference; the first that is there counts."""


def read_event(body: bytes) -> dict[str, Any]:
    """Return the body as a JSON object, or raise `undecodable`."""
    event = read_json(body)
    if not isinstance(event, dict):
        raise undecodable("the body is no JSON object")
    return event


def need_kind(told: object, kind: str) -> None:
    """Raise `undecodable` unless the body tells the very kind that the event came as."""
    if not kind or told != kind:
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


def said_nothing(kind: str, families: tuple[str, ...]) -> Meaning:
    """Return the empty meaning of a kind that no reader knows; raise `unknown_kind` in a payment family."""
    if kind.startswith(families):
        raise unknown_kind(kind)
    return Meaning()


def major_units(value: object, currency: str, what: str) -> int:
    """Return an amount in minor units that is written in major ones, as text or number."""
    return minor_units(value, exponent(currency), what)


def noted_reference(notes: object) -> str | None:
    """Return the merchant's own reference from a payment's metadata, or None."""
    held = notes if isinstance(notes, dict) else {}
    found = (maybe_id(held.get(name), f"metadata.{name}") for name in REFERENCE_NAMES)
    return next((reference for reference in found if reference), None)


def iso_seconds(value: object) -> float | None:
    """Return an ISO 8601 time with a zone as unix seconds, or None; it is shown, and orders nothing."""
    try:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else None
        return maybe_time(moment.timestamp()) if moment and moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def terms(amount: int) -> Fact:
    """Say what was asked for, as the provider echoes it."""
    return Fact(FactKind.TERMS, "amount", "provider", amount)


def progress(payment: str, state: str) -> Fact:
    """Say how far the customer got."""
    return Fact(FactKind.PROGRESS, payment, state)


def attempt(key: str, state: str) -> Fact:
    """Say how one try to pay ended."""
    return Fact(FactKind.ATTEMPT, key, state)


def void(key: str, state: str) -> Fact:
    """Say that the rest of an authorization was released."""
    return Fact(FactKind.VOID, key, state)


def authorized(key: str, amount: int) -> Facts:
    """Say that one attempt reserved the amount."""
    return (Fact(FactKind.AUTHORIZATION, key, "authorized", amount), attempt(key, "succeeded"))


def captured(payment: str, key: str, amount: int, *, reserved: int = 0) -> Facts:
    """Say that money was taken, and the authorization that this implies.

    `reserved` is what was authorized as far as the event tells; another event that tells of more wins.
    """
    reserve, tried = authorized(payment, max(amount, reserved))
    return (reserve, Fact(FactKind.CAPTURE, key, "succeeded", amount), tried)


def refund(key: str, state: str, amount: int | None) -> Fact:
    """Say where one refund stands."""
    return Fact(FactKind.REFUND, key, state, amount)


def dispute(key: str, state: str) -> Fact:
    """Say where one dispute stands."""
    return Fact(FactKind.DISPUTE, key, state)


def dispute_funds(key: str, state: str, amount: int) -> Fact:
    """Say that a dispute took money or gave it back."""
    return Fact(FactKind.DISPUTE_FUNDS, key, state, amount)
