"""Razorpay's events: each try is a payment of its own under one order, and is captured whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ops.simulated.step import PlayedPayment, Player, Step, What, hex_mac, json_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.sample.post import Post

NAME: Final = "razorpay"
KINDS: Final = {
    What.FAILED: "payment.failed",
    What.AUTHORIZED: "payment.authorized",
    What.CAPTURED: "payment.captured",
    What.REFUND_PENDING: "refund.created",
    What.REFUND_FAILED: "refund.failed",
    What.REFUNDED: "refund.processed",
    What.CANCELED: "refund.processed",
    What.DISPUTED: "payment.dispute.created",
    What.DISPUTE_WON: "payment.dispute.won",
    What.DISPUTE_LOST: "payment.dispute.lost",
}
_OF_REFUNDS: Final = {What.REFUND_PENDING: "pending", What.REFUND_FAILED: "failed", What.REFUNDED: "processed",
                      What.CANCELED: "processed"}  # fmt: skip
_OF_DISPUTES: Final = {What.DISPUTED: "open", What.DISPUTE_WON: "won", What.DISPUTE_LOST: "lost"}


def posts(payment: PlayedPayment, step: Step) -> Iterator[Post]:
    """Return the request of a step; a hold that nobody captured is given back as a refund."""
    kind = KINDS.get(step.what)
    if kind is None:
        return
    shown: dict[str, Any] = {"payment": _payment(payment, step)}
    if step.what in _OF_REFUNDS:
        shown["refund"] = _child(payment, step, "rfnd_") | {"entity": "refund", "status": _OF_REFUNDS[step.what]}
    if step.what in _OF_DISPUTES:
        taken = step.amount if step.what is What.DISPUTE_LOST else 0
        shown["dispute"] = _child(payment, step, "disp_") | {
            "entity": "dispute", "phase": "chargeback", "status": _OF_DISPUTES[step.what], "amount_deducted": taken,
        }  # fmt: skip
    document = {
        "entity": "event",
        "event": kind,
        "contains": list(shown),
        "payload": {name: {"entity": entity} for name, entity in shown.items()},
        "created_at": payment.now,
    }
    event_id = payment.id(f"event {step.what} {step.child}", "", 14)
    yield json_post(NAME, document, event_id, message_id=event_id)


def _payment(payment: PlayedPayment, step: Step) -> dict[str, Any]:
    failed = step.what is What.FAILED
    own = payment.id(step.child, "pay_", 14) if failed and not payment.ends_failed else payment.ref
    status = "failed" if failed else "captured" if payment.captured else "authorized"
    return {
        "id": own,
        "entity": "payment",
        "amount": payment.amount,
        "currency": payment.currency,
        "status": "refunded" if step.what is What.CANCELED else status,
        "captured": payment.captured > 0,
        "order_id": payment.id("order", "order_", 14),
        "method": "card",
        "notes": {"order_ref": payment.reference},
    }


def _child(payment: PlayedPayment, step: Step, prefix: str) -> dict[str, Any]:
    own = payment.id(step.child, prefix, 14)
    return {"id": own, "payment_id": payment.ref, "amount": step.amount, "currency": payment.currency}


def seal(post: Post, secret: str, _url: str) -> dict[str, str]:
    """`X-Razorpay-Signature`: HMAC-SHA256 over the raw body, in hex; the event's id is a header (razorpay.com/docs)."""
    return {"X-Razorpay-Signature": hex_mac(secret, post.body), "X-Razorpay-Event-Id": post.message_id}


_WHOLE: Final = "Razorpay captures a payment whole"
PLAYER: Final = Player(
    NAME,
    lambda payment: payment.id("payment", "pay_", 14),
    posts,
    seal,
    cannot={
        "multicapture": _WHOLE,
        "partial": _WHOLE,
        "expired": "Razorpay gives back a hold that nobody captured in time as it does a canceled one: play canceled",
    },
    currency="INR",
)
