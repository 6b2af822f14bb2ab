"""Paystack's events: one transaction a payment, or a preauthorization that is captured or released."""

from __future__ import annotations

import hashlib
import hmac
import string
from typing import TYPE_CHECKING, Any, Final

from ops.simulated.step import PlayedPayment, Player, Step, What, json_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.sample.post import Post

NAME: Final = "paystack"
DAY: Final = 86_400
_REFUNDS: Final = {
    What.REFUND_PENDING: "refund.pending",
    What.REFUND_FAILED: "refund.failed",
    What.REFUNDED: "refund.processed",
}
_DISPUTES: Final = {
    What.DISPUTED: ("charge.dispute.create", "awaiting-merchant-feedback", None),
    What.DISPUTE_WON: ("charge.dispute.resolve", "resolved", "declined"),
    What.DISPUTE_LOST: ("charge.dispute.resolve", "resolved", "merchant-accepted"),
}


def posts(payment: PlayedPayment, step: Step) -> Iterator[Post]:
    """Return the request of a step."""
    found = _event(payment, step)
    if found is None:
        return
    kind, data = found
    document = {"event": kind, "data": {"domain": "test", "currency": payment.currency} | data}
    yield json_post(NAME, document, f"{kind}:{data.get('id') or data['refund_reference']}")


def _event(payment: PlayedPayment, step: Step) -> tuple[str, dict[str, Any]] | None:
    """Return the kind and the data of a step; None where Paystack sends nothing."""
    own: dict[str, Any]
    if step.what in _REFUNDS:
        own = {"refund_reference": payment.id(step.child, "TRF_", 15), "transaction_reference": payment.ref}
        return _REFUNDS[step.what], own | {"amount": str(step.amount), "status": _REFUNDS[step.what].partition(".")[2]}
    if step.what in _DISPUTES:
        kind, status, resolution = _DISPUTES[step.what]
        own = {"id": int(_number(payment, step.child)), "refund_amount": step.amount}
        transaction = {"transaction": _transaction(payment, "success")}
        return kind, own | {"status": status, "resolution": resolution} | transaction
    if step.what is What.FAILED:
        own = {"id": int(_number(payment, step.child)), "gateway_response": "Declined"}
        return "charge.failed", _transaction(payment, "failed") | own
    if payment.automatic:
        own = {"id": int(_number(payment, "transaction")), "paid_at": payment.at}
        return ("charge.success", _transaction(payment, "success") | own) if step.what is What.CAPTURED else None
    return _held(payment, step)


def _held(payment: PlayedPayment, step: Step) -> tuple[str, dict[str, Any]] | None:
    hold = {"id": int(_number(payment, "hold")), "reference": payment.ref, "amount": payment.amount,
            "metadata": {"order_id": payment.reference}}  # fmt: skip
    if step.what is What.AUTHORIZED:
        return "preauthorization.reserve.success", hold | {"status": "reserved"}
    if step.what is What.CAPTURED:
        taken = {"status": "captured", "captured_amount": step.amount, "captured_at": payment.at}
        return "preauthorization.capture.success", hold | taken | {"transaction": _transaction(payment, "success")}
    if step.what in (What.CANCELED, What.EXPIRED):
        until = payment.at if step.what is What.EXPIRED else "2099-01-01T00:00:00Z"
        ended = {"status": "released", "expired_at": payment.at, "expiry_date": until}
        return "preauthorization.release.success", hold | ended
    return None


def _transaction(payment: PlayedPayment, status: str) -> dict[str, Any]:
    return {"reference": payment.ref, "amount": payment.amount, "currency": payment.currency, "status": status,
            "metadata": {"order_id": payment.reference}}  # fmt: skip


def _number(payment: PlayedPayment, name: str) -> str:
    return payment.id(name, "4", 9, string.digits)


def seal(post: Post, secret: str, _url: str) -> dict[str, str]:
    """`x-paystack-signature`: HMAC-SHA512 over the raw body, in hex, with the secret API key (paystack.com/docs)."""
    return {"X-Paystack-Signature": hmac.digest(secret.encode(), post.body, hashlib.sha512).hex()}


PLAYER: Final = Player(
    NAME,
    lambda payment: payment.id("payment", "txn-", 16),
    posts,
    seal,
    cannot={"multicapture": "Paystack captures a preauthorization once"},
    currency="NGN",
    signs_mode=True,
)
