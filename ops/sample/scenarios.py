"""Named scenarios for `ratchet simulate`: one payment's life in a provider's events. Pure: the seed decides all."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final
from uuid import UUID

from ops.sample import adyen, orders
from ops.sample.history import Course, PaymentHistory, ending
from ops.sample.plan import GENERATORS
from ops.sample.post import Fault, Life, Post, Style
from ops.simulated.players import PLAYERS, UNPLAYED
from ops.simulated.step import STEP_SECONDS, PlayedPayment, Step, What

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ops.simulated.step import Player

Steps = tuple[tuple["Post", ...], ...]
"""What is posted, in steps; each waits until the events of the one before have been processed."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: what it shows, the payment's history, and how its posts are delivered."""

    shows: str
    history: PaymentHistory
    deliver: Callable[[Random, tuple[Post, ...]], Steps] = lambda _rng, posts: (posts,)
    takes_effect: bool = True


def _one_by_one(_rng: Random, posts: tuple[Post, ...]) -> Steps:
    return tuple((post,) for post in posts)


def _out_of_order(_rng: Random, posts: tuple[Post, ...]) -> Steps:
    return tuple((post,) for post in reversed(posts))


def _at_once(rng: Random, posts: tuple[Post, ...]) -> Steps:
    """Deliver everything twice, in any order."""
    twice = [*posts, *(_again(post) for post in posts)]
    rng.shuffle(twice)
    return (tuple(twice),)


def _again(post: Post) -> Post:
    generator = GENERATORS.get(post.provider)
    return generator.again(post) if generator else replace(post, duplicate=True)


def _refused(fault: Fault) -> Callable[[Random, tuple[Post, ...]], Steps]:
    def deliver(_rng: Random, posts: tuple[Post, ...]) -> Steps:
        webhooks = [post for post in posts if post.provider != orders.CLIENT]
        return (tuple(replace(post, fault=fault, style=Style.PLAIN) for post in webhooks),)

    return deliver


AMOUNT: Final = 10_000
_PAID: Final = PaymentHistory(Course.AUTOMATIC, AMOUNT, "EUR", captures=(AMOUNT,))
_REFUNDED: Final = replace(_PAID, refunds=(AMOUNT,))
_PARTS: Final = PaymentHistory(Course.IN_PARTS, AMOUNT, "EUR", captures=(5000, 3000, 2000))

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "captured": Scenario("a payment that is paid at once", _PAID),
    "authorized": Scenario(
        "money is reserved and waits for its capture", PaymentHistory(Course.AUTHORIZED, AMOUNT, "EUR")
    ),
    "multicapture": Scenario("an authorization that is captured in three parts", _PARTS),
    "partial": Scenario(
        "less is captured than was reserved", PaymentHistory(Course.PARTIAL, AMOUNT, "EUR", captures=(6000,))
    ),
    "failed": Scenario("the customer's bank declines", PaymentHistory(Course.FAILED, AMOUNT, "EUR", failures=1)),
    "second-try": Scenario("declined once, then paid", replace(_PAID, failures=1)),
    "canceled": Scenario("an authorization that is canceled", PaymentHistory(Course.CANCELED, AMOUNT, "EUR")),
    "expired": Scenario("an authorization that runs out", PaymentHistory(Course.EXPIRED, AMOUNT, "EUR")),
    "refunded": Scenario("paid, and refunded in full", _REFUNDED),
    "refunded-late": Scenario("each event comes when the one before has its effect", _REFUNDED, _one_by_one),
    "refund-failed": Scenario("a refund that comes back", replace(_PAID, failed_refunds=(4000,))),
    "disputed": Scenario("a dispute that is lost", replace(_PAID, rounds=("lost",))),
    "dispute-won": Scenario("a dispute that is won", replace(_PAID, rounds=("won",))),
    "duplicates": Scenario("every event twice, in any order", replace(_PARTS, refunds=(AMOUNT,)), _at_once),
    "out-of-order": Scenario("the last event comes first", replace(_PARTS, refunds=(2500,)), _out_of_order),
    "forged": Scenario("signed with another secret: refused", _PAID, _refused(Fault.FORGED), takes_effect=False),
    "altered": Scenario("changed under its signature: refused", _PAID, _refused(Fault.ALTERED), takes_effect=False),
    "stale": Scenario("signed a day ago: refused", _PAID, _refused(Fault.STALE), takes_effect=False),
}


SIGNED_TIMES: Final = ("stripe", "standard_webhooks")
"""The providers whose signature covers the time of sending."""


def why_not(name: str, provider: str) -> str | None:
    """Return why a provider can't play a scenario; None where it can."""
    if provider in UNPLAYED:
        return UNPLAYED[provider]
    if provider not in (*GENERATORS, *PLAYERS):
        return f"{provider!r} can't be played; there are {', '.join((*GENERATORS, *PLAYERS))}"
    if name == "stale" and provider not in SIGNED_TIMES:
        return f"{provider} signs no time, so nothing of it is {name}"
    return PLAYERS[provider].cannot.get(name) if provider in PLAYERS else None


def play(name: str, provider: str, merchant_account: str, seed: int, now: int) -> tuple[Life, Steps]:
    """Return a scenario's life in a provider's events, and what is posted step by step; `now` is unix seconds.

    Money is test money where the provider signs the mode. LookupError for a name or a provider that is not known.
    """
    scenario, rng = SCENARIOS[name], Random(seed)  # noqa: S311 - ids, not secrets
    if provider in PLAYERS:
        life = _lived(rng, PLAYERS[provider], scenario.history, now)
        return life, scenario.deliver(rng, life.posts)
    generator = GENERATORS[provider]
    history = replace(scenario.history, merchant_account=merchant_account, livemode=not generator.signs_mode)
    if provider == adyen.NAME:
        history = _as_adyen(history)
    life = generator.live(rng, history, now)
    return life, scenario.deliver(rng, life.posts)


def _as_adyen(history: PaymentHistory) -> PaymentHistory:
    """Return the history as it can be at Adyen: captures have events of their own, and a lost dispute was won first."""
    course = Course.MANUAL if history.course is Course.AUTOMATIC else history.course
    return replace(history, course=course, rounds=("won", "lost") if history.rounds == ("lost",) else history.rounds)


def _as_played(player: Player, history: PaymentHistory) -> PaymentHistory:
    """Return the history as a provider can have it: in one piece, without a hold or a refund, with an open dispute."""
    whole = player.whole and len(history.captures) > 1
    early = history.course is Course.CANCELED and "authorized" in player.cannot
    return replace(
        history,
        currency=player.currency,
        course=Course.AUTOMATIC if whole else Course.CANCELED_EARLY if early else history.course,
        captures=(history.amount,) if whole else history.captures,
        refunds=() if "refunded" in player.cannot else history.refunds,
        rounds=(player.lost,) if history.rounds == ("lost",) else history.rounds,
    )


def _steps(history: PaymentHistory) -> Iterator[Step]:
    """Yield what happens in a history, in order."""
    yield Step(What.CREATED, history.amount, "payment")
    for number in range(history.failures):
        yield Step(What.FAILED, history.amount, f"try {number}")
    if history.authorized:
        yield Step(What.AUTHORIZED, history.total, "authorization")
    for number, amount in enumerate(history.captures):
        yield Step(What.CAPTURED, amount, f"capture {number}")
    yield from _given_back(history)
    if history.course in (Course.CANCELED, Course.CANCELED_EARLY, Course.EXPIRED):
        yield Step(What.EXPIRED if history.course is Course.EXPIRED else What.CANCELED, history.amount, "end")


def _given_back(history: PaymentHistory) -> Iterator[Step]:
    """Yield a history's refunds and what becomes of its dispute."""
    refunds = [(amount, What.REFUND_FAILED) for amount in history.failed_refunds]
    refunds += [(amount, What.REFUNDED) for amount in history.refunds]
    for number, (amount, last) in enumerate(refunds):
        for what in (What.REFUND_PENDING, last):
            yield Step(what, amount, f"refund {number}")
    for end in history.rounds:
        yield Step(What.DISPUTED, sum(history.captures), "dispute")
        if end != "open":
            yield Step(What.DISPUTE_WON if end == "won" else What.DISPUTE_LOST, sum(history.captures), "dispute")


def _lived(rng: Random, player: Player, outline: PaymentHistory, now: int) -> Life:
    """Return the life of a payment in the events of a provider that the sample does not post."""
    history = _as_played(player, outline)
    payment = PlayedPayment(
        rng=rng,
        now=now,
        amount=history.amount,
        currency=history.currency,
        reference=f"ORD-{rng.getrandbits(64):016x}",
        automatic=history.course is Course.AUTOMATIC,
        ends_failed=history.course is Course.FAILED,
        is_test=player.signs_mode and (player.disputes_have_mode or not history.rounds),
    )
    payment.ref = player.begin(payment)
    posts = [_intent(payment, player)] if player.by_intent else []
    for step in _steps(history):
        payment.now += STEP_SECONDS
        payment.captured += step.amount if step.what is What.CAPTURED else 0
        posts += player.posts(payment, step)
    end = ending(history) if player.moves_disputed else replace(ending(history), disputed=0)
    livemode = False if payment.is_test else None
    return Life(player.name, payment.ref, end, tuple(posts), player.merchant_account, livemode)


def _intent(payment: PlayedPayment, player: Player) -> Post:
    """Return the intent that a life begins with whose events say no amount."""
    asked = {"amount": payment.amount, "currency": payment.currency, "provider": player.name,
             "provider_ref": payment.ref, "reference": payment.reference, "capture": "automatic"}  # fmt: skip
    key = UUID(int=payment.rng.getrandbits(128), version=4)
    return Post(orders.CLIENT, json.dumps(asked).encode(), (), message_id=str(key))
