"""From a record to an event, or to a dead letter."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import INTENT_ID, intent, record, standard, stripe_intent, understood
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from outside import mollie_payment

from consumer.decode import DecodingTerms, Event, decode, identity
from consumer.fold import newer, project
from consumer.verdict import Dead
from schemas.dead_letter import Reason
from schemas.facts import Fact, FactKind, Ownership, RefKind
from schemas.record import Attributes, Record
from schemas.topics import INTENTS, WEBHOOKS

if TYPE_CHECKING:
    from schemas.payment import Facts

pytestmark = pytest.mark.unit

CREATED = standard("payment.created")


def with_header(one: Record, name: str, value: bytes) -> Record:
    return replace(one, headers=(*one.headers, (name, value)))


def reason(one: Record) -> Reason:
    dead = decode(one)
    assert isinstance(dead, Dead), dead
    assert dead.message
    return dead.reason


def test_a_webhook_is_its_source_its_id_and_what_it_means() -> None:
    event = understood(record("standard_webhooks/acme", "msg_1", "payment.created", CREATED.value))
    assert (event.source, event.event_id, event.kind) == ("standard_webhooks/acme", "msg_1", "payment.created")
    assert (event.provider, event.account) == ("standard_webhooks", "acme")
    assert event.meaning.provider_ref == "pay_1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_source", b""),
        ("ce_source", b"s" * 193),
        ("ce_source", b"stripe\x00"),
        ("ce_source", b"\xff"),
        ("ce_source", b"acme_pay"),
        ("ce_source", b"core"),
        ("ce_source", b"/acme"),
        ("ce_source", b"p" * 65 + b"/a"),
        ("ce_source", b"stripe/" + b"a" * 65),
        ("ce_id", b""),
        ("ce_id", b"i" * 401),
        ("ce_id", b"\xff"),
        ("ce_type", b"k" * 256),
        ("ce_type", b"unknown"),
        ("ce_type", b"payment.captured"),
    ],
)
def test_headers_that_cannot_be_used_make_a_letter(name: str, value: bytes) -> None:
    assert reason(with_header(CREATED, name, value)) is Reason.UNDECODABLE


def test_a_record_without_headers_is_a_letter() -> None:
    assert reason(replace(CREATED, headers=())) is Reason.UNDECODABLE


def test_a_record_without_a_value_is_a_letter() -> None:
    assert reason(replace(CREATED, value=None)) is Reason.UNDECODABLE


def test_an_unknown_kind_of_a_payment_family_is_a_letter_of_its_own() -> None:
    assert reason(record("stripe", "1", "charge.teleported", {"type": "charge.teleported"})) is Reason.UNKNOWN_KIND


def test_an_exception_that_nobody_foresaw_is_a_letter_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    import providers

    broken = dataclasses.replace(providers.find("stripe"), interpret=lambda *_: {}["x"])  # type: ignore[type-var]
    monkeypatch.setattr(providers, "find", lambda _: broken)
    assert reason(record("stripe", "1", "x", {})) is Reason.UNEXPECTED


def test_a_provider_that_says_nothing_of_payments_is_an_event_without_facts() -> None:
    event = understood(record("github", "1", "push", {"ref": "main"}))
    assert (event.meaning.refs, event.meaning.facts) == ((), ())


def test_an_event_that_names_no_kind_is_a_letter() -> None:
    assert reason(record("github", "1", "unknown", {})) is Reason.UNDECODABLE


def test_identity_tells_what_can_be_stored() -> None:
    assert identity(CREATED) == ("standard_webhooks", "msg_pay_1_payment.created_None_1000", "payment.created")
    broken = with_header(with_header(CREATED, "ce_id", b"\xff"), "ce_type", b"a\x00")
    assert identity(broken) == ("standard_webhooks", None, None)


# --- intents -----------------------------------------------------------------------------------------------------


def test_an_intent_opens_the_payment_that_was_promised() -> None:
    event = understood(intent(reference="ORD-1", provider_ref="pay_1", capture="automatic", account="acme"))
    assert (event.source, event.event_id, event.kind) == ("intents/shop", f"{INTENT_ID}:create", "intent.create")
    assert (event.provider, event.account) == ("standard_webhooks", "acme")
    meaning = event.meaning
    assert [ref.kind for ref in meaning.refs] == [RefKind.ID, RefKind.PAYMENT, RefKind.REFERENCE]
    assert meaning.facts == (
        Fact(FactKind.TERMS, "intent", "asked", 1000),
        Fact(FactKind.MODE, "intent", "automatic"),
    )
    assert (meaning.opens, meaning.ownership) == (True, Ownership(INTENT_ID, "shop", "ORD-1"))
    assert (meaning.currency, meaning.amount, meaning.provider_ref) == ("EUR", 1000, "pay_1")


@pytest.mark.parametrize("command", ["capture", "cancel", "refund"])
def test_a_command_names_its_payment_and_adds_nothing(command: str) -> None:
    event = understood(intent(command=command))
    assert (event.provider, event.account, event.kind) == ("ratchet", "", f"intent.{command}")
    assert [(ref.kind, ref.ref) for ref in event.meaning.refs] == [(RefKind.ID, str(INTENT_ID))]
    assert (event.meaning.facts, event.meaning.opens, event.meaning.ownership) == ((), False, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 0},
        {"amount": "1000"},
        {"amount": 10**15 + 1},
        {"amount": None},
        {"currency": "eur"},
        {"provider": "No Such"},
        {"reference": ""},
        {"reference": "a\x00b"},
        {"reference": "a\nb"},
        {"provider_ref": "x" * 256},
        {"account": "\x07"},
        {"account": "a" * 65},
        {"capture": "later"},
        {"phone": "012345"},
        {"surprise": 1},
    ],
)
def test_an_intent_that_is_not_valid_is_a_letter(changes: dict[str, Any]) -> None:
    assert reason(intent(**changes)) is Reason.UNDECODABLE


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[]", b'"x"', b"\xff", b'{"id":1}', b'{"id":"\\ud800"}', b"[" * 100_000, None],
)
def test_an_intent_that_is_no_record_of_ours_is_a_letter(value: bytes | None) -> None:
    assert reason(replace(intent(), value=value)) is Reason.UNDECODABLE


def test_a_letter_does_not_quote_the_values() -> None:
    dead = decode(intent(phone="4111111111111111"))
    assert isinstance(dead, Dead)
    assert "phone" in dead.message
    assert "4111" not in dead.message


@given(
    st.binary(max_size=200),
    st.sampled_from([WEBHOOKS.name, INTENTS.name]),
    st.sampled_from(["stripe", "adyen", "standard_webhooks", "mpesa", "x"]),
)
def test_never_raises_for_any_bytes(value: bytes, topic: str, source: str) -> None:
    found = decode(record(source, "1", "payment.created", value, topic=topic))
    assert isinstance(found, Event | Dead)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "type", "data", "object"]), inner)
        ),
    )
)
def test_never_raises_for_any_json(body: Any) -> None:
    value = json.dumps(body).encode()
    for source, kind in (("stripe", "charge.refunded"), ("adyen", "CAPTURE"), ("standard_webhooks", "refund.pending")):
        assert isinstance(decode(record(source, "1", kind, value)), Event | Dead)


# --- answers of providers' APIs ----------------------------------------------------------------------------------

PAID = {"id": "pi_1", "object": "payment_intent", "amount": 1000, "amount_received": 0, "currency": "eur"}


def answer(asked_at: float, **changes: object) -> Record:
    value = json.dumps({**PAID, "status": "processing", **changes}).encode()
    event_id = f"refetch:{hashlib.sha256(value).hexdigest()}"
    headers = Attributes("stripe", event_id, "refetch.payment_intent", asked_at).to_headers()
    return Record(WEBHOOKS.name, 0, 0, 0, b"pi_1", value, headers)


def test_an_answer_counts_from_the_second_in_which_the_api_was_asked() -> None:
    first, later = understood(answer(1_790_000_005.9)), understood(answer(1_790_000_009.0))
    assert {fact.kind: fact.version for fact in first.meaning.facts} == {
        FactKind.TERMS: 1_790_000_005,
        FactKind.ATTEMPT: 1_790_000_005,
    }
    assert first.event_id == understood(answer(1_790_000_005.2)).event_id, "reported twice"
    assert first.event_id != later.event_id, "the same answer later says that it is still so"


def test_an_answer_beats_the_events_before_it_and_loses_to_those_since() -> None:
    lowered = understood(stripe_intent("processing", amount=800, created=1_790_000_003)).meaning.facts
    raised = understood(answer(1_790_000_005)).meaning.facts
    since = understood(stripe_intent("processing", amount=900, created=1_790_000_006)).meaning.facts
    for reported, amount in (((lowered, raised), 1000), ((raised, lowered), 1000), ((raised, since, lowered), 900)):
        facts: Facts = {}
        for one in reported:
            facts |= newer(facts, one)
        assert project(facts).amount == amount


def test_an_answer_without_a_time_keeps_its_id_and_its_figures() -> None:
    timed = answer(1_790_000_005)
    bare = replace(timed, headers=tuple(pair for pair in timed.headers if pair[0] != "ce_time"))
    event = understood(bare)
    assert "@" not in event.event_id
    assert {fact.version for fact in event.meaning.facts} == {0}


def test_the_api_of_a_provider_without_versions_gives_one_event_however_often_it_is_asked() -> None:
    value = json.dumps(mollie_payment("tr_1", status="open")).encode()
    reported = [Attributes("mollie", "refetch:1", "refetch.payment", at).to_headers() for at in (1.79e9, 1.79e9 + 50)]
    events = [understood(Record(WEBHOOKS.name, 0, 0, 0, b"tr_1", value, headers)) for headers in reported]
    assert [event.event_id for event in events] == ["refetch:1"] * 2


def test_an_answer_that_a_collection_failed_beats_the_event_that_it_was_begun() -> None:
    value = json.dumps({"payments": {"id": "PM1", "amount": 1000, "currency": "EUR", "status": "failed"}}).encode()
    headers = Attributes("gocardless", "refetch:1", "refetch.payments", 1_790_000_005.5).to_headers()
    failed = understood(Record(WEBHOOKS.name, 0, 0, 0, b"PM1", value, headers)).meaning.facts
    times = (1_790_000_000_000_000, 1_790_000_006_000_000)
    before, since = (Fact(FactKind.ATTEMPT, "PM1", "processing", None, None, at) for at in times)
    for reported, status in (
        ((before, *failed), "failed"),
        ((*failed, before), "failed"),
        ((*failed, since), "processing"),
    ):
        assert project(newer({}, reported)).status == status


def test_an_intent_of_no_id_or_of_a_strangers_account_is_a_letter() -> None:
    nil = replace(intent(), value=(intent().value or b"").replace(str(INTENT_ID).encode(), str(UUID(int=0)).encode()))
    assert reason(nil) is Reason.UNDECODABLE
    stranger = decode(
        intent(account="acme"), DecodingTerms(may_own=lambda *named: named != ("shop", "standard_webhooks", "acme"))
    )
    assert isinstance(stranger, Dead)
    assert (stranger.reason, stranger.message) == (
        Reason.CONFLICT,
        "client shop may not name payments of standard_webhooks/acme",
    )


@pytest.mark.parametrize(
    ("action", "happened_at", "status", "captured"),
    [
        ("failed", 1_790_000_000, "confirmed", 1000),
        ("confirmed", 1_790_000_000, "failed", 0),
        ("confirmed", 1_790_000_006, "failed", 1000),
        ("failed", 1_790_000_006, "confirmed", 0),
    ],
)
def test_an_answer_of_gocardless_stands_between_the_events_before_it_and_those_since(
    action: str, happened_at: int, status: str, captured: int
) -> None:
    """A debit fails late and is collected again; the API is asked 5 s after the earlier event."""
    value = json.dumps({"payments": {"id": "PM1", "amount": 1000, "currency": "EUR", "status": status}}).encode()
    headers = Attributes("gocardless", "refetch:1", "refetch.payments", 1_790_000_005.5).to_headers()
    fetched = understood(Record(WEBHOOKS.name, 0, 0, 0, b"PM1", value, headers)).meaning.facts
    created_at = dt.datetime.fromtimestamp(happened_at, dt.UTC).isoformat()
    body = {"id": "EV1", "resource_type": "payments", "action": action, "links": {"payment": "PM1"}}
    event = understood(record("gocardless", "EV1", f"payments.{action}", {**body, "created_at": created_at}))
    for reported in ((fetched, event.meaning.facts), (event.meaning.facts, fetched)):
        facts: Facts = {}
        for one in reported:
            facts |= newer(facts, one)
        assert project(facts).captured == captured
