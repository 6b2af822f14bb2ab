"""Stripe's events: payment intents, charges, refunds, disputes and invoices as API version 2025-08-27 shows them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ops.sample.history import AFTER_CAPTURE, Course, PaymentHistory, ending
from ops.sample.post import LEDGER, Fate, Life, Post, SampleEvent, Style, token

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

NAME: Final = "stripe"
VERSION: Final = "2025-08-27.basil"
BILLED: Final = "2024-06-20"
"""An API version before 2025-03-31, whose invoices name their payment intent."""
COURSES: Final = tuple(course for course in Course if course not in AFTER_CAPTURE)
ROTATION_SHARE: Final = 0.1
PLAIN: Final = PaymentHistory(Course.AUTOMATIC, 1000, "EUR")
"""For events about no payment of the sample: the platform's own account, live mode."""


def body_of(document: dict[str, Any]) -> bytes:
    """Return a body as Stripe writes it, indented by two; `json.dumps(indent=2)` takes five times as long."""
    return msgspec.json.format(json.dumps(document, ensure_ascii=False), indent=2).encode()


def post_of(  # noqa: PLR0913 - what an event is made of
    rng: Random,
    kind: str,
    shown: dict[str, Any],
    now: int,
    *,
    history: PaymentHistory = PLAIN,
    legal: frozenset[Fate] = LEDGER,
    version: str = VERSION,
    **extra: Any,
) -> Post:
    """Return a post with one event of that kind, of the history's account and mode; `now` is unix seconds."""
    event_id = f"evt_3{token(rng, 23)}"
    document = {
        "id": event_id,
        "object": "event",
        **({"account": history.merchant_account} if history.merchant_account else {}),
        "api_version": version,
        "created": now,
        "data": {"object": shown, **extra},
        "livemode": history.livemode,
        "pending_webhooks": rng.randint(1, 3),
        "request": {"id": f"req_{token(rng, 14)}", "idempotency_key": None},
        "type": kind,
    }
    style = Style.ROTATION if rng.random() < ROTATION_SHARE else Style.PLAIN
    return Post(NAME, body_of(document), (SampleEvent(NAME, event_id, legal),), style=style)


def again(post: Post) -> Post:
    """Return a redelivery: the same event with a higher `pending_webhooks`."""
    document = json.loads(post.body)
    document["pending_webhooks"] += 1
    return Post(post.provider, body_of(document), post.events, post.message_id, post.style, duplicate=True)


@dataclass(slots=True)
class StripeEvents:
    """Turns one history into Stripe's events; each advances `now` (unix seconds)."""

    rng: Random
    history: PaymentHistory
    now: int
    posts: list[Post] = field(default_factory=list)
    intent_id: str = ""
    method_id: str = ""
    latest_charge: str | None = None
    """The charge of the latest attempt that reached the bank; None before the first."""
    order_id: str = ""
    amount: int = 0
    """The intent's amount now, in minor units; an incremental authorization raises it."""

    def __post_init__(self) -> None:
        self.intent_id = f"pi_3{token(self.rng, 23)}"
        self.order_id = self.history.reference or f"ORD-{token(self.rng, 12)}"
        self.amount = self.history.amount

    def say(self, kind: str, shown: dict[str, Any], **extra: Any) -> None:
        self.now += self.rng.randint(1, 60)
        self.posts.append(post_of(self.rng, kind, shown, self.now, history=self.history, **extra))

    def intent(self, status: str, *, capturable: int = 0, received: int = 0, **changes: Any) -> dict[str, Any]:
        return {
            "id": self.intent_id,
            "object": "payment_intent",
            "amount": self.amount,
            "amount_capturable": capturable,
            "amount_details": {"tip": {}},
            "amount_received": received,
            "capture_method": "automatic" if self.history.course is Course.AUTOMATIC else "manual",
            "created": self.now,
            "currency": self.history.currency.lower(),
            "customer": None,
            "description": f"Order {self.order_id}",
            "last_payment_error": None,
            "latest_charge": self.latest_charge,
            "livemode": self.history.livemode,
            "metadata": {"order_id": self.order_id},
            "next_action": None,
            "payment_method": None if status == "requires_payment_method" else self.method_id,
            "payment_method_types": ["card"],
            "status": status,
        } | changes

    def charge(self, *, captured: int = 0, refunded: int = 0, **changes: Any) -> dict[str, Any]:
        return {
            "id": self.latest_charge,
            "object": "charge",
            "amount": self.amount,
            "amount_captured": captured,
            "amount_refunded": refunded,
            "billing_details": {"name": "Ana Sousa & Söhne", "phone": None},
            "captured": captured > 0,
            "created": self.now,
            "currency": self.history.currency.lower(),
            "disputed": False,
            "failure_code": None,
            "livemode": self.history.livemode,
            "metadata": {"order_id": self.order_id},
            "paid": True,
            "payment_intent": self.intent_id,
            "payment_method": self.method_id,
            "refunded": refunded > 0 and refunded == captured,
            "status": "succeeded",
        } | changes

    def refund(self, refund_id: str, amount: int, status: str) -> dict[str, Any]:
        return {
            "id": refund_id,
            "object": "refund",
            "amount": amount,
            "charge": self.latest_charge,
            "created": self.now,
            "currency": self.history.currency.lower(),
            "metadata": {},
            "payment_intent": self.intent_id,
            "reason": "requested_by_customer",
            "status": status,
        }

    def open(self) -> None:
        """Post the failed attempts: a card is chosen, may need authentication, and is declined."""
        self.say("payment_intent.created", self.intent("requires_payment_method"))
        for _ in range(self.history.failures):
            self.try_to_pay()
            self.latest_charge = f"ch_3{token(self.rng, 23)}"
            error = {
                "charge": self.latest_charge,
                "code": "card_declined",
                "payment_method": {"id": self.method_id, "object": "payment_method", "type": "card"},
                "type": "card_error",
            }
            self.say("payment_intent.payment_failed", self.intent("requires_payment_method", last_payment_error=error))
            self.say("charge.failed", self.charge(paid=False, status="failed", failure_code="card_declined"))

    def try_to_pay(self) -> None:
        """Begin an attempt with a new card; it has no charge before the customer has authenticated."""
        self.method_id = f"pm_1{token(self.rng, 23)}"
        if self.rng.random() < 0.3:  # noqa: PLR2004
            asked = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
            self.say("payment_intent.requires_action", self.intent("requires_action", next_action=asked))

    def pay(self) -> None:
        history, captured = self.history, 0
        if history.authorized:
            self.try_to_pay()
            self.latest_charge = f"ch_3{token(self.rng, 23)}"
        if history.course is Course.AUTOMATIC:
            self.say("charge.succeeded", self.charge(captured=self.amount))
        elif history.authorized:
            self.reserve()
            self.say("charge.succeeded", self.charge())
            for part in history.captures:
                captured += part
                self.say("charge.captured", self.charge(captured=captured))
                if history.course is Course.IN_PARTS and captured < self.amount:
                    self.reserve(captured)
        if history.captures:
            self.say("payment_intent.succeeded", self.intent("succeeded", received=sum(history.captures)))

    def reserve(self, captured: int = 0) -> None:
        """Post the authorization, or what a multicapture left of it; an incremental authorization may come before."""
        kind = "payment_intent.amount_capturable_updated"
        if not captured:
            self.say(kind, self.intent("requires_capture", capturable=self.amount))
        if captured or self.amount != self.history.total:
            self.amount = self.history.total
            self.say(kind, self.intent("requires_capture", capturable=self.amount - captured, received=captured))

    def bill(self) -> None:
        """Post the subscription's invoice that this capture paid."""
        if not (self.history.subscription and self.history.captures):
            return
        invoice = {
            "id": f"in_1{token(self.rng, 23)}",
            "object": "invoice",
            "amount_paid": sum(self.history.captures),
            "billing_reason": "subscription_cycle",
            "charge": self.latest_charge,
            "currency": self.history.currency.lower(),
            "livemode": self.history.livemode,
            "payment_intent": self.intent_id,
            "status": "paid",
            "subscription": self.history.subscription,
        }
        self.say("invoice.paid", invoice, version=BILLED)

    def moved(self, amount: int) -> dict[str, Any]:
        """Return a dispute's balance transaction, in minor units: negative where the money was withdrawn."""
        return {
            "id": f"txn_1{token(self.rng, 23)}",
            "object": "balance_transaction",
            "amount": amount,
            "currency": self.history.currency.lower(),
            "reporting_category": "dispute" if amount < 0 else "dispute_reversal",
            "type": "adjustment",
        }

    def dispute(self, dispute_id: str, status: str, moved: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        return {
            "id": dispute_id,
            "object": "dispute",
            "amount": self.history.contested,
            "balance_transactions": list(moved),
            "charge": self.latest_charge,
            "created": self.now,
            "currency": self.history.currency.lower(),
            "evidence_details": {"has_evidence": False, "past_due": False, "submission_count": 0},
            "is_charge_refundable": False,
            "livemode": self.history.livemode,
            "metadata": {},
            "payment_intent": self.intent_id,
            "reason": "fraudulent",
            "status": status,
        }

    def argue(self) -> None:
        """Post a dispute: the money is withdrawn at once, and reinstated if it is won."""
        if not self.history.rounds:
            return
        dispute_id, end, amount = f"dp_1{token(self.rng, 23)}", self.history.rounds[-1], self.history.contested
        moved = [self.moved(-amount)]
        self.say("charge.dispute.created", self.dispute(dispute_id, "needs_response"))
        self.say("charge.dispute.funds_withdrawn", self.dispute(dispute_id, "needs_response", moved))
        self.say("charge.dispute.updated", self.dispute(dispute_id, "under_review", moved))
        self.say("charge.dispute.closed", self.dispute(dispute_id, end, moved))
        if end == "won":
            moved.append(self.moved(amount))
            self.say("charge.dispute.funds_reinstated", self.dispute(dispute_id, end, moved))

    def give_back(self) -> None:
        captured, refunded = sum(self.history.captures), 0
        for amount in self.history.failed_refunds:
            refund_id = f"re_3{token(self.rng, 23)}"
            self.say("refund.created", self.refund(refund_id, amount, "pending"))
            self.say("refund.failed", self.refund(refund_id, amount, "failed"))
        for amount in self.history.refunds:
            refund_id = f"re_3{token(self.rng, 23)}"
            self.say("refund.created", self.refund(refund_id, amount, "pending"))
            before = {"amount_refunded": refunded}
            refunded += amount
            released = self.amount - captured  # Stripe counts what a partial capture left as given back
            shown = self.charge(captured=captured, refunded=refunded + released)
            self.say("charge.refunded", shown, previous_attributes=before)
            self.say("charge.refund.updated", self.refund(refund_id, amount, "succeeded"))

    def end(self) -> None:
        if self.history.course in (Course.CANCELED, Course.CANCELED_EARLY):
            canceled: dict[str, Any] = {"cancellation_reason": "abandoned", "canceled_at": self.now}
            self.say("payment_intent.canceled", self.intent("canceled", **canceled))
        if self.history.course is Course.EXPIRED:
            self.say("charge.expired", self.charge())


def live(rng: Random, history: PaymentHistory, now: int) -> Life:
    """Return a history's life in Stripe's events."""
    events = StripeEvents(rng, history, now)
    events.open()
    events.pay()
    events.bill()
    events.give_back()
    events.argue()
    events.end()
    return Life(
        NAME, events.intent_id, ending(history), tuple(events.posts), history.merchant_account, history.livemode
    )
