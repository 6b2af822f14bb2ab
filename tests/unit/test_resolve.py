"""Which payment an event is about."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from events import INTENT_ID, adyen, intent, record, standard, understood
from msgspec.structs import replace
from paper_books import payment

from consumer.resolve import RefKey, Target, counts_more, keys_of, resolve
from consumer.verdict import Dead, Waits
from schemas.dead_letter import Reason
from schemas.facts import FactKind, State

if TYPE_CHECKING:
    from consumer.decode import Event
    from schemas.payment import Payment

pytestmark = pytest.mark.unit

A, B, C = (UUID(int=number) for number in (1, 2, 3))
PAY_1 = ("standard_webhooks", "", "payment", "pay_1")
ORD_1 = ("standard_webhooks", "", "reference", "ORD-1")
OWN_ID = ("ratchet", "", "id", str(INTENT_ID))
OUR_ORD_1 = ("ratchet", "shop", "reference", "ORD-1")
WEBHOOK = understood(standard("payment.captured", reference="ORD-1"))
INTENT = understood(intent(reference="ORD-1", provider_ref="pay_1"))


def target(event: Event, names: dict[RefKey, UUID | None], *payments: Payment) -> Target:
    found = resolve(event, names, {one.id: one for one in payments}, 1000)
    assert isinstance(found, Target), found
    return found


def test_keys_are_scoped_by_provider_and_account_but_our_own_ids_are_not() -> None:
    tenant = understood(record("standard_webhooks/acme", "1", "payment.created", standard("payment.created").value))
    assert keys_of(tenant) == [("standard_webhooks", "acme", "payment", "pay_1")]
    assert keys_of(WEBHOOK) == [PAY_1, ORD_1]
    assert keys_of(INTENT) == [OWN_ID, PAY_1, ORD_1, OUR_ORD_1]
    assert keys_of(understood(intent())) == [OWN_ID]


def test_an_unknown_payment_is_opened_by_an_event_that_may() -> None:
    found = target(WEBHOOK, dict.fromkeys(keys_of(WEBHOOK)))
    assert (found.same, found.names) == ([], [PAY_1, ORD_1])
    assert (found.payment.provider, found.payment.version, found.payment.id.version) == ("standard_webhooks", 0, 7)


def test_an_unknown_payment_is_waited_for_by_an_event_that_may_not_open_it() -> None:
    event = understood(adyen("CAPTURE", "CAP1"))
    assert resolve(event, {}, {}, 0) == Waits(Reason.ORPHAN, "no payment is known by payment PAY")


def test_names_in_a_message_are_bounded() -> None:
    event = understood(adyen("CAPTURE", "CAP1", original="P" * 255))
    long = type(event)(**{name: getattr(event, name) for name in event.__slots__})
    meaning = type(event.meaning)(refs=event.meaning.refs * 5, facts=event.meaning.facts)
    long = replace(long, meaning=meaning)
    found = resolve(long, {}, {}, 0)
    assert isinstance(found, Waits)
    assert len(found.detail) < 450


def test_an_event_without_names_that_moves_something_waits_for_any() -> None:
    event = understood(adyen("CAPTURE", "CAP1"))
    event = replace(event, meaning=type(event.meaning)(facts=event.meaning.facts, opens=True))
    assert resolve(event, {}, {}, 0) == Waits(Reason.ORPHAN, "no payment is known by any reference")


def test_an_event_that_says_nothing_of_an_unknown_payment_is_about_none() -> None:
    assert resolve(understood(intent(command="capture")), {}, {}, 0) is None


def test_one_candidate_takes_the_names_that_it_did_not_have() -> None:
    one = payment(id=A)
    found = target(WEBHOOK, {PAY_1: A, ORD_1: None}, one)
    assert (found.payment, found.same, found.names) == (one, [], [ORD_1])
    assert target(WEBHOOK, {PAY_1: A, ORD_1: A}, one).names == []


def test_the_older_of_two_rows_survives() -> None:
    older, newer = payment(id=A), payment(id=B)
    found = target(WEBHOOK, {PAY_1: B, ORD_1: A}, older, newer)
    assert (found.payment, found.same, found.names) == (older, [newer], [PAY_1])


def test_the_promised_row_survives_whatever_its_age() -> None:
    older, promised = payment(id=A), payment(id=B, client="shop")
    found = target(WEBHOOK, {PAY_1: A, ORD_1: B}, older, promised)
    assert (found.payment, found.same) == (promised, [older])


@pytest.mark.parametrize(
    ("first", "second"),
    [({"client": "shop"}, {"client": "mall"}), ({"currency": "EUR"}, {"currency": "USD"})],
)
def test_two_promises_or_two_currencies_stay_two(first: dict[str, str], second: dict[str, str]) -> None:
    one, other = payment(id=A, **first), payment(id=B, **second)
    found = target(WEBHOOK, {PAY_1: B, ORD_1: A}, one, other)
    assert (found.payment, found.same, found.names) == (other, [], [])


def test_an_intent_opens_its_row_and_takes_what_webhooks_opened() -> None:
    opened = payment(id=A, currency="EUR")
    found = target(INTENT, {PAY_1: A, ORD_1: None}, opened)
    assert (found.payment.id, found.same) == (INTENT_ID, [opened])
    assert found.names == [OWN_ID, PAY_1, ORD_1, OUR_ORD_1]


def test_an_intent_that_is_known_takes_no_new_row() -> None:
    own = payment(id=INTENT_ID, client="shop")
    found = target(INTENT, {OWN_ID: INTENT_ID, PAY_1: INTENT_ID}, own)
    assert (found.payment, found.same, found.names) == (own, [], [ORD_1, OUR_ORD_1])


def test_an_intent_leaves_rows_of_another_currency_alone() -> None:
    dollars, euros = payment(id=A, currency="USD"), payment(id=B, currency="EUR")
    for names, rows in (({PAY_1: A}, [dollars]), ({PAY_1: A, ORD_1: B}, [dollars, euros])):
        found = target(INTENT, names, *rows)
        assert found.same == []
        assert PAY_1 not in found.names


def test_an_intent_leaves_another_clients_row_alone() -> None:
    theirs = payment(id=A, client="mall")
    found = target(INTENT, {ORD_1: A}, theirs)
    assert (found.payment.id, found.same, found.names) == (INTENT_ID, [], [OWN_ID, PAY_1, OUR_ORD_1])


def test_a_clients_second_row_under_one_reference_is_a_conflict() -> None:
    for name in (ORD_1, OUR_ORD_1, PAY_1):
        found = resolve(INTENT, {name: A}, {A: payment(id=A, client="shop")}, 0)
        assert isinstance(found, Dead)
        assert found.reason is Reason.CONFLICT


def test_another_clients_id_is_a_conflict() -> None:
    found = resolve(INTENT, {OWN_ID: INTENT_ID}, {INTENT_ID: payment(client="mall")}, 0)
    assert isinstance(found, Dead)
    assert found.reason is Reason.CONFLICT
    unclaimed = payment(id=INTENT_ID)
    assert target(INTENT, {OWN_ID: INTENT_ID}, unclaimed).payment is unclaimed


def test_the_attempt_that_holds_the_authorization_counts() -> None:
    held = payment(provider_ref="b", facts={(FactKind.AUTHORIZATION, "c"): State("authorized", 1)})
    assert counts_more(held, "a") == "a"
    assert counts_more(held, "c") == "c"
    assert counts_more(held, None) == "b"
    assert counts_more(held, "b") == "b"
    assert counts_more(payment(), "a") == "a"
    assert counts_more(payment(), None) is None
    both = payment(provider_ref="c", facts=held.facts | {(FactKind.AUTHORIZATION, "b"): State("authorized", 1)})
    assert counts_more(both, "b") == "b"
    assert counts_more(both, "a") == "c"
