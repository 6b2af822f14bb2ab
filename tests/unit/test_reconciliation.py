"""The reconciliation: it balances when all is right, and each thing that can be wrong is reported by itself."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from ops.reconciliation import (
    END_COLUMNS,
    Reconciliation,
    StoredRows,
    reconcile,
    refused_keys,
    unaccounted,
    unseen_orders,
)
from ops.sample import stripe
from ops.sample.history import Course, PaymentHistory
from ops.sample.orders import SampleOrder
from ops.sample.orders import order as new_order
from ops.sample.post import LETTER, WAITS, Fault, Life, Post, SampleEvent
from ops.sample.send import NO_ANSWER, Sent

pytestmark = pytest.mark.unit

LIFE = stripe.live(Random(5), PaymentHistory(Course.AUTOMATIC, 1200, "EUR", (1200,), (200,)), 1_790_000_000)
KEYS = [event.key for post in LIFE.posts for event in post.events]
ROW = {
    "status": "captured", "refund_status": "partial", "dispute_status": "none", "disputed": 0, "flags": [],
    "merchant_account": "", "livemode": True, "currency": "EUR", "amount": 1200, "authorized": 1200,
    "captured": 1200, "refunded": 200, "version": 3, "rows": 3, "lowest": 1, "highest": 3,
}  # fmt: skip


def results(*more: Sent) -> list[Sent]:
    return [*(Sent(post, 202, 1) for post in LIFE.posts), *more]


def stored() -> StoredRows:
    return StoredRows(dict.fromkeys(KEYS, "applied"), payments={(LIFE.provider, LIFE.provider_ref): dict(ROW)})


def reconciliation(
    sent: list[Sent] | None = None, found: StoredRows | None = None, left: dict[str, int] | None = None
) -> Reconciliation:
    return reconcile(sent or results(), [LIFE], found or stored(), left or {})


def odd(name: str, legal: frozenset = LETTER, fault: Fault | None = None) -> Post:
    return Post("stripe", b"", (SampleEvent("stripe", name, legal),), fault=fault)


def test_balanced() -> None:
    drawn = reconciliation()
    assert drawn.balanced
    assert drawn.outcome["applied"] == len(KEYS) == drawn.posted
    document = drawn.document(seconds=1.23456, problems_max=5)
    assert document["balanced"] is True
    assert document["seconds"] == 1.235
    assert set(document["outcome"]) == {"applied", "noop", "late", "conflict", "parked", "dead_letters", "hints"}


def test_each_part_counts_once() -> None:
    again = replace(LIFE.posts[0], duplicate=True)
    found = stored()
    found.parked.add(("stripe", "orphan"))
    found.letters.add(("stripe", "poison"))
    drawn = reconciliation(
        results(
            Sent(again, 202, 1),
            Sent(odd("orphan", WAITS), 202, 1),
            Sent(odd("poison"), 202, 1),
            Sent(odd("forged", fault=Fault.FORGED), 401),
            Sent(odd("limited", fault=Fault.STALE), 429),
        ),
        found,
    )
    assert drawn.problems == []
    assert (drawn.duplicates, drawn.outcome["parked"], drawn.outcome["dead_letters"]) == (1, 1, 1)
    assert drawn.refused == {"forged": 1, "stale": 1}
    assert drawn.posted == drawn.accounted + drawn.duplicates + sum(drawn.refused.values())


def test_a_hint_counts_and_stands_nowhere() -> None:
    hint = replace(odd("sha256:1", frozenset()), hint=True)
    sent = results(Sent(hint, 202, 1), Sent(hint, 202, 1))
    drawn = reconciliation(sent)
    assert (drawn.balanced, drawn.outcome["hints"], drawn.duplicates) == (True, 2, 0)
    found = stored()
    found.ledger["stripe", "sha256:1"] = "noop"
    assert any("or a hint, and stands" in problem for problem in reconciliation(sent, found).problems)


def test_a_lost_event_is_reported() -> None:
    found = stored()
    del found.ledger[KEYS[0]]
    drawn = reconciliation(found=found)
    assert not drawn.balanced
    assert any(KEYS[0][1] in problem and "stands nowhere" in problem for problem in drawn.problems)
    assert unaccounted(results(), found) == [KEYS[0]]


def test_an_event_in_two_places_is_reported() -> None:
    found = stored()
    found.parked.add(KEYS[0])
    assert any("parked as well" in problem for problem in reconciliation(found=found).problems)


def test_a_letter_that_was_processed_since_counts_once() -> None:
    found = stored()
    found.letters.add(KEYS[0])
    drawn = reconciliation(found=found)
    assert drawn.balanced
    assert drawn.outcome["dead_letters"] == 0


def test_an_event_at_the_wrong_place_is_reported() -> None:
    found = stored()
    found.ledger["stripe", "poison"] = "applied"
    drawn = reconciliation(results(Sent(odd("poison"), 202, 1)), found)
    assert any("it must be letter" in problem for problem in drawn.problems)


def test_a_refused_event_that_is_there_is_reported() -> None:
    found, sent = stored(), results(Sent(odd("forged", fault=Fault.FORGED), 401))
    assert refused_keys(sent) == {("stripe", "forged")}
    found.letters.add(("stripe", "forged"))
    assert any("was refused, or a hint, and stands" in problem for problem in reconciliation(sent, found).problems)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (Sent(odd("a", fault=Fault.OVERSIZE), 401), "is oversize and was answered 401 instead of 413"),
        (Sent(odd("a", fault=Fault.FORGED), 202, 1), "is forged and was answered 202"),
        (Sent(odd("a"), 500, 0, 3), "is genuine and was answered 500 after 3 attempts"),
        (Sent(odd("a"), NO_ANSWER, 0, 12), "is genuine and was answered 0"),
        (Sent(odd("a"), 202, 2), "holds 1 events and was answered as 2"),
    ],
)
def test_a_wrong_answer_of_the_ingress_is_reported(sent: Sent, words: str) -> None:
    assert any(words in problem for problem in reconciliation(results(sent)).problems)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "authorized"}, "status is authorized, its scenario says captured"),
        ({"captured": 1199}, "captured is 1199"),
        ({"refunded": 1300}, "is broken"),
        ({"captured": 1300}, "is broken"),
        ({"merchant_account": "other"}, "merchant_account is other, its scenario says "),
        ({"livemode": False}, "livemode is False, its scenario says True"),
        ({"flags": ["underpaid"]}, "flags is ['underpaid']"),
        ({"rows": 2}, "versions are not 1..3"),
        ({"lowest": 2}, "versions are not 1..3"),
        ({"highest": 4}, "versions are not 1..3"),
    ],
)
def test_a_wrong_row_is_reported(changes: dict[str, object], words: str) -> None:
    found = stored()
    found.payments[LIFE.provider, LIFE.provider_ref] |= changes
    assert any(words in problem for problem in reconciliation(found=found).problems)


def test_test_money_in_a_live_row_is_reported() -> None:
    problems = reconcile(results(), [replace(LIFE, livemode=False)], stored(), {}).problems
    assert problems == [f"payment {LIFE.provider_ref} of stripe: livemode is True, its scenario says False"]


def test_a_payment_without_a_row_is_reported() -> None:
    found = stored()
    found.payments.clear()
    assert reconciliation(found=found).problems == [f"payment {LIFE.provider_ref} of stripe has no row"]


def test_a_life_that_was_not_taken_whole_proves_nothing() -> None:
    sent = [replace(one, status=503) if at == 0 else one for at, one in enumerate(results())]
    found = stored()
    found.payments.clear()
    del found.ledger[KEYS[0]]
    drawn = reconciliation(sent, found)
    assert drawn.refused == {"unavailable": 1}
    assert len(drawn.problems) == 1


@pytest.mark.parametrize("lost", range(len(LIFE.posts)))
def test_beside_a_life_that_proves_nothing_the_others_are_looked_at(lost: int) -> None:
    other = stripe.live(Random(6), PaymentHistory(Course.AUTOMATIC, 1200, "EUR", (1200,), (200,)), 1_790_000_000)
    sent = [Sent(post, 503 if at == lost else 202, 1) for at, post in enumerate(other.posts)]
    found = stored()
    found.ledger |= {event.key: "applied" for at, post in enumerate(other.posts) if at != lost for event in post.events}
    found.payments[LIFE.provider, LIFE.provider_ref]["refunded"] = 100
    problems = reconcile(results(*sent), [other, LIFE], found, {}).problems
    assert [one for one in problems if "has no row" in one] == []
    assert [one for one in problems if "refunded is 100" in one] != []


def test_what_is_left_on_the_way_is_reported() -> None:
    assert reconciliation(left={"outbox": 0, "lag of payments.webhooks": 4}).problems == [
        "lag of payments.webhooks: 4 still on the way"
    ]


def test_a_sum_that_does_not_add_up_is_no_balance() -> None:
    assert not replace(reconciliation(), posted=1).balanced


def test_a_problem_is_no_balance_although_the_sum_adds_up() -> None:
    found = Reconciliation(posted=1, requests=1, outcome={"applied": 1}, duplicates=0, refused={}, problems=[])
    assert found.balanced
    assert not replace(found, problems=["payment pi_1 of stripe has no row"]).balanced


def test_lives_are_reported_once() -> None:
    assert isinstance(LIFE, Life)
    assert len(set(KEYS)) == len(KEYS)


def ordered() -> tuple[SampleOrder, StoredRows]:
    """Return an order that was paid twice, and how it must stand."""
    rng = Random(11)
    order = next(
        one for one in (new_order(rng, "stripe", "", stripe.live, 1_790_000_000) for _ in range(50)) if twice(one)
    )
    found = StoredRows()
    for life in (order.life, *order.payments):
        row = {column: getattr(life.end, column) for column in END_COLUMNS} | {"flags": list(life.end.flags)}
        intent = "the order" if life.provider_ref in order.life.adopts else None
        own = {"id": "the order" if life.client else life.provider_ref, "intent_id": intent}
        counted = {"version": 1, "rows": 1, "lowest": 1, "highest": 1, "merchant_account": "", "livemode": True}
        found.payments[life.provider, life.provider_ref] = row | own | counted
        found.ledger |= {event.key: "applied" for post in life.posts for event in post.events}
    return order, found


def twice(order: SampleOrder) -> bool:
    return order.life.end.flags == ("paid_again",)


def problems_of(order: SampleOrder, found: StoredRows) -> list[str]:
    lives = [order.life, *order.payments]
    sent = [Sent(post, 202, len(post.events)) for life in lives for post in life.posts]
    return reconcile(sent, lives, found, {}).problems


def test_an_order_paid_twice_adopts_one_and_flags_both() -> None:
    order, found = ordered()
    assert problems_of(order, found) == []
    assert len(order.life.adopts) == 1
    assert sorted(life.end.flags for life in order.payments) == [(), ("paid_again",)]


def test_what_an_order_adopts_wrongly_is_named() -> None:
    order, found = ordered()
    (adopted,) = order.life.adopts
    found.payments["stripe", adopted]["intent_id"] = None
    assert problems_of(order, found) == [
        f"order {order.life.provider_ref} of stripe: {adopted} is not adopted, its scenario says otherwise"
    ]


def test_an_order_without_a_row_is_waited_for_and_named() -> None:
    order, found = ordered()
    sent = [Sent(order.life.posts[0], 202)]
    assert unseen_orders(sent, [order.life], found) == []
    del found.payments["stripe", order.life.provider_ref]
    assert unseen_orders(sent, [order.life], found) == [order.life.provider_ref]
    assert unseen_orders([Sent(order.life.posts[0], 503)], [order.life], found) == []
    assert f"order {order.life.provider_ref} of stripe has no row" in problems_of(order, found)
