"""Hints: webhooks that nobody signed. The ingress takes them, and they move nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.sample.post import NOWHERE, Event, Post, digest_id, token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

NAME: Final = "mollie"
"""Its ordinary webhook is the id of a payment in a form, without a signature."""
HINTS: Final = 8


def unsigned_posts(rng: Random) -> Iterator[Post]:
    """Yield hints at payments that nobody knows, some of them twice, as each change of a payment sends one."""
    for number in range(HINTS):
        body = f"id=tr_{token(rng, 10)}".encode()
        post = Post(NAME, body, (Event(NAME, digest_id(body), NOWHERE),), hint=True)
        yield post
        if number % 4 == 0:
            yield post
