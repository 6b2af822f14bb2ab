"""The row of a command: when it was asked for and ends, what it is for, and what the facts showed of its kind."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import record
from memory_tables import payment

from consumer.commands import LASTS_SECONDS, OpenCommand, balance_of, open_command, row_of
from consumer.decode import Event
from consumer.fold import newer, project
from providers.core.payments import authorized, captured, dispute, dispute_funds, refund
from runtime.settings.intents import IntentsSettings
from schemas.command_room import Request
from schemas.facts import CommandAsked, CommandState, Fact, FactKind, Meaning
from schemas.intents import REASON_LENGTH_MAX
from schemas.topics import INTENTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from consumer.commands import CommandRow
    from schemas.payment import Payment

pytestmark = pytest.mark.unit

ORDER, GIFT, CARD = (UUID(int=number) for number in (1, 2, 3))
NOW = dt.datetime(2026, 9, 21, 12, tzinfo=dt.UTC)
HOUR = 3600.0


def holding(own: UUID, *facts: Fact, **columns: Any) -> Payment:
    joined = newer({}, facts)
    return payment(id=own, currency="EUR", facts=joined, projection=project(joined), **columns)


PAID = holding(ORDER, captured("c", 1000, authorization="p"), client="shop", reference="ORD-1")


def row(
    whole: Payment = PAID,
    attempts: Iterable[Payment] = (),
    known: Iterable[OpenCommand] = (),
    *,
    lasts_seconds: float = HOUR,
    asker: str = "shop",
    **asked: Any,
) -> CommandRow:
    wish = CommandAsked(**{"command": "refund", **asked})
    event = Event(
        record("intents/shop", "a", "intent.refund", {}, topic=INTENTS.name),
        "intents/shop",
        "a",
        "intent.refund",
        "ratchet",
        "",
        Meaning(asker=asker, asked=wish),
        traceparent="trace",
    )
    return row_of(event, whole, list(attempts), known, now=NOW, lasts_seconds=lasts_seconds, relay_xid=7)


def test_a_command_of_tomorrow_lasts_from_now_on() -> None:
    """A publisher whose clock runs ahead would have a command begun when its money is free again for long."""
    ahead = row(asked_at=NOW.timestamp() + 86400)
    assert (ahead.asked_at, ahead.expires_at) == (NOW, NOW + dt.timedelta(hours=1))
    behind = row(asked_at=NOW.timestamp() - 600)
    assert (behind.asked_at, behind.expires_at) == (NOW - dt.timedelta(minutes=10), NOW + dt.timedelta(minutes=50))
    assert row().asked_at == NOW, "nothing tells when it was asked for"


def test_a_command_that_ends_now_is_begun_no_more() -> None:
    assert row(asked_at=NOW.timestamp() - HOUR + 1).refusal is None
    ended = row(asked_at=NOW.timestamp() - HOUR)
    assert ended.refusal == "it expired at 2026-09-21T12:00:00+00:00, before it could be published"
    assert (ended.amount, ended.seen, ended.attempt) == (None, None, PAID)


def test_a_command_that_ended_without_room_says_that_there_is_none() -> None:
    """That it came too late would have it asked for again."""
    late = row(asked_at=NOW.timestamp() - 2 * HOUR, amount=1001)
    assert late.refusal is not None
    assert late.refusal.endswith("which leaves no 1001")


def test_a_command_lasts_as_long_as_its_setting_says_where_none_is_given() -> None:
    assert IntentsSettings().command_expires_seconds == LASTS_SECONDS


def test_a_refusal_of_many_attempts_fits_its_column() -> None:
    """One that does not would have the batch refused by Postgres, and with it its neighbours held up."""
    attempts = [holding(UUID(int=n), captured(f"c{n}", 10, authorization=f"p{n}")) for n in range(2, 30)]
    whole = holding(ORDER, *(captured(f"c{n}", 10, authorization=f"p{n}") for n in range(2, 30)))
    refusal = row(whole, attempts).refusal
    assert refusal is not None
    assert len(refusal) == REASON_LENGTH_MAX == 255
    assert refusal.startswith(f"attempt_id is needed: several attempts have room: {UUID(int=2)}, ")


def test_what_was_seen_is_of_the_attempt_that_it_is_for() -> None:
    """With what the whole order shows, a request would never be shown, or be at once."""
    gift = holding(GIFT, captured("g", 200, authorization="gift"), refund("r", "succeeded", 150, payment="gift"))
    card = holding(CARD, captured("c", 800, authorization="card"))
    whole = holding(
        ORDER,
        captured("g", 200, authorization="gift"),
        refund("r", "succeeded", 150, payment="gift"),
        captured("c", 800, authorization="card"),
        client="shop",
        reference="ORD-1",
    )
    for attempt, seen, left in ((gift, 150, 50), (card, 0, 800)):
        found = row(whole, [gift, card], attempt_id=attempt.id)
        assert (found.refusal, found.attempt, found.seen, found.amount) == (None, attempt, seen, left)
        assert (found.payment_id, found.reference) == (ORDER, "ORD-1")
    unnamed = row(whole, [gift, card], amount=10)
    assert (unnamed.attempt, unnamed.amount, unnamed.seen) == (whole, 10, None)
    assert unnamed.refusal == f"attempt_id is needed: several attempts have room: {GIFT}, {CARD}"


def test_what_a_command_asked_for_is_in_its_row() -> None:
    found = row(amount=400, currency="EUR", reason="late", metadata="{}", asker="till")
    assert (found.command_id, found.client, found.command, found.amount) == ("a", "till", "refund", 400)
    assert (found.reason, found.metadata, found.traceparent, found.relay_xid) == ("late", "{}", "trace", 7)
    other = row(amount=400, currency="USD")
    assert other.refusal == "the payment is captured, in EUR, not in USD"
    assert other.amount == 400, "a refused command shows what it asked for"


def test_a_row_that_is_written_holds_its_money_for_its_attempt_alone() -> None:
    gift, card = (holding(own, captured(key, 500, authorization=key)) for own, key in ((GIFT, "g"), (CARD, "c")))
    whole = holding(ORDER, captured("g", 500, authorization="g"), captured("c", 500, authorization="c"))
    first = open_command(row(whole, [gift, card], attempt_id=GIFT))
    assert first == OpenCommand(Request("refund", 500, 0, GIFT))
    assert first.counts
    again = row(whole, [gift, card], [first], attempt_id=GIFT)
    assert again.refusal is not None
    assert not open_command(again).counts
    beside = row(whole, [gift, card], [first])
    assert (beside.refusal, beside.attempt, beside.amount) == (None, card, 500)


@pytest.mark.parametrize("later", list(CommandState))
@pytest.mark.parametrize("earlier", [None, *CommandState])
def test_of_two_answers_the_later_state_stands_in_either_order(
    earlier: CommandState | None, later: CommandState
) -> None:
    one, other = OpenCommand(Request("refund", 1, 0)), OpenCommand(Request("refund", 1, 0))
    for state in filter(None, (earlier, later)):
        one.note(state)
    for state in filter(None, (later, earlier)):
        other.note(state)
    order = list(CommandState)
    assert one.state is other.state is max((earlier or later, later), key=order.index)


@pytest.mark.parametrize(
    ("state", "over", "counts"),
    [
        (None, False, True),
        (None, True, False),
        (CommandState.ACCEPTED, False, True),
        (CommandState.ACCEPTED, True, False),
        (CommandState.REFUSED, False, False),
        (CommandState.REFUSED, True, False),
        (CommandState.DONE, False, True),
        (CommandState.DONE, True, True),
    ],
)
def test_which_commands_hold_money(state: CommandState | None, *, over: bool, counts: bool) -> None:
    assert OpenCommand(Request("refund", 1, 0), state, over).counts is counts


def test_a_balance_is_what_the_facts_come_to_and_what_they_show() -> None:
    """What the facts show of a kind counts in any state: a refund that failed is shown, and is in no sum."""
    held = balance_of(
        holding(
            ORDER,
            authorized("p", 1000),
            captured("c", 600, authorization="p"),
            Fact(FactKind.CAPTURE, "waits", "pending", 100, "p"),
            refund("r", "succeeded", 50, payment="p"),
            refund("f", "failed", 30, payment="p"),
            refund("n", "pending", 20, payment="p"),
            dispute("d", "open", payment="p"),
            dispute_funds("d", "withdrawn", 200),
        )
    )
    assert (held.id, held.status, held.currency) == (ORDER, "partially_captured", "EUR")
    assert (held.amount, held.authorized, held.captured, held.refunded, held.disputed) == (1000, 1000, 600, 50, 200)
    assert (held.captures_seen, held.refunds_seen, held.refunds_pending) == (700, 100, 20)
    assert held.dispute_status == "open"


def test_a_figure_that_names_no_refund_shows_refunds_too() -> None:
    """Where a provider tells sums alone a refund that was asked for is shown by them, or it held money for ever."""
    total = Fact(FactKind.REFUND_TOTAL, "p", "succeeded", 250)
    held = balance_of(holding(ORDER, captured("c", 600, authorization="p"), total))
    assert (held.refunded, held.refunds_seen) == (250, 250)
    several = balance_of(
        holding(ORDER, captured("c", 600, authorization="p"), total, refund("r", "failed", 300, payment="p"))
    )
    assert (several.refunded, several.refunds_seen) == (0, 300)
    more = (captured("c", 600, authorization="p"), Fact(FactKind.REFUND_TOTAL, "p", "succeeded", 700))
    named = balance_of(holding(ORDER, *more, refund("r", "failed", 300, payment="p")))
    assert (named.refunded, named.refunds_seen) == (400, 700)


def test_a_capture_that_names_no_amount_is_seen_by_what_was_captured() -> None:
    terms = Fact(FactKind.TERMS, "p", "asked", 1000)
    held = balance_of(holding(ORDER, terms, captured("p", None, authorization="p")))
    assert (held.captured, held.captures_seen) == (1000, 1000)
