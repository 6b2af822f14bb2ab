"""Checkout.com's events: a payment's actions, and disputes with ids of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ops.simulated.step import PlayedPayment, Player, Step, What, hex_mac, json_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.sample.post import Post

NAME: Final = "checkout"
KINDS: Final = {
    What.FAILED: ("payment_declined",),
    What.AUTHORIZED: ("payment_approved",),
    What.CAPTURED: ("payment_captured",),
    What.REFUND_FAILED: ("payment_refund_declined",),
    What.REFUNDED: ("payment_refunded",),
    What.CANCELED: ("payment_voided",),
    What.EXPIRED: ("payment_expired",),
    What.DISPUTED: ("dispute_received", "dispute_evidence_required"),
    What.DISPUTE_WON: ("dispute_evidence_submitted", "dispute_won"),
    What.DISPUTE_LOST: ("dispute_evidence_submitted", "dispute_lost"),
}


def posts(payment: PlayedPayment, step: Step) -> Iterator[Post]:
    """Return the requests of a step; a pending refund has no action id, so none is sent for it."""
    for kind in KINDS.get(step.what, ()):
        own = f"evt_{len(payment.ids)}"
        event_id = payment.id(own, "evt_", 26)
        document = {
            "id": event_id,
            "type": kind,
            "version": "1.0.29",
            "timestamp": payment.at,
            "data": _data(payment, step, disputed=kind.startswith("dispute_")),
        }
        yield json_post(NAME, document, event_id)


def _data(payment: PlayedPayment, step: Step, *, disputed: bool) -> dict[str, Any]:
    shown = {"amount": step.amount, "currency": payment.currency}
    if disputed:
        return {"id": payment.id(step.child, "dsp_", 22), "payment_id": payment.ref, "category": "fraudulent"} | shown
    own = {"id": payment.ref, "action_id": payment.id(step.child, "act_", 26), "reference": payment.reference}
    return own | shown | {"processed_on": payment.at, "response_code": "10000"}


def seal(post: Post, secret: str, _url: str) -> dict[str, str]:
    """`Cko-Signature`: HMAC-SHA256 over the raw body, in hex (checkout.com/docs)."""
    return {"Cko-Signature": hex_mac(secret, post.body)}


PLAYER: Final = Player(NAME, lambda payment: payment.id("payment", "pay_", 26), posts, seal, whole=False)
