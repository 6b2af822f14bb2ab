"""Which of an intent's attempts a command is for, and whether there is room for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from schemas.command_room import Balance, Bound, Forbidden, Request, Undetermined, Wish, bind, parts_of
from schemas.intents import Command

pytestmark = pytest.mark.unit

INTENT, GIFT, CARD, OTHER = (UUID(int=number) for number in (1, 2, 3, 4))


def balance(payment: UUID, status: str = "captured", *, authorized: int = 0, captured: int = 0, **more: Any) -> Balance:
    figures = {"refunded": 0, "disputed": 0, "refunds_seen": 0, "refunds_pending": 0, "captures_seen": captured}
    return Balance(
        id=payment, status=status, currency="EUR", amount=max(authorized, captured), authorized=authorized,
        captured=captured, **(figures | more),
    )  # fmt: skip


PAID_BY_GIFT = balance(GIFT, authorized=20, captured=20)
PAID_BY_CARD = balance(CARD, authorized=80, captured=80)
ORDER = balance(INTENT, authorized=100, captured=100)


def ask(command: Command, *requests: Request, whole: Balance = ORDER, parts: Any = None, **wish: Any) -> Any:
    attempts = [PAID_BY_GIFT, PAID_BY_CARD] if parts is None else parts
    return bind(whole, attempts, requests, Wish(command, **wish))


def test_a_payment_without_attempts_is_meant_itself() -> None:
    assert ask(Command.REFUND, parts=[], amount=30) == Bound(30, ORDER)
    assert ask(Command.REFUND, parts=[], attempt_id=INTENT) == Bound(100, ORDER)
    assert isinstance(ask(Command.REFUND, parts=[], attempt_id=GIFT), Undetermined)


def test_where_several_have_room_one_has_to_be_named() -> None:
    found = ask(Command.REFUND, amount=10)
    assert isinstance(found, Undetermined)
    assert found.attempt_ids == (GIFT, CARD)
    assert ask(Command.REFUND, amount=10, attempt_id=CARD) == Bound(10, PAID_BY_CARD)
    assert ask(Command.REFUND, attempt_id=GIFT) == Bound(20, PAID_BY_GIFT)
    assert isinstance(ask(Command.REFUND, amount=21, attempt_id=GIFT), Forbidden)
    assert isinstance(ask(Command.REFUND, attempt_id=OTHER), Undetermined)


def test_where_one_alone_has_room_it_is_meant() -> None:
    returned = replace(PAID_BY_GIFT, refunded=20, refunds_seen=20)
    assert ask(Command.REFUND, parts=[returned, PAID_BY_CARD]) == Bound(80, PAID_BY_CARD)
    failed = balance(OTHER, "failed")
    for command in (Command.REFUND,):
        assert ask(command, parts=[failed, PAID_BY_CARD], whole=replace(PAID_BY_CARD, id=INTENT)) == Bound(
            80, PAID_BY_CARD
        )
    live = balance(CARD, "authorized", authorized=80)
    order = replace(live, id=INTENT)
    for command, amount in ((Command.CAPTURE, 80), (Command.CANCEL, None)):
        assert ask(command, parts=[failed, live], whole=order) == Bound(amount, live)


def test_what_was_asked_for_counts_at_its_own_attempt() -> None:
    asked = Request("refund", 20, 0, GIFT)
    assert ask(Command.REFUND, asked) == Bound(80, PAID_BY_CARD), "the gift card has no room any more"
    assert isinstance(ask(Command.REFUND, asked, attempt_id=GIFT), Forbidden)
    assert ask(Command.REFUND, asked, attempt_id=CARD) == Bound(80, PAID_BY_CARD)


@pytest.mark.parametrize("where", [None, INTENT])
def test_what_was_asked_for_before_any_attempt_was_known_counts_at_each(where: UUID | None) -> None:
    live = balance(CARD, "authorized", authorized=80)
    asked = Request("capture", 80, 0, where)
    assert isinstance(ask(Command.CAPTURE, asked, parts=[live], whole=replace(live, id=INTENT)), Forbidden)
    assert isinstance(ask(Command.CANCEL, asked, parts=[live], whole=replace(live, id=INTENT)), Forbidden)


def test_an_order_whose_tries_all_failed_is_canceled_as_a_whole() -> None:
    order, tries = balance(INTENT, "failed"), [balance(GIFT, "failed"), balance(CARD, "failed")]
    assert ask(Command.CANCEL, whole=order, parts=tries) == Bound(None, order)
    assert isinstance(ask(Command.CAPTURE, whole=order, parts=tries), Forbidden)


def test_nothing_left_anywhere_says_the_figures_of_the_whole() -> None:
    spent = [replace(one, refunded=one.captured, refunds_seen=one.captured) for one in (PAID_BY_GIFT, PAID_BY_CARD)]
    found = ask(Command.REFUND, whole=replace(ORDER, refunded=100, refunds_seen=100), parts=spent)
    assert found == Forbidden(
        "the payment is captured: of 100, 100 is refunded and 0 is asked for, which leaves nothing"
    )
    assert isinstance(ask(Command.REFUND, parts=spent), Forbidden), "the sums do not agree: nothing is given"


def test_an_intent_that_holds_money_of_its_own_is_a_part() -> None:
    own = parts_of(ORDER, [PAID_BY_CARD])[-1]
    assert (own.id, own.status, own.captured, own.authorized) == (INTENT, "partially_captured", 20, 20)
    assert parts_of(ORDER, [PAID_BY_GIFT, PAID_BY_CARD]) == [PAID_BY_GIFT, PAID_BY_CARD]
    held = parts_of(balance(INTENT, "authorized", authorized=100), [balance(CARD, "authorized", authorized=80)])[-1]
    assert (held.status, held.amount) == ("authorized", 20)
