"""Acme, an invented provider: a keyed hash over the raw body, and two kinds.

Signed: the raw body; `acme-signature: <hex HMAC-SHA256>`. Identity: `id`, `type`, `payment`.
"""

from __future__ import annotations

from typing import Final

from providers.core.body_mac import check_body_mac
from providers.core.contract import Notification, Provider, SignedRequest
from providers.core.meaning import need_amount, need_currency, need_id, refs_of
from providers.core.payments import captured, need_kind, read_event, refund, terms, unread_kind
from providers.core.proof import hmac_hex
from providers.core.reading import read_json, text_at
from schemas.facts import Meaning, RefKind


def verify(request: SignedRequest) -> list[Notification]:
    """Check `acme-signature` over the raw body; return the one event."""
    check_body_mac(request, "acme-signature", hmac_hex)
    event = read_json(request.body)
    return [Notification(text_at(event, "id"), text_at(event, "type"), text_at(event, "payment"), request.body)]


def interpret(kind: str, body: bytes) -> Meaning:
    """Return what an event says."""
    event = read_event(body)
    need_kind(event.get("type"), kind)
    if kind not in ("payment.paid", "payment.refunded"):
        return unread_kind(kind, ("payment.",))
    key, amount = need_id(event.get("payment"), "payment"), need_amount(event.get("amount"), "amount")
    currency = need_currency(event.get("currency"), "currency")
    if kind == "payment.paid":
        facts = (terms(key, amount), captured(key, amount, authorization=key))
        named = refs_of((RefKind.PAYMENT, key))
        return Meaning(named, facts, opens=True, currency=currency, amount=amount, provider_ref=key)
    own = need_id(event.get("refund"), "refund")
    refs = refs_of((RefKind.PAYMENT, key), (RefKind.REFUND, own))
    given_back = refund(own, "succeeded", amount, payment=key)
    return Meaning(refs, (given_back,), currency=currency, amount=amount, provider_ref=key)


PROVIDER: Final = Provider("acme", verify, interpret)
