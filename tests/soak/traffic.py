"""What a soak posts beside the lives and intents of `load.traffic`: other providers, forgeries, rubbish. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ops.sample import faults, hints
from ops.sample.plan import GENERATORS, PROVIDERS
from ops.sample.post import NOWHERE, Fault, Post, SampleEvent, Style, digest_id, token
from soak import others

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

    from soak.others import Invented

LIVES_OPEN: Final = 40
"""Payments of other providers of which not everything was posted yet; their webhooks go out in any order."""
REPEATED_SHARE: Final = 0.06
HINT_SHARE: Final = 0.06
ODD_SHARE: Final = 0.04
"""Genuine, and of no use: orphans, kinds that nobody knows, other families, bodies that mean nothing."""
REFUSED_SHARE: Final = 0.18
OVERSIZE_SHARE: Final = 0.01
"""Of what must be refused: a megabyte each."""
OTHER_FAULTS: Final = (Fault.FORGED, Fault.ALTERED, Fault.MALFORMED)
SAMPLE_FAULTS: Final = (*OTHER_FAULTS, Fault.STALE, Fault.UNKNOWN_PROVIDER)


@dataclass(slots=True)
class Mixed:
    """An endless mix. `ended` are the payments of other providers, their bodies left out, whose last post went out."""

    rng: Random
    now: int
    ended: list[Invented] = field(default_factory=list)
    _open: list[tuple[Invented, list[Post]]] = field(default_factory=list)
    _hints: list[Post] = field(default_factory=list)

    def posts(self) -> Iterator[Post]:
        """Yield one post after the other."""
        while True:
            found = self._next()
            if found is not None:
                yield found
                if found.fault is None and self.rng.random() < REPEATED_SHARE:
                    yield replace(found, duplicate=True)

    def rest(self) -> Iterator[Post]:
        """Yield what the payments that are still open lack, so that each comes to its end."""
        while self._open:
            yield self._genuine(0)

    def _next(self) -> Post | None:
        chosen = self.rng.random()
        for share, make in ((HINT_SHARE, self._hint), (ODD_SHARE, self._odd), (REFUSED_SHARE, self._refused)):
            if chosen < share:
                return make()
            chosen -= share
        return self._genuine(LIVES_OPEN)

    def _genuine(self, wanted: int) -> Post:
        while len(self._open) < wanted:
            payment = others.live(self.rng, self.rng.choice(others.GENUINE))
            self._open.append((payment, list(payment.posts)))
        place = self.rng.randrange(len(self._open))
        payment, left = self._open[place]
        post = left.pop(self.rng.randrange(len(left)))
        if not left:
            del self._open[place]
            self.ended.append(replace(payment, posts=tuple(lean(one) for one in payment.posts)))
        return post

    def _hint(self) -> Post:
        body = f"id=tr_{token(self.rng, 10)}".encode()
        return Post(hints.NAME, body, (SampleEvent(hints.NAME, digest_id(body), NOWHERE),), hint=True)

    def _odd(self) -> Post:
        provider = self.rng.choice(PROVIDERS)
        makers = [faults.orphan, faults.unknown_kind, faults.other_family]
        found = [make(self.rng, provider, self.now) for make in makers]
        # An empty body is the same event each time, so that it is no rubbish of its own.
        found += [post for post in faults.poison(self.rng, provider, self.now) if post.body]
        return self.rng.choice(found)

    def _refused(self) -> Post | None:
        """Return what must be refused; None where the provider can't have the fault."""
        if self.rng.random() < OVERSIZE_SHARE:
            return self._refused_of_sample(Fault.OVERSIZE)
        if self.rng.random() < len(PROVIDERS) / (len(PROVIDERS) + len(others.OTHERS)):
            return self._refused_of_sample(self.rng.choice(SAMPLE_FAULTS))
        provider = self.rng.choice(sorted(others.OTHERS))
        fault = Fault.FORGED if provider in others.ONLY_FORGED else self.rng.choice(OTHER_FAULTS)
        post = self.rng.choice(others.live(self.rng, provider).posts)
        return replace(post, fault=fault, hint=False)

    def _refused_of_sample(self, fault: Fault) -> Post | None:
        provider = self.rng.choice(PROVIDERS)
        generator = GENERATORS[provider]
        life = generator.live(self.rng, generator.invent(self.rng), self.now)
        return faults.refused(self.rng, provider, fault, life)


def lean(post: Post) -> Post:
    """Return a post without its bytes: its events are all that is compared."""
    return replace(post, body=b"", message_id="", style=Style.PLAIN)
