"""Shopify's topics: an order, its transactions, and disputes of Shopify Payments."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any, Final

from ops.simulated.step import PlayedPayment, Player, Step, What, base64_mac, json_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.sample.post import Post

NAME: Final = "shopify"
_REFUNDS: Final = {What.REFUND_PENDING: "pending", What.REFUND_FAILED: "failure", What.REFUNDED: "success"}
_DISPUTES: Final = {
    What.DISPUTED: ("disputes/create", "needs_response"),
    What.DISPUTE_WON: ("disputes/update", "won"),
    What.DISPUTE_LOST: ("disputes/update", "lost"),
}


def posts(payment: PlayedPayment, step: Step) -> Iterator[Post]:
    """Return the request of a step."""
    if step.what is What.CREATED:
        yield _post(payment, "orders/create", _order(payment))
    elif step.what is What.FAILED:
        yield _transaction(payment, step, "sale" if payment.automatic else "authorization", "failure")
    elif step.what is What.AUTHORIZED and not payment.automatic:
        yield _transaction(payment, step, "authorization", "success")
    elif step.what is What.CAPTURED:
        yield _transaction(payment, step, "sale" if payment.automatic else "capture", "success")
    elif step.what is What.CANCELED:
        yield _transaction(payment, step, "void", "success")
    elif step.what in _REFUNDS:
        yield _transaction(payment, step, "refund", _REFUNDS[step.what])
    elif step.what in _DISPUTES:
        topic, status = _DISPUTES[step.what]
        own = {"id": _number(payment, step.child), "order_id": int(payment.ref), "type": "chargeback"}
        yield _post(payment, topic, own | _money(payment, step.amount) | {"reason": "fraudulent", "status": status})


def _order(payment: PlayedPayment) -> dict[str, Any]:
    return {
        "id": int(payment.ref),
        "name": f"#{payment.reference}",
        "currency": payment.currency,
        "total_price": payment.major(payment.amount),
        "financial_status": "pending",
        "updated_at": payment.at,
    } | _mode(payment)


def _transaction(payment: PlayedPayment, step: Step, kind: str, status: str) -> Post:
    own = "authorization" if (kind, status) == ("authorization", "success") else step.child
    parent = _number(payment, "authorization") if kind in ("capture", "void") else None
    thing = {"id": _number(payment, own), "order_id": int(payment.ref), "kind": kind, "status": status,
             "parent_id": parent, "processed_at": payment.at, "gateway": "shopify_payments"}  # fmt: skip
    return _post(payment, "order_transactions/create", thing | _money(payment, step.amount) | _mode(payment))


def _mode(payment: PlayedPayment) -> dict[str, bool]:
    return {"test": True} if payment.is_test else {}


def _money(payment: PlayedPayment, amount: int) -> dict[str, str]:
    return {"amount": payment.major(amount), "currency": payment.currency}


def _number(payment: PlayedPayment, name: str) -> int:
    return int(payment.id(name, "6", 12, string.digits))


def _post(payment: PlayedPayment, topic: str, thing: dict[str, Any]) -> Post:
    event_id = payment.id(f"event {len(payment.ids)}", "", 32)
    return json_post(NAME, thing, event_id, message_id=event_id, kind=topic)


def seal(post: Post, secret: str, _url: str) -> dict[str, str]:
    """`X-Shopify-Hmac-SHA256`: HMAC-SHA256 over the raw body, in base64; id and topic are headers (shopify.dev)."""
    return {
        "X-Shopify-Hmac-SHA256": base64_mac(secret, post.body),
        "X-Shopify-Event-Id": post.message_id,
        "X-Shopify-Topic": post.kind,
    }


PLAYER: Final = Player(
    NAME,
    lambda payment: payment.id("payment", "8", 12, string.digits),
    posts,
    seal,
    cannot={"expired": "Shopify voids an authorization that ran out as it does a canceled one: play canceled"},
    whole=False,
    signs_mode=True,
    disputes_have_mode=False,
)
