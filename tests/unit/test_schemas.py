"""The contracts: closed vocabularies, records, problems, changes, ids."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from schemas import dead_letter, errors, problems, topics
from schemas.changes import CHANGE_TYPE, Change, headers_of
from schemas.facts import AMOUNT_MAX, RANKS, VERSION_MAX, Fact, FactKind, Ref, RefKind
from schemas.intents import Command, Intent, IntentRecord
from schemas.payment import DisputeStatus, Outcome, Projection, RefundStatus, Status, new_payment_id
from schemas.record import Attributes, Record

pytestmark = pytest.mark.unit


# --- facts -------------------------------------------------------------------------------------------------------


def test_every_kind_of_fact_ranks_its_states_without_ties() -> None:
    assert set(RANKS) == set(FactKind)
    for kind, states in RANKS.items():
        assert sorted(states.values()) == list(range(len(states))), kind
        for state, rank in states.items():
            assert Fact(kind, "k", state).rank == rank


@pytest.mark.parametrize(("state", "amount"), [("paid", 1), ("pending", -1), ("pending", AMOUNT_MAX + 1)])
def test_a_fact_outside_the_vocabulary_is_refused(state: str, amount: int) -> None:
    with pytest.raises(ValueError, match=r"no state|outside"):
        Fact(FactKind.CAPTURE, "c", state, amount)
    with pytest.raises(ValueError, match=r"version -1 .* outside"):
        Fact(FactKind.CAPTURE, "c", "pending", version=-1)
    with pytest.raises(ValueError, match=rf"version {VERSION_MAX + 1} .* outside"):
        Fact(FactKind.CAPTURE, "c", "pending", version=VERSION_MAX + 1)


def test_the_bounds_of_an_amount_and_of_a_version_are_inside() -> None:
    assert Fact(FactKind.CAPTURE, "c", "pending", version=VERSION_MAX).version == 2**63 - 1
    assert Fact(FactKind.CAPTURE, "c", "pending", 0).amount == 0
    assert Fact(FactKind.CAPTURE, "c", "pending", AMOUNT_MAX).amount == AMOUNT_MAX


def test_references_order_by_kind_and_text() -> None:
    assert sorted([Ref(RefKind.PAYMENT, "b"), Ref(RefKind.PAYMENT, "a"), Ref(RefKind.CHARGE, "z")]) == [
        Ref(RefKind.CHARGE, "z"),
        Ref(RefKind.PAYMENT, "a"),
        Ref(RefKind.PAYMENT, "b"),
    ]


# --- payments ----------------------------------------------------------------------------------------------------


def test_vocabularies_are_those_of_the_contract() -> None:
    assert [status.value for status in Status] == (
        [
            "created",
            "requires_action",
            "processing",
            "authorized",
            "partially_captured",
            "captured",
            "failed",
            "canceled",
            "expired",
        ]
    )
    assert [status.value for status in RefundStatus] == ["none", "pending", "partial", "full"]
    assert [status.value for status in DisputeStatus] == (
        ["none", "inquiry", "open", "under_review", "won", "lost", "prevented"]
    )
    assert [outcome.value for outcome in Outcome] == ["applied", "noop", "late", "conflict"]


def test_a_payment_without_facts_is_created() -> None:
    assert Projection() == Projection(Status.CREATED, RefundStatus.NONE, DisputeStatus.NONE, 0, 0, 0, 0, 0)


def test_a_new_id_is_a_uuid_of_version_7_and_holds_the_time() -> None:
    ids = [new_payment_id(1_790_000_000_123) for _ in range(100)]
    assert len(set(ids)) == 100
    for one in ids:
        assert (one.version, one.variant) == (7, "specified in RFC 4122")
        assert one.int >> 80 == 1_790_000_000_123
    assert new_payment_id(1) < new_payment_id(2)
    assert new_payment_id(1 << 48).int >> 80 == 0


# --- records -----------------------------------------------------------------------------------------------------


def record(*headers: tuple[str, bytes]) -> Record:
    return Record("t", 0, 0, 0, None, None, headers)


def test_the_last_header_of_a_name_counts() -> None:
    assert record(("a", b"1"), ("a", b"2"), ("b", b"3")).header("a") == "2"
    assert record(("A", b"1")).header("a") is None
    assert record(("a", b"1"), ("a", b"\xff")).header("a") is None


def test_a_header_without_a_value_counts_as_absent() -> None:
    assert record(("ce_id", None)).header("ce_id") is None


def test_attributes_become_headers_of_cloudevents() -> None:
    attributes = Attributes("stripe", "evt_1", "charge.captured", 0.0, traceparent="00-1-2-03", trust="hint")
    assert attributes.to_headers() == (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"evt_1"),
        ("ce_source", b"stripe"),
        ("ce_type", b"charge.captured"),
        ("ce_time", b"1970-01-01T00:00:00+00:00"),
        ("content-type", b"application/json"),
        ("ce_ratchettrust", b"hint"),
        ("traceparent", b"00-1-2-03"),
    )
    plain = dict(Attributes("stripe", "evt_1", "", 0.0).to_headers())
    assert (plain["ce_type"], "traceparent" in plain, plain["ce_ratchettrust"]) == (b"unknown", False, b"verified")


# --- intents -----------------------------------------------------------------------------------------------------

INTENT: dict[str, Any] = {"amount": 1, "currency": "EUR", "provider": "stripe"}


def test_an_intent_defaults_to_a_manual_capture() -> None:
    intent = Intent.model_validate(INTENT)
    assert (intent.capture, intent.account, intent.reference, intent.metadata) == ("manual", "", None, {})


SHOW_NOTHING = "\xad\u061c\u200b\u200f\u2028\u2029\u2060\u2066\u206f\ufeff\ufff9"
"""Each makes two names of one look: the payment under one is not found by the other."""


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "\u202e", "a\x7f", "a\x9f", *SHOW_NOTHING])
@pytest.mark.parametrize("name", ["reference", "provider_ref", "account", "merchant_account"])
def test_a_name_that_cannot_be_stored_or_read_is_refused(name: str, text: str) -> None:
    with pytest.raises(ValidationError, match="can't be stored"):
        Intent.model_validate({**INTENT, name: text})


@pytest.mark.parametrize(
    ("name", "length"), [("reference", 255), ("provider_ref", 255), ("merchant_account", 255), ("account", 64)]
)
def test_a_name_has_a_length_that_its_columns_hold(name: str, length: int) -> None:
    assert getattr(Intent.model_validate({**INTENT, name: "x" * length}), name) == "x" * length
    with pytest.raises(ValidationError, match=f"at most {length} characters"):
        Intent.model_validate({**INTENT, name: "x" * (length + 1)})


def test_names_may_be_absent() -> None:
    assert Intent.model_validate({**INTENT, "reference": None, "account": ""}).reference is None


def test_a_record_of_an_intent_takes_nothing_else() -> None:
    value = {"id": str(UUID(int=1)), "client": "shop", "command": "cancel", "body": {}}
    assert IntentRecord.model_validate(value).command is Command.CANCEL
    for change in ({"client": "Shop!"}, {"command": "destroy"}, {"id": "1"}, {"extra": 1}):
        with pytest.raises(ValidationError):
            IntentRecord.model_validate({**value, **change})


# --- changes -----------------------------------------------------------------------------------------------------


def test_a_change_names_its_version_in_its_id() -> None:
    moment = dt.datetime(2026, 9, 21, tzinfo=dt.UTC)
    headers = dict(headers_of(CHANGE_TYPE, "abc", 3, moment, "captured", "stripe", livemode=True))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_source": b"ratchet/payments",
        "ce_type": b"payment.changed",
        "content-type": b"application/json",
        "ce_id": b"abc/3",
        "ce_time": b"2026-09-21T00:00:00+00:00",
        "ce_status": b"captured",
        "ce_provider": b"stripe",
        "ce_livemode": b"true",
    }


def test_a_change_is_validated() -> None:
    value: dict[str, Any] = {
        "payment_id": UUID(int=1),
        "version": 1,
        "source": "stripe",
        "event_id": "evt_1",
        "event_type": "charge.captured",
        "outcome": "applied",
        "from_status": None,
        "to_status": "captured",
        "event_amount": 5,
        "occurred_at": None,
        "recorded_at": dt.datetime(2026, 9, 21, tzinfo=dt.UTC),
        **dict.fromkeys(("provider_ref", "reference", "client", "intent_id", "merged_into")),
        **dict.fromkeys(("amount", "authorized", "captured", "refunded", "disputed"), 5),
        "provider": "stripe",
        "account": "",
        "merchant_account": "acct_1",
        "livemode": True,
        "status": "captured",
        "refund_status": "none",
        "dispute_status": "none",
        "currency": "EUR",
        "flags": ["paid_again"],
        "metadata": None,
        "created_at": dt.datetime(2026, 9, 21, tzinfo=dt.UTC),
        "epoch": 1_790_000_000,
    }
    assert Change.model_validate(value).to_status is Status.CAPTURED
    wrong = ({"version": 0}, {"currency": "eur"}, {"amount": -1}, {"outcome": "won"}, {"flags": ["odd"]})
    for change in wrong:
        with pytest.raises(ValidationError):
            Change.model_validate({**value, **change})
    assert Change.model_validate({**value, "new_field": 1}).version == 1, "readers survive a field that is added"


# --- problems, errors, topics ------------------------------------------------------------------------------------


def test_a_problem_is_rendered_as_rfc_9457_says() -> None:
    document = json.loads(problems.render(problems.INVALID_BODY, "why", errors=[{"pointer": "/amount"}]))
    assert document == {
        "type": "urn:ratchet:problem:invalid-body",
        "title": "The body is not a valid command",
        "status": 422,
        "detail": "why",
        "errors": [{"pointer": "/amount"}],
    }
    assert "detail" not in json.loads(problems.render(problems.UNKNOWN_PATH))
    assert problems.QUOTA_EXCEEDED.type == "https://iana.org/assignments/http-problem-types#quota-exceeded"


def test_the_catalogue_holds_every_problem_once() -> None:
    defined = {one for one in vars(problems).values() if isinstance(one, problems.Problem)}
    assert set(problems.CATALOGUE) == defined
    assert len({one.type for one in defined}) == len(problems.CATALOGUE) == len(defined)
    assert all(400 <= one.status < 600 for one in defined)


def test_errors_say_what_and_why() -> None:
    assert str(errors.SignatureRejected("bad_signature")) == "bad_signature"
    rejected = errors.SignatureRejected("bad_signature", "no secret fits")
    assert (str(rejected), rejected.reason, rejected.detail) == (
        "bad_signature: no secret fits",
        "bad_signature",
        "no secret fits",
    )
    undecodable = errors.UninterpretableError("undecodable", "no JSON")
    assert (str(undecodable), undecodable.reason, undecodable.detail) == (
        "undecodable: no JSON",
        "undecodable",
        "no JSON",
    )


def test_only_an_outage_is_transient() -> None:
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.RatchetError)]
    assert [one for one in kinds if one.transient] == [
        errors.UnavailableError,
        errors.AccessRefusedError,
        errors.SchemaMismatchError,
        errors.SharedSessionsError,
    ]


def test_a_letter_fits_where_its_record_came_from() -> None:
    assert topics.BODY_BYTES_MAX < topics.RECORD_BYTES_MAX < topics.DLQ.record_bytes_max
    assert {topic.name for topic in topics.CONSUMED} < {topic.name for topic in topics.ALL}
    assert topics.DLQ.retention_ms > topics.WEBHOOKS.retention_ms > 0
    assert len(topics.ALL) == 7


def test_reasons_and_states_of_letters_are_those_of_the_tables() -> None:
    assert {reason.value for reason in dead_letter.Reason} == {
        "undecodable",
        "unknown_kind",
        "conflict",
        "orphan",
        "data_rejected",
        "unexpected",
        "fatal",
    }
    assert {status.value for status in dead_letter.LetterStatus} == {"open", "redriven", "applied", "discarded"}
