"""Adyen's notifications: a body has one or several items, each with its eventCode and its own signature."""

from __future__ import annotations

import datetime as dt
import json
import string
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ops.sample.history import Course, PaymentHistory, ending
from ops.sample.post import LEDGER, Fate, Life, Post, SampleEvent, token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from random import Random

NAME: Final = "adyen"
COURSES: Final = (
    Course.MANUAL,
    Course.IN_PARTS,
    Course.PARTIAL,
    Course.AUTHORIZED,
    Course.FAILED,
    Course.CANCELED,
    Course.EXPIRED,
    Course.ADJUSTED,
    Course.OVER_CAPTURED,
    Course.LATE_FAILURE,
    Course.PART_FAILED,
)
"""Courses without automatic capture: an AUTHORISATION waits for its capture unless an intent asked otherwise."""
ENDS: Final = {Course.CANCELED: "CANCELLATION", Course.EXPIRED: "EXPIRE"}
ROUNDS: Final[dict[tuple[str, ...], tuple[str, ...]]] = {
    (): (),
    ("open",): ("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK"),
    ("won",): ("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK", "CHARGEBACK_REVERSED"),
    ("won", "lost"): ("NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK", "CHARGEBACK_REVERSED", "SECOND_CHARGEBACK"),
}
"""The event codes of a dispute, by how each of its rounds ends; one that nobody defends has no further event."""
PSP_ALPHABET: Final = string.ascii_uppercase + string.digits


def psp_reference(rng: Random) -> str:
    """Return a pspReference: 16 capital letters and digits."""
    return token(rng, 16, PSP_ALPHABET)


def item(code: str, psp: str, history: PaymentHistory, amount: int, now: int, **fields: Any) -> dict[str, Any]:
    """Return one unsigned notification item; `amount` is in minor units, `now` unix seconds."""
    shown = {
        "additionalData": {},
        "amount": {"currency": history.currency, "value": amount},
        "eventCode": code,
        "eventDate": dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="seconds"),
        "merchantAccountCode": history.merchant_account,
        "merchantReference": "",
        "paymentMethod": "visa",
        "pspReference": psp,
        "reason": "",
        "success": "true",
    }
    return shown | fields


def post_of(items: Iterable[dict[str, Any]], *, legal: frozenset[Fate] = LEDGER) -> Post:
    """Return a post whose body holds these items."""
    listed = list(items)
    body = {"live": "false", "notificationItems": [{"NotificationRequestItem": one} for one in listed]}
    events = (
        SampleEvent(NAME, ":".join(one[key] for key in ("pspReference", "eventCode", "success")), legal)
        for one in listed
    )
    return Post(NAME, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(), tuple(events))


def items_of(post: Post) -> list[dict[str, Any]]:
    """Return the items of a body."""
    return [wrapped["NotificationRequestItem"] for wrapped in json.loads(post.body)["notificationItems"]]


def together(posts: Sequence[Post]) -> Post:
    """Return one post with the items of several; each event keeps its legal fates."""
    whole = post_of(one for post in posts for one in items_of(post))
    return replace(whole, events=tuple(event for post in posts for event in post.events))


def again(post: Post) -> Post:
    """Return a redelivery: the same events with other values in the unsigned fields."""
    same = post_of(shown | {"eventDate": "2030-01-01T00:00:00+00:00", "reason": "again"} for shown in items_of(post))
    return Post(NAME, same.body, post.events, duplicate=True)


def _give_back(rng: Random, history: PaymentHistory, say: Callable[..., None]) -> None:
    for amount in history.failed_refunds:
        failed = psp_reference(rng)
        say("REFUND", failed, amount)
        say("REFUND_FAILED", failed, amount)
    for amount in history.refunds:
        say("REFUND", psp_reference(rng), amount)


def live(rng: Random, history: PaymentHistory, now: int) -> Life:
    """Return a history's events as Adyen's items. Each refused attempt has a pspReference of its own."""
    reference, psp = history.reference or f"ORD-{token(rng, 14)}", psp_reference(rng)
    posts: list[Post] = []

    def say(code: str, own_psp: str, amount: int, **fields: Any) -> None:
        at = now + 60 * len(posts)
        posts.append(post_of([item(code, own_psp, history, amount, at, merchantReference=reference, **fields)]))

    refused = [psp_reference(rng) for _ in range(history.failures)]
    for one in refused:
        say("AUTHORISATION", one, history.amount, success="false", reason="Refused")
    if history.authorized:
        say("AUTHORISATION", psp, history.amount, operations=["CANCEL", "CAPTURE", "REFUND"])
    if history.total != history.amount:
        say("AUTHORISATION_ADJUSTMENT", psp_reference(rng), history.total, originalReference=psp)
    for part in history.captures:
        say("CAPTURE", psp_reference(rng), part, originalReference=psp)
    for part in history.failed_captures:
        capture = psp_reference(rng)
        say("CAPTURE", capture, part, originalReference=psp)
        say("CAPTURE_FAILED", capture, part, originalReference=psp, reason="Capture failed")
    _give_back(rng, history, partial(say, originalReference=psp))
    if history.course in ENDS:
        say(ENDS[history.course], psp_reference(rng), history.amount, originalReference=psp)
    dispute = psp_reference(rng)
    for code in ROUNDS[history.rounds]:
        say(code, dispute, history.contested, originalReference=psp)
    named = psp if history.authorized else refused[0]
    return Life(NAME, named, ending(history), tuple(posts), history.merchant_account)
