"""The rules of resolving one by one: what an intent may take, what a second create repeats, and what is bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import INTENT_ID, intent, record, standard, understood
from memory_tables import payment
from msgspec.structs import replace

from consumer.fold import newer, project
from consumer.plan import Known, Member
from consumer.resolve import (
    RefKey,
    Target,
    counts_more,
    followed,
    gathered_of,
    groups_of,
    joining_of,
    looked_up_of,
    promised_of,
    resolve,
    shared_of,
)
from consumer.verdict import Dead, Waits
from providers.core.payments import attempt, authorized, captured, terms
from schemas.facts import CommandAnswer, CommandState, Fact, FactKind, Ref, RefKind
from schemas.payment import derived_id_bytes

if TYPE_CHECKING:
    from consumer.decode import Event
    from schemas.payment import Payment

pytestmark = pytest.mark.unit

A, B, C = (UUID(int=number) for number in (1, 2, 3))
SCOPE = ("standard_webhooks", "", "", True)
PAY_1, PAY_2 = (*SCOPE, "payment", "pay_1"), (*SCOPE, "payment", "pay_2")
ORD_1 = (*SCOPE, "reference", "ORD-1")
OWN_ID = ("ratchet", "", "", True, "id", str(INTENT_ID))
WEBHOOK = understood(standard("payment.captured", reference="ORD-1"))
INTENT = understood(intent(reference="ORD-1", provider_ref="pay_1"))


def meaning(event: Event, **changes: Any) -> Event:
    return replace(event, meaning=replace(event.meaning, **changes))


def naming(event: Event, *refs: str) -> Event:
    own = [ref for ref in event.meaning.refs if ref.kind is RefKind.ID]
    return meaning(event, refs=(*own, *(Ref(RefKind.PAYMENT, ref) for ref in refs)))


def knowing(refs: dict[RefKey, UUID | None], *payments: Payment, **more: Any) -> Known:
    return Known(refs=refs, payments={one.id: one for one in payments}, **more)


def target(event: Event, known: Known) -> Target:
    found = resolve(event, known)
    assert isinstance(found, Target), found
    return found


def refusal(event: Event, known: Known) -> str:
    found = resolve(event, known)
    assert isinstance(found, Dead), found
    return found.message


def holding(own: UUID, *facts: Fact, **columns: Any) -> Payment:
    joined = newer({}, facts)
    return payment(id=own, facts=joined, projection=project(joined), **columns)


# --- scopes ------------------------------------------------------------------------------------------------------


def test_every_key_is_of_the_events_account_and_mode() -> None:
    """Else test money, or another tenant's, stands under the same reference."""
    one = replace(WEBHOOK, account="acme", livemode=False)
    own = ("standard_webhooks", "acme", "", False)
    assert groups_of(one) == [(*own, "reference", "ORD-1")]
    promised = replace(INTENT, account="acme", livemode=False)
    assert promised_of(promised) == (*own, "reference", "ORD-1")
    many = meaning(one, refs=(Ref(RefKind.SHARED, "sub_1"),))
    assert shared_of(many) == [(*own, "shared", "sub_1")]
    ordered = meaning(one, order="O-1")
    assert looked_up_of(ordered) == (*own, "session", "O-1")
    assert looked_up_of(meaning(ordered, sole=True)) is None
    assert gathered_of(ordered) is None
    assert gathered_of(meaning(ordered, sole=True)) == (*own, "shared", "O-1")


JOINS = {RefKind.PAYMENT, RefKind.CHARGE, RefKind.CAPTURE, RefKind.REFUND, RefKind.DISPUTE, RefKind.SESSION}
"""Ids that a provider makes for one payment alone: what carries the same one is the same payment."""


@pytest.mark.parametrize("kind", [kind for kind in RefKind if kind is not RefKind.ID])
def test_an_event_joins_the_payment_of_its_own_id_and_of_no_other(kind: RefKind) -> None:
    """Without one of them the event waits for ever; by one more of them two customers' payments are one."""
    one, event = holding(A), meaning(WEBHOOK, refs=(Ref(kind, "x"),), opens=False)
    key = (*SCOPE, kind, "x")
    found = resolve(event, knowing({key: A}, one))
    if kind in JOINS:
        assert joining_of(event) == [key]
        assert isinstance(found, Target)
        assert found.payment is one
    else:
        assert joining_of(event) == []
        assert isinstance(found, Waits)


def test_a_hint_has_no_keys_at_all() -> None:
    hint = replace(meaning(WEBHOOK, order="O-1", sole=True), hint=True)
    assert (joining_of(hint), groups_of(hint), gathered_of(hint)) == ([], [], None)


def test_a_row_that_is_opened_is_of_the_events_scope() -> None:
    event = replace(meaning(WEBHOOK, merchant_account="Shop"), account="acme", livemode=False)
    opened = target(event, Known()).payment
    assert (opened.provider, opened.account, opened.merchant_account) == ("standard_webhooks", "acme", "Shop")
    assert not opened.livemode
    promised = replace(meaning(INTENT, merchant_account="Shop"), account="acme", livemode=False)
    opened = target(promised, Known()).payment
    assert (opened.id, opened.provider, opened.account) == (INTENT_ID, "standard_webhooks", "acme")
    assert (opened.merchant_account, opened.livemode) == ("Shop", False)


def test_the_id_of_a_row_follows_from_the_strongest_reference_and_the_records_time() -> None:
    """Of the weakest, two payments of one session would be opened under one id after a restore."""
    event = naming(WEBHOOK, "pay_1", "pay_2")
    name = "\x00".join(map(str, PAY_1))
    opened = target(event, Known()).payment.id
    assert opened.bytes == derived_id_bytes(event.record.timestamp_ms, name)
    assert target(naming(WEBHOOK, "pay_1", "pay_3"), Known()).payment.id == opened
    assert target(naming(WEBHOOK, "pay_2", "pay_1"), Known()).payment.id != opened
    later = replace(event, record=replace(event.record, timestamp_ms=event.record.timestamp_ms + 1))
    assert target(later, Known()).payment.id != opened


# --- merged rows -------------------------------------------------------------------------------------------------


def test_a_chain_of_merged_rows_is_followed_to_its_end() -> None:
    first, second, last = payment(id=A, merged_into=B), payment(id=B, merged_into=C), payment(id=C)
    rows = {one.id: one for one in (first, second, last)}
    assert [followed(rows, one) for one in rows] == [last] * 3
    found = target(WEBHOOK, knowing({PAY_1: A}, first, second, last))
    assert (found.payment, found.same, found.refs) == (last, [], [PAY_1])


def test_what_stays_apart_keeps_its_names() -> None:
    event = naming(WEBHOOK, "pay_1", "pay_2", "pay_3")
    new = (*SCOPE, "payment", "pay_3")
    one, other = payment(id=A, currency="EUR"), payment(id=B, currency="USD")
    found = target(event, knowing({PAY_1: A, PAY_2: B}, one, other))
    assert (found.payment, found.same, found.apart, found.refs) == (one, [], [other], [new])


def test_an_order_that_is_looked_up_is_never_bound() -> None:
    event = meaning(WEBHOOK, order="O-1")
    key = looked_up_of(event)
    assert key is not None
    found = target(event, knowing({key: A}, payment(id=A)))
    assert (found.payment.id, found.refs) == (A, [PAY_1])
    opened = target(event, Known())
    assert opened.refs == [PAY_1]


# --- what an intent takes ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """A payment that an intent of 1000 EUR names, and the words of the refusal, "" where it is taken."""

    payment: Payment
    refused: str


@pytest.mark.parametrize(
    "named",
    [
        Named(holding(A, terms("pay_1", 1000), captured("c", 1000, authorization="pay_1")), ""),
        Named(holding(A, terms("pay_1", 1000), authorized("pay_1", 1200)), ""),
        Named(holding(A, terms("pay_1", 1001)), "asked 1001, the intent 1000"),
        Named(holding(A, attempt("pay_1", "processing", amount=1001)), "asked 1001, the intent 1000"),
        Named(holding(A, captured("c", 1000, authorization="pay_1")), ""),
        Named(holding(A, captured("c", 1001, authorization="pay_1")), "asked 1001, the intent 1000"),
        Named(payment(id=A, currency="EUR"), ""),
        Named(payment(id=A, currency=None), ""),
        Named(payment(id=A, currency="USD"), "is in USD, the intent in EUR"),
        Named(payment(id=A, intent_id=B), f"is an attempt of intent {B}"),
        Named(payment(id=A, client="shop"), f"belongs to another intent: {A}"),
    ],
)
def test_an_intent_takes_what_it_names_up_to_what_it_asks(named: Named) -> None:
    """What was asked to begin with counts, tips on top; where nothing tells it, what is held."""
    known = knowing({PAY_1: A}, named.payment)
    if named.refused:
        assert named.refused in refusal(INTENT, known)
    else:
        assert target(INTENT, known).same == [named.payment]


def test_each_payment_that_an_intent_names_has_to_fit() -> None:
    event = naming(INTENT, "pay_1", "pay_2")
    fits, other = payment(id=A), payment(id=B, client="mall")
    assert "belongs to another intent" in refusal(event, knowing({PAY_1: A, PAY_2: B}, fits, other))
    assert "belongs to another intent" in refusal(event, knowing({PAY_1: B, PAY_2: A}, fits, other))


def test_an_intents_own_account_stands_before_that_of_what_it_takes() -> None:
    event = meaning(INTENT, merchant_account="Shop")
    scoped = [key for key in joining_of(event) if key[2] == "Shop"]
    assert scoped
    nobodys = payment(id=A)
    found = target(event, knowing({scoped[0]: A}, nobodys))
    assert (found.payment.merchant_account, found.same) == ("Shop", [nobodys])
    left_out = target(INTENT, knowing({PAY_1: A}, payment(id=A, merchant_account="Mall")))
    assert left_out.payment.merchant_account == "Mall"


def test_two_payments_of_two_currencies_are_not_one_intents() -> None:
    """The intent leaves nothing open that would tell which of the two is meant."""
    event = meaning(naming(INTENT, "pay_1", "pay_2"), currency=None)
    rows = payment(id=A, currency="EUR"), payment(id=B, currency="USD")
    assert "several currencies or merchant accounts" in refusal(event, knowing({PAY_1: A, PAY_2: B}, *rows))


# --- a second create ---------------------------------------------------------------------------------------------


def own(**columns: Any) -> Payment:
    whose = {"client": "shop", "reference": "ORD-1", "currency": "EUR", "facts": newer({}, INTENT.meaning.facts)}
    return payment(**whose | columns)


def test_a_create_that_is_repeated_changes_nothing() -> None:
    row = own()
    assert target(INTENT, knowing({OWN_ID: INTENT_ID, PAY_1: INTENT_ID}, row)) == Target(row)
    survivor = own(id=A)
    merged = own(merged_into=None)
    assert target(INTENT, knowing({OWN_ID: INTENT_ID, PAY_1: INTENT_ID}, merged, survivor)).payment is merged


@pytest.mark.parametrize("elsewhere", [None, A])
def test_a_create_that_names_another_payment_than_the_first_did_is_a_conflict(elsewhere: UUID | None) -> None:
    """Else a client learns that its second order is paid by the payment of the first."""
    known = knowing({OWN_ID: INTENT_ID, PAY_1: elsewhere}, own(), payment(id=A))
    assert "was created with other terms" in refusal(INTENT, known)


def test_a_create_that_takes_money_at_another_time_is_a_conflict() -> None:
    known = knowing({OWN_ID: INTENT_ID, PAY_1: INTENT_ID}, own())
    other = understood(intent(reference="ORD-1", provider_ref="pay_1", capture="automatic"))
    assert "was created with other terms" in refusal(other, known)
    silent = own(facts={place: state for place, state in own().facts.items() if place[0] is not FactKind.MODE})
    assert "was created with other terms" in refusal(INTENT, knowing({OWN_ID: INTENT_ID, PAY_1: INTENT_ID}, silent))


# --- promises ----------------------------------------------------------------------------------------------------


def test_a_payment_that_only_stands_under_a_reference_promises_it_to_nobody() -> None:
    attempt_ = payment(id=A)
    assert target(INTENT, knowing({}, attempt_, groups={ORD_1: {A: Member()}})).payment.id == INTENT_ID
    promised = payment(id=A, client="mall")
    message = refusal(INTENT, knowing({}, promised, groups={ORD_1: {A: Member(1)}}))
    assert message == f"reference 'ORD-1' is promised to payment {A} already"


def test_what_closes_what_is_promised_waits_for_it() -> None:
    """An end that comes before its payment must not be lost where somebody was promised that payment."""
    end = meaning(WEBHOOK, waits=False, opens=False)
    assert resolve(end, Known()) is None
    assert isinstance(resolve(end, Known(refs={ORD_1: A})), Waits)
    assert isinstance(resolve(meaning(end, waits=True), Known()), Waits)


def test_an_event_of_no_reference_opens_nothing() -> None:
    nameless = meaning(WEBHOOK, refs=())
    found = resolve(nameless, Known())
    assert isinstance(found, Waits)
    assert found.detail == "no payment is known by any reference of its own"


# --- commands and their answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accounts", "may"),
    [
        (None, True),
        (frozenset(), False),
        (frozenset({"standard_webhooks/acme"}), True),
        (frozenset({"standard_webhooks"}), False),
        (frozenset({"standard_webhooks/other"}), False),
        (frozenset({"acme"}), False),
    ],
)
def test_an_executor_answers_for_just_the_accounts_that_are_listed(
    accounts: frozenset[str] | None,
    may: bool,  # noqa: FBT001
) -> None:
    answer = CommandAnswer(INTENT_ID, "c", CommandState.DONE, accounts=accounts)
    event = meaning(WEBHOOK, refs=(Ref(RefKind.ID, str(INTENT_ID)),), facts=(), answer=answer, opens=False)
    known = knowing({OWN_ID: INTENT_ID}, payment(account="acme"))
    if may:
        assert target(event, known).payment.id == INTENT_ID
    else:
        assert "is no executor for standard_webhooks/acme" in refusal(event, known)


def test_a_command_is_about_its_clients_payment_alone() -> None:
    command = meaning(WEBHOOK, refs=(Ref(RefKind.ID, str(INTENT_ID)),), facts=(), asker="shop", opens=False)
    assert target(command, knowing({OWN_ID: INTENT_ID}, payment(client="shop"))).payment.id == INTENT_ID
    for client in (None, "mall"):
        assert "none of client shop's" in refusal(command, knowing({OWN_ID: INTENT_ID}, payment(client=client)))


# --- the reference that is shown ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fact",
    [
        authorized("a", 1),
        authorized("x", 1, attempt="a"),
        captured("a", 1),
        captured("x", 1, authorization="a"),
    ],
)
def test_the_reference_that_holds_money_is_shown_by_whatever_names_it(fact: Fact) -> None:
    facts = newer({}, (fact,))
    for held, offered in (("a", "0"), ("0", "a")):
        assert counts_more(payment(provider_ref=held, facts=facts), offered) == "a"
    for held, offered in (("b", "c"), ("c", "b")):
        assert counts_more(payment(provider_ref=held, facts=facts), offered) == "b", "neither holds any"


def test_of_two_references_that_hold_money_the_smaller_is_shown() -> None:
    facts = newer({}, (authorized("a", 1), captured("c", 1, authorization="b")))
    for held, offered in (("a", "b"), ("b", "a")):
        assert counts_more(payment(provider_ref=held, facts=facts), offered) == "a"


def test_no_record_of_an_upstream_service_meets_a_providers_payment() -> None:
    """The two have names of their own, whatever their references are."""
    service = replace(WEBHOOK, provider="billing")
    assert joining_of(service) == [("billing", "", "", True, "payment", "pay_1")]
    tenant = understood(record("standard_webhooks/acme", "1", "payment.created", standard("payment.created").value))
    assert not set(joining_of(tenant)) & {PAY_1}
