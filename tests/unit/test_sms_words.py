from __future__ import annotations

import datetime as dt
import itertools
import uuid

import pytest

from consumer.dispatcher.sms import message_of
from runtime.settings import SmsSettings
from schemas.facts import AMOUNT_MAX
from schemas.payment import Flag, Projection, RefundStatus, Status
from schemas.sms import Template, is_true, major_units, mark_of, messages_for, templates_for, text_for

pytestmark = pytest.mark.unit

PAYMENT = uuid.UUID("01890000-0000-7000-8000-0123456789ab")
NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, Status.CREATED, ()),
        (None, Status.PROCESSING, ()),
        (Status.CREATED, Status.AUTHORIZED, (Template.AUTHORIZED,)),
        (Status.AUTHORIZED, Status.AUTHORIZED, ()),
        (None, Status.CAPTURED, (Template.CAPTURED,)),
        (Status.AUTHORIZED, Status.PARTIALLY_CAPTURED, ()),
        (Status.PARTIALLY_CAPTURED, Status.CAPTURED, (Template.CAPTURED,)),
        (Status.CAPTURED, Status.AUTHORIZED, ()),
        (Status.PARTIALLY_CAPTURED, Status.AUTHORIZED, ()),
        (Status.FAILED, Status.AUTHORIZED, (Template.AUTHORIZED,)),
        (Status.CAPTURED, Status.FAILED, (Template.FAILED,)),
        (Status.CREATED, Status.FAILED, (Template.FAILED,)),
        (Status.AUTHORIZED, Status.CANCELED, (Template.CANCELED,)),
        (Status.AUTHORIZED, Status.EXPIRED, (Template.CANCELED,)),
        (Status.EXPIRED, Status.CANCELED, ()),
    ],
)
def test_status_is_reported_when_it_changes(before: Status | None, after: Status, expected: tuple[Template, ...]):
    assert templates_for(before, after) == expected


def projection(refunded: int = 0, status: Status = Status.CAPTURED, **more: object) -> Projection:
    return Projection(status=status, captured=1000, refunded=refunded, **more)  # type: ignore[arg-type]


def test_each_refund_is_reported_with_its_own_amount_and_beside_the_capture():
    captured, refunded = (Template.CAPTURED, "", None), Template.REFUNDED
    assert messages_for(projection(), projection(300), {"re_1": 300}) == [(refunded, "re_1", 300)]
    assert messages_for(projection(300), projection(500), {"re_2": 200}) == [(refunded, "re_2", 200)]
    assert messages_for(projection(), projection(500), {"re_2": 200, "re_1": 300}) == [
        (refunded, "re_1", 300),
        (refunded, "re_2", 200),
    ]
    assert messages_for(None, projection(1000), {}) == [captured, (refunded, "1000", 1000)]


def test_a_refund_that_a_sum_reported_already_is_reported_once():
    """Stripe says `amount_refunded` and, in another event, each refund; either may come first."""
    assert messages_for(projection(), projection(300), {}) == [(Template.REFUNDED, "300", 300)]
    assert messages_for(projection(300), projection(300), {"re_1": 300}) == []
    assert messages_for(projection(300), projection(500), {"re_1": 300}) == [(Template.REFUNDED, "500", 200)]


def test_a_refund_that_failed_or_waits_is_not_reported():
    assert messages_for(projection(300), projection(0), {}) == []
    assert messages_for(projection(), projection(0, refund_status=RefundStatus.PENDING), {}) == []


def test_what_contradicts_itself_is_not_reported_and_what_was_not_reported_is_when_it_adds_up():
    unsure = projection(300, flags=(Flag.CONTRADICTION.value,))
    assert messages_for(projection(status=Status.AUTHORIZED), unsure, {"re_1": 300}) == []
    assert messages_for(unsure, projection(300), {}) == [(Template.CAPTURED, "", None)]


def test_a_message_is_true_or_it_is_not():
    untrue = {template: {status for status in Status if not is_true(template, status)} for template in Template}
    assert {template: set(Status) - untrue[template] for template in Template} == {
        Template.AUTHORIZED: {Status.AUTHORIZED, Status.PARTIALLY_CAPTURED, Status.CAPTURED},
        Template.CAPTURED: {Status.CAPTURED},
        Template.FAILED: {Status.FAILED},
        Template.CANCELED: {Status.CANCELED, Status.EXPIRED},
        Template.REFUNDED: set(Status),
    }


def test_every_transition_has_an_answer():
    for before, after in itertools.product((None, *Status), Status):
        assert len(templates_for(before, after)) <= 1


def test_amounts_are_read_in_major_units():
    assert [
        major_units(*figures) for figures in ((1050, 2), (5, 2), (0, 2), (1050, 0), (10500, 3), (1005, 3), (5, 4))
    ] == [
        "10.50",
        "0.05",
        "0.00",
        "1050",
        "10.500",
        "1.005",
        "0.0005",
    ]


def test_texts_end_with_a_mark_of_their_own_and_fit_into_one_message():
    kinds = [*((template, "") for template in Template), (Template.REFUNDED, "re_1"), (Template.REFUNDED, "re_2")]
    marks = [mark_of(PAYMENT, template, child) for template, child in kinds]
    texts = [text_for(template, 10**15, "EUR", 2, mark) for (template, _), mark in zip(kinds, marks, strict=True)]
    for mark, text in zip(marks, texts, strict=True):
        assert [other for other in texts if other.endswith(mark)] == [text], "found in no other message"
        assert text.isascii()
        assert len(text) <= 160
    assert texts[1] == "We received your payment of 10000000000000.00 EUR. Thank you. Ref 23456789ABC"
    assert text_for(Template.FAILED, 7, None, 0, "Ref").startswith("Your payment of 7 failed.")


GSM_7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The basic character set of 3GPP TS 23.038, 6.2.1: 160 characters are one message, of more 153 each."""
GSM_7_TWICE = frozenset("\f^{}\\[~]|€")
"""Its extension, 6.2.1.1: each counts as two."""


def encoded(text: str) -> tuple[str, int, int]:
    """Return how a text is sent, its length in the units of that, and how many messages it is billed as."""
    if set(text) <= GSM_7 | GSM_7_TWICE:
        length = len(text) + sum(letter in GSM_7_TWICE for letter in text)
        return "GSM-7", length, 1 if length <= 160 else -(-length // 153)
    length = len(text.encode("utf-16-be")) // 2
    return "UCS-2", length, 1 if length <= 70 else -(-length // 67)


def test_texts_are_counted_as_the_network_counts_them():
    assert encoded("a" * 160) == ("GSM-7", 160, 1)
    assert encoded("a" * 161) == ("GSM-7", 161, 2)
    assert encoded("€" * 80) == ("GSM-7", 160, 1)
    assert encoded("\N{EM DASH}" + "a" * 69) == ("UCS-2", 70, 1)
    assert encoded("\N{EM DASH}" + "a" * 70) == ("UCS-2", 71, 2)


WORDING = {
    Status.CREATED: None,
    Status.REQUIRES_ACTION: None,
    Status.PROCESSING: None,
    Status.AUTHORIZED: ("Your payment of 12.34 EUR is authorized. Ref 23456789ABA", 56),
    Status.PARTIALLY_CAPTURED: None,
    Status.CAPTURED: ("We received your payment of 12.34 EUR. Thank you. Ref 23456789ABC", 65),
    Status.FAILED: ("Your payment of 12.34 EUR failed. Ref 23456789ABF", 49),
    Status.CANCELED: ("Your payment of 12.34 EUR was canceled. Nothing was charged. Ref 23456789ABX", 76),
    Status.EXPIRED: ("Your payment of 12.34 EUR was canceled. Nothing was charged. Ref 23456789ABX", 76),
}
"""What a customer reads when a payment comes to a status, and its length in GSM-7; None: nothing is sent."""
REFUND_WORDING = {
    "300": ("We refunded 12.34 EUR to you. Ref 23456789ABR983BD6", 51),
    "re_1": ("We refunded 12.34 EUR to you. Ref 23456789ABRF91AFE", 51),
}
"""The same of a refund, by what it is known by: the sum so far, or its own id."""


def sent(template: Template, child: str = "", amount: int = 1234) -> str:
    """Return the text that is sent of a payment over `amount`, of a refund with its own figure."""
    figures = {"amount": amount, "authorized": amount, "captured": amount, "own_amount": amount if child else None}
    claimed = row(template, currency="EUR", child=child, **figures)
    message = message_of(claimed, dt.timedelta())  # type: ignore[arg-type]
    assert message
    return message.text


@pytest.mark.parametrize("status", Status)
def test_each_status_has_its_words(status: Status):
    wanted = WORDING[status]
    found = [(text := sent(template), *encoded(text)) for template in templates_for(None, status)]
    assert found == ([(wanted[0], "GSM-7", wanted[1], 1)] if wanted else [])


@pytest.mark.parametrize("child", REFUND_WORDING)
def test_each_refund_has_its_words(child: str):
    words, length = REFUND_WORDING[child]
    assert sent(Template.REFUNDED, child) == words
    assert encoded(words) == ("GSM-7", length, 1)


def test_the_largest_amount_still_makes_one_message():
    texts = [sent(template, "re_1" if template is Template.REFUNDED else "", AMOUNT_MAX) for template in Template]
    assert {encoded(text)[::2] for text in texts} == {("GSM-7", 1)}


def row(template: str, **more: object) -> dict[str, object]:
    return {
        "payment_id": PAYMENT, "to_number": "+4915112345678", "template": template, "created_at": NOW,
        "currency": "JPY", "amount": 1000, "authorized": 900, "captured": 800, "refunded": 0, "child": "",
        "own_amount": None,
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
    assert " 250 JPY " in text("refunded", child="re_1", own_amount=250, refunded=700)
    assert " 1000 " in text("canceled", currency=None)
    assert message_of(row("invoice"), dt.timedelta()) is None  # type: ignore[arg-type]


def test_clients_may_not_want_a_message():
    sms = SmsSettings(off={"shop": ("captured",), "mute": ("*",)})
    assert [sms.wants(client, "captured") for client in ("shop", "mute", "other", None)] == [False, False, True, True]
    assert sms.wants("shop", "failed")
