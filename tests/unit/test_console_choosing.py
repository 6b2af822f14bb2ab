"""Which letters a form means."""

from __future__ import annotations

import datetime as dt

import pytest

from ops.console.choosing import IDS_MAX, choose, rate, whole_number
from ops.console.pages.redrives import request_of
from ops.dlq_filters import LetterFilter
from ops.operators import Operator
from ops.redrives import Policy
from schemas.dead_letter import LetterStatus, Reason
from schemas.errors import SettingsError

pytestmark = pytest.mark.unit


def test_an_empty_form_means_any() -> None:
    chosen = choose({"reason": "", "provider": "  ", "page": "2"})
    assert (chosen.filters, chosen.written, chosen.problem, chosen.query) == (LetterFilter(), {}, "", "")


def test_a_whole_choice() -> None:
    written = {
        "reason": "orphan", "provider": " stripe ", "payment": "pi_1",
        "since": "2026-11-23T14:00", "until": "2026-11-24",
        "ids": "7, 8 9", "status": "open", "limit": "5",
    }  # fmt: skip
    chosen = choose(written)
    assert chosen.filters == LetterFilter(
        Reason.ORPHAN, "stripe", "pi_1", dt.datetime(2026, 11, 23, 14, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 24, tzinfo=dt.UTC), (7, 8, 9), LetterStatus.OPEN, 5,
    )  # fmt: skip
    assert "since=2026-11-23T14%3A00" in chosen.query


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("reason", "teapot"),
        ("status", "lost"),
        ("since", "yesterday"),
        ("until", "24/11"),
        ("ids", "7; drop"),
        ("ids", "-1"),
        ("ids", "9" * 30),
        ("ids", "1 " * (IDS_MAX + 1)),
        ("ids", "1" * 9000),
        ("provider", "x" * 500),
        ("limit", "0"),
        ("limit", "ten"),
        ("limit", "99999999999"),
    ],
)
def test_what_cannot_be_meant_is_reported_and_means_nothing(name: str, text: str) -> None:
    chosen = choose({"provider": "stripe", name: text})
    assert name in chosen.problem
    assert chosen.filters == LetterFilter(ids=())
    assert chosen.written[name] == text.strip(), "what was written stays in the form"


@pytest.mark.parametrize(("text", "value"), [("", None), (" 12.5 ", 12.5), ("1e3", 1000)])
def test_rates(text: str, value: float | None) -> None:
    assert rate({"rate": text}) == value


@pytest.mark.parametrize("text", ["0", "-1", "fast", "nan", "inf", "1e400"])
def test_rates_that_are_none(text: str) -> None:
    with pytest.raises(SettingsError, match="rate"):
        rate({"rate": text})


def test_numbers() -> None:
    assert whole_number({}, "max") is None
    assert whole_number({"max": "30"}, "max") == 30


@pytest.mark.parametrize("text", ["0", "10000001", "0000000019999999", "9" * 5000, "²"])
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(SettingsError, match="max"):
        whole_number({"max": text}, "max")


def test_a_request() -> None:
    form = {"reason": "orphan", "rate": "50", "max": "3", "force": "on", "keep_going": "on"}
    wanted = request_of(form, choose(form), Operator("anna", "console, 127.0.0.1"))
    assert (wanted.filters, wanted.rate_per_second, wanted.messages_max) == (LetterFilter(Reason.ORPHAN), 50, 3)
    assert (wanted.force, wanted.policy, wanted.requested_by) == (True, Policy.KEEP_GOING, "anna")
    assert wanted.origin == "console, 127.0.0.1"
    plain = request_of({}, choose({}), Operator("me", ""))
    assert (plain.force, plain.policy, plain.rate_per_second) == (False, Policy.STOP_ON_FAILURES, None)
