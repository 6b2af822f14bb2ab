"""Braintree's notifications: a form with XML in base64, signed by a key pair."""

from __future__ import annotations

import base64
import hashlib
import hmac
import string
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlencode

from ops.sample.post import Post, SampleEvent
from ops.simulated.step import PlayedPayment, Player, Step, What

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "braintree"
FORM: Final = "application/x-www-form-urlencoded"
MERCHANT: Final = "simulated_merchant"
ALPHABET: Final = string.ascii_lowercase + string.digits
_DISPUTES: Final = {
    What.DISPUTED: "dispute_opened",
    What.DISPUTE_WON: "dispute_won",
    What.DISPUTE_LOST: "dispute_lost",
}


def posts(payment: PlayedPayment, step: Step) -> Iterator[Post]:
    """Return the request of a step: what is paid out, charges of a subscription that failed, credits, disputes."""
    if step.what is What.FAILED:
        sale = _transaction(payment, payment.ref, "sale", payment.amount, "processor_declined")
        named = _element("id", payment.id("subscription", "", 6, ALPHABET))
        subscription = _element("subscription", named + _element("transactions", sale))
        own = f"{payment.id('subscription')}:{payment.ref}"
        yield _post(payment, "subscription_charged_unsuccessfully", subscription, own)
    elif step.what is What.CAPTURED:
        sale = _transaction(payment, payment.ref, "sale", step.amount, "paid_out")
        yield _post(payment, "transaction_disbursed", sale, payment.ref)
    elif step.what in (What.REFUNDED, What.REFUND_FAILED):
        own = payment.id(step.child, "", 8, ALPHABET)
        credit = _transaction(payment, own, "credit", step.amount, "paid_out", refunded=payment.ref)
        kind = "transaction_disbursed" if step.what is What.REFUNDED else "refund_failed"
        yield _post(payment, kind, credit, own)
    elif step.what in _DISPUTES:
        own = payment.id(step.child, "", 8, ALPHABET)
        sum_ = _element("amount-disputed", payment.major(step.amount)) + _element("currency-iso-code", payment.currency)
        about = _element("transaction", _element("id", payment.ref) + _element("order-id", payment.reference))
        whose = _element("merchant-account-id", MERCHANT)
        dispute = _element("id", own) + sum_ + _element("kind", "chargeback") + whose + about
        yield _post(payment, _DISPUTES[step.what], _element("dispute", dispute), own)


def _element(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"


def _transaction(  # noqa: PLR0913, PLR0917 - what a transaction shows
    payment: PlayedPayment, own: str, type_: str, amount: int, status: str, refunded: str | None = None
) -> str:
    shown = {
        "id": own,
        "status": status,
        "type": type_,
        "currency-iso-code": payment.currency,
        "amount": payment.major(amount),
        "order-id": payment.reference,
        "merchant-account-id": MERCHANT,
    } | ({"refunded-transaction-id": refunded} if refunded else {})
    return _element("transaction", "".join(_element(name, text) for name, text in shown.items()))


def _post(payment: PlayedPayment, kind: str, subject: str, own: str) -> Post:
    shown = _element("timestamp", payment.at) + _element("kind", kind) + _element("subject", subject)
    payload = base64.encodebytes(_element("notification", shown).encode()).decode()
    return Post(NAME, urlencode({"bt_payload": payload}).encode(), (SampleEvent(NAME, f"{kind}:{own}"),))


def signature_of(body: bytes, secret: str) -> bytes:
    """Return the field `bt_signature`: HMAC-SHA1 in hex over the payload's text (Braintree's Python SDK)."""
    public, _, private = secret.partition("|")
    payload = parse_qs(body.decode())["bt_payload"][0].encode()
    key = hashlib.sha1(private.encode(), usedforsecurity=False).digest()
    return urlencode({"bt_signature": f"{public}|{hmac.digest(key, payload, hashlib.sha1).hex()}"}).encode()


_TAKEN: Final = "Braintree sends no webhook of an authorization: the first that it sends is of money that is paid out"
PLAYER: Final = Player(
    NAME,
    lambda payment: payment.id("payment", "", 8, ALPHABET),
    posts,
    lambda _post, _secret, _url: {"Content-Type": FORM},
    cannot={
        **dict.fromkeys(("authorized", "multicapture", "partial", "canceled", "expired"), _TAKEN),
        "second-try": "Braintree's next try is another transaction, and no webhook says that it is of the same payment",
    },
    needs_pair=True,
    merchant_account=MERCHANT,
    signed_field=signature_of,
)
