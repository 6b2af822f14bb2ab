"""Every 2xx against the rows: what was lost, what happened twice, what was refused in a way nobody promised. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from load.journal import CAPTURE, CREATE, NO_ANSWER, WEBHOOK
from ops import reconciliation
from ops.sample.post import Fate
from ops.sample.send import Sent

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from load.journal import Answer
    from load.traffic import Traffic
    from ops.reconciliation import StoredRows
    from ops.sample.post import Life, Post

REFUSALS: Final = {
    WEBHOOK: frozenset({HTTPStatus.SERVICE_UNAVAILABLE}),
    CREATE: frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.CONFLICT}),
    CAPTURE: frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.CONFLICT}),
}
"""How a good request may be refused, with Retry-After: 409 is a key in use; webhooks have no rate."""


@dataclass(slots=True)
class Effects:
    """What stands of the client's intents: how many events by payment and command, and each reference's payments."""

    events: Counter[tuple[str, str]] = field(default_factory=Counter)
    payments: dict[str, list[str]] = field(default_factory=dict)


@dataclass(slots=True)
class Verdict:
    """What came of a load. `refused` counts answers by status; `problems` are words, empty where all is well."""

    requests: int
    taken: int
    refused: dict[str, int]
    outcome: dict[str, int]
    duplicates: int
    intents: int
    captures: int
    problems: list[str]

    @property
    def good(self) -> bool:
        """Tell whether nothing was lost, doubled or refused wrongly."""
        return not self.problems


def reconcile(
    answers: Sequence[Answer], traffic: Traffic, stored: StoredRows, effects: Effects, left: Mapping[str, int]
) -> Verdict:
    """Compare. `left` is what is still on the way by name (lag of a topic, outbox, spool)."""
    lives = lives_of(answers, traffic)
    drawn = reconciliation.reconcile(taken_of(answers, lives), list(lives.values()), stored, left)
    refused = Counter(str(answer.status or "none") for answer in answers if not answer.taken)
    return Verdict(
        requests=len(answers),
        taken=sum(answer.taken for answer in answers),
        refused=dict(sorted(refused.items())),
        outcome=drawn.outcome,
        duplicates=drawn.duplicates,
        intents=len({answer.life for answer in answers if answer.what == CREATE and answer.taken}),
        captures=len({answer.life for answer in answers if answer.what == CAPTURE and answer.taken}),
        problems=[*refusal_problems(answers), *drawn.problems, *intent_problems(answers, traffic, effects)],
    )


def lives_of(answers: Iterable[Answer], traffic: Traffic) -> dict[int, Life]:
    """Return the lives of which anything was posted."""
    numbers = sorted({answer.life for answer in answers if answer.what == WEBHOOK})
    return {number: traffic.life(number) for number in numbers}


def taken_of(answers: Sequence[Answer], lives: Mapping[int, Life]) -> list[Sent]:
    """Return the webhooks that the ingress took, as the reconciliation of the sample reads them.

    A life of which something was not taken may leave events that wait for it.
    """
    taken = [answer for answer in answers if answer.what == WEBHOOK and answer.taken]
    places: defaultdict[int, set[int]] = defaultdict(set)
    for answer in taken:
        places[answer.life].add(answer.place)
    whole = {number for number, life in lives.items() if len(places[number]) == len(life.posts)}
    return [
        Sent(post if answer.life in whole else _waiting(post), answer.status, answer.accepted)
        for answer in taken
        for post in (lives[answer.life].posts[answer.place],)
    ]


def _waiting(post: Post) -> Post:
    return replace(post, events=tuple(replace(event, legal=event.legal | {Fate.PARKED}) for event in post.events))


def refusal_problems(answers: Iterable[Answer]) -> Iterator[str]:
    """Name each answer that a good request must not get."""
    for answer in answers:
        if answer.taken or (answer.status in REFUSALS[answer.what] and answer.wait_seconds is not None):
            continue
        name = f"{answer.what} {answer.life}.{answer.place}"
        if answer.status == NO_ANSWER:
            yield f"{name} was not answered ({answer.error})"
        elif answer.status in REFUSALS[answer.what]:
            yield f"{name} was answered {answer.status} with Retry-After {answer.retry_after!r}"
        else:
            yield f"{name} was answered {answer.status}"


def intent_problems(answers: Iterable[Answer], traffic: Traffic, effects: Effects) -> Iterator[str]:
    """Name each intent that is missing, stands twice, or got two answers under one key."""
    for (what, number), same in _by_wish(answers).items():
        payment = same[0].payment
        if len({answer.digest for answer in same}) > 1:
            yield f"{what} {number} got different bodies under one key"
        if what == CREATE:
            reference = traffic.wish(number).reference
            found = effects.payments.get(reference, [])
            if found != [payment]:
                yield f"{what} {number}: {payment} was promised for {reference}, its payments are {found}"
        if (events := effects.events[payment, what]) != 1:
            yield f"{what} {number}: its event of payment {payment} stands {events} times"


def _by_wish(answers: Iterable[Answer]) -> dict[tuple[str, int], list[Answer]]:
    found: defaultdict[tuple[str, int], list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.what != WEBHOOK and answer.taken:
            found[answer.what, answer.life].append(answer)
    return found
