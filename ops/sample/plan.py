"""The plan of a run: what is posted in which order, and the rows that it must come to. Pure: the seed decides all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ops.sample import adyen, faults, hints, orders, standard, stripe
from ops.sample.history import invent
from ops.sample.post import Fault, Life, Post, token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ops.sample.history import Course, PaymentHistory


@dataclass(frozen=True, slots=True)
class EventGenerator:
    """A provider's functions: the courses that it can play, a history as its events, and a redelivery of one.

    The rest says which merchants may stand behind one endpoint of it, which way it adjusts what is reserved, how its
    disputes end, and whether it signs the mode.
    """

    courses: tuple[Course, ...]
    live: Callable[[Random, PaymentHistory, int], Life]
    again: Callable[[Post], Post]
    merchants: tuple[str, ...] = ("",)
    upwards: bool = False
    rounds: tuple[tuple[str, ...], ...] = (("won",), ("lost",))
    signs_mode: bool = False

    def invent(self, rng: Random) -> PaymentHistory:
        """Return a random payment that this provider can have."""
        return invent(rng, self.courses, upwards=self.upwards, rounds=self.rounds)


GENERATORS: Final = {
    stripe.NAME: EventGenerator(
        stripe.COURSES,
        stripe.live,
        stripe.again,
        merchants=("", "acct_1RatchetShopOne00", "acct_1RatchetShopTwo00"),
        upwards=True,
        signs_mode=True,
    ),
    adyen.NAME: EventGenerator(
        adyen.COURSES,
        adyen.live,
        adyen.again,
        merchants=("RatchetSample", "RatchetSampleTwo"),
        rounds=tuple(adyen.ROUNDS)[1:],
    ),
    standard.NAME: EventGenerator(standard.COURSES, standard.live, standard.again),
}
PROVIDERS: Final = tuple(GENERATORS)
WEIGHTS: Final = {stripe.NAME: 5, adyen.NAME: 3, standard.NAME: 2}
DUPLICATE_SHARE: Final = 0.05
LATE_SHARE: Final = 0.08
WINDOW: Final = 12.0
"""How far events of one life are moved out of order, in events."""
LATE_WINDOW: Final = 200.0
TEST_SHARE: Final = 0.15
"""The share of payments in test money, under the same endpoint as live ones."""
REUSED_SHARE: Final = 0.2
"""The share of payments with another payment's reference: a second attempt, a subscription's next month, a typo."""
BILLED_SHARE: Final = 0.3
"""The share of payments that a subscription bills; all payments under their reference have its id."""
ORDER_SHARE: Final = 0.1
"""The share of orders in payments; an intent comes before its webhooks or after them."""
ITEMS_MAX: Final = 4
"""The most Adyen items in one body."""
ODD_EACH: Final = 6
"""How many orphans, how many unknown kinds and how many events not about payments, a provider."""
REFUSED_EACH: Final = 6
"""How many requests of each fault a provider; together far below the ingress' limit for unverified requests."""

Placed = tuple[float, Post]


@dataclass(frozen=True, slots=True)
class SamplePlan:
    """What to post, in order, and the row that each payment must come to."""

    seed: int
    posts: tuple[Post, ...]
    lives: tuple[Life, ...]


def _place(rng: Random, lives: Sequence[Life]) -> Iterator[Placed]:
    """Spread the lives over time and shuffle within windows; some events come very late, some twice."""
    for start, life in enumerate(lives):
        for step, post in enumerate(life.posts):
            at = start + step + rng.uniform(0, WINDOW)
            if rng.random() < LATE_SHARE:
                at += rng.uniform(0, LATE_WINDOW)
            yield at, post
            if rng.random() < DUPLICATE_SHARE:
                yield at + rng.uniform(0, WINDOW), _again(post)


def _again(post: Post) -> Post:
    """Return a post as it is delivered again; a client's request is the same bytes under the same key."""
    return replace(post, duplicate=True) if post.provider == orders.CLIENT else GENERATORS[post.provider].again(post)


def _grouped(rng: Random, posts: Sequence[Post]) -> Iterator[Post]:
    """Put some of Adyen's neighbours into one body, as Adyen does; duplicates stay alone."""
    waiting: list[Post] = []
    for post in posts:
        if post.provider != adyen.NAME or post.duplicate or post.fault:
            yield post
            continue
        waiting.append(post)
        if len(waiting) >= ITEMS_MAX or rng.random() < 0.6:  # noqa: PLR2004
            yield adyen.together(waiting) if len(waiting) > 1 else waiting[0]
            waiting.clear()
    yield from waiting


def _genuine_odd(rng: Random, provider: str, now: int) -> Iterator[Post]:
    makers: tuple[Callable[[Random, str, int], Post], ...] = (
        faults.orphan,
        faults.unknown_kind,
        faults.other_family,
    )
    for make in makers:
        for _ in range(ODD_EACH):
            yield make(rng, provider, now)
    yield from faults.poison(rng, provider, now)


def _refused(rng: Random, provider: str, now: int) -> Iterator[Post]:
    """Invent lives for the refused requests: none of their events may be anywhere in the ledger."""
    generator = GENERATORS[provider]
    for fault in Fault:
        for _ in range(REFUSED_EACH):
            post = faults.refused(rng, provider, fault, generator.live(rng, generator.invent(rng), now))
            if post is not None:
                yield post


def _histories(
    rng: Random, names: Sequence[str], merchants: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, PaymentHistory]]:
    """Invent a payment of each of these providers: whose it is, in which mode, under which reference."""
    used: list[str] = []
    subscriptions: dict[str, str] = {}
    for name in names:
        generator = GENERATORS[name]
        history = generator.invent(rng)
        reused = bool(used) and rng.random() < REUSED_SHARE
        used.append(rng.choice(used) if reused else f"ORD-{token(rng, 14)}")
        billing = subscriptions.setdefault(used[-1], f"sub_1{token(rng, 23)}")
        yield (
            name,
            replace(
                history,
                merchant_account=rng.choice(merchants.get(name) or generator.merchants),
                livemode=not (generator.signs_mode and rng.random() < TEST_SHARE),
                reference=used[-1],
                subscription=billing if rng.random() < BILLED_SHARE else "",
            ),
        )


def _orders(
    rng: Random, count: int, names: Sequence[str], merchants: Mapping[str, Sequence[str]], now: int
) -> Iterator[Life]:
    """Invent orders, each followed by its payments."""
    for name in rng.choices(names, k=count):
        merchant = rng.choice(merchants.get(name) or GENERATORS[name].merchants)
        order = orders.order(rng, name, merchant, GENERATORS[name].live, now)
        yield order.life
        yield from order.payments


def make_plan(  # noqa: PLR0913 - by name, what a plan follows from
    seed: int,
    *,
    lives: int,
    providers: Sequence[str],
    now: int,
    merchants: Mapping[str, Sequence[str]] = MappingProxyType({}),
    hinted: bool = False,
    ordered: bool = False,
) -> SamplePlan:
    """Plan a run; the same arguments give the same plan. `now` is unix seconds and only shown inside events.

    `merchants` are those that an endpoint takes, where it does not take any; `hinted` adds unsigned webhooks,
    `ordered` intents of a client.
    """
    rng = Random(seed)  # noqa: S311 - ids of a sample, not secrets
    if not providers:
        return SamplePlan(seed, (), ())
    names = rng.choices(providers, [WEIGHTS[name] for name in providers], k=lives)
    lived = tuple(GENERATORS[name].live(rng, history, now) for name, history in list(_histories(rng, names, merchants)))
    if ordered:
        lived += tuple(_orders(rng, round(lives * ORDER_SHARE), providers, merchants, now))
    placed = list(_place(rng, lived))
    for provider in providers:
        odd = [*_genuine_odd(rng, provider, now), *_refused(rng, provider, now)]
        placed += [(rng.uniform(0, lives), post) for post in odd]
    if hinted:
        placed += [(rng.uniform(0, lives), post) for post in hints.unsigned_posts(rng)]
    posts = [post for _, post in sorted(placed, key=lambda one: one[0])]
    return SamplePlan(seed, tuple(_grouped(rng, posts)), lived)
