"""What an event takes from its record, field by field: mode, times, names, and what the settings say beside it."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from uuid import UUID

import pytest
from events import INTENT_ID, RECEIVED_AT, intent, record, standard, stripe, understood
from msgspec.structs import replace

import providers
from consumer.decode import DecodingTerms, Event, decode, endpoints_of, is_answer
from consumer.verdict import Dead
from runtime.settings import Settings
from runtime.settings.outside import AccountSettings, ProviderSettings
from runtime.settings.scopes import Scopes, scopes_of
from schemas.errors import SettingsError
from schemas.facts import INTENT, CommandAsked, Fact, FactKind, Meaning, Ownership, Ref, RefKind
from schemas.record import EVENT_ID_LENGTH_MAX, RECALL_HEADER, TRUST_HEADER, Attributes, Record
from schemas.topics import DEFAULT, INTENTS, WEBHOOKS, topics_of

pytestmark = pytest.mark.unit

LIVE, TEST = DecodingTerms(is_live=lambda *_: True), DecodingTerms(is_live=lambda *_: False)


def event(one: Record, terms: DecodingTerms | None = None) -> Event:
    found = decode(one, terms or DecodingTerms())
    assert isinstance(found, Event), found
    return found


def command(name: str, body: dict[str, Any], *, headers: Any = None, timestamp_ms: int = 1_790_000_000_000) -> Record:
    value = {"id": str(INTENT_ID), "client": "shop", "command": name, "body": body}
    one = record("intents/shop", "c-1", f"intent.{name}", value, topic=INTENTS.name)
    return replace(one, timestamp_ms=timestamp_ms, headers=one.headers if headers is None else headers)


# --- the mode ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [True, False])
def test_the_mode_that_a_webhook_signs_stands_before_its_endpoints(signed: bool) -> None:  # noqa: FBT001
    """Test money at a live endpoint is test money, or it is paid out as if it were there."""
    thing = {"id": "pi_1", "object": "payment_intent", "amount": 10, "amount_received": 0, "currency": "eur"}
    one = stripe("payment_intent.processing", {**thing, "status": "processing"})
    body = (one.value or b"").replace(
        b'"object": "event"', f'"object": "event", "livemode": {str(signed).lower()}'.encode()
    )
    for terms in (LIVE, TEST):
        assert event(replace(one, value=body), terms).livemode is signed


def test_a_webhook_that_signs_no_mode_has_its_endpoints() -> None:
    for terms, live in ((LIVE, True), (TEST, False)):
        assert event(standard("payment.captured"), terms).livemode is live


@pytest.mark.parametrize("asked", [True, False, None])
def test_an_intents_own_mode_stands_before_its_endpoints(asked: bool | None) -> None:  # noqa: FBT001
    for terms, live in ((LIVE, True), (TEST, False)):
        assert event(intent(livemode=asked), terms).livemode is (live if asked is None else asked)


# --- when a command was asked for --------------------------------------------------------------------------------

AT = "2026-09-21T14:13:20+00:00"
"""`RECEIVED_AT` as `ce_time` has it."""


@pytest.mark.parametrize(
    ("sent", "timestamp_ms", "asked_at"),
    [
        (AT, 1_790_000_000_000, RECEIVED_AT),
        (AT, 1_790_000_009_500, RECEIVED_AT),
        (AT, 1_789_999_990_500, RECEIVED_AT - 9.5),
        (AT, -1, RECEIVED_AT),
        (None, 1_790_000_009_500, RECEIVED_AT + 9.5),
        (None, 0, None),
        (None, -1, None),
        ("tomorrow", 1_790_000_000_000, RECEIVED_AT),
    ],
)
def test_a_command_was_asked_for_when_its_publisher_says_and_no_later_than_kafka_had_it(
    sent: str | None, timestamp_ms: int, asked_at: float | None
) -> None:
    headers = (("ce_id", b"c-1"), *((("ce_time", sent.encode()),) if sent else ()))
    asked = event(command("refund", {}, headers=headers, timestamp_ms=timestamp_ms)).meaning.asked
    assert asked is not None
    assert asked.asked_at == asked_at


# --- what a command and an intent say ----------------------------------------------------------------------------

ATTEMPT_ID = UUID(int=5)
ATTEMPT = {"attempt_id": str(ATTEMPT_ID)}
MONEY = {"amount": 7, "currency": "EUR"}


@pytest.mark.parametrize(
    ("name", "body", "asked"),
    [
        ("capture", {**MONEY, **ATTEMPT}, CommandAsked("capture", 7, "EUR", ATTEMPT_ID)),
        ("refund", {**MONEY, **ATTEMPT, "reason": "late"}, CommandAsked("refund", 7, "EUR", ATTEMPT_ID, "late")),
        ("cancel", {**ATTEMPT, "reason": "late"}, CommandAsked("cancel", None, None, ATTEMPT_ID, "late")),
        ("cancel", {"metadata": {"a": [1]}}, CommandAsked("cancel", metadata='{"a": [1]}')),
        ("refund", {}, CommandAsked("refund")),
    ],
)
def test_a_command_asks_for_all_that_its_body_says(name: str, body: dict[str, Any], asked: CommandAsked) -> None:
    """A cancel that loses its attempt's id cancels another one, or none."""
    found = event(command(name, body, headers=(("ce_id", b"c-1"), ("traceparent", TRACE)), timestamp_ms=-1))
    assert found.meaning.asked == asked
    assert (found.meaning.asker, found.meaning.amount, found.kind) == ("shop", asked.amount, f"intent.{name}")
    assert (found.event_id, found.source, found.traceparent) == ("c-1", "intents/shop", TRACE.decode())


TRACE = b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"


def test_an_intent_says_all_that_its_body_says() -> None:
    body = {"merchant_account": "Shop", "provider_ref": "pay_1", "reference": "ORD-1", "phone": "+4915112345678"}
    found = event(intent(capture="automatic", metadata={"a": 1}, account="acme", **body))
    assert (found.provider, found.account) == ("standard_webhooks", "acme")
    assert found.meaning.facts == (
        Fact(FactKind.TERMS, INTENT, "asked", 1000),
        Fact(FactKind.MODE, INTENT, "automatic"),
    )
    assert (found.meaning.currency, found.meaning.amount, found.meaning.provider_ref) == ("EUR", 1000, "pay_1")
    assert (found.meaning.merchant_account, found.meaning.opens) == ("Shop", True)
    owned = Ownership(INTENT_ID, "shop", "ORD-1", "+4915112345678", groups=False, metadata='{"a": 1}')
    assert found.meaning.ownership == owned
    refs = (Ref(RefKind.ID, str(INTENT_ID)), Ref(RefKind.PAYMENT, "pay_1"), Ref(RefKind.REFERENCE, "ORD-1"))
    assert found.meaning.refs == refs


@pytest.mark.parametrize(
    ("name", "once", "twice"),
    [
        ("amount", b'"amount": 7', b'"amount": 7, "amount": 70'),
        ("id", b'"client"', b'"id": "01890000-0000-7000-8000-000000000009", "client"'),
    ],
)
def test_a_field_that_stands_twice_is_refused(name: str, once: bytes, twice: bytes) -> None:
    """Readers disagree on which of the two counts: one checks 7, and another pays 70."""
    one = command("refund", {"amount": 7})
    found = decode(replace(one, value=(one.value or b"").replace(once, twice)))
    assert isinstance(found, Dead)
    assert found.message.startswith(f"intent: {name} stands twice in one object")


@pytest.mark.parametrize(
    ("body", "groups"),
    [
        ({"reference": "ORD-1"}, True),
        ({"reference": "ORD-1", "provider_ref": "pay_1"}, False),
        ({"provider_ref": "pay_1"}, False),
        ({}, False),
    ],
)
def test_an_intent_that_names_its_payment_adopts_no_other(body: dict[str, str], groups: bool) -> None:  # noqa: FBT001
    owned = event(intent(**body)).meaning.ownership
    assert owned is not None
    assert owned.groups is groups


# --- answers, hints, lists ---------------------------------------------------------------------------------------


def answer(event_id: str, asked_at: float) -> Record:
    thing = {"id": "pi_1", "object": "payment_intent", "amount": 9, "amount_received": 0, "currency": "eur"}
    value = json.dumps({**thing, "status": "processing"}).encode()
    headers = Attributes("stripe", event_id, "refetch.payment_intent", asked_at).to_headers()
    return Record(WEBHOOKS.name, 0, 0, 0, b"pi_1", value, headers)


def test_the_id_of_an_answer_fits_with_its_time() -> None:
    """One that is too long for the ledger's column stops its batch."""
    first, later = (event(answer("r" * EVENT_ID_LENGTH_MAX, at)).event_id for at in (RECEIVED_AT, RECEIVED_AT + 1))
    assert first != later
    assert {len(one) <= EVENT_ID_LENGTH_MAX for one in (first, later)} == {True}
    assert later.endswith("@1790000001")


def test_only_a_provider_with_an_api_answers() -> None:
    """A sender whose kinds are its own could else have its events taken for answers, which no look follows."""
    own = understood(standard("payment.captured"))
    for provider in ("github", "twilio", "billing"):
        assert not is_answer(replace(own, provider=provider, kind="refetch.payment"))
    assert not is_answer(replace(own, provider="stripe", kind="charge.captured"))
    assert is_answer(replace(own, provider="stripe", kind="refetch.charge"))


def unsigned(value: bytes, event_id: str = "evt_1") -> Record:
    headers = Attributes("stripe", event_id, "charge.captured", RECEIVED_AT, trust="hint").to_headers()
    return Record(WEBHOOKS.name, 0, 0, 0, b"k", value, headers)


def test_a_hint_says_nothing_under_an_id_of_its_bytes() -> None:
    body = b'{"id": "evt_1"}'
    found = event(unsigned(body))
    assert found.hint
    assert found.event_id == f"hint:{hashlib.sha256(body).hexdigest()}"
    assert found.meaning.facts == ()
    assert event(unsigned(b"{}")).event_id != event(unsigned(b"[]")).event_id, "under one id of the forger's"
    without = replace(
        unsigned(b"{}"), headers=tuple(pair for pair in unsigned(b"{}").headers if pair[0] != TRUST_HEADER)
    )
    assert event(without).hint, "that nobody marked"


def test_an_event_of_a_providers_list_is_known_as_one() -> None:
    one = standard("payment.captured")
    assert not event(one).recalled
    assert event(replace(one, headers=(*one.headers, (RECALL_HEADER, b"events")))).recalled


CAPTURE = (Ref(RefKind.CAPTURE, "cap"), Ref(RefKind.PAYMENT, "p"))
OF_ORDER = Meaning(refs=CAPTURE, order="O-1")
ONE = DecodingTerms(has_several_merchants=lambda *_: False)
SEVERAL = DecodingTerms(has_several_merchants=lambda *_: True)


@pytest.mark.parametrize(
    ("meaning", "terms", "found"),
    [
        (OF_ORDER, ONE, replace(OF_ORDER, refs=(*CAPTURE, Ref(RefKind.PAYMENT, "O-1")), order=None)),
        (OF_ORDER, SEVERAL, OF_ORDER),
        *(
            (other, ONE, other)
            for other in (
                replace(OF_ORDER, merchant_account="Shop"),
                replace(OF_ORDER, sole=True),
                replace(OF_ORDER, order=None),
                replace(OF_ORDER, refs=CAPTURE[1:]),
            )
        ),
    ],
)
def test_a_capture_that_tells_nobodys_order_is_that_orders_at_an_endpoint_of_one_merchant(
    monkeypatch: pytest.MonkeyPatch, meaning: Meaning, terms: DecodingTerms, found: Meaning
) -> None:
    """Where the account is named, or several are taken, the order may be somebody else's: it is only looked up."""
    monkeypatch.setattr(providers, "interpret", lambda *_: meaning)
    assert event(standard("payment.captured"), terms).meaning == found


# --- what the settings say ---------------------------------------------------------------------------------------


def test_decoding_knows_all_that_the_settings_say() -> None:
    topics = topics_of("acme.payments.")
    scopes = Scopes({}, {}, ["billing"], {"gateway": ["stripe/acme"]})
    terms = endpoints_of(scopes, topics)
    assert (terms.sources, terms.topics) == (frozenset({"billing"}), topics)
    assert terms.executors == {"gateway": frozenset({"stripe/acme"})}
    asked = replace(intent(), topic=topics.intents.name)
    assert event(asked, terms).kind == "intent.create"
    assert isinstance(decode(replace(intent(), topic=topics.webhooks.name), terms), Dead)


@pytest.mark.parametrize("name", ["stripe", "ratchet", "intents", "events"])
def test_no_service_and_no_executor_has_a_providers_name_or_ours(name: str) -> None:
    with pytest.raises(SettingsError, match=f"RATCHET_SOURCES: {name} is the name of a provider or our own"):
        endpoints_of(Scopes({}, {}, ["billing", name]), DEFAULT)
    with pytest.raises(SettingsError, match=f"RATCHET_EXECUTORS: {name} is the name of a provider or our own"):
        endpoints_of(Scopes({}, {}, [], {"gateway": [], name: []}), DEFAULT)


@pytest.mark.parametrize(("mode", "live"), [("live", True), ("test", False), (None, True)])
def test_an_endpoint_is_live_as_its_own_setting_says(mode: Any, live: bool) -> None:  # noqa: FBT001
    accounts = {"acme": AccountSettings(mode=mode)}
    settings = Settings(providers={"paypal": ProviderSettings(accounts=accounts)})
    assert endpoints_of(scopes_of(settings), DEFAULT).is_live("paypal", "acme") is live
