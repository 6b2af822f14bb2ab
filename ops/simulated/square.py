"""Square's events: a payment as it stands, its refunds and its disputes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ops.simulated.step import PlayedPayment, Player, Step, What, base64_mac, json_post

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ops.sample.post import Post

NAME: Final = "square"
MERCHANT: Final = "MLSIMULATED00"
_PAYMENTS: Final = {
    What.CREATED: ("payment.created", "PENDING"),
    What.FAILED: ("payment.updated", "FAILED"),
    What.AUTHORIZED: ("payment.updated", "APPROVED"),
    What.CAPTURED: ("payment.updated", "COMPLETED"),
    What.CANCELED: ("payment.updated", "CANCELED"),
}
_CHILDREN: Final = {
    What.REFUND_PENDING: ("refund.created", "PENDING"),
    What.REFUND_FAILED: ("refund.updated", "FAILED"),
    What.REFUNDED: ("refund.updated", "COMPLETED"),
    What.DISPUTED: ("dispute.created", "EVIDENCE_REQUIRED"),
    What.DISPUTE_WON: ("dispute.state.updated", "WON"),
    What.DISPUTE_LOST: ("dispute.state.updated", "LOST"),
}


def posts(payment: PlayedPayment, step: Step) -> Iterator[Post]:
    """Return the request of a step."""
    if step.what in _PAYMENTS:
        kind, status = _PAYMENTS[step.what]
        yield _post(payment, kind, payment.ref, _payment(payment, status))
    elif step.what in _CHILDREN:
        kind, status = _CHILDREN[step.what]
        own, money = payment.id(step.child, f"{payment.ref}_", 8), _money(payment, step.amount)
        named = (
            {"id": own, "payment_id": payment.ref, "status": status, "amount_money": money}
            if kind.startswith("refund")
            else {"id": own, "disputed_payment": {"payment_id": payment.ref}, "state": status, "amount_money": money}
        )
        yield _post(payment, kind, own, named)


def _payment(payment: PlayedPayment, status: str) -> dict[str, Any]:
    money = _money(payment, payment.amount)
    return {
        "id": payment.ref,
        "updated_at": payment.at,
        "amount_money": money,
        "total_money": money,
        "status": status,
        "source_type": "CARD",
        "reference_id": payment.reference,
    }


def _money(payment: PlayedPayment, amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": payment.currency}


def _post(payment: PlayedPayment, kind: str, own: str, thing: dict[str, Any]) -> Post:
    event_id, name = payment.id(f"event {len(payment.ids)}", "", 32), kind.partition(".")[0]
    data = {"type": name, "id": own, "object": {name: thing}}
    document = {"merchant_id": MERCHANT, "type": kind, "event_id": event_id, "created_at": payment.at, "data": data}
    return json_post(NAME, document, event_id)


def seal(post: Post, secret: str, url: str) -> dict[str, str]:
    """`x-square-hmacsha256-signature`: HMAC-SHA256 over URL and raw body, in base64 (developer.squareup.com)."""
    return {"x-square-hmacsha256-signature": base64_mac(secret, url.encode() + post.body)}


_WHOLE: Final = "Square completes a payment once, whole"
PLAYER: Final = Player(
    NAME,
    lambda payment: payment.id("payment", "", 29),
    posts,
    seal,
    cannot={
        "multicapture": _WHOLE,
        "partial": _WHOLE,
        "second-try": "a payment of Square's is one try; the next one is another payment",
        "expired": "Square cancels a payment that nobody completed in time: play canceled",
    },
    currency="USD",
    merchant_account=MERCHANT,
)
