"""Standard Webhooks events: thin JSON, the event's id in a header, the header names of the standard or of Svix."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ops.sample.post import LEDGER, Event, Fate, Life, Post, Style, token
from ops.sample.story import AFTER_CAPTURE, Course, Story, ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

NAME: Final = "standard_webhooks"
COURSES: Final = tuple(course for course in Course if course not in (*AFTER_CAPTURE, Course.ADJUSTED))
ENDS: Final = {
    Course.CANCELED: "payment.canceled",
    Course.CANCELED_EARLY: "payment.canceled",
    Course.EXPIRED: "payment.expired",
}
ROUNDS: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    (): (),
    ("lost",): ("dispute.opened", "dispute.funds_withdrawn", "dispute.lost"),
    ("won",): ("dispute.opened", "dispute.funds_withdrawn", "dispute.funds_reinstated", "dispute.won"),
}
"""What is reported of a dispute, by how it ends."""
STYLES: Final = (Style.PLAIN, Style.PLAIN, Style.SVIX, Style.ROTATION)


def post_of(rng: Random, kind: str, data: dict[str, Any], now: int, *, legal: frozenset[Fate] = LEDGER) -> Post:
    """Wrap data into an event of that kind."""
    at = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = json.dumps({"type": kind, "timestamp": at, "data": data}, separators=(",", ":"), ensure_ascii=False)
    return raw(rng, body.encode(), legal=legal)


def raw(rng: Random, body: bytes, *, legal: frozenset[Fate] = LEDGER) -> Post:
    """Give any body an id of its own."""
    message_id = f"msg_{token(rng, 27)}"
    return Post(NAME, body, (Event(NAME, message_id, legal),), message_id, rng.choice(STYLES))


def again(post: Post) -> Post:
    """Return the same event again: the same id and body, signed anew."""
    return replace(post, duplicate=True)


def _give_back(rng: Random, story: Story, say: Callable[..., None]) -> None:
    for amount in story.failed_refunds:
        refund_id = f"ref_{token(rng, 16)}"
        say("refund.pending", amount, id=refund_id)
        say("refund.failed", amount, id=refund_id)
    for amount in story.refunds:
        say("payment.refunded", amount, refund_id=f"ref_{token(rng, 16)}")


def live(rng: Random, story: Story, now: int) -> Life:
    """Tell the story: tried, authorized, captured at once or in parts, given back, or ended without money."""
    payment_id = f"pay_{token(rng, 20)}"
    posts: list[Post] = []

    def say(kind: str, amount: int, **fields: str) -> None:
        data = {"payment_id": payment_id, "amount": amount, "currency": story.currency, "customer": "Ümit Çelik"}
        known = {"reference": story.reference} if story.reference else {}
        posts.append(post_of(rng, kind, data | known | fields, now + 60 * len(posts)))

    say("payment.created", story.amount)
    for _ in range(story.failures):
        say("payment.failed", story.amount, id=f"att_{token(rng, 16)}")
    if story.authorized and story.course is not Course.AUTOMATIC:
        say("payment.authorized", story.amount)
    for part in story.captures:
        say("payment.captured", part, capture_id=f"cap_{token(rng, 16)}")
    _give_back(rng, story, say)
    dispute_id = f"dis_{token(rng, 16)}"
    for kind in ROUNDS[story.rounds]:
        say(kind, story.contested, id=dispute_id)
    if story.course in ENDS:
        say(ENDS[story.course], story.amount)
    return Life(NAME, payment_id, ending(story), tuple(posts))
