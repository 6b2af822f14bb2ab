"""Scenarios for developers: one payment's life by name, in the events of a provider. Pure: a seed says it all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final

from ops.sample import adyen
from ops.sample.plan import TELLERS
from ops.sample.post import Fault, Style
from ops.sample.story import Course, Story

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ops.sample.post import Life, Post

Steps = tuple[tuple["Post", ...], ...]
"""What is posted, in order; each step waits until the one before has its effect."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: what it shows, the payment's story, and how its posts are delivered."""

    shows: str
    story: Story
    deliver: Callable[[Random, tuple[Post, ...]], Steps] = lambda _rng, posts: (posts,)
    takes_effect: bool = True


def _one_by_one(_rng: Random, posts: tuple[Post, ...]) -> Steps:
    return tuple((post,) for post in posts)


def _out_of_order(_rng: Random, posts: tuple[Post, ...]) -> Steps:
    return tuple((post,) for post in reversed(posts))


def _at_once(rng: Random, posts: tuple[Post, ...]) -> Steps:
    """Deliver everything twice, in any order."""
    twice = [*posts, *(TELLERS[post.provider].again(post) for post in posts)]
    rng.shuffle(twice)
    return (tuple(twice),)


def _refused(fault: Fault) -> Callable[[Random, tuple[Post, ...]], Steps]:
    def deliver(_rng: Random, posts: tuple[Post, ...]) -> Steps:
        return (tuple(replace(post, fault=fault, style=Style.PLAIN) for post in posts),)

    return deliver


AMOUNT: Final = 10_000
_PAID: Final = Story(Course.AUTOMATIC, AMOUNT, "EUR", captures=(AMOUNT,))
_REFUNDED: Final = replace(_PAID, refunds=(AMOUNT,))
_PARTS: Final = Story(Course.IN_PARTS, AMOUNT, "EUR", captures=(5000, 3000, 2000))

SCENARIOS: Final[Mapping[str, Scenario]] = {
    "captured": Scenario("a payment that is paid at once", _PAID),
    "authorized": Scenario("money is reserved and waits for its capture", Story(Course.AUTHORIZED, AMOUNT, "EUR")),
    "multicapture": Scenario("an authorization that is captured in three parts", _PARTS),
    "partial": Scenario("less is captured than was reserved", Story(Course.PARTIAL, AMOUNT, "EUR", captures=(6000,))),
    "failed": Scenario("the customer's bank declines", Story(Course.FAILED, AMOUNT, "EUR", failures=1)),
    "second-try": Scenario("declined once, then paid", replace(_PAID, failures=1)),
    "canceled": Scenario("an authorization that is canceled", Story(Course.CANCELED, AMOUNT, "EUR")),
    "expired": Scenario("an authorization that runs out", Story(Course.EXPIRED, AMOUNT, "EUR")),
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


def providers_of(name: str) -> tuple[str, ...]:
    """Return the providers that a scenario can be played with: Adyen signs no time."""
    return tuple(one for one in TELLERS if not (name == "stale" and one == adyen.NAME))


def play(name: str, provider: str, merchant_account: str, seed: int, now: int) -> tuple[Life, Steps]:
    """Return a scenario's life in a provider's events, and what is posted step by step; `now` is unix seconds.

    Money is test money where the provider signs the mode. LookupError for a name or a provider that is not known.
    """
    scenario, teller, rng = SCENARIOS[name], TELLERS[provider], Random(seed)  # noqa: S311 - ids, not secrets
    story = replace(scenario.story, merchant_account=merchant_account, livemode=not teller.signs_mode)
    if provider == adyen.NAME:
        story = _as_adyen(story)
    life = teller.live(rng, story, now)
    return life, scenario.deliver(rng, life.posts)


def _as_adyen(story: Story) -> Story:
    """Return the story as Adyen tells it: captures have events of their own, and a lost dispute was won first."""
    course = Course.MANUAL if story.course is Course.AUTOMATIC else story.course
    return replace(story, course=course, rounds=("won", "lost") if story.rounds == ("lost",) else story.rounds)
