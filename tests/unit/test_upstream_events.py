"""Events of upstream services: what each type says, whose payments they are, and what a dead letter tells to mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from events import record, standard, understood
from every_order import in_every_order
from hypothesis import given
from hypothesis import strategies as st
from memory_tables import MemoryTables
from msgspec.structs import replace

from consumer.decode import ANY, DecodingTerms, Event, decode, endpoints_of
from consumer.upstream import RESERVED
from consumer.verdict import Dead
from runtime.settings.scopes import Scopes
from schemas.dead_letter import Reason
from schemas.errors import SettingsError
from schemas.events import EVENTS as TYPES
from schemas.topics import DEFAULT, EVENTS

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

BOUND = DecodingTerms(sources=frozenset({"billing", "pos"}))
STATED: dict[str, Any] = {"payment_id": "b-1", "reference": "ORD-1", "id": "c-1", "amount": 1000, "currency": "EUR"}


def reported(kind: str, *, source: str = "billing", event_id: str = "", **fields: Any) -> Record:
    """Return an event as a service publishes it, with those fields of `STATED` that its type has."""
    body = {
        name: value
        for name, value in {**STATED, **fields}.items()
        if name in TYPES[kind].model_fields or name in fields
    }
    event_id = event_id or f"{kind}:{body.get('id')}:{body.get('amount')}"
    return record(source, event_id, kind, {k: v for k, v in body.items() if v is not None}, topic=EVENTS.name)


def letter(one: Record, endpoints: DecodingTerms = BOUND) -> Dead:
    dead = decode(one, endpoints)
    assert isinstance(dead, Dead), dead
    return dead


def shown(tables: MemoryTables) -> dict[str, Any]:
    assert not tables.parked
    assert not tables.letters
    (row,) = tables.payments.values()
    return row


def test_an_event_is_its_source_its_id_and_what_it_says() -> None:
    event = understood(reported("payment.captured", source="billing/EU", livemode=False))
    assert (event.source, event.event_id) == ("events/billing/EU", "payment.captured:c-1:1000")
    assert (event.provider, event.account, event.livemode) == ("billing", "eu", False)
    assert (event.meaning.provider_ref, event.meaning.amount, event.meaning.currency) == ("b-1", 1000, "EUR")
    assert event.meaning.occurred_at == 1_790_000_000.0


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_says_something_of_the_service_s_own_payment(kind: str) -> None:
    tables = MemoryTables()
    tables.process([reported("payment.created", event_id="first"), reported(kind)])
    (row,) = tables.payments.values()
    assert (row["provider"], row["provider_ref"]) == ("billing", "b-1")
    assert not tables.letters
    assert len(tables.ledger) == 2


LIVES: dict[str, tuple[list[Record], dict[str, Any]]] = {
    "captured in parts, refunded in part, disputed": (
        [
            reported("payment.authorized"),
            reported("payment.captured", amount=400),
            reported("payment.captured", id="c-2", amount=600),
            reported("payment.refunded", id="r-1", amount=100),
            reported("dispute.funds_withdrawn", id="d-1", amount=300),
        ],
        {"status": "captured", "captured": 1000, "refunded": 100, "disputed": 300, "refund_status": "partial"},
    ),
    "failed, then paid": (
        [
            reported("payment.failed", id="t-1"),
            reported("payment.processing", id="t-2"),
            reported("payment.authorized"),
            reported("payment.captured"),
        ],
        {"status": "captured", "captured": 1000, "authorized": 1000},
    ),
    "a refund that failed": (
        [reported("payment.captured"), reported("refund.pending", id="r-1"), reported("refund.failed", id="r-1")],
        {"status": "captured", "refunded": 0, "refund_status": "none"},
    ),
    "canceled": ([reported("payment.authorized"), reported("payment.canceled")], {"status": "canceled", "captured": 0}),
    "expired": ([reported("payment.requires_action"), reported("payment.expired")], {"status": "expired"}),
    "won": (
        [
            reported("payment.captured"),
            reported("dispute.opened", id="d-1"),
            reported("dispute.funds_withdrawn", id="d-1", amount=1000),
            reported("dispute.funds_reinstated", id="d-1", amount=1000),
            reported("dispute.won", id="d-1"),
        ],
        {"status": "captured", "dispute_status": "won", "disputed": 0},
    ),
}


@pytest.mark.parametrize("life", LIVES)
def test_any_order_of_a_life_gives_the_same_row(life: str) -> None:
    records, columns = LIVES[life]
    for end in in_every_order(records):
        row = shown(end.tables)
        assert {name: row[name] for name in columns} == columns
        assert row["flags"] in ([], "", None) or not row["flags"]


def test_a_late_event_that_brings_the_reference_is_a_version() -> None:
    """A reader of changes has no other way to learn of it: it holds the payment at this version already."""
    tables = MemoryTables()
    money = {"payment_id": "b-9", "amount": 1000, "currency": "EUR"}
    tables.process([reported("payment.captured", event_id="c", id="cap", reference=None, **money)])
    (row,) = tables.payments.values()
    assert (row["version"], row["reference"]) == (1, None)
    tables.process([reported("payment.authorized", event_id="a", reference="ORD-9", **money)])
    (row,) = tables.payments.values()
    assert (row["version"], row["reference"]) == (2, "ORD-9")
    assert [(one.outcome, one.version) for one in tables.ledger] == [("applied", 1), ("late", 2)]
    tables.process([reported("payment.authorized", event_id="b", reference="ORD-9", **money)])
    assert next(iter(tables.payments.values()))["version"] == 2, "what is known already is none"


def test_a_service_s_payment_never_meets_a_provider_s_or_another_service_s() -> None:
    tables = MemoryTables()
    tables.process(
        [
            standard("payment.captured", payment="b-1", reference="ORD-1", event_id="e"),
            reported("payment.captured", event_id="e"),
            reported("payment.captured", source="pos", event_id="e"),
            reported("payment.captured", source="billing/eu", event_id="e"),
        ]
    )
    assert sorted((row["provider"], row["account"], row["captured"]) for row in tables.payments.values()) == [
        ("billing", "", 1000),
        ("billing", "eu", 1000),
        ("pos", "", 1000),
        ("standard_webhooks", "", 1000),
    ]
    assert len(tables.ledger) == 4, "an event id is the source's own"


def test_a_copy_is_one_and_other_facts_under_its_id_are_a_conflict() -> None:
    tables = MemoryTables()
    tables.process([reported("payment.captured", event_id="e"), reported("payment.captured", event_id="e")])
    tables.process([reported("payment.captured", event_id="e", amount=900)])
    assert (len(tables.ledger), [one.reason for one in tables.letters]) == (1, [Reason.CONFLICT])


def test_a_refund_waits_for_its_payment() -> None:
    tables = MemoryTables()
    tables.process([reported("payment.refunded", id="r-1", amount=100)])
    assert (len(tables.ledger), len(tables.parked)) == (0, 1)
    tables.process([reported("payment.captured")])
    assert (len(tables.ledger), len(tables.parked)) == (2, 0)


def without(one: Record, name: str) -> Record:
    return replace(one, headers=tuple(pair for pair in one.headers if pair[0] != name))


@pytest.mark.parametrize("name", ["ce_id", "ce_source", "ce_type"])
def test_a_missing_header_is_named(name: str) -> None:
    message = letter(without(reported("payment.captured"), name)).message
    assert message.startswith(f"event: no usable header {name}: an event is a CloudEvent in binary mode")


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (reported("payment.captured", source="stripe"), "ce_source stripe is none of RATCHET_SOURCES (billing, pos)"),
        (reported("payment.captured", source="/billing"), "is none of RATCHET_SOURCES (billing, pos)"),
        (reported("payment.captured", source="billing/a/b"), "the account in ce_source"),
        (reported("payment.captured", source="billing/" + "a" * 65), "the account in ce_source"),
        (reported("payment.captured", ammount=1), "ammount: there is no such field; did you mean amount?"),
        (reported("payment.captured", id=None), "payment.captured: id: Field required"),
        (reported("payment.captured", amount="10.00"), "payment.captured: amount: "),
        (reported("payment.captured", amount=0), "payment.captured: amount: "),
        (reported("payment.captured", currency="eur"), "payment.captured: currency: "),
        (reported("payment.captured", payment_id=""), "payment.captured: payment_id: "),
        (reported("payment.captured", reference="a\nb"), "payment.captured: reference: "),
        (reported("payment.created", currency=None), "amount and currency belong together"),
        (replace(reported("payment.captured"), value=b'{"payment_id":"a","payment_id":"b","id":"c","amount":1,'
                 b'"currency":"EUR"}'), "payment_id stands twice in one object"),
        (replace(reported("payment.captured"), value=b"\x00\x00\x00\x00\x07{}"), "Confluent's wire format"),
        (replace(reported("payment.captured"), value=None), "no value (a tombstone)"),
    ],
)  # fmt: skip
def test_a_wrong_event_says_what_to_mend(one: Record, message: str) -> None:
    dead = letter(one)
    assert dead.reason is Reason.UNDECODABLE
    assert message in dead.message


def test_a_type_that_there_is_not_is_reported_with_the_one_that_was_meant() -> None:
    one = replace(reported("payment.captured"), headers=record("billing", "1", "payment.capture", {}).headers)
    dead = letter(one)
    assert (dead.reason, dead.message) == (
        Reason.UNKNOWN_KIND,
        "event: there is no type payment.capture; did you mean payment.captured?",
    )


def test_nobody_may_publish_where_no_source_is_set_and_no_service_has_a_provider_s_name() -> None:
    assert "RATCHET_SOURCES (none)" in letter(reported("payment.captured"), DecodingTerms(sources=frozenset())).message
    assert isinstance(decode(reported("payment.captured"), ANY), Event)
    for name in ("stripe", *RESERVED):
        assert letter(reported("payment.captured", source=name), ANY).reason is Reason.UNDECODABLE
        with pytest.raises(SettingsError, match="RATCHET_SOURCES"):
            endpoints_of(Scopes({}, {}, [name]), DEFAULT)


@given(st.binary(max_size=100), st.sampled_from(list(TYPES)))
def test_never_raises_for_any_bytes(value: bytes, kind: str) -> None:
    assert isinstance(decode(replace(reported(kind), value=value), BOUND), Event | Dead)


@pytest.mark.parametrize("source", ["billing2", "bill", "pos.eu/EU", "Billing"])
def test_a_service_is_known_by_its_whole_name(source: str) -> None:
    assert "is none of RATCHET_SOURCES" in letter(reported("payment.captured", source=source)).message
