"""Hints: unsigned webhooks. The ingress accepts them, and they change no payment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.sample.post import NOWHERE, Post, SampleEvent, digest_id, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

NAME: Final = "mollie"
"""Mollie, whose older webhook is a form with a payment's id and no signature."""
HINTS: Final = 8


def unsigned_posts(rng: Random) -> Iterator[Post]:
    """Yield hints at unknown payments, some of them twice, as a provider sends one for each change of a payment."""
    for number in range(HINTS):
        body = f"id=tr_{token(rng, 10)}".encode()
        post = Post(NAME, body, (SampleEvent(NAME, digest_id(body), NOWHERE),), hint=True)
        yield post
        if number % 4 == 0:
            yield post
