"""The sample's plan: deterministic, genuine where it says so, refused where it says so, its histories' sums right."""

from __future__ import annotations

import json
import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from events import INTENT_ID, intent, record
from memory_tables import row_after

import providers
from consumer.fold import newer, project
from ops.reconciliation import END_COLUMNS
from ops.sample import adyen, orders, standard, stripe
from ops.sample.history import WEIGHTS, Course, PaymentHistory, ending, invent, parts_of
from ops.sample.plan import GENERATORS, PROVIDERS, SamplePlan, make_plan
from ops.sample.post import Fault, Life, Post, SampleEvent, digest_id
from ops.sample.scenarios import SCENARIOS, play, why_not
from ops.sample.signing import Signer, can_sign, new_secret, seal
from ops.simulated.players import PLAYERS
from schemas.errors import SignatureRejected
from schemas.topics import BODY_BYTES_MAX

if TYPE_CHECKING:
    from schemas.payment import Facts, Projection
    from schemas.record import Record

pytestmark = pytest.mark.unit

NOW = 1_790_000_000
SIGNERS = {name: Signer(new_secret(name)) for name in PROVIDERS}


@pytest.fixture(scope="module")
def plan() -> SamplePlan:
    return make_plan(7, lives=300, providers=PROVIDERS, now=NOW)


def ids_of(post: Post, now: float) -> list[str]:
    """Return the event ids that the ingress' own check finds in a sealed post."""
    sealed = seal(post, SIGNERS, now)
    secrets = [SIGNERS[post.provider].secret]
    found = providers.verify(
        post.provider, headers=sealed.headers, body=sealed.body, url="http://x" + sealed.path, secrets=secrets, now=now
    )
    return [one.event_id or digest_id(one.body) for one in found]


def test_same_seed_same_plan(plan: SamplePlan) -> None:
    assert make_plan(7, lives=300, providers=PROVIDERS, now=NOW) == plan
    few, others = (make_plan(seed, lives=30, providers=PROVIDERS, now=NOW) for seed in (7, 8))
    assert few.posts != others.posts


def test_every_genuine_post_verifies_with_exactly_the_planned_events(plan: SamplePlan) -> None:
    now = time.time()
    for post in plan.posts:
        if post.fault is None:
            assert ids_of(post, now) == [event.event_id for event in post.events]


def test_every_faulty_post_is_rejected_by_its_fault(plan: SamplePlan) -> None:
    now, seen = time.time(), Counter[Fault]()
    for post in plan.posts:
        if post.fault is None:
            continue
        seen[post.fault] += 1
        sealed = seal(post, SIGNERS, now)
        if post.fault is Fault.OVERSIZE:
            assert len(sealed.body) > BODY_BYTES_MAX
        elif post.fault is Fault.UNKNOWN_PROVIDER:
            assert sealed.path == "/webhooks/nobody"
        else:
            with pytest.raises(SignatureRejected):
                ids_of(post, now)
    assert set(seen) == set(Fault)


def test_refused_events_are_nobody_elses(plan: SamplePlan) -> None:
    genuine = {event.event_id for post in plan.posts if post.fault is None for event in post.events}
    refused = {event.event_id for post in plan.posts if post.fault is not None for event in post.events}
    assert refused
    assert not genuine & refused


def test_duplicates_are_of_events_that_are_posted_and_some_differ_in_bytes(plan: SamplePlan) -> None:
    first = {event.key: post for post in plan.posts if not post.duplicate for event in post.events}
    duplicates = [post for post in plan.posts if post.duplicate]
    assert 0.02 < len(duplicates) / len(plan.posts) < 0.1
    assert all(event.key in first for post in duplicates for event in post.events)
    assert any(post.provider == "stripe" and post.body != first[post.events[0].key].body for post in duplicates)


def test_several_adyen_items_come_in_one_body(plan: SamplePlan) -> None:
    sizes = Counter(len(post.events) for post in plan.posts if post.provider == adyen.NAME)
    assert sizes[1]
    assert sum(number for size, number in sizes.items() if size > 1) > 10


def test_grouping_keeps_each_events_legal_fates() -> None:
    rng = Random(3)
    history = PaymentHistory(Course.MANUAL, 100, "EUR", (100,))
    one = adyen.live(rng, history, NOW).posts[0]
    odd = Post(adyen.NAME, one.body, (SampleEvent(adyen.NAME, one.events[0].event_id, frozenset()),))
    assert [event.legal for event in adyen.together([one, odd]).events] == [one.events[0].legal, frozenset()]


def test_events_of_a_life_come_out_of_order(plan: SamplePlan) -> None:
    place = {event.key: at for at, post in enumerate(plan.posts) if not post.duplicate for event in post.events}
    shuffled = sum(
        places != sorted(places)
        for places in ([place[event.key] for post in life.posts for event in post.events] for life in plan.lives)
    )
    assert shuffled > len(plan.lives) / 3


def test_nothing_to_post_without_a_provider() -> None:
    assert make_plan(1, lives=10, providers=(), now=NOW).posts == ()


def test_only_the_providers_asked_for_are_posted() -> None:
    assert {post.provider for post in make_plan(1, lives=30, providers=["adyen"], now=NOW).posts} == {"adyen"}


@pytest.mark.parametrize(
    ("history", "status", "refund_status", "sums"),
    [
        (PaymentHistory(Course.AUTOMATIC, 900, "EUR", (900,)), "captured", "none", (900, 900, 0)),
        (PaymentHistory(Course.IN_PARTS, 900, "EUR", (400, 500), (300,)), "captured", "partial", (900, 900, 300)),
        (PaymentHistory(Course.PARTIAL, 900, "EUR", (400,), (100, 300)), "partially_captured", "full", (900, 400, 400)),
        (PaymentHistory(Course.AUTHORIZED, 900, "EUR"), "authorized", "none", (900, 0, 0)),
        (PaymentHistory(Course.FAILED, 900, "EUR", failures=1), "failed", "none", (0, 0, 0)),
        (PaymentHistory(Course.CANCELED, 900, "EUR"), "canceled", "none", (900, 0, 0)),
        (PaymentHistory(Course.CANCELED_EARLY, 900, "EUR"), "canceled", "none", (0, 0, 0)),
        (PaymentHistory(Course.EXPIRED, 900, "EUR"), "expired", "none", (900, 0, 0)),
    ],
)
def test_endings(history: PaymentHistory, status: str, refund_status: str, sums: tuple[int, int, int]) -> None:
    end = ending(history)
    assert (end.status, end.refund_status, end.amount) == (status, refund_status, 900)
    assert (end.authorized, end.captured, end.refunded) == sums


def test_histories_conserve_money() -> None:
    rng = Random(11)
    for _ in range(2000):
        history = invent(rng, tuple(WEIGHTS))
        assert sum(history.refunds) + sum(history.failed_refunds) <= sum(history.captures)
        assert (
            sum(history.captures) + sum(history.failed_captures) <= history.total
            or history.course is Course.OVER_CAPTURED
        )
        assert all(amount > 0 for amount in (*history.captures, *history.refunds, *history.failed_refunds))


def test_parts_add_up() -> None:
    assert sum(parts_of(10, 4, Random(1))) == 10
    assert parts_of(5, 1, Random(1)) == (5,)


def test_public_keys_and_blanks_do_not_sign() -> None:
    assert not can_sign(standard.NAME, "whpk_abc")
    assert not can_sign(stripe.NAME, " ")
    assert all(can_sign(name, new_secret(name)) for name in PROVIDERS)


def folded(life: Life) -> tuple[Projection, set[tuple[str, bool | None]]]:
    """Return what the events of a life come to, as the consumer reads them, and whose money they say it is."""
    facts: Facts = {}
    scopes = set()
    for post in life.posts:
        sealed = seal(post, SIGNERS, time.time())
        (found,) = providers.verify(
            post.provider,
            headers=sealed.headers,
            body=sealed.body,
            url="http://x" + sealed.path,
            secrets=[SIGNERS[post.provider].secret],
            now=time.time(),
        )
        meaning = providers.interpret(post.provider, found.kind or "", found.body)
        facts |= newer(facts, meaning.facts)
        scopes.add((meaning.merchant_account, meaning.livemode))
    return project(facts), scopes


@pytest.mark.parametrize("seed", range(4))
def test_events_come_to_what_their_history_says(seed: int) -> None:
    for life in make_plan(seed, lives=150, providers=PROVIDERS, now=NOW).lives:
        projection, scopes = folded(life)
        assert scopes == {(life.merchant_account, life.livemode)}
        for column in END_COLUMNS:
            if column != "currency":
                assert getattr(projection, column) == getattr(life.end, column), (column, life)


def test_the_plan_holds_every_new_shape(plan: SamplePlan) -> None:
    ends = [life.end for life in plan.lives]
    assert {life.livemode for life in plan.lives} == {True, False, None}
    merchants = {(life.provider, life.merchant_account) for life in plan.lives}
    assert len(merchants) == sum(len(generator.merchants) for generator in GENERATORS.values())
    assert {end.dispute_status for end in ends} == {"none", "won", "lost", "open"}
    assert any(end.flags == ("over_captured",) for end in ends)
    assert any(end.status == "failed" and end.authorized for end in ends)
    assert any(0 < end.disputed < end.captured for end in ends), "a dispute takes a part back"


def objects_of_stripe(life: Life, kind: str) -> list[dict[str, Any]]:
    """Return the objects of a life's events of one kind, each once."""
    bodies = [json.loads(post.body) for post in life.posts if life.provider == "stripe"]
    return [body["data"]["object"] for body in bodies if body.get("type") == kind]


def test_captures_in_parts_and_payments_of_one_subscription_are_in_it(plan: SamplePlan) -> None:
    assert any(len(objects_of_stripe(life, "charge.captured")) > 1 for life in plan.lives)
    billed = Counter(bill["subscription"] for life in plan.lives for bill in objects_of_stripe(life, "invoice.paid"))
    assert max(billed.values()) > 1
    assert len(billed) > 1


def test_references_are_reused(plan: SamplePlan) -> None:
    noted = Counter(
        adyen.items_of(life.posts[0])[0]["merchantReference"] for life in plan.lives if life.provider == "adyen"
    )
    assert max(noted.values()) > 1


def test_hints_are_posted_only_where_asked_for() -> None:
    hinted = [post for post in make_plan(7, lives=3, providers=PROVIDERS, now=NOW, hinted=True).posts if post.hint]
    assert len(hinted) == 10
    assert not any(post.hint for post in make_plan(7, lives=3, providers=PROVIDERS, now=NOW).posts)
    sealed = seal(hinted[0], SIGNERS | {"mollie": Signer(new_secret("mollie"))}, NOW)
    (found,) = providers.verify(
        "mollie", headers=sealed.headers, body=sealed.body, url="http://x/webhooks/mollie", secrets=["k" * 32], now=NOW
    )
    assert found.trust == "hint"


def test_orders_come_before_their_payments_and_after_them_in_every_way_of_being_paid(plan: SamplePlan) -> None:
    planned = make_plan(7, lives=300, providers=PROVIDERS, now=NOW, ordered=True)
    place = {post.message_id or post.body: at for at, post in enumerate(planned.posts) if not post.duplicate}
    first = {life.provider_ref: post for life in planned.lives for post in life.posts[:1]}
    wanted = [life for life in planned.lives if life.client]
    assert len(wanted) == 30
    assert {(life.end.status, len(life.adopts), life.end.flags) for life in wanted} == {
        ("captured", 2, ()), ("captured", 1, ("paid_again",)), ("authorized", 1, ()),
    }  # fmt: skip
    assert {life.provider for life in wanted} == set(PROVIDERS)
    sooner = [
        place[life.posts[0].message_id] < place[first[ref].message_id or first[ref].body]
        for life in wanted
        for ref in life.adopts
        if (first[ref].message_id or first[ref].body) in place
    ]
    assert set(sooner) == {True, False}
    assert not any(life.client for life in plan.lives)
    sealed = seal(wanted[0].posts[0], SIGNERS | {"sample": Signer("a-key-of-this-run")}, NOW)
    assert sealed.path == "/payment-intents"
    assert sealed.headers["Authorization"] == "Bearer a-key-of-this-run"
    assert sealed.headers["Idempotency-Key"] == wanted[0].posts[0].message_id


PLAYED = [
    (name, provider)
    for name, scenario in SCENARIOS.items()
    for provider in PLAYERS
    if scenario.takes_effect and why_not(name, provider) is None
]


def records_of(life: Life) -> list[Record]:
    """Return a life's events as the ingress publishes them."""
    signers = {life.provider: Signer(new_secret(life.provider), public_url="https://pay.example")}
    found = []
    for post in life.posts:
        if post.provider == orders.CLIENT:
            found.append(intent(INTENT_ID, **json.loads(post.body)))
            continue
        sealed = seal(post, signers, NOW)
        secrets = [signers[life.provider].secret]
        events = providers.verify(
            life.provider,
            headers=sealed.headers,
            body=sealed.body,
            url="https://pay.example" + sealed.path,
            secrets=secrets,
            now=NOW,
        )
        found += [record(life.provider, one.event_id or "", one.kind or "", one.body) for one in events]
    return found


@pytest.mark.parametrize(("name", "provider"), PLAYED)
def test_what_other_providers_play_comes_to_what_its_scenario_has_in_any_order(name: str, provider: str) -> None:
    life, _ = play(name, provider, "", 7, NOW)
    records = records_of(life)
    assert len({dict(one.headers)["ce_id"] for one in records}) == len(records)
    wanted = {column: getattr(life.end, column) for column in END_COLUMNS} | {"flags": list(life.end.flags)}
    for order in (records, records[::-1], [*records, *records]):
        row = row_after(order)
        assert {column: row[column] for column in END_COLUMNS} == wanted
