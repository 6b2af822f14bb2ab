"""What the contenders process: the lives of many payments in Stripe's own shapes, and how each must end.

For a part of them an order of the merchant's own service may stand before, which then shows what they come to.

5 % of the events come twice, 5 % out of order, 0.1 % are poison: genuine deliveries that are no JSON.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ops.sample import stripe
from ops.sample.history import Course, PaymentHistory
from ops.sample.orders import CLIENT
from ops.sample.plan import GENERATORS
from ops.sample.post import Post, SampleEvent, token
from producers.ingress.publishing.records import Arrival, Outgoing, build
from providers.core.contract import Notification
from schemas.intents import Command, IntentRecord
from schemas.record import Attributes, Record
from schemas.topics import INTENTS, WEBHOOKS

if TYPE_CHECKING:
    from ops.sample.history import End
    from ops.sample.post import Life

DUPLICATE_SHARE: Final = 0.05
LATE_SHARE: Final = 0.05
POISON_SHARE: Final = 0.001
OVERLAP_EVENTS: Final = 2000.0
"""How many events of other payments run beside one payment's life."""
LATE_EVENTS: Final = 500.0
STARTED_AT: Final = 1_790_000_000


@dataclass(frozen=True, slots=True)
class Workload:
    """Records to publish, in order, and what must stand in the ledger afterwards."""

    records: tuple[Outgoing, ...]
    events: int
    poison: int
    ends: dict[str, End]
    references: dict[str, str] = field(default_factory=dict)
    """The merchant's own reference of each payment, by the provider's id."""


@dataclass(frozen=True, slots=True)
class Orders:
    """Orders that were placed before the payments came: as records of intents, and what all of them must show."""

    records: tuple[Record, ...] = ()
    captured: int = 0


NO_ORDERS: Final = Orders()


def make_workload(events_min: int, seed: int, *, late_share: float = LATE_SHARE) -> Workload:
    """Make at least `events_min` records; the same arguments give the same workload."""
    rng = Random(seed)  # noqa: S311 - ids of a benchmark, not secrets
    placed: list[tuple[float, Outgoing]] = []
    ends: dict[str, End] = {}
    references: dict[str, str] = {}
    distinct = poison = 0
    while len(placed) < events_min:
        history = replace(GENERATORS[stripe.NAME].invent(rng), reference=f"ORD-{token(rng, 12)}")
        life = stripe.live(rng, history, STARTED_AT)
        ends[life.provider_ref], references[life.provider_ref] = life.end, history.reference
        distinct += len(life.posts)
        placed += _placed(rng, life, len(placed), late_share)
        if rng.random() < POISON_SHARE * len(life.posts):
            placed.append((len(placed), _record(f"evt_poison_{seed}_{poison}", None, None, b"\x00 no JSON")))
            poison += 1
    placed.sort(key=lambda one: one[0])
    return Workload(tuple(record for _, record in placed), distinct, poison, ends, references)


def make_orders(workload: Workload, share: float) -> Orders:
    """Place an order for a share of the payments, of what each comes to."""
    ordered = [ref for number, ref in enumerate(workload.ends) if int(number * share) < int((number + 1) * share)]
    records = []
    for number, ref in enumerate(ordered):
        end = workload.ends[ref]
        body = {
            "provider": stripe.NAME,
            "amount": max(end.amount, end.authorized, 1),
            "currency": end.currency,
            "reference": workload.references[ref],
        }
        order_id = UUID(int=number + 1, version=4)
        intent = IntentRecord(id=order_id, client=CLIENT, command=Command.CREATE, body=body)
        headers = Attributes(f"intents/{CLIENT}", f"{order_id}:create", "intent.create", STARTED_AT).to_headers()
        value, key = intent.model_dump_json().encode(), str(order_id).encode()
        records.append(Record(INTENTS.name, 0, number, STARTED_AT * 1000, key, value, headers))
    return Orders(tuple(records), sum(workload.ends[ref].captured for ref in ordered))


def make_hot_workload(events_min: int, seed: int, hot_share: float, refunds: int) -> Workload:
    """Make a workload in which one payment has `hot_share` of the events; all of them legal, and none a duplicate.

    A payment has a bounded number of facts, so most of its events say nothing new: it is paid, it is refunded
    `refunds` times by one minor unit, and then its refunds are reported again and again under new event ids, as
    Stripe does when a refund's details change.
    """
    rng = Random(seed)  # noqa: S311 - ids of a benchmark, not secrets
    others = make_workload(int(events_min * (1 - hot_share)), seed + 1)
    history = PaymentHistory(Course.AUTOMATIC, 10 * refunds, "EUR", captures=(10 * refunds,), refunds=(1,) * refunds)
    life = stripe.live(rng, history, STARTED_AT)
    posts = list(life.posts)
    updates = [post for post in posts if b"charge.refund.updated" in post.body]
    while len(posts) < events_min - len(others.records):
        posts.append(_retold(rng, updates[len(posts) % len(updates)]))
    step = len(posts) / max(1, len(others.records))
    placed = [(float(number), _outgoing(post, life.provider_ref)) for number, post in enumerate(posts)]
    placed += [(number * step, record) for number, record in enumerate(others.records)]
    placed.sort(key=lambda one: one[0])
    ends = {**others.ends, life.provider_ref: life.end}
    return Workload(tuple(record for _, record in placed), others.events + len(posts), others.poison, ends)


def _retold(rng: Random, post: Post) -> Post:
    """Return the same news as an event of its own."""
    document = json.loads(post.body)
    document["id"] = event_id = f"evt_3{token(rng, 23)}"
    return Post(post.provider, stripe.body_of(document), (SampleEvent(post.provider, event_id),))


def _placed(rng: Random, life: Life, at: int, late_share: float) -> list[tuple[float, Outgoing]]:
    """Spread a life over the events of its neighbours; some come late, some come again."""
    placed = []
    step = OVERLAP_EVENTS / max(len(life.posts), 1)
    for number, post in enumerate(life.posts):
        when = at + step * number
        if rng.random() < late_share:
            when += LATE_EVENTS + step
        placed.append((when, _outgoing(post, life.provider_ref)))
        if rng.random() < DUPLICATE_SHARE:
            placed.append((when + rng.uniform(0, OVERLAP_EVENTS), _outgoing(stripe.again(post), life.provider_ref)))
    return placed


def _outgoing(post: Post, payment_ref: str) -> Outgoing:
    event_id = post.events[0].event_id
    kind = post.body.rpartition(b'"type": "')[2].partition(b'"')[0].decode()
    return _record(event_id, kind, payment_ref, post.body)


def _record(event_id: str, kind: str | None, payment_ref: str | None, body: bytes) -> Outgoing:
    notification = Notification(event_id, kind, payment_ref, body)
    return build([notification], Arrival(stripe.NAME, STARTED_AT), WEBHOOKS.name)[0]
