"""Arguments of the consumer's statements, and rows read back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import adyen, standard, understood
from memory_tables import COLUMNS, MemoryTables, moment, payment
from msgspec.structs import replace

import providers
from consumer import rows
from consumer.commands import CommandRow, OpenCommand
from consumer.plan import Known, Letter, Member, OwedMessage, Parking, Refetching
from consumer.verdict import Waits
from schemas.command_room import Request
from schemas.dead_letter import Reason
from schemas.facts import ChildState, CommandAnswer, CommandState, FactKind, RefKind
from schemas.record import REDRIVE_COUNT_HEADER
from schemas.sms import Template

if TYPE_CHECKING:
    from schemas.payment import Payment

pytestmark = pytest.mark.unit

NOW, LATER = moment(), moment(1_790_000_060)


def test_columns_turn_rows() -> None:
    assert rows.columns([(1, "a"), (2, "b")], 2) == [[1, 2], ["a", "b"]]
    assert rows.columns([], 3) == [[], [], []]


def test_reference_keys_are_sorted_and_each_once() -> None:
    one, two = ("adyen", "", "Shop", True, "payment", "A"), ("adyen", "", "Shop", True, "payment", "B")
    scope = [["adyen"] * 2, [""] * 2, ["Shop"] * 2, [True] * 2]
    assert rows.ref_columns([two, one, two]) == [*scope, ["payment"] * 2, ["A", "B"]]
    assert rows.ref_columns([]) == [[]] * 6


def test_bindings_are_sorted_by_name() -> None:
    one, two = ("adyen", "", "Shop", True, "payment", "A"), ("adyen", "", "Shop", True, "payment", "B")
    found = rows.binding_columns({two: UUID(int=1), one: UUID(int=2)})
    scope = [["adyen"] * 2, [""] * 2, ["Shop"] * 2, [True] * 2]
    assert found == [*scope, ["payment"] * 2, ["A", "B"], [UUID(int=2), UUID(int=1)]]
    assert rows.binding_columns({}) == [[]] * 7


def test_payments_round_trip_in_the_order_of_their_ids() -> None:
    tables = MemoryTables()
    tables.process([adyen("AUTHORISATION", "PAY"), standard("payment.captured", reference="ORD-1")])
    payments = [rows.payment_of(row) for row in tables.payments.values()]  # type: ignore[arg-type]
    turned = rows.payment_columns(reversed(payments))
    assert turned[0] == sorted(tables.payments)
    back = [dict(zip(COLUMNS, values, strict=True)) for values in zip(*turned, strict=True)]
    back = [{**row, "flags": row["flags"].split(",") if row["flags"] else []} for row in back]
    assert {one.id: one for one in payments} == {row["id"]: rows.payment_of(row) for row in back}  # type: ignore[arg-type]
    assert len(rows.payment_columns([])) == len(COLUMNS) == 25


def test_a_payment_is_projected_from_its_facts_when_read() -> None:
    stored: Payment = payment(facts={(FactKind.AUTHORIZATION, "a"): ChildState("authorized", 7)})
    row = dict(zip(COLUMNS, (column[0] for column in rows.payment_columns([stored])), strict=True))
    assert (row["authorized"], rows.payment_of(row).projection.authorized) == (0, 7)  # type: ignore[arg-type]


def test_a_parked_record_comes_back_byte_for_byte() -> None:
    record = replace(
        adyen("CAPTURE", "CAP1"),
        partition=3,
        offset=9,
        key=None,
        headers=(("ce_id", b"\xff\x00"), ("ce_id", b""), ("n\udcffme", b"x")),
    )
    event = understood(adyen("CAPTURE", "CAP1"))
    event = replace(event, record=record)
    arguments = rows.parking_arguments(Parking(event, "[]", Waits(Reason.ORPHAN, "why")), NOW, LATER)
    assert arguments[:6] == ("adyen", "CAP1:CAPTURE:true", "CAPTURE", Reason.ORPHAN, "why", "[]")
    scope = [["adyen"] * 2, [""] * 2, ["", "Shop"], [True] * 2]
    assert arguments[14:] == (NOW, LATER, 1, *scope, ["payment"] * 2, ["PAY"] * 2)
    names = ["topic", "partition", "offset", "timestamp_ms", "key", "value", "header_names", "header_values"]
    row: Any = dict(zip(names, arguments[6:14], strict=True))
    assert row["header_names"] == [b"ce_id", b"ce_id", b"n\xffme"]
    assert rows.record_of(row) == record


def test_a_letter_keeps_the_record_and_says_why() -> None:
    record = replace(standard("payment.created"), offset=4, key=b"pay_1")
    letter = Letter(record, Reason.UNDECODABLE, "a\x00b")
    arguments = rows.letter_arguments(letter, 77, NOW)
    names, values = zip(*record.headers, strict=True)
    assert arguments == (
        *("payments.webhooks", 0, 4, letter.digest, record.timestamp_ms, b"pay_1", record.value),
        *([name.encode() for name in names], list(values)),
        *("standard_webhooks", "msg_pay_1_payment.created_None_1000", "payment.created", "pay_1"),
        *(Reason.UNDECODABLE, "a\\0b", 0, 77, NOW),
    )


@pytest.mark.parametrize(
    ("key", "ref"),
    [(None, None), (b"", None), (b"\xff", None), (b"a\x00", None), (b"x" * 256, None), (b"x" * 255, "x" * 255)],
)
def test_a_key_is_a_reference_where_it_is_text(key: bytes | None, ref: str | None) -> None:
    assert rows.payment_ref_of(replace(standard("payment.created"), key=key)) == ref


@pytest.mark.parametrize(
    ("text", "count"),
    [("3", 3), ("", 0), ("-1", 0), ("x", 0), ("²", 0), ("9999999999", 2**31 - 1), ("1" * 11, 0)],
)
def test_redrive_count(text: str, count: int) -> None:
    record = replace(standard("payment.created"), headers=((REDRIVE_COUNT_HEADER, text.encode()),))
    assert rows.redrive_count_of(record) == count


def test_redrive_count_of_a_record_without_the_header() -> None:
    assert rows.redrive_count_of(standard("payment.created")) == 0


def test_what_was_processed_with_an_older_meaning_is_read_again() -> None:
    known = Known()
    for event_id, version in (("old", 0), ("today's", providers.meaning_version("stripe"))):
        row: Any = {"source": "stripe", "event_id": event_id, "facts": "[]", "meaning": version}
        rows.note_reported(known, row)
    assert known.reported == {("stripe", "old"): "[]", ("stripe", "today's"): "[]"}
    assert known.reread == {("stripe", "old")}


def test_who_stands_under_a_reference_is_kept_a_group() -> None:
    first, second = UUID(int=1), UUID(int=2)
    place = ["adyen", "", True]
    found = [
        [*place, "ORD-1", str(first), 1, True],
        [*place, "ORD-2", str(first), None, False],
        [*place, "ORD-1", str(second), None, False],
    ]
    keys = [("adyen", "", "", True, RefKind.REFERENCE, ref) for ref in ("ORD-1", "ORD-2")]
    assert rows.groups_from(json.dumps(found)) == {
        keys[0]: {first: Member(1, groups=True), second: Member(None)},
        keys[1]: {first: Member(None)},
    }
    assert rows.references_from(json.dumps([one[:4] for one in found])) == set(keys)
    assert (rows.groups_from(None), rows.references_from(None)) == ({}, set())


def test_a_refetch_is_asked_for_once_and_a_message_is_its_template() -> None:
    one, again, other = (Refetching("mollie", "", ref, "hint") for ref in ("tr_2", "tr_2", "tr_1"))
    assert rows.refetch_columns([one, again, other]) == [["mollie"] * 2, [""] * 2, ["tr_1", "tr_2"], ["hint"] * 2]
    payment_id = UUID(int=1)
    reported = [OwedMessage(payment_id, "shop", "+254712345678", Template.CAPTURED)]
    assert rows.message_columns(reported) == [[payment_id], ["+254712345678"], ["captured"], [""], [None]]


def test_a_command_is_written_with_the_scope_of_the_attempt_that_it_is_for() -> None:
    """An executor takes the money there: a swap of two texts sends it to another merchant's account."""
    attempt = payment(
        id=UUID(int=2),
        provider="adyen",
        account="acme",
        merchant_account="Shop",
        livemode=False,
        provider_ref="PSP",
        currency="EUR",
        reference="other",
    )
    row = CommandRow(
        payment_id=UUID(int=1),
        command_id="c-1",
        client="shop",
        command="refund",
        attempt=attempt,
        reference="ORD-1",
        amount=7,
        seen=3,
        reason="late",
        metadata="{}",
        traceparent="trace",
        refusal=None,
        asked_at=NOW,
        expires_at=LATER,
        relay_xid=9,
    )
    of_attempt = (UUID(int=2), "adyen", "acme", "Shop", False, "PSP")
    assert rows.command_arguments(row) == (
        *(UUID(int=1), "c-1", "shop", "refund", *of_attempt, "ORD-1", "EUR", 7, 3),
        *("late", "{}", "trace", None, NOW, LATER, 9),
    )


def test_commands_are_read_with_what_was_seen_and_whether_they_are_over() -> None:
    known, one = Known(), UUID(int=1)
    found = {"payment_id": one, "command": "refund", "amount": 5, "seen": 2, "attempt_id": UUID(int=2)}
    read: Any = [
        {**found, "command_id": "a", "state": None, "over": True},
        {**found, "command_id": "b", "state": "done", "over": False},
    ]
    rows.note_commands(known, read)
    request = Request("refund", 5, 2, UUID(int=2))
    assert known.commands == {
        one: {"a": OpenCommand(request, None, over=True), "b": OpenCommand(request, CommandState.DONE)}
    }


def test_answers_to_one_id_are_those_of_each_payment() -> None:
    """A command's id is its client's: two payments may have the same."""
    answers = [
        CommandAnswer(UUID(int=1), "c", CommandState.DONE),
        CommandAnswer(UUID(int=2), "c", CommandState.REFUSED, "closed"),
        CommandAnswer(UUID(int=1), "c", CommandState.ACCEPTED),
    ]
    assert rows.answer_columns(answers) == [
        [UUID(int=1), UUID(int=2)],
        ["c", "c"],
        ["done", "refused"],
        [None, "closed"],
    ]


def test_one_reference_of_two_accounts_is_asked_about_twice() -> None:
    asked = [Refetching("stripe", account, "pi_1", "hint") for account in ("b", "a", "b")]
    assert rows.refetch_columns(asked) == [["stripe"] * 2, ["a", "b"], ["pi_1"] * 2, ["hint"] * 2]


def test_a_flag_that_the_facts_raise_is_none_of_the_groups() -> None:
    """Kept as the group's, it stays when the fact that it waits for comes."""
    tables = MemoryTables()
    tables.process([standard("payment.captured"), standard("payment.captured", currency="USD", child="c-2")])
    (row,) = tables.payments.values()
    assert row["flags"] == ["other_currency"]
    read: Any = {**row, "flags": ["contradiction", "other_currency", "over_captured", "paid_again"]}
    assert rows.payment_of(read).group_flags == ("contradiction", "paid_again")
    read = {**row, "facts": "{}", "flags": read["flags"]}
    assert rows.payment_of(read).group_flags == ("contradiction", "other_currency", "paid_again")


@pytest.mark.parametrize(("meaning", "again"), [(1, True), (2, False), (3, True)])
def test_what_a_newer_meaning_read_is_read_again_after_a_step_back(
    monkeypatch: pytest.MonkeyPatch,
    meaning: int,
    again: bool,  # noqa: FBT001
) -> None:
    monkeypatch.setattr(providers, "meaning_version", {"stripe/acme": 2}.__getitem__)
    known = Known()
    read: Any = {"source": "stripe/acme", "event_id": "e", "facts": "[]", "meaning": meaning}
    rows.note_reported(known, read)
    assert (("stripe/acme", "e") in known.reread) is again


def test_an_event_is_parked_with_the_meaning_of_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    event = replace(understood(standard("payment.captured")), source="standard_webhooks/acme")
    monkeypatch.setattr(providers, "meaning_version", {"standard_webhooks/acme": 7}.__getitem__)
    arguments = rows.parking_arguments(Parking(event, "[]", Waits(Reason.ORPHAN, "")), NOW, LATER)
    assert arguments[14:17] == (NOW, LATER, 7)


def test_the_references_of_an_orphan_are_in_one_order() -> None:
    """Two that write the same ones in two orders wait for each other."""
    one, two = ("adyen", "", "Shop", True, "payment", "A"), ("adyen", "", "Shop", True, "payment", "B")
    letter = Letter(standard("payment.captured"), Reason.ORPHAN, "")
    assert rows.orphan_arguments(letter, [two, one]) == rows.orphan_arguments(letter, [one, two])


def test_rows_are_written_in_the_order_of_their_ids_whichever_came_first() -> None:
    one, two = payment(id=UUID(int=1)), payment(id=UUID(int=2))
    for order in ((one, two), (two, one)):
        assert rows.payment_columns(order)[0] == [one.id, two.id]


def test_a_reference_of_test_money_is_read_as_one() -> None:
    place = ["adyen", "acme", False, "ORD-1"]
    key = ("adyen", "acme", "", False, RefKind.REFERENCE, "ORD-1")
    assert rows.references_from(json.dumps([place])) == {key}
    assert set(rows.groups_from(json.dumps([[*place, str(UUID(int=1)), None, False]]))) == {key}
