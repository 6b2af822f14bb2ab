"""Faulty input: requests to refuse, signed bodies that can't be decoded, unknown kinds, and orphans."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from ops.sample import adyen, standard, stripe
from ops.sample.history import Course, PaymentHistory
from ops.sample.post import LEDGER, LETTER, WAITS, Fate, Fault, Post, SampleEvent, Style, digest_id, token

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from ops.sample.post import Life

ODD = PaymentHistory(Course.AUTOMATIC, 1000, "EUR")
"""The payment that the faulty events name."""


def _about(rng: Random, provider: str, what: str, now: int, legal: frozenset[Fate]) -> Post:
    """Return an event of that kind about a payment of which nothing else comes."""
    if provider == adyen.NAME:
        other = adyen.psp_reference(rng)
        shown = adyen.item(what, adyen.psp_reference(rng), ODD, ODD.amount, now, originalReference=other)
        return adyen.post_of([shown | {"merchantReference": f"ORD-{token(rng, 14)}"}], legal=legal)
    if provider == standard.NAME:
        data = {"payment_id": f"pay_{token(rng, 20)}", "amount": ODD.amount, "currency": ODD.currency}
        return standard.post_of(rng, what, data | {"refund_id": f"ref_{token(rng, 16)}"}, now, legal=legal)
    events = stripe.StripeEvents(rng, ODD, now)
    refund = events.refund(f"re_3{token(rng, 23)}", ODD.amount, "succeeded")
    shown = events.intent("succeeded", received=ODD.amount) if what.startswith("payment_intent.") else refund
    return stripe.post_of(rng, what, shown, now, legal=legal)


ORPHANS = {stripe.NAME: "charge.refund.updated", adyen.NAME: "REFUND", standard.NAME: "payment.refunded"}
UNKNOWN = {stripe.NAME: "payment_intent.teleported", adyen.NAME: "TELEPORTATION", standard.NAME: "payment.teleported"}
OTHERS = {stripe.NAME: "customer.updated", adyen.NAME: "REPORT_AVAILABLE", standard.NAME: "user.created"}


def orphan(rng: Random, provider: str, now: int) -> Post:
    """Return a signed refund whose payment never comes: it is parked, and a dead letter at its deadline."""
    return _about(rng, provider, ORPHANS[provider], now, WAITS)


def unknown_kind(rng: Random, provider: str, now: int) -> Post:
    """Return a signed event about payments of a kind that no catalogue has: a dead letter `unknown_kind`."""
    return _about(rng, provider, UNKNOWN[provider], now, LETTER)


def other_family(rng: Random, provider: str, now: int) -> Post:
    """Return a signed event about something else than payments: a `noop` in the ledger."""
    return _about(rng, provider, OTHERS[provider], now, LEDGER)


def poison(rng: Random, provider: str, now: int) -> Iterable[Post]:
    """Return signed bodies that can't be decoded; none of Adyen, which signs fields and not bodies."""
    nonce = token(rng, 16)
    shapes = (b"", f"not json {nonce}".encode(), json.dumps(["no", "object", nonce]).encode())
    if provider == standard.NAME:
        kind = json.dumps({"type": "payment.captured", "data": {"payment_id": 7.5, "amount": "much"}}).encode()
        return [standard.raw(rng, body, legal=LETTER) for body in (*shapes, kind)]
    if provider == stripe.NAME:
        wrong = stripe.post_of(rng, "payment_intent.succeeded", {"object": "payment_intent"}, now, legal=LETTER)
        without_id = (Post(provider, body, (SampleEvent(provider, digest_id(body), LETTER),)) for body in shapes)
        return [*without_id, wrong]
    return []


def refused(rng: Random, provider: str, fault: Fault, life: Life) -> Post | None:
    """Return one of the life's posts with this fault, for which the ingress refuses it; None where it can't have it."""
    if provider == adyen.NAME and fault is Fault.STALE:
        return None  # Adyen signs no time
    post = replace(rng.choice(life.posts), fault=fault, style=Style.PLAIN)
    if fault is Fault.UNKNOWN_PROVIDER:
        return replace(post, events=tuple(replace(event, source="nobody") for event in post.events))
    return post
