"""Mollie's next-generation webhooks: signed, with the whole entity in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ops.simulated.step import PlayedPayment, Player, Step, What, hex_mac, json_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.sample.post import Post

NAME: Final = "mollie"
_PAYMENTS: Final = {
    What.FAILED: "failed",
    What.AUTHORIZED: "authorized",
    What.CAPTURED: "paid",
    What.CANCELED: "canceled",
    What.EXPIRED: "expired",
}
_CHILDREN: Final = {
    What.REFUND_PENDING: ("refund", "pending"),
    What.REFUND_FAILED: ("refund", "failed"),
    What.REFUNDED: ("refund", "refunded"),
    What.DISPUTED: ("chargeback", "received"),
    What.DISPUTE_WON: ("chargeback", "reversed"),
}
_PREFIXES: Final = {"refund": "re_", "chargeback": "chb_"}


def posts(payment: PlayedPayment, step: Step) -> Iterator[Post]:
    """Return the request of a step; of a chargeback that stays Mollie sends nothing more."""
    if step.what in _PAYMENTS and not (step.what is What.AUTHORIZED and payment.automatic):
        status = _PAYMENTS[step.what]
        yield _post(payment, f"payment.{status}", _payment(payment, status))
    elif step.what in _CHILDREN:
        resource, status = _CHILDREN[step.what]
        own = {"resource": resource, "id": payment.id(step.child, _PREFIXES[resource], 10), "paymentId": payment.ref}
        yield _post(payment, f"{resource}.{status}", own | {"amount": _money(payment, step.amount), "mode": "test"})


def _payment(payment: PlayedPayment, status: str) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "resource": "payment",
        "id": payment.ref,
        "mode": "test",
        "createdAt": payment.at,
        "amount": _money(payment, payment.amount),
        "method": "creditcard",
        "metadata": {"order_id": payment.reference},
        "captureMode": "automatic" if payment.automatic else "manual",
        "status": status,
    }
    if payment.captured and not payment.automatic:
        shown["amountCaptured"] = _money(payment, payment.captured)
    return shown


def _money(payment: PlayedPayment, amount: int) -> dict[str, str]:
    return {"value": payment.major(amount), "currency": payment.currency}


def _post(payment: PlayedPayment, kind: str, entity: dict[str, Any]) -> Post:
    event_id = payment.id(f"event {len(payment.ids)}", "event_", 21)
    document = {"resource": "event", "id": event_id, "type": kind, "entityId": entity["id"], "createdAt": payment.at}
    return json_post(NAME, document | {"_embedded": {"entity": entity}}, event_id)


def seal(post: Post, secret: str, _url: str) -> dict[str, str]:
    """`X-Mollie-Signature`: HMAC-SHA256 over the raw body, in hex after `sha256=` (docs.mollie.com)."""
    return {"X-Mollie-Signature": f"sha256={hex_mac(secret, post.body)}"}


PLAYER: Final = Player(
    NAME,
    lambda payment: payment.id("payment", "tr_", 10),
    posts,
    seal,
    cannot={
        "multicapture": "Mollie's payment.paid says what was captured in all, once",
        "second-try": "a payment of Mollie's is one try; the next one is another payment",
    },
    signs_mode=True,
    lost="open",
)
