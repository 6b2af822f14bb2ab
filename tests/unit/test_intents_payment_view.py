"""What a payment's state forbids, with what was only asked for."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.ingress.intents.handler import shown
from producers.ingress.intents.payment_view import PaymentView
from schemas.command_room import Forbidden, Granted, Request, decide, outstanding
from schemas.intents import Command
from schemas.payment import Status

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
RECORDED = PaymentView(
    id=UUID(int=1),
    provider="stripe",
    account="",
    provider_ref=None,
    reference="order-1",
    status="created",
    refund_status="none",
    dispute_status="none",
    currency="EUR",
    amount=100,
    authorized=0,
    captured=0,
    refunded=0,
    disputed=0,
    version=0,
    created_at=NOW,
    updated_at=NOW,
    captures_seen=0,
    refunds_seen=0,
    refunds_pending=0,
    record_key="order-1",
)
AUTHORIZED = replace(RECORDED, status="authorized", authorized=100)
CAPTURED = replace(AUTHORIZED, status="captured", captured=100, captures_seen=100)
CANCELED = Request("cancel", None, None)


def ask(
    view: PaymentView, command: Command, *requests: Request, amount: int | None = None, currency: str | None = None
) -> Any:
    return decide(view, requests, command, amount, currency)


@pytest.mark.parametrize(
    ("status", "allowed"),
    [
        (Status.CREATED, {"capture", "cancel"}),
        (Status.REQUIRES_ACTION, {"capture", "cancel"}),
        (Status.PROCESSING, {"capture", "cancel"}),
        (Status.AUTHORIZED, {"capture", "cancel"}),
        (Status.PARTIALLY_CAPTURED, {"capture", "refund"}),
        (Status.CAPTURED, {"refund"}),
        (Status.FAILED, {"cancel"}),
        (Status.CANCELED, set()),
        (Status.EXPIRED, set()),
    ],
)
def test_every_state_and_command(status: Status, allowed: set[str]) -> None:
    captured = {Status.PARTIALLY_CAPTURED: 40, Status.CAPTURED: 100}.get(status, 0)
    view = replace(AUTHORIZED, status=status, captured=captured, captures_seen=captured)
    for command in (Command.CAPTURE, Command.CANCEL, Command.REFUND):
        verdict = ask(view, command)
        assert isinstance(verdict, Granted) == (command in allowed), (status, command, verdict)
        if isinstance(verdict, Forbidden):
            assert status in verdict.detail


def test_no_amount_is_all_that_is_left() -> None:
    assert ask(AUTHORIZED, Command.CAPTURE) == Granted(100)
    partly = replace(AUTHORIZED, status="partially_captured", captured=30, captures_seen=30)
    assert ask(partly, Command.CAPTURE) == Granted(70)
    assert ask(partly, Command.REFUND) == Granted(30)
    assert ask(partly, Command.CAPTURE, Request("capture", 50, 30)) == Granted(20)
    assert ask(AUTHORIZED, Command.CANCEL) == Granted(None)


def test_more_than_there_is_is_forbidden_with_the_figures() -> None:
    verdict = ask(CAPTURED, Command.REFUND, Request("refund", 60, 0), amount=60)
    assert verdict == Forbidden(
        "the payment is captured: of 100, 0 is refunded and 60 is asked for, which leaves no 60"
    )
    assert ask(CAPTURED, Command.REFUND, Request("refund", 60, 0), amount=40) == Granted(40)
    assert isinstance(ask(CAPTURED, Command.REFUND, Request("refund", 100, 0)), Forbidden)
    pending = replace(CAPTURED, refunds_pending=30, refunds_seen=30)
    assert isinstance(ask(pending, Command.REFUND, amount=71), Forbidden)


def test_a_lower_authorization_than_asked_for_is_the_ceiling() -> None:
    assert isinstance(ask(replace(AUTHORIZED, authorized=80), Command.CAPTURE, amount=81), Forbidden)
    assert ask(replace(AUTHORIZED, authorized=120), Command.CAPTURE) == Granted(120)


def test_a_cancel_and_a_capture_exclude_each_other() -> None:
    assert isinstance(ask(AUTHORIZED, Command.CAPTURE, CANCELED), Forbidden)
    assert isinstance(ask(AUTHORIZED, Command.CANCEL, CANCELED), Forbidden)
    assert isinstance(ask(AUTHORIZED, Command.CANCEL, Request("capture", 1, 0)), Forbidden)
    failed_since = replace(AUTHORIZED, captures_seen=1)
    assert ask(failed_since, Command.CANCEL, Request("capture", 1, 0)) == Granted(None)


def test_another_currency_is_forbidden() -> None:
    assert isinstance(ask(AUTHORIZED, Command.CAPTURE, amount=1, currency="USD"), Forbidden)
    assert ask(AUTHORIZED, Command.CAPTURE, amount=1, currency="EUR") == Granted(1)
    assert ask(replace(AUTHORIZED, currency=None), Command.CAPTURE, amount=1, currency="USD") == Granted(1)


@pytest.mark.parametrize(
    ("requests", "seen_now", "due"),
    [
        ([(60, 0)], 0, 60),
        ([(60, 0)], 60, 0),
        ([(60, 0)], 20, 40),
        ([(30, 30)], 30, 30),
        ([(30, 30)], 60, 0),
        ([(10, 0), (20, 0), (5, 10)], 10, 25),
        ([(10, 0), (20, 50)], 50, 20),
        ([(10, 0)], 500, 0),
        ([], 5, 0),
    ],
)
def test_requests_are_shown_by_sums(requests: list[tuple[int, int]], seen_now: int, due: int) -> None:
    asked = [Request("refund", amount, seen) for amount, seen in requests]
    assert outstanding([*asked, Request("capture", 1000, 0), CANCELED], Command.REFUND, seen_now) == due


@given(st.lists(st.integers(1, 60), max_size=12), st.lists(st.booleans(), max_size=12))
def test_refunds_never_pass_what_was_captured_however_they_are_shown(amounts: list[int], shows: list[bool]) -> None:
    view, asked, granted = CAPTURED, [], []
    for amount, show in zip(amounts, [*shows, *[False] * 12], strict=False):
        if isinstance(ask(view, Command.REFUND, *asked, amount=amount), Granted):
            asked.append(Request("refund", amount, view.seen(Command.REFUND)))
            granted.append(amount)
        if show and view.refunded < sum(granted):
            done = next(total for total in _sums(granted) if total > view.refunded)
            view = replace(view, refunded=done, refunds_seen=done)
    assert sum(granted) <= 100


def _sums(amounts: list[int]) -> list[int]:
    return [sum(amounts[: number + 1]) for number in range(len(amounts))]


def test_a_cancel_sees_nothing() -> None:
    assert (CAPTURED.seen(Command.CANCEL), CAPTURED.seen(Command.CAPTURE)) == (None, 100)


def test_what_a_client_is_shown() -> None:
    reported = shown(AUTHORIZED).model_dump()
    assert (reported["timeline"], reported["authorized"]) == (f"/payment-intents/{UUID(int=1)}/timeline", 100)
    assert not {"record_key", "captures_seen", "refunds_seen", "refunds_pending"} & reported.keys()


def test_a_refund_has_no_room_for_what_a_dispute_took() -> None:
    disputed = replace(CAPTURED, disputed=60, dispute_status="open", disputes=["dp_1"])
    assert ask(disputed, Command.REFUND) == Granted(40)
    refused = ask(disputed, Command.REFUND, amount=41)
    assert isinstance(refused, Forbidden)
    assert ("dp_1" in refused.detail, dict(refused.members)) == (True, {"disputes": ["dp_1"]})
    whole = replace(disputed, disputed=100, dispute_status="lost")
    refused = ask(whole, Command.REFUND)
    assert isinstance(refused, Forbidden)
    assert "100 of 100 was taken by dp_1 (lost)" in refused.detail
    pending = replace(disputed, refunded=10, refunds_pending=20, refunds_seen=30)
    assert ask(pending, Command.REFUND) == Granted(10)
    won = replace(disputed, disputed=0, dispute_status="won", disputes=[])
    assert ask(won, Command.REFUND) == Granted(100)


def test_a_refund_of_money_that_a_reversal_took_names_it() -> None:
    refused = ask(replace(CAPTURED, status="failed", captured=0, reversals=["RKX1"]), Command.REFUND)
    assert isinstance(refused, Forbidden)
    assert ("RKX1" in refused.detail, dict(refused.members)) == (True, {"reversals": ["RKX1"]})
