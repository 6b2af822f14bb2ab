"""Messages to customers: which are owed, and what delivery reports say of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from events import INTENT_ID, intent, record, stripe_charge, stripe_intent, stripe_refund
from memory_tables import MemoryTables
from msgspec.structs import replace

from consumer.rows import report_columns
from providers import interpret
from schemas.errors import UninterpretableError
from schemas.facts import DeliveryReport, Meaning

if TYPE_CHECKING:
    from uuid import UUID

pytestmark = pytest.mark.unit

PHONE = "+491701234567"


def owed(tables: MemoryTables) -> list[tuple[UUID, str, str]]:
    return [(one.payment_id, one.phone, one.template.value) for one in tables.messages]


def test_a_transition_owes_its_message() -> None:
    tables = MemoryTables()
    tables.process([intent(provider="stripe", provider_ref="pi_1", phone=PHONE)])
    assert owed(tables) == []
    tables.process([stripe_intent("succeeded", amount_received=1000, status="succeeded")])
    tables.process([stripe_refund("refund.created", "succeeded", 400)])
    assert owed(tables) == [(INTENT_ID, PHONE, "captured"), (INTENT_ID, PHONE, "refunded")]


def test_each_refund_owes_a_message_and_one_that_a_sum_repeats_owes_none() -> None:
    tables = MemoryTables()
    tables.process([intent(provider="stripe", provider_ref="pi_1", phone=PHONE)])
    tables.process([stripe_intent("succeeded", amount_received=1000, status="succeeded")])
    for number, amount in enumerate((400, 100, 250)):
        tables.process([stripe_refund("refund.created", "succeeded", amount, key=f"re_{number}")])
    for total in (750, 1000):
        figures = {"captured": True, "amount_captured": 1000, "amount_refunded": total}
        tables.process([stripe_charge("refunded", event_id=f"evt_{total}", **figures)])
    tables.process([stripe_refund("refund.created", "succeeded", 250, key="re_3")])
    reported = [(one.child, one.amount) for one in tables.messages if one.template.value == "refunded"]
    assert reported == [("re_0", 400), ("re_1", 100), ("re_2", 250), ("1000", 250)]


def test_a_phone_that_comes_after_the_transition_still_gets_its_message() -> None:
    tables = MemoryTables()
    tables.process([stripe_intent("succeeded", amount_received=1000, status="succeeded")])
    tables.process([intent(provider="stripe", provider_ref="pi_1", phone=PHONE)])
    assert owed(tables) == [(INTENT_ID, PHONE, "captured")]


def test_without_a_phone_nothing_is_owed() -> None:
    tables = MemoryTables()
    tables.process([intent(provider="stripe", provider_ref="pi_1")])
    tables.process([stripe_intent("succeeded", amount_received=1000, status="succeeded")])
    assert owed(tables) == []


def test_test_money_tells_nobody() -> None:
    tables = MemoryTables()
    tables.process([intent(provider="stripe", provider_ref="pi_1", phone=PHONE, livemode=False)])
    event = stripe_intent("succeeded", amount_received=1000, status="succeeded")
    reported = json.loads(event.value or b"{}") | {"livemode": False}
    tables.process([replace(event, value=json.dumps(reported).encode())])
    (row,) = tables.payments.values()
    assert (row["livemode"], row["captured"]) == (False, 1000)
    assert owed(tables) == []


def test_a_receipt_is_a_row_of_no_payment_and_a_word_on_its_message() -> None:
    tables = MemoryTables()
    body = b"MessageSid=SM1&MessageStatus=delivered&To=%2B4917"
    tables.process([record("twilio", "SM1:delivered", "delivered", body)])
    (row,) = tables.ledger
    assert (row.payment_id, row.outcome) == (None, "noop")
    assert tables.delivery_reports == [DeliveryReport("SM1", "delivered")]


@pytest.mark.parametrize("kind", ["queued", "sending", "accepted"])
def test_a_step_on_the_way_says_nothing(kind: str) -> None:
    assert interpret("twilio", kind, b"MessageSid=SM1&MessageStatus=" + kind.encode()) == Meaning()


def test_a_callback_that_names_two_messages_says_nothing() -> None:
    assert interpret("twilio", "sent", b"MessageSid=SM1&MessageSid=SM2") == Meaning()


def test_a_form_of_too_many_fields_is_undecodable() -> None:
    with pytest.raises(UninterpretableError):
        interpret("twilio", "sent", b"a=1&" * 1001)


def test_sms_delivered_before_sent() -> None:
    reported = [
        DeliveryReport("SM1", "delivered"),
        DeliveryReport("SM1", "sent"),
        DeliveryReport("SM2", "sent"),
        DeliveryReport("SM2", "failed"),
    ]
    assert report_columns(reported) == [["SM1", "SM2"], ["delivered", "failed"]]
    assert report_columns([]) == [[], []]
