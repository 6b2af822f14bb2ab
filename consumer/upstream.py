"""From a record of `payments.events` to what an upstream service tells of its own payments. Pure.

The service's name takes the provider's place, so that its payments never meet those of a real provider, whose names
no service may have. Who may write the topic is the broker's business (its ACL); which names count is the settings'.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

import providers
from consumer.intents import refused
from providers.core.meaning import checked, maybe_time, refs_of
from providers.core.payments import attempt, authorized, captured, dispute, dispute_funds, ended, refund, terms
from schemas.dead_letter import Reason
from schemas.defects import defects_of, shown, twice_named
from schemas.errors import SettingsError, UninterpretableError
from schemas.events import ALL, ANSWERS, EVENTS, CommandRefused, MoneyHeld, MoneyMoved, PaymentTried
from schemas.facts import CommandAnswer, CommandState, Meaning, Ref, RefKind
from schemas.record import identity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from providers.core.payments import Facts
    from schemas.events import PaymentEvent

Body = TypeVar("Body", bound=BaseModel)

ACCOUNT_LENGTH_MAX: Final = 64
SOURCE_PREFIX: Final = "events/"
"""Before a service's name in the ledger's `source`: a service's ids are never taken for a provider's."""
RESERVED: Final = frozenset({"ratchet", "intents", "events"})
"""Names of our own in the places where a provider's stands."""


class Reported(NamedTuple):
    """An event of a service: its identity in the ledger, the scope of its payment, and what it says.

    `content` is the digest of an answer to a command: such events say no facts by which copies could be compared.
    """

    source: str
    event_id: str
    kind: str
    provider: str
    account: str
    livemode: bool
    meaning: Meaning
    content: bytes | None = None


def need_own_names(setting: str, sources: Collection[str]) -> None:
    """Raise SettingsError where a setting gives a service a name that a provider or we ourselves have."""
    taken = sorted(set(sources) & (providers.names() | RESERVED))
    if taken:
        raise SettingsError(f"{setting}: {taken[0]} is the name of a provider or our own; give the service another")


def read(
    value: bytes | None,
    headers: Mapping[str, bytes],
    sources: Collection[str] | None,
    executors: Mapping[str, frozenset[str]] | None = None,
) -> Reported:
    """Return what a record says; raise UninterpretableError, saying what to mend.

    Without `sources` any service may tell of its payments, without `executors` any may answer commands.
    """
    source, event_id, kind = _identity(headers)
    if kind in ANSWERS:
        return _answer(source, event_id, kind, value or b"", executors)
    service, account = _bound(source, sources, "RATCHET_SOURCES")
    event = _body(kind, value or b"", EVENTS)
    return Reported(
        f"{SOURCE_PREFIX}{source}", event_id, kind, service, account, event.livemode, _meaning(kind, event, headers)
    )


def _identity(headers: Mapping[str, bytes]) -> tuple[str, str, str]:
    found = dict(zip(("ce_source", "ce_id", "ce_type"), identity_of(headers), strict=True))
    missing = sorted(name for name, text in found.items() if text is None)
    if missing:
        raise refused(
            f"event: no usable header {', '.join(missing)}: an event is a CloudEvent in binary mode, with ce_id, "
            "ce_source and ce_type as headers and its data as the value"
        )
    return found["ce_source"] or "", found["ce_id"] or "", found["ce_type"] or ""


def _answer(
    source: str, event_id: str, kind: str, value: bytes, executors: Mapping[str, frozenset[str]] | None
) -> Reported:
    """Return what an executor answers to a command; whether it may for the payment's account shows later."""
    service, account = _bound(source, executors, "RATCHET_EXECUTORS")
    answered = _body(kind, value, ANSWERS)
    answer = CommandAnswer(
        payment_id=answered.id,
        command_id=answered.command_id,
        state=CommandState(kind.partition(".")[2]),
        reason=answered.reason if isinstance(answered, CommandRefused) else None,
        accounts=None if executors is None else executors[service],
    )
    content = msgspec.json.encode([event_id, kind, answer.payment_id, answer.command_id, answer.reason])
    meaning = Meaning(refs=(Ref(RefKind.ID, str(answered.id)),), answer=answer)
    digest = hashlib.sha256(content).digest()
    return Reported(
        f"{SOURCE_PREFIX}{source}", event_id, kind, service, account, livemode=True, meaning=meaning, content=digest
    )


def _bound(source: str, sources: Collection[str] | None, setting: str) -> tuple[str, str]:
    """Return the service and its account; raise for a service that the settings don't name."""
    service, _, account = source.partition("/")
    known = service not in providers.names() | RESERVED if sources is None else service in sources
    if not known:
        named = ", ".join(sorted(sources or ())) or "none"
        raise refused(f"event: ce_source {shown((service,))} is none of {setting} ({named})")
    if len(account) > ACCOUNT_LENGTH_MAX or "/" in account or not account.isprintable():
        raise refused("event: the account in ce_source, after the service's name, is too long or can't be a name")
    return service, account.lower()


def _body(kind: str, value: bytes, models: Mapping[str, type[Body]]) -> Body:
    model = models.get(kind)
    if model is None:
        meant = get_close_matches(kind[:64], ALL, n=1)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        raise UninterpretableError(Reason.UNKNOWN_KIND, f"event: there is no type {shown((kind,))}{hint}")
    try:
        event = model.model_validate_json(value)
    except ValidationError as error:
        first = defects_of(error, model)[0]
        raise refused(f"event: {kind}: {shown(first.place)}: {first.detail}") from None
    if name := twice_named(value):
        defect = f"{shown((name,))} stands twice in one object"
        raise refused(f"event: {kind}: {defect}; write it once, for readers disagree on which counts")
    return event


def _meaning(kind: str, event: PaymentEvent, headers: Mapping[str, bytes]) -> Meaning:
    payment = event.payment_id
    amount, currency = _sum(event)
    return checked(
        Meaning(
            refs=refs_of((RefKind.PAYMENT, payment), (RefKind.REFERENCE, event.reference)),
            facts=_FACTS[kind](event),
            opens=kind.startswith("payment.") and kind != "payment.refunded",
            currency=currency,
            amount=amount,
            provider_ref=payment,
            livemode=event.livemode,
            occurred_at=time_of(headers),
        )
    )


def _sum(event: PaymentEvent) -> tuple[int | None, str | None]:
    """Return the amount and the currency that an event names."""
    if isinstance(event, PaymentTried | MoneyHeld | MoneyMoved):
        return event.amount, event.currency
    return None, None


def time_of(headers: Mapping[str, bytes]) -> float | None:
    """Return `ce_time` as unix seconds; None where there is none, or one without a zone."""
    try:
        moment = dt.datetime.fromisoformat(headers.get("ce_time", b"").decode())
        return maybe_time(moment.timestamp()) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _tried(state: str) -> Callable[[PaymentTried], Facts]:
    def facts(event: PaymentTried) -> Facts:
        asked = () if event.amount is None else (terms(event.payment_id, event.amount),)
        if event.id is None:
            return (*asked, attempt(event.payment_id, state))
        return (*asked, attempt(event.id, state, payment=event.payment_id))

    return facts


def _held(event: MoneyHeld) -> Facts:
    return (authorized(event.payment_id, event.amount),)


def _captured(event: MoneyMoved) -> Facts:
    return (captured(event.id, event.amount, authorization=event.payment_id),)


def _refund(state: str) -> Callable[[MoneyMoved], Facts]:
    return lambda event: (refund(event.id, state, event.amount, payment=event.payment_id),)


def _dispute(state: str) -> Callable[..., Facts]:
    return lambda event: (dispute(event.id, state, payment=event.payment_id),)


def _moved(state: str) -> Callable[[MoneyMoved], Facts]:
    def facts(event: MoneyMoved) -> Facts:
        opened = dispute(event.id, "open", payment=event.payment_id)
        return (opened, dispute_funds(event.id, state, event.amount))

    return facts


_FACTS: Final[dict[str, Callable[..., Facts]]] = {
    **{f"payment.{state}": _tried(state) for state in ("created", "requires_action", "processing", "failed")},
    "payment.authorized": _held,
    "payment.captured": _captured,
    "payment.refunded": _refund("succeeded"),
    "payment.canceled": lambda event: (ended(event.payment_id, "canceled"),),
    "payment.expired": lambda event: (ended(event.payment_id, "expired"),),
    **{f"refund.{state}": _refund(state) for state in ("pending", "failed", "canceled", "reversed")},
    "dispute.opened": _dispute("open"),
    **{f"dispute.{state}": _dispute(state) for state in ("inquiry", "under_review", "won", "lost", "prevented")},
    "dispute.funds_withdrawn": _moved("withdrawn"),
    "dispute.funds_reinstated": _moved("reinstated"),
}
"""What each type of `schemas.events.EVENTS` adds to a payment."""
