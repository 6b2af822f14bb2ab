"""Standard Webhooks events: JSON bodies, the event's id in a header, header names of the standard or of Svix."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ops.sample.history import AFTER_CAPTURE, Course, PaymentHistory, ending
from ops.sample.post import LEDGER, Fate, Life, Post, SampleEvent, Style, token

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
"""The kinds of events of a dispute, by how it ends."""
STYLES: Final = (Style.PLAIN, Style.PLAIN, Style.SVIX, Style.ROTATION)


def post_of(rng: Random, kind: str, data: dict[str, Any], now: int, *, legal: frozenset[Fate] = LEDGER) -> Post:
    """Return a post with one event of that kind; `now` is unix seconds."""
    at = dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = json.dumps({"type": kind, "timestamp": at, "data": data}, separators=(",", ":"), ensure_ascii=False)
    return raw(rng, body.encode(), legal=legal)


def raw(rng: Random, body: bytes, *, legal: frozenset[Fate] = LEDGER) -> Post:
    """Return a post of any body, with a random event id."""
    message_id = f"msg_{token(rng, 27)}"
    return Post(NAME, body, (SampleEvent(NAME, message_id, legal),), message_id, rng.choice(STYLES))


def again(post: Post) -> Post:
    """Return a redelivery: the same id and body, signed again when it is sent."""
    return replace(post, duplicate=True)


def _give_back(rng: Random, history: PaymentHistory, say: Callable[..., None]) -> None:
    for amount in history.failed_refunds:
        refund_id = f"ref_{token(rng, 16)}"
        say("refund.pending", amount, id=refund_id)
        say("refund.failed", amount, id=refund_id)
    for amount in history.refunds:
        say("payment.refunded", amount, refund_id=f"ref_{token(rng, 16)}")


def live(rng: Random, history: PaymentHistory, now: int) -> Life:
    """Return a history's events: attempts, authorization, captures, refunds, disputes, or an end without money."""
    payment_id = f"pay_{token(rng, 20)}"
    posts: list[Post] = []

    def say(kind: str, amount: int, **fields: str) -> None:
        data = {"payment_id": payment_id, "amount": amount, "currency": history.currency, "customer": "Ümit Çelik"}
        known = {"reference": history.reference} if history.reference else {}
        posts.append(post_of(rng, kind, data | known | fields, now + 60 * len(posts)))

    say("payment.created", history.amount)
    for _ in range(history.failures):
        say("payment.failed", history.amount, id=f"att_{token(rng, 16)}")
    if history.authorized and history.course is not Course.AUTOMATIC:
        say("payment.authorized", history.amount)
    for part in history.captures:
        say("payment.captured", part, capture_id=f"cap_{token(rng, 16)}")
    _give_back(rng, history, say)
    dispute_id = f"dis_{token(rng, 16)}"
    for kind in ROUNDS[history.rounds]:
        say(kind, history.contested, id=dispute_id)
    if history.course in ENDS:
        say(ENDS[history.course], history.amount)
    return Life(NAME, payment_id, ending(history), tuple(posts))
