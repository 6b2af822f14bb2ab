"""What the providers' files say of payments alike: each reader and each fact, with what it says by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from providers.core import payments
from schemas.errors import UninterpretableError
from schemas.facts import INTENT, Fact, FactKind, Meaning

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit


def unread() -> Any:
    raise UninterpretableError("undecodable", "no figure")


@pytest.mark.parametrize(
    "read",
    [
        lambda: payments.read_event(b"[]"),
        lambda: payments.need_object([], "data"),
        lambda: payments.need_kind("", ""),
        lambda: payments.need_kind(None, "a"),
        lambda: payments.need_kind("b", "a"),
        lambda: payments.need_state({"a": "b"}, "c", "status"),
        lambda: payments.need_state({"a": "b"}, ["a"], "status"),
        lambda: payments.unread_kind("payment.new", ("payment.",)),
    ],
    ids=["a list", "no object", "no kind", "none given", "another kind", "a new word", "no word", "a new kind"],
)
def test_what_can_t_be_read_is_refused(read: Callable[[], object]) -> None:
    with pytest.raises(UninterpretableError):
        read()


def test_what_can_be_read_is_given() -> None:
    payments.need_kind("a", "a")
    assert payments.read_event(b'{"a": 1}') == {"a": 1}
    assert payments.need_object({"a": 1}, "data") == {"a": 1}
    assert payments.need_state({"a": "b"}, "a", "status") == "b"
    assert payments.unread_kind("payout.new", ("payment.",)) == Meaning()
    assert payments.major_units("1.5", "EUR", "amount") == 150


def test_a_sum_is_read_where_all_of_its_fields_are_there_and_can_be_read() -> None:
    assert payments.if_given(lambda: (5, "EUR"), 5, "EUR") == (5, "EUR")
    assert payments.if_given(lambda: (5, "EUR"), 5, None) == (0, None)
    assert payments.if_given(unread, 5) == (0, None)
    assert payments.amount_if_given(lambda: 5, "5") == 5
    assert payments.amount_if_given(lambda: 5, None) is None
    assert payments.amount_if_given(unread, "5") is None


@pytest.mark.parametrize(
    "fact",
    [
        payments.attempt("a", "failed", amount=5),
        payments.mode("a", "manual"),
        payments.void("a", "canceled"),
        payments.ended("a", "canceled"),
        payments.dispute("d", "open"),
        payments.dispute_funds("d", "withdrawn", 5),
        payments.dispute_funds("d", "reinstated", 5),
        *payments.capture_failed("c", 5),
        *(payments.refund("r", state, 5) for state in ("pending", "failed", "reversed", "canceled")),
    ],
    ids=lambda fact: f"{fact.kind} {fact.state}",
)
def test_what_stands_without_a_sum_is_reported_without_one(fact: Fact) -> None:
    reported = Meaning(facts=(payments.terms("a", 5), fact), amount=5)
    bare = Fact(fact.kind, fact.key, fact.state, None, fact.parent, fact.version, fact.replaces)
    assert payments.summed(reported) == Meaning(facts=(bare,))
    whole = Meaning(facts=(payments.terms("a", 5), fact), amount=5, currency="EUR")
    assert payments.summed(whole) is whole


@pytest.mark.parametrize(
    "fact",
    [
        payments.authorized("a", 5),
        payments.captured("c", 5),
        payments.captured_in_all("a", 5),
        payments.refund("r", "succeeded", 5),
        payments.refunded_in_all("a", 5),
        payments.reversal("v", "c", 5),
        payments.order_ended("o", 5),
    ],
    ids=lambda fact: f"{fact.kind} {fact.state}",
)
def test_money_without_a_sum_is_refused(fact: Fact) -> None:
    with pytest.raises(UninterpretableError, match="moves money"):
        payments.summed(Meaning(facts=(payments.void("a", "canceled"), fact)))


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-11-28T08:00:00Z", 1_795_852_800.0),
        ("2026-11-28T09:00:00+01:00", 1_795_852_800.0),
        ("2026-11-28T08:00:00", None),
        ("yesterday", None),
        (5, None),
        (None, None),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
def test_a_time_is_one_with_a_zone(value: object, seconds: float | None) -> None:
    assert payments.iso_seconds(value) == seconds


def test_a_time_as_a_version_is_whole_microseconds_and_a_stage_stands_above_all_of_them() -> None:
    assert payments.micros(None) == 0
    assert payments.micros(1.5) == 1_500_000
    assert payments.at_stage(3) == 3 * 2**53
    assert payments.at_stage(1, 7) == 2**53 + 7


def test_each_fact_says_what_it_is_named_for_and_has_no_version_of_its_own() -> None:
    assert payments.terms("a", 5) == Fact(FactKind.TERMS, "a", "asked", 5)
    assert payments.attempt("a", "failed") == Fact(FactKind.ATTEMPT, "a", "failed")
    assert payments.authorized("a", 5, attempt="t", replaces="b") == Fact(
        FactKind.AUTHORIZATION, "a", "authorized", 5, "t", 0, "b"
    )
    assert payments.adjusted("j", "a", 5) == Fact(FactKind.ADJUSTMENT, "j", "adjusted", 5, "a")
    assert payments.captured("c", 5, authorization="a") == Fact(FactKind.CAPTURE, "c", "succeeded", 5, "a")
    assert payments.capture_failed("c", 5, authorization="a") == (
        Fact(FactKind.CAPTURE, "c", "pending", 5, "a"),
        Fact(FactKind.REVERSAL, "c", "failed", 5, "c"),
    )
    assert payments.dispute("d", "open", payment="a") == Fact(FactKind.DISPUTE, "d", "open", None, "a")
    assert payments.order_ended("o", 5) == Fact(FactKind.END, "o", "canceled", 5, INTENT)


@pytest.mark.parametrize(
    ("fact", "expected"),
    [
        (payments.dispute_funds("d", "withdrawn", 5), Fact(FactKind.DISPUTE_OUT, "d", "withdrawn", 5)),
        (payments.dispute_funds("d", "reinstated", 5), Fact(FactKind.DISPUTE_IN, "d", "reinstated", 5)),
        (
            payments.dispute_funds("d", "withdrawn", 5, number=2),
            Fact(FactKind.DISPUTE_OUT, "d#2", "withdrawn", 5, "d", 2),
        ),
        (
            payments.dispute_funds("d", "withdrawn", 5, number=1, part="p"),
            Fact(FactKind.DISPUTE_OUT, "p", "withdrawn", 5, "d", 1),
        ),
        (payments.dispute_funds("d", "withdrawn", 5, part="p"), Fact(FactKind.DISPUTE_OUT, "p", "withdrawn", 5, "d")),
    ],
    ids=["taken", "given back", "in round 2", "a part in round 1", "a part"],
)
def test_a_movement_of_a_dispute_is_named_by_its_round_or_its_own_id(fact: Fact, expected: Fact) -> None:
    assert fact == expected


def test_the_shop_s_reference_is_the_first_that_is_there() -> None:
    assert payments.noted_reference({"order_id": "2", "reference": "1"}) == "1"
    assert payments.noted_reference({"reference": "", "order_ref": "3"}) == "3"
    assert payments.noted_reference(None) is None
