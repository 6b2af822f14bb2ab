"""Flutterwave's events, version 4: charges under the merchant's reference, and their refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ops.simulated.step import PlayedPayment, Player, Step, What, base64_mac, json_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.sample.post import Post

NAME: Final = "flutterwave"
_CHARGES: Final = {What.FAILED: "failed", What.CAPTURED: "succeeded"}
_REFUNDS: Final = {What.REFUND_FAILED: "failed", What.REFUNDED: "succeeded"}


def posts(payment: PlayedPayment, step: Step) -> Iterator[Post]:
    """Return the request of a step."""
    data: dict[str, Any] = {"currency": payment.currency, "reference": payment.ref, "created_datetime": payment.at}
    if step.what in _CHARGES:
        own = step.child if step.what is What.FAILED else "charge"
        data |= {"id": payment.id(own, "chg_", 10), "amount": float(payment.major(payment.amount)),
                 "status": _CHARGES[step.what], "meta": {"order_id": payment.reference}}  # fmt: skip
        yield _post(payment, "charge.completed", data)
    elif step.what in _REFUNDS:
        data |= {"id": payment.id(step.child, "rfd_", 10), "charge_id": payment.id("charge", "chg_", 10),
                 "amount_refunded": float(payment.major(step.amount)), "status": _REFUNDS[step.what]}  # fmt: skip
        yield _post(payment, "refund.completed", data)


def _post(payment: PlayedPayment, kind: str, data: dict[str, Any]) -> Post:
    event_id = payment.id(f"event {len(payment.ids)}", "wbk_", 13)
    document = {"webhook_id": event_id, "timestamp": payment.now * 1000, "type": kind, "data": data}
    return json_post(NAME, document, event_id)


def seal(post: Post, secret: str, _url: str) -> dict[str, str]:
    """`flutterwave-signature`: HMAC-SHA256 over the raw body, in base64 (developer.flutterwave.com)."""
    return {"flutterwave-signature": base64_mac(secret, post.body)}


_TAKEN: Final = "Flutterwave takes a charge at once and whole; of authorized orders it documents no event"
_DISPUTES: Final = "Flutterwave's chargebacks name no currency, so that a played one has no sum"
PLAYER: Final = Player(
    NAME,
    lambda payment: payment.id("payment", "order-", 16),
    posts,
    seal,
    cannot={
        **dict.fromkeys(("authorized", "multicapture", "partial", "canceled", "expired"), _TAKEN),
        **dict.fromkeys(("disputed", "dispute-won"), _DISPUTES),
    },
    currency="NGN",
)
