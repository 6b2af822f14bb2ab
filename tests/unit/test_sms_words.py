from __future__ import annotations

import datetime as dt
import itertools
import uuid

import pytest

from consumer.dispatcher.sms import message_of
from runtime.settings import SmsSettings
from schemas.payment import RefundStatus, Status
from schemas.sms import Template, major_units, mark_of, templates_for, text_for

pytestmark = pytest.mark.unit

PAYMENT = uuid.UUID("01890000-0000-7000-8000-0123456789ab")
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, Status.CREATED, ()),
        (None, Status.PROCESSING, ()),
        (Status.CREATED, Status.AUTHORIZED, (Template.AUTHORIZED,)),
        (Status.AUTHORIZED, Status.AUTHORIZED, ()),
        (None, Status.CAPTURED, (Template.CAPTURED,)),
        (Status.AUTHORIZED, Status.PARTIALLY_CAPTURED, ()),
        (Status.PARTIALLY_CAPTURED, Status.CAPTURED, (Template.CAPTURED,)),
        (Status.CAPTURED, Status.AUTHORIZED, ()),
        (Status.CAPTURED, Status.FAILED, (Template.FAILED,)),
        (Status.CREATED, Status.FAILED, (Template.FAILED,)),
        (Status.AUTHORIZED, Status.CANCELED, (Template.CANCELED,)),
        (Status.AUTHORIZED, Status.EXPIRED, (Template.CANCELED,)),
        (Status.EXPIRED, Status.CANCELED, ()),
    ],
)
def test_status_is_told_when_it_changes(before: Status | None, after: Status, told: tuple[Template, ...]):
    assert templates_for(before, after) == told


def test_money_given_back_is_told_once_and_beside_the_capture():
    captured = Status.CAPTURED
    none, pending, partial, full = RefundStatus
    assert templates_for(captured, captured, none, pending) == ()
    assert templates_for(captured, captured, pending, partial) == (Template.REFUNDED,)
    assert templates_for(captured, captured, partial, full) == ()
    assert templates_for(None, captured, none, full) == (Template.CAPTURED, Template.REFUNDED)


def test_every_transition_has_an_answer():
    for before, after, was, now in itertools.product((None, *Status), Status, RefundStatus, RefundStatus):
        assert len(templates_for(before, after, was, now)) <= 2


def test_amounts_are_read_in_major_units():
    assert [major_units(*figures) for figures in ((1050, 2), (5, 2), (0, 2), (1050, 0), (10500, 3))] == [
        "10.50",
        "0.05",
        "0.00",
        "1050",
        "10.500",
    ]


def test_texts_end_with_a_mark_of_their_own_and_fit_into_one_message():
    texts = [text_for(template, PAYMENT, 10**15, "EUR", 2) for template in Template]
    assert len({text[-15:] for text in texts}) == len(Template)
    for template, text in zip(Template, texts, strict=True):
        assert text.endswith(mark_of(PAYMENT, template))
        assert text.isascii()
        assert len(text) <= 160
    assert texts[1] == "We received your payment of 10000000000000.00 EUR. Thank you. Ref 23456789ABC"
    assert text_for(Template.FAILED, PAYMENT, 7, None, 0).startswith("Your payment of 7 failed.")


def row(template: str, **more: object) -> dict[str, object]:
    return {
        "payment_id": PAYMENT, "to_number": "+4915112345678", "template": template, "created_at": NOW,
        "currency": "JPY", "amount": 1000, "authorized": 900, "captured": 800, "refunded": 0,
    } | more  # fmt: skip


def test_message_tells_the_figure_of_its_template_in_its_currency():
    def text(*arguments: str, **more: object) -> str:
        message = message_of(row(*arguments, **more), dt.timedelta(hours=1))  # type: ignore[arg-type]
        assert message
        assert message.not_before == NOW - dt.timedelta(hours=1)
        assert "+49" not in repr(message)
        return message.text

    assert " 900 JPY " in text("authorized")
    assert " 800 JPY." in text("captured")
    assert " 8.00 EUR." in text("captured", currency="EUR")
    assert " 1000 JPY " in text("refunded"), "the figure of a refund that went again"
    assert " 1000 " in text("canceled", currency=None)
    assert message_of(row("invoice"), dt.timedelta()) is None  # type: ignore[arg-type]


def test_clients_may_not_want_a_message():
    sms = SmsSettings(off={"shop": ("captured",), "mute": ("*",)})
    assert [sms.wants(client, "captured") for client in ("shop", "mute", "other", None)] == [False, False, True, True]
    assert sms.wants("shop", "failed")
