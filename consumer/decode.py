"""From a Kafka record to an event with its meaning, or to a dead letter. Pure.

Each record is decoded by itself: what is wrong with one is that one's own verdict.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

import providers
from consumer import intents, upstream
from consumer.framings import framing_of
from consumer.verdict import Dead
from providers.core.contract import Trust
from providers.core.refetch import KIND_PREFIX, as_of
from schemas.dead_letter import Reason
from schemas.errors import UninterpretableError
from schemas.facts import INTENT, CommandAsked, Fact, FactKind, Meaning, Ownership, Ref, RefKind
from schemas.intents import Cancel, Capture, Intent, Refund
from schemas.record import EVENT_ID_LENGTH_MAX, RECALL_HEADER, TRUST_HEADER, identity_of, source_of
from schemas.topics import DEFAULT, Topics
from schemas.traceparent import trace_of

if TYPE_CHECKING:
    from providers.core.refetch import Refetch
    from runtime.settings.scopes import Scopes
    from schemas.intents import CommandBody, IntentRecord
    from schemas.record import Record

VERIFIED: Final = Trust.VERIFIED.encode()
VERSION_LENGTH_MAX: Final = 20
TEXT_LENGTH_MAX: Final = 64
"""Characters of a provider's and of an account's name."""


class Event(msgspec.Struct, frozen=True, gc=False):
    """One record that was decoded. `source` and `event_id` together are its idempotency key.

    `digest` is the body's SHA-256 where the event id is unsigned, so that only the body tells a replay, after the kind
    where that is unsigned too; of a command what it asks for, so that another one under its id shows; else None.
    `hint` is an unsigned event of a record that is older than the ingress' own queue of hints, or that nobody marked as
    verified: it says nothing, and only `named`, what to read again at the provider's API, is looked at. `traceparent`
    names the trace that the event belongs to, where it has one. `recalled` tells that no webhook brought it, but the
    provider's list. `livemode` is false of test money: as the event signs it, else as the endpoint's setting says.
    """

    record: Record
    source: str
    event_id: str
    kind: str
    provider: str
    account: str
    meaning: Meaning
    digest: bytes | None = None
    hint: bool = False
    named: str | None = None
    traceparent: str | None = None
    livemode: bool = True
    recalled: bool = False


def _always(*_: str) -> bool:
    return True


def _never(*_: str) -> bool:
    return False


class DecodingTerms(msgspec.Struct, frozen=True):
    """What the settings say of endpoints and clients, as far as decoding needs it.

    `is_live(provider, account)` is the mode of an endpoint whose events don't sign theirs.
    `has_several_merchants(provider, account)` tells whether the endpoint is set to take several merchants' events.
    `may_own(client, provider, account)` tells whether a client's intent may name that account. `sources` are the
    services whose events count; None stands for any. `executors` are those who may answer commands, and for which
    accounts; None stands for any. What a record is follows from which of the `topics` it came from.
    """

    is_live: Callable[[str, str], bool] = _always
    has_several_merchants: Callable[[str, str], bool] = _never
    may_own: Callable[[str, str, str], bool] = _always
    sources: frozenset[str] | None = None
    executors: Mapping[str, frozenset[str]] | None = None
    topics: Topics = DEFAULT


ANY: Final = DecodingTerms()
"""Every endpoint is live and one merchant's, every client may name each, and topics have their default names."""


def endpoints_of(scopes: Scopes, topics: Topics) -> DecodingTerms:
    """Return what the settings say; raise SettingsError where a service has the name of a provider."""
    upstream.need_own_names("RATCHET_SOURCES", scopes.sources)
    upstream.need_own_names("RATCHET_EXECUTORS", scopes.executors)
    return DecodingTerms(
        is_live=lambda provider, account: scopes.terms(provider, account).livemode,
        has_several_merchants=lambda provider, account: len(scopes.terms(provider, account).merchant_accounts) > 1,
        may_own=scopes.may_own,
        sources=scopes.sources,
        executors=scopes.executors,
        topics=topics,
    )


def decode(record: Record, endpoints: DecodingTerms = ANY) -> Event | Dead:
    """Decode one record; never raises for what the record holds."""
    try:
        if record.topic == endpoints.topics.intents.name:
            return _decode_intent(record, endpoints)
        if record.topic == endpoints.topics.events.name:
            return _decode_upstream(record, endpoints)
        return _decode_webhook(record, endpoints)
    except UninterpretableError as error:
        return Dead(Reason(error.reason), _explained(error, record.value))


def decoded(record: Record, endpoints: DecodingTerms = ANY) -> tuple[Record, Event | Dead]:
    """Decode one record, and return it beside what it is; an error that nobody foresaw is its own dead letter."""
    try:
        return record, decode(record, endpoints)
    except Exception as error:  # noqa: BLE001 - one record must not stop its neighbours
        return record, Dead(Reason.UNEXPECTED, f"{type(error).__name__} while interpreting the record")


def _explained(error: UninterpretableError, value: bytes | None) -> str:
    """Return what is wrong, after the form of the value where that is one that is known and can't be read."""
    form = framing_of(value) if error.reason == Reason.UNDECODABLE else None
    return f"{form} ({error.detail})" if form else error.detail


def can_refetch(provider: str) -> bool:
    """Tell whether the provider's API can be asked about a payment."""
    found = providers.find(provider)
    return found is not None and found.refetch is not None


def is_answer(event: Event) -> bool:
    """Tell whether the event is what a provider's API answered, and no webhook."""
    return event.kind.startswith(KIND_PREFIX) and can_refetch(event.provider)


def _answered(event: Event, refetch: Refetch, headers: Mapping[str, bytes]) -> Event:
    """Return an API's answer as of the time at which the API was asked, which is part of its id.

    The same answer, asked for later, says that what it tells is still so; hence it is an event of its own.
    """
    version = int((upstream.time_of(headers) or 0.0) * refetch.ticks_per_second) if refetch.timed else 0
    if not version:
        return event
    event_id = f"{event.event_id[: EVENT_ID_LENGTH_MAX - VERSION_LENGTH_MAX]}@{version}"
    return replace(event, event_id=event_id, meaning=as_of(event.meaning, refetch.timed, version))


def reads_unknown(provider: str) -> bool:
    """Tell whether an event about a payment that is not known is a reason to ask the provider's API."""
    found = providers.find(provider)
    return found is not None and found.refetch is not None and found.refetch.unknown


def identity(record: Record) -> tuple[str | None, str | None, str | None]:
    """Return (source, event id, kind) of a record as far as it tells them and they can be stored."""
    return identity_of(record.present())


def _decode_webhook(record: Record, endpoints: DecodingTerms) -> Event:
    headers = record.present()
    source, event_id, kind = identity_of(headers)
    if source is None or event_id is None:
        raise UninterpretableError(Reason.UNDECODABLE, "the record has no usable ce_source or ce_id header")
    provider, _, account = source.partition("/")
    if len(provider) > TEXT_LENGTH_MAX or len(account) > TEXT_LENGTH_MAX:
        raise UninterpretableError(Reason.UNDECODABLE, f"ce_source {source[:80]!r} is too long")
    trace = trace_of(headers)
    if headers.get(TRUST_HEADER) != VERIFIED and provider in providers.names():
        return _hint(Event(record, source, event_id, kind or "", provider, account, Meaning(), traceparent=trace))
    named, found = "" if kind is None or kind == "unknown" else kind, providers.find(provider)
    part = (event_id,) if found is not None and found.interpret_part is not None else ()
    try:
        meaning = providers.interpret(provider, named, record.value or b"", *part)
    except LookupError:
        raise UninterpretableError(Reason.UNDECODABLE, f"ce_source {source[:80]!r} is no known provider") from None
    live = endpoints.is_live(provider, account) if meaning.livemode is None else meaning.livemode
    if not endpoints.has_several_merchants(provider, account):
        meaning = _of_one_merchant(meaning)
    event = Event(
        record,
        source,
        event_id,
        kind or "",
        provider,
        account,
        meaning,
        traceparent=trace,
        livemode=live,
        recalled=RECALL_HEADER in headers,
    )
    if found is not None and found.refetch is not None and is_answer(event):
        return _answered(event, found.refetch, headers)
    if found is not None and not found.event_id_signed:
        salt = b"" if found.kind_signed else event.kind.encode() + b"\x00"
        return replace(event, digest=hashlib.sha256(salt + (record.value or b"")).digest())
    return event


def _of_one_merchant(meaning: Meaning) -> Meaning:
    """Return what a capture or refund says, with its order as a reference where it doesn't tell whose that order is.

    The endpoint is one merchant's, so an order is one payment. References of the payment's own come first.
    """
    order = meaning.order
    if order is None or meaning.sole or meaning.merchant_account:
        return meaning
    if all(ref.kind is not RefKind.CAPTURE for ref in meaning.refs):
        return meaning
    return replace(meaning, refs=(*meaning.refs, Ref(RefKind.PAYMENT, order)), order=None)


def _hint(event: Event) -> Event:
    """Return an unsigned event, which says nothing. It has an id that no genuine event has: it must swallow none."""
    body = event.record.value or b""
    named = providers.named_by_hint(event.provider, body)
    return replace(event, event_id=f"hint:{hashlib.sha256(body).hexdigest()}", hint=True, named=named)


def _decode_intent(record: Record, endpoints: DecodingTerms) -> Event:
    sent, command = intents.read(record.value or b"")
    headers = record.present()
    event_id, trace = intents.need_event_id(sent, identity_of(headers)[1]), trace_of(headers)
    source, kind = f"intents/{sent.client}", f"intent.{sent.command}"
    if not isinstance(command, Intent):
        asked = _asked(sent, command, _asked_at_of(record, headers))
        refs = (Ref(RefKind.ID, str(sent.id)),)
        meaning = Meaning(refs=refs, amount=asked.amount, asker=sent.client, asked=asked)
        content = intents.content_of(sent, command, event_id)
        return Event(record, source, event_id, kind, "ratchet", "", meaning, content, traceparent=trace)
    if not endpoints.may_own(sent.client, command.provider, command.account):
        place = source_of(command.provider, command.account)
        raise UninterpretableError(Reason.CONFLICT, f"client {sent.client} may not name payments of {place}")
    live = endpoints.is_live(command.provider, command.account) if command.livemode is None else command.livemode
    return Event(
        record,
        source,
        event_id,
        kind,
        command.provider,
        command.account,
        _intent_meaning(sent, command),
        traceparent=trace,
        livemode=live,
    )


def _asked(sent: IntentRecord, command: CommandBody, asked_at: float | None) -> CommandAsked:
    """Return what a command asks for."""
    money = command if isinstance(command, Capture | Refund) else None
    return CommandAsked(
        sent.command.value,
        amount=money.amount if money else None,
        currency=money.currency if money else None,
        attempt_id=command.attempt_id if isinstance(command, Capture | Cancel | Refund) else None,
        reason=command.reason if isinstance(command, Cancel | Refund) else None,
        metadata=json.dumps(command.metadata) if command.metadata else None,
        asked_at=asked_at,
    )


def _asked_at_of(record: Record, headers: Mapping[str, bytes]) -> float | None:
    """Return when a command was asked for: as its publisher says, but no later than Kafka had it."""
    published = record.timestamp_ms / 1000 if record.timestamp_ms > 0 else None
    sent = upstream.time_of(headers)
    return min((one for one in (sent, published) if one is not None), default=None)


def _decode_upstream(record: Record, endpoints: DecodingTerms) -> Event:
    headers = record.present()
    reported = upstream.read(record.value, headers, endpoints.sources, endpoints.executors)
    return Event(
        record,
        reported.source,
        reported.event_id,
        reported.kind,
        reported.provider,
        reported.account,
        reported.meaning,
        reported.content,
        traceparent=trace_of(headers),
        livemode=reported.livemode,
    )


def _intent_meaning(sent: IntentRecord, intent: Intent) -> Meaning:
    refs = [Ref(RefKind.ID, str(sent.id))]
    if intent.provider_ref:
        refs.append(Ref(RefKind.PAYMENT, intent.provider_ref))
    if intent.reference:
        refs.append(Ref(RefKind.REFERENCE, intent.reference))
    return Meaning(
        refs=tuple(refs),
        facts=(
            Fact(FactKind.TERMS, INTENT, "asked", intent.amount),
            Fact(FactKind.MODE, INTENT, intent.capture),
        ),
        opens=True,
        currency=intent.currency,
        amount=intent.amount,
        provider_ref=intent.provider_ref,
        merchant_account=intent.merchant_account,
        ownership=Ownership(
            sent.id,
            sent.client,
            intent.reference,
            intent.phone,
            groups=intent.reference is not None and intent.provider_ref is None,
            metadata=json.dumps(intent.metadata) if intent.metadata else None,
        ),
    )
