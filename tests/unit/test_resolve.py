"""Which payment an event is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from events import INTENT_ID, adyen, intent, record, standard, understood
from memory_tables import payment
from msgspec.structs import replace

from consumer.fold import newer
from consumer.plan import Known, Member
from consumer.resolve import RefKey, Target, counts_more, groups_of, joining_of, promised_of, resolve, shared_of
from consumer.verdict import Dead, Waits
from schemas.dead_letter import Reason
from schemas.facts import ChildState, FactKind, Ref, RefKind
from schemas.payment import Projection, Status

if TYPE_CHECKING:
    from consumer.decode import Event
    from schemas.payment import Payment

pytestmark = pytest.mark.unit

A, B = (UUID(int=number) for number in (1, 2))
SCOPE = ("standard_webhooks", "", "", True)
PAY_1 = (*SCOPE, "payment", "pay_1")
ORD_1 = (*SCOPE, "reference", "ORD-1")
OWN_ID = ("ratchet", "", "", True, "id", str(INTENT_ID))
WEBHOOK = understood(standard("payment.captured", reference="ORD-1"))
INTENT = understood(intent(reference="ORD-1", provider_ref="pay_1"))
CAPTURED = Projection(status=Status.CAPTURED, captured=1000, authorized=1000)


def with_refs(event: Event, *refs: Ref) -> Event:
    return replace(event, meaning=replace(event.meaning, refs=refs))


LINK = with_refs(WEBHOOK, Ref(RefKind.PAYMENT, "pay_1"), Ref(RefKind.PAYMENT, "pay_2"))
PAY_2 = (*SCOPE, "payment", "pay_2")


def resolved(event: Event, refs: dict[RefKey, UUID | None], *payments: Payment) -> Target | Waits | Dead | None:
    return resolve(event, Known(refs=refs, payments={one.id: one for one in payments}))


def target(event: Event, refs: dict[RefKey, UUID | None], *payments: Payment) -> Target:
    found = resolved(event, refs, *payments)
    assert isinstance(found, Target), found
    return found


def test_names_are_scoped_but_our_own_ids_are_not() -> None:
    tenant = understood(record("standard_webhooks/acme", "1", "payment.created", standard("payment.created").value))
    assert joining_of(tenant) == [("standard_webhooks", "acme", "", True, "payment", "pay_1")]
    assert (joining_of(WEBHOOK), groups_of(WEBHOOK), promised_of(WEBHOOK)) == ([PAY_1], [ORD_1], None)
    assert (joining_of(INTENT), groups_of(INTENT), promised_of(INTENT)) == ([OWN_ID, PAY_1], [ORD_1], ORD_1)
    assert joining_of(replace(WEBHOOK, livemode=False)) == [(*SCOPE[:3], False, "payment", "pay_1")]


def test_a_payments_id_stands_without_its_merchant_account_too() -> None:
    """An intent may leave the merchant account out where the endpoint has one."""
    event = replace(WEBHOOK, meaning=replace(WEBHOOK.meaning, merchant_account="Shop"))
    assert joining_of(event) == [("standard_webhooks", "", "Shop", True, "payment", "pay_1"), PAY_1]
    shop, other = payment(id=A, merchant_account="Shop"), payment(id=B, merchant_account="Other")
    assert target(event, {PAY_1: A}, shop).payment is shop
    found = target(event, {PAY_1: B}, other)
    assert (found.payment.merchant_account, found.refs) == ("Shop", [joining_of(event)[0]])


def braintree(merchant: str = "", *refs: Ref) -> Event:
    """Return an event of a provider that makes each id once for all of its merchant accounts."""
    named = refs or (Ref(RefKind.PAYMENT, "pay_1"), Ref(RefKind.DISPUTE, "d_1"), Ref(RefKind.ID, str(INTENT_ID)))
    event = replace(with_refs(WEBHOOK, *named), provider="braintree", source="braintree")
    return replace(event, meaning=replace(event.meaning, merchant_account=merchant))


def test_ids_that_are_made_once_for_all_accounts_stand_without_one_too() -> None:
    scoped, wide = ("braintree", "", "Shop", True), ("braintree", "", "", True)
    assert joining_of(braintree("Shop")) == [
        (*scoped, "payment", "pay_1"),
        (*scoped, "dispute", "d_1"),
        OWN_ID,
        (*wide, "payment", "pay_1"),
        (*wide, "dispute", "d_1"),
    ]
    assert joining_of(braintree()) == [(*wide, "payment", "pay_1"), (*wide, "dispute", "d_1"), OWN_ID]


def test_an_intent_that_names_an_account_holds_no_id_without_it() -> None:
    """Else it got what an event without an account tells of a payment that is another merchant's."""
    asked = understood(intent(provider="braintree", provider_ref="pay_1", merchant_account="Shop"))
    assert joining_of(asked) == [OWN_ID, ("braintree", "", "Shop", True, "payment", "pay_1")]
    assert joining_of(understood(intent(provider="braintree", provider_ref="pay_1"))) == [
        OWN_ID,
        ("braintree", "", "", True, "payment", "pay_1"),
    ]


def test_two_accounts_of_one_id_stay_apart_and_are_known() -> None:
    scoped, wide = (("braintree", "", account, True, "payment", "pay_1") for account in ("Shop", ""))
    event = braintree("Shop", Ref(RefKind.PAYMENT, "pay_1"))
    shop, other = payment(id=A, merchant_account="Shop"), payment(id=B, merchant_account="Other")
    opened = target(event, {scoped: None, wide: B}, other)
    assert (opened.payment.merchant_account, opened.refs, opened.apart) == ("Shop", [scoped], [other])
    known = target(event, {scoped: A, wide: B}, shop, other)
    assert (known.payment, known.refs, known.apart) == (shop, [], [other])
    third = payment(id=UUID(int=3), merchant_account="Shop")
    two = braintree("Shop", Ref(RefKind.PAYMENT, "pay_1"), Ref(RefKind.PAYMENT, "pay_2"))
    merged = target(two, {scoped: A, wide: B, (*scoped[:5], "pay_2"): third.id}, shop, other, third)
    assert (merged.payment, merged.same, merged.apart) == (shop, [third], [other])


def test_what_many_share_is_no_name() -> None:
    event = with_refs(WEBHOOK, Ref(RefKind.SHARED, "sub_1"), Ref(RefKind.REFERENCE, "ORD-1"))
    assert (joining_of(event), shared_of(event)) == ([], [(*SCOPE, "shared", "sub_1")])
    assert resolved(event, {ORD_1: A}, payment(id=A)) == Waits(
        Reason.ORPHAN, "no payment is known by any reference of its own"
    )


def test_a_hint_has_no_target() -> None:
    hint = replace(WEBHOOK, hint=True)
    assert (joining_of(hint), groups_of(hint)) == ([], [])
    assert resolved(hint, {PAY_1: A}, payment(id=A)) is None


def test_an_unknown_payment_is_opened_by_an_event_that_may_and_always_has_the_same_id() -> None:
    found = target(WEBHOOK, {PAY_1: None, ORD_1: B}, payment(id=B))
    assert (found.same, found.refs) == ([], [PAY_1])
    assert (found.payment.provider, found.payment.version, found.payment.id.version) == ("standard_webhooks", 0, 7)
    assert found.payment.id == target(WEBHOOK, {}).payment.id
    assert found.payment.id != target(replace(WEBHOOK, livemode=False), {}).payment.id


def test_an_unknown_payment_is_waited_for_by_an_event_that_may_not_open_it() -> None:
    event = understood(adyen("CAPTURE", "CAP1"))
    event = replace(event, meaning=replace(event.meaning, opens=False))
    assert resolved(event, {}) == Waits(Reason.ORPHAN, "no payment is known by payment PAY")


def test_names_in_a_message_are_bounded() -> None:
    event = with_refs(WEBHOOK, *(Ref(RefKind.PAYMENT, f"{number}" * 255) for number in range(5)))
    event = replace(event, meaning=replace(event.meaning, opens=False))
    found = resolved(event, {})
    assert isinstance(found, Waits)
    assert len(found.detail) < 450


def test_an_event_that_says_nothing_of_an_unknown_payment_is_about_none() -> None:
    assert resolved(understood(standard("customer.updated")), {}) is None


def test_a_command_waits_for_its_payment_and_is_about_its_clients_alone() -> None:
    event = understood(intent(command="capture"))
    (ref,) = joining_of(event)
    assert isinstance(resolved(event, {}), Waits)
    assert target(event, {ref: A}, payment(id=A, client="shop")).payment.id == A
    for client in ("mall", None):
        assert isinstance(resolved(event, {ref: A}, payment(id=A, client=client)), Dead)


def test_one_candidate_takes_the_names_that_it_did_not_have() -> None:
    one = payment(id=A)
    found = target(LINK, {PAY_1: A, PAY_2: None}, one)
    assert (found.payment, found.same, found.refs) == (one, [], [PAY_2])
    assert target(LINK, {PAY_1: A, PAY_2: A}, one).refs == []


def test_a_merged_payment_is_followed_and_its_names_go_to_the_survivor() -> None:
    gone, survivor = payment(id=A, merged_into=B), payment(id=B)
    found = target(WEBHOOK, {PAY_1: A}, gone, survivor)
    assert (found.payment, found.refs) == (survivor, [PAY_1])


def test_the_older_of_two_rows_survives_but_a_promised_one_whatever_its_age() -> None:
    older, newer = payment(id=A), payment(id=B)
    found = target(LINK, {PAY_1: B, PAY_2: A}, older, newer)
    assert (found.payment, found.same, found.refs) == (older, [newer], [PAY_1])
    promised = payment(id=B, client="shop")
    found = target(LINK, {PAY_1: A, PAY_2: B}, older, promised)
    assert (found.payment, found.same) == (promised, [older])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"client": "shop"}, {"client": "mall"}),
        ({"currency": "EUR"}, {"currency": "USD"}),
        ({"merchant_account": "A"}, {"merchant_account": "B"}),
    ],
)
def test_two_promises_currencies_or_merchants_stay_two(first: dict[str, str], second: dict[str, str]) -> None:
    one, other = payment(id=A, **first), payment(id=B, **second)
    found = target(LINK, {PAY_1: B, PAY_2: A}, one, other)
    assert (found.payment, found.same, found.refs, found.apart) == (other, [], [], [one])


def test_an_intent_opens_its_row_and_takes_the_payment_that_it_names() -> None:
    opened = payment(id=A, currency="EUR", merchant_account="Shop")
    found = target(INTENT, {PAY_1: A}, opened)
    assert (found.payment.id, found.payment.merchant_account, found.same) == (INTENT_ID, "Shop", [opened])
    assert found.refs == [OWN_ID, PAY_1]


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"currency": "USD"}, "in USD"),
        ({"client": "mall"}, "another intent"),
        ({"intent_id": B}, "an attempt of intent"),
        ({"facts": {(FactKind.AUTHORIZATION, "a"): ChildState("authorized", 1001)}}, "asked 1001"),
    ],
)
def test_an_intent_never_takes_a_payment_that_does_not_fit(columns: dict[str, object], why: str) -> None:
    found = resolved(INTENT, {PAY_1: A}, payment(id=A, **columns))
    assert isinstance(found, Dead)
    assert found.reason is Reason.CONFLICT
    assert why in found.message


def test_an_intent_that_names_payments_of_two_merchants_is_a_conflict() -> None:
    both = with_refs(INTENT, Ref(RefKind.PAYMENT, "pay_1"), Ref(RefKind.PAYMENT, "pay_2"))
    payments = payment(id=A, merchant_account="A"), payment(id=B, merchant_account="B")
    found = resolved(both, {PAY_1: A, PAY_2: B}, *payments)
    assert isinstance(found, Dead)


@pytest.mark.parametrize(
    ("status", "merchant", "refused"),
    [
        (Status.CREATED, "", True),
        (Status.CREATED, "Shop", True),
        (Status.CAPTURED, "", True),
        (Status.CANCELED, "", False),
        (Status.EXPIRED, "", False),
        (Status.FAILED, "", False),
    ],
)
def test_the_first_live_promise_of_a_reference_stands(status: Status, merchant: str, refused: bool) -> None:  # noqa: FBT001
    held = payment(id=A, client="mall", merchant_account=merchant, projection=Projection(status=status))
    known = Known(payments={A: held}, groups={ORD_1: {A: Member(1, groups=True), B: Member()}})
    known.payments[B] = payment(id=B)
    assert isinstance(resolve(INTENT, known), Dead if refused else Target)


@pytest.mark.parametrize(
    ("held", "asked", "refused"),
    [("", "", True), ("", "B", True), ("A", "", True), ("B", "B", True), ("A", "B", False)],
)
def test_a_promise_without_a_merchant_account_meets_every_one_and_two_accounts_do_not_meet(
    held: str,
    asked: str,
    refused: bool,  # noqa: FBT001
) -> None:
    first = payment(id=A, client="mall", merchant_account=held, projection=CAPTURED)
    known = Known(payments={A: first}, groups={ORD_1: {A: Member(1)}})
    second = replace(INTENT, meaning=replace(INTENT.meaning, merchant_account=asked))
    assert isinstance(resolve(second, known), Dead if refused else Target)


def test_another_clients_id_or_endpoint_is_a_conflict() -> None:
    for columns in ({"client": "mall"}, {"client": "shop", "account": "acme"}, {"client": "shop", "reference": "X"}):
        found = resolved(INTENT, {OWN_ID: INTENT_ID, PAY_1: INTENT_ID}, payment(**columns))
        assert isinstance(found, Dead)
        assert found.reason is Reason.CONFLICT


@pytest.mark.parametrize(
    "other",
    [
        {"client": "mall"},
        {"provider": "adyen"},
        {"account": "acme"},
        {"livemode": False},
        {"reference": None},
        {"currency": "USD"},
        {"facts": {}},
        {"facts": newer({}, understood(intent(provider_ref="pay_1", amount=999)).meaning.facts)},
    ],
)
def test_a_second_create_is_the_same_only_where_all_of_its_terms_are(other: dict[str, Any]) -> None:
    refs: dict[RefKey, UUID | None] = {OWN_ID: INTENT_ID, PAY_1: INTENT_ID}
    whose = {"provider": "standard_webhooks", "client": "shop", "reference": "ORD-1"}
    whose |= {"currency": INTENT.meaning.currency, "facts": newer({}, INTENT.meaning.facts)}
    assert target(INTENT, refs, payment(**whose)).payment.id == INTENT_ID
    found = resolved(INTENT, refs, payment(**whose | other))
    assert isinstance(found, Dead)
    assert found.reason is Reason.CONFLICT


def test_the_attempt_that_holds_the_authorization_counts() -> None:
    held = payment(provider_ref="b", facts={(FactKind.AUTHORIZATION, "c"): ChildState("authorized", 1)})
    assert counts_more(held, "a") == "a"
    assert counts_more(held, "c") == "c"
    assert counts_more(held, None) == "b"
    assert counts_more(held, "b") == "b"
    assert counts_more(payment(), "a") == "a"
    assert counts_more(payment(), None) is None
    both = payment(provider_ref="c", facts=held.facts | {(FactKind.AUTHORIZATION, "b"): ChildState("authorized", 1)})
    assert counts_more(both, "b") == "b"
    assert counts_more(both, "a") == "c"
