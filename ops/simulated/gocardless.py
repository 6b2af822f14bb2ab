"""GoCardless' events: what happened to a payment, without amounts; the life begins with an intent, which has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ops.simulated.step import PlayedPayment, Player, Step, What, hex_mac, json_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.sample.post import Post

NAME: Final = "gocardless"
ACTIONS: Final = {
    What.CREATED: ("created", "submitted"),
    What.FAILED: ("failed", "resubmission_requested"),
    What.CAPTURED: ("confirmed", "paid_out"),
    What.CANCELED: ("cancelled",),
    What.DISPUTED: ("charged_back",),
    What.DISPUTE_WON: ("chargeback_cancelled",),
}


def posts(payment: PlayedPayment, step: Step) -> Iterator[Post]:
    """Return the requests of a step, one an event; a debit that fails for good is not submitted again."""
    actions = ACTIONS.get(step.what, ())
    for action in actions[:1] if step.what is What.FAILED and payment.ends_failed else actions:
        event_id = payment.id(f"event {action} {step.child}", "EV", 12)
        event = {
            "id": event_id,
            "created_at": payment.at.replace("Z", f".{len(payment.ids):03}Z"),
            "resource_type": "payments",
            "action": action,
            "links": {"payment": payment.ref},
            "resource_metadata": {"order_id": payment.reference},
        }
        yield json_post(NAME, {"events": [event]}, event_id)


def seal(post: Post, secret: str, _url: str) -> dict[str, str]:
    """`Webhook-Signature`: HMAC-SHA256 over the raw body, in hex (developer.gocardless.com)."""
    return {"Webhook-Signature": hex_mac(secret, post.body)}


_WHOLE: Final = "GoCardless collects a payment whole, and holds nothing before"
_REFUNDS: Final = "GoCardless' events of refunds name neither payment nor amount: Ratchet reads both at its API"
PLAYER: Final = Player(
    NAME,
    lambda payment: payment.id("payment", "PM", 12),
    posts,
    seal,
    cannot={
        **dict.fromkeys(("authorized", "multicapture", "partial", "expired"), _WHOLE),
        **dict.fromkeys(("refunded", "refunded-late", "refund-failed"), _REFUNDS),
    },
    lost="open",
    by_intent=True,
)
