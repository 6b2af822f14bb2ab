"""The room of commands, rule by rule: what an intent holds beside its attempts, what each command looks at first."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from schemas.command_room import Balance, Bound, Forbidden, Granted, Request, Undetermined, Wish, bind, decide, parts_of
from schemas.intents import Command
from schemas.payment import Status

pytestmark = pytest.mark.unit

INTENT, GIFT, CARD = (UUID(int=number) for number in (1, 2, 3))
WHOLE = Balance(
    id=INTENT,
    status="captured",
    currency="EUR",
    amount=100,
    authorized=100,
    captured=100,
    refunded=30,
    disputed=25,
    captures_seen=110,
    refunds_seen=43,
    refunds_pending=8,
)
PAID_BY_CARD = replace(
    WHOLE,
    id=CARD,
    amount=60,
    authorized=60,
    captured=60,
    refunded=10,
    disputed=5,
    captures_seen=61,
    refunds_seen=12,
    refunds_pending=1,
)


def held(payment: UUID, authorized: int, captured: int = 0, status: str = "authorized") -> Balance:
    return replace(
        WHOLE,
        id=payment,
        status=status,
        amount=authorized,
        authorized=authorized,
        captured=captured,
        refunded=0,
        disputed=0,
        captures_seen=captured,
        refunds_seen=0,
        refunds_pending=0,
    )


def test_what_an_intent_holds_beside_its_attempts_is_each_figure_less_theirs() -> None:
    own = parts_of(WHOLE, [PAID_BY_CARD])[-1]
    assert own == replace(
        WHOLE,
        status="partially_captured",
        amount=40,
        authorized=40,
        captured=40,
        refunded=20,
        disputed=20,
        captures_seen=49,
        refunds_seen=31,
        refunds_pending=7,
    )


def test_a_figure_that_attempts_have_more_of_is_none_of_the_intents_own() -> None:
    more = replace(PAID_BY_CARD, refunded=90, disputed=90, captures_seen=200, refunds_seen=200, refunds_pending=90)
    own = parts_of(WHOLE, [more])[-1]
    figures = (own.refunded, own.disputed, own.captures_seen, own.refunds_seen, own.refunds_pending)
    assert figures == (0, 0, 0, 0, 0)
    assert (own.authorized, own.captured) == (40, 40)


def test_money_that_was_taken_of_no_hold_is_a_part_too() -> None:
    whole = held(INTENT, 60, 100, "captured")
    own = parts_of(whole, [replace(PAID_BY_CARD, authorized=60)])[-1]
    assert (own.id, own.status, own.authorized, own.captured) == (INTENT, "partially_captured", 0, 40)


def test_what_an_intent_took_a_part_of_itself_is_captured_in_part() -> None:
    """As authorized it could be canceled, and the money that was taken would look given up."""
    whole, attempts = held(INTENT, 100, 20, "partially_captured"), [held(CARD, 60)]
    own = parts_of(whole, attempts)[-1]
    assert (own.status, own.authorized, own.captured) == ("partially_captured", 40, 20)
    assert isinstance(bind(whole, attempts, [], Wish(Command.CANCEL, attempt_id=INTENT)), Forbidden)
    assert bind(whole, attempts, [], Wish(Command.CAPTURE, attempt_id=INTENT)) == Bound(20, own)


def test_what_went_back_of_the_intents_own_money_leaves_no_room_for_it_again() -> None:
    """Each of these figures of 0 would let the same money be given back twice."""
    wish = Wish(Command.REFUND, attempt_id=INTENT)
    assert isinstance(bind(WHOLE, [PAID_BY_CARD], [], wish), Forbidden), "of 40, 20 are disputed and 20 went back"
    fresh = replace(WHOLE, refunded=10, disputed=5, refunds_pending=1, refunds_seen=12)
    assert bind(fresh, [PAID_BY_CARD], [], wish) == Bound(40, parts_of(fresh, [PAID_BY_CARD])[-1])


def test_a_request_counts_until_the_intents_own_figures_show_it() -> None:
    """What the attempts show of refunds must not pass for what was asked of the intent's own money."""
    whole = replace(WHOLE, refunded=10, disputed=5, refunds_pending=1, refunds_seen=12)
    asked = Request("refund", 15, 0, INTENT)
    room = bind(whole, [PAID_BY_CARD], [asked], Wish(Command.REFUND, attempt_id=INTENT))
    assert isinstance(room, Bound)
    assert room.amount == 25
    open_hold = [held(CARD, 60, 60, "captured")]
    order = held(INTENT, 100, 60, "partially_captured")
    capture = Request("capture", 15, 0, INTENT)
    room = bind(order, open_hold, [capture], Wish(Command.CAPTURE, attempt_id=INTENT))
    assert isinstance(room, Bound)
    assert room.amount == 25


@pytest.mark.parametrize("command", [Command.CAPTURE, Command.REFUND])
@pytest.mark.parametrize("amount", [None, 1])
def test_a_command_in_another_currency_is_forbidden_with_an_amount_and_without(
    command: Command, amount: int | None
) -> None:
    balance = replace(held(INTENT, 100, 50), status="partially_captured")
    assert isinstance(decide(balance, [], command, amount, "USD"), Forbidden)
    assert isinstance(decide(balance, [], command, amount, "EUR"), Granted)


def test_which_attempt_is_meant_is_asked_for_whatever_the_amount() -> None:
    """The amount alone tells nothing: that one attempt is too small for it may be what the client got wrong."""
    attempts = [held(GIFT, 20, 20, "captured"), held(CARD, 80, 80, "captured")]
    found = bind(held(INTENT, 100, 100, "captured"), attempts, [], Wish(Command.REFUND, amount=50))
    assert isinstance(found, Undetermined)
    assert found.attempt_ids == (GIFT, CARD)


def test_an_order_whose_cancel_was_asked_for_is_not_canceled_again() -> None:
    order, tries = held(INTENT, 0, status="failed"), [held(GIFT, 0, status="failed"), held(CARD, 0, status="failed")]
    wish = Wish(Command.CANCEL)
    assert bind(order, tries, [], wish) == Bound(None, order)
    assert isinstance(bind(order, tries, [Request("cancel", None, None, INTENT)], wish), Forbidden)
    paid = replace(order, status="captured")
    assert isinstance(bind(paid, tries, [], wish), Forbidden)


@pytest.mark.parametrize("status", [Status.AUTHORIZED, Status.PARTIALLY_CAPTURED])
def test_no_more_is_captured_than_is_held_whatever_was_asked_for(status: Status) -> None:
    """A provider may hold less than the intent asked: nothing is taken above the hold."""
    balance = replace(held(INTENT, 80, 10, status), amount=100)
    assert decide(balance, [], Command.CAPTURE, None, None) == Granted(70)
    assert isinstance(decide(balance, [], Command.CAPTURE, 71, None), Forbidden)


@pytest.mark.parametrize("status", [Status.CREATED, Status.REQUIRES_ACTION, Status.PROCESSING])
def test_what_may_be_held_already_is_captured_up_to_what_was_asked_for(status: Status) -> None:
    balance = replace(held(INTENT, 0, status=status), amount=100)
    assert decide(balance, [], Command.CAPTURE, None, None) == Granted(100)
    assert isinstance(decide(balance, [], Command.CAPTURE, 101, None), Forbidden)


def test_what_the_facts_show_of_a_kind_and_not_what_it_came_to_shows_a_request() -> None:
    """A capture that failed, a refund that was refused are shown, and are in no sum: they are waited for no longer."""
    balance = held(INTENT, 100, 0)
    failed = replace(balance, captures_seen=60)
    assert decide(balance, [Request("capture", 60, 0)], Command.CAPTURE, None, None) == Granted(40)
    assert decide(failed, [Request("capture", 60, 0)], Command.CAPTURE, None, None) == Granted(100)
    paid = held(INTENT, 100, 100, "captured")
    refused = replace(paid, refunds_seen=60)
    assert decide(paid, [Request("refund", 60, 0)], Command.REFUND, None, None) == Granted(40)
    assert decide(refused, [Request("refund", 60, 0)], Command.REFUND, None, None) == Granted(100)
