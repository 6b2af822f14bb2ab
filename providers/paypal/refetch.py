"""PayPal read again at its API, with a token that is granted for the client's id and secret.

An order, with what it lists, or an authorization, a capture, a refund, a dispute by its own id: checkout_orders_v2
2.13, payments_payment_v2 2.5 and customer_disputes_v1 1.10 of PayPal's API specifications. An id does not show what it
is of, so all but orders are asked about by the kind of their reference. A payment of version 1 (PAY-.., PAYID-..) shows
all that became of it (payments_payment_v1 1.12, `related_resources`).

A sale of a subscription belongs to no payment. Its names, one id as payment and as capture, are those of a capture
that names no order too, so both are asked about as what version 2 has, and where that is not known as a sale; a refund
so as one of version 1. payments_payment_v1 calls both calls deprecated, and shows "only sales that were created through
the REST API"; that those of subscriptions are among them paypal/PayPal-Python-SDK#187 tells. Disputes of several
payments are not asked about.
"""

from __future__ import annotations

import re
from typing import Any, Final

from msgspec.structs import replace

from providers.core.meaning import need_id, refs_of
from providers.core.objects import CAPTURES, CHARGES, DISPUTES, REFUNDS, ApiObject, ObjectsApi, by_token
from providers.core.payments import attempt, ended, need_state, summed, terms
from providers.core.reading import value_at
from providers.core.refetch import DAY, HOUR, OPEN_DISPUTES, Watch, merged
from providers.paypal import disputes
from providers.paypal.meaning import meaning_of
from providers.paypal.orders import part_of, read_order
from providers.paypal.payees import parts_of
from providers.paypal.recall import GRANT
from providers.paypal.resource import Resource, listed, maybe_money, reference_of
from schemas.facts import Meaning, Ref, RefKind

_ORDER_IDS: Final = re.compile("(?!PAY)[A-Za-z0-9]{1,40}")
_IDS: Final = re.compile("[A-Za-z0-9-]{1,60}")
_PAYMENT_IDS: Final = re.compile("PAY(?:ID)?-[A-Za-z0-9]{1,60}")
_ORDERS: Final = {
    **dict.fromkeys(("CREATED", "SAVED", "APPROVED", "PAYER_ACTION_REQUIRED", "VOIDED"), "CHECKOUT.ORDER.APPROVED"),
    "COMPLETED": "CHECKOUT.ORDER.COMPLETED",
}
_AUTHORIZATIONS: Final = {
    **dict.fromkeys(("CREATED", "CAPTURED", "PARTIALLY_CAPTURED"), "PAYMENT.AUTHORIZATION.CREATED"),
    **dict.fromkeys(("VOIDED", "DENIED"), "PAYMENT.AUTHORIZATION.VOIDED"),
    "PENDING": "",
}
_CAPTURES: Final = {
    **dict.fromkeys(("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"), "PAYMENT.CAPTURE.COMPLETED"),
    **dict.fromkeys(("DECLINED", "FAILED"), "PAYMENT.CAPTURE.DENIED"),
    "PENDING": "PAYMENT.CAPTURE.PENDING",
}
"""The webhook that says what a status says."""
_UNTAKEN: Final = ("PENDING", "DECLINED", "FAILED")


def _meaning_of_order(order: Resource, body: bytes, event_id: str) -> Meaning:
    """Read an order with its children: what its own events tell of it, and what has come undone or is on its way.

    Of one of several payees it is the part of the payee whom the event's id names.
    """
    kind = need_state(_ORDERS, order.get("status"), "status")
    whole = summed(read_order(order, kind, body, event_id))
    if order.get("status") == "VOIDED":
        return replace(whole, facts=(*whole.facts, ended(str(whole.provider_ref), "canceled")))
    part, several = part_of(order, body, event_id)
    units = [value_at(unit, "payments") for unit in part.units]
    related = {"supplementary_data": {"related_ids": {"order_id": whole.provider_ref}}}
    children = [
        *(_meaning_of_authorization({**one, **related}) for one in _children(units, "authorizations", ("VOIDED",))),
        *(_meaning_of_capture({**one, **related}) for one in _children(units, "captures", _UNTAKEN)),
        *(_meaning_of_refund({**one, **related}) for one in _children(units, "refunds")),
    ]
    found = merged(whole, *children)
    as_whole = Ref(RefKind.SESSION, str(whole.provider_ref))
    return replace(found, refs=tuple(ref for ref in found.refs if ref != as_whole)) if several else found


def _payees_of(order: object) -> tuple[str, ...]:
    """Return the labels of an order's parts: an answer is an event of each of them."""
    return tuple(part.label for part in parts_of(order)) if isinstance(order, dict) else ()


def _children(units: list[Any], name: str, statuses: tuple[str, ...] = ()) -> list[Resource]:
    found = [one for unit in units for one in listed(value_at(unit, name))]
    return [one for one in found if not statuses or one.get("status") in statuses]


def _meaning_of_authorization(resource: Resource) -> Meaning:
    """Read an authorization; one that was voided had reserved its amount before."""
    kind = need_state(_AUTHORIZATIONS, resource.get("status"), "status")
    if resource.get("status") == "VOIDED":
        return merged(meaning_of("PAYMENT.AUTHORIZATION.CREATED", resource), meaning_of(kind, resource))
    return meaning_of(kind, resource) if kind else Meaning()


def _meaning_of_capture(resource: Resource) -> Meaning:
    return meaning_of(need_state(_CAPTURES, resource.get("status"), "status"), resource)


def _meaning_of_refund(resource: Resource) -> Meaning:
    return meaning_of("PAYMENT.CAPTURE.REFUNDED", resource)


# --- version 1 ---------------------------------------------------------------------------------------------------

_PAYMENTS: Final = {
    **dict.fromkeys(("created", "approved", "in_progress", "partially_completed"), "created"),
    "failed": "failed",
}
_TAKEN: Final = {
    **dict.fromkeys(("completed", "partially_refunded", "refunded"), "COMPLETED"),
    "pending": "PENDING",
    "denied": "DENIED",
}
_HELD: Final = {
    **dict.fromkeys(("authorized", "captured", "partially_captured"), "CREATED"),
    **dict.fromkeys(("voided", "expired"), "CREATED VOIDED"),
    "denied": "VOIDED",
    "pending": "",
}
"""The webhooks that say what a state says."""


def _meaning_of_payment(payment: Resource) -> Meaning:
    """Read a payment of version 1 with its sales, authorizations, captures and refunds."""
    key = need_id(payment.get("id"), "id")
    state = need_state(_PAYMENTS, payment.get("state"), "state")
    transactions = listed(payment.get("transactions"))
    sums = [maybe_money(one.get("amount"), "transactions.amount") for one in transactions]
    currencies = {currency for _, currency in sums}
    total = sum(amount for amount, _ in sums)
    whole = Meaning(
        refs=refs_of(
            (RefKind.PAYMENT, key),
            (RefKind.REFERENCE, reference_of(transactions[0]) if len(transactions) == 1 else None),
        ),
        facts=(terms(key, total), attempt(key, state)),
        opens=True,
        currency=currencies.pop() if len(currencies) == 1 else None,
        amount=total,
        provider_ref=key,
    )
    related = [one for transaction in transactions for one in listed(transaction.get("related_resources"))]
    return merged(summed(whole), *(meaning for one in related for meaning in _meaning_of_related(key, one)))


def _meaning_of_related(payment: str, related: Resource) -> list[Meaning]:
    """Return what the one resource says that `related` names; an order of version 1 says nothing by itself."""
    meanings: list[Meaning] = []
    for name, resource in related.items():
        if not isinstance(resource, dict):
            continue
        own = {**resource, "parent_payment": payment}
        if name in ("sale", "capture"):
            meanings.append(meaning_of(f"PAYMENT.{name.upper()}.{need_state(_TAKEN, own.get('state'), 'state')}", own))
        elif name == "authorization":
            words = need_state(_HELD, own.get("state"), "state")
            over = {"update_time": own.get("valid_until")} if own.get("state") == "expired" else {}
            meanings += [meaning_of(f"PAYMENT.AUTHORIZATION.{word}", {**own, **over}) for word in words.split()]
        elif name == "refund":
            meanings.append(meaning_of("PAYMENT.SALE.REFUNDED", own))
    return meanings


def _meaning_of_sale(sale: Resource) -> Meaning:
    """Read a sale of version 1 as its events do; what was given back of it has an id of its own."""
    return meaning_of(f"PAYMENT.SALE.{need_state(_TAKEN, sale.get('state'), 'state')}", sale)


def _meaning_of_sale_refund(refund: Resource) -> Meaning:
    return meaning_of("PAYMENT.SALE.REFUNDED", refund)


def _meaning_of_dispute(resource: Resource) -> Meaning:
    return disputes.read_dispute(resource, disputes.updated(resource), b"", "")


WATCHES: Final = (
    Watch(
        statuses=("created", "processing"),
        after=3 * HOUR,
        every=6 * HOUR,
        until=7 * DAY,
        source="checkout_orders_v2: an order waits for its payer, and for its merchant once it is approved",
        guess="until",
    ),
    Watch(
        statuses=("processing",),
        child=RefKind.CAPTURE,
        after=1 * DAY,
        every=1 * DAY,
        until=45 * DAY,
        source="payments_payment_v2, capture_status_details: an eCheck, a review",
        guess="until",
    ),
    Watch(
        statuses=("authorized",),
        child=RefKind.CHARGE,
        after=3 * DAY,
        every=1 * DAY,
        until=32 * DAY,
        source="developer.paypal.com/payment-methods/auth-honor (2026-07-08): valid for 29 days, honored for 3",
    ),
    Watch(
        statuses=("authorized",),
        after=3 * DAY,
        every=3 * DAY,
        until=32 * DAY,
        source="auth-honor: 29 days; payments_payment_v1 shows an authorization in its payment",
    ),
    Watch(
        refunds=("pending",),
        child=RefKind.REFUND,
        after=3 * DAY,
        every=1 * DAY,
        until=60 * DAY,
        source="payments_payment_v2, refund_status_details: an eCheck",
        guess="until",
    ),
    Watch(
        refunds=("pending",),
        after=3 * DAY,
        every=3 * DAY,
        until=60 * DAY,
        source="payments_payment_v1 shows a refund in its payment",
        guess="until",
    ),
    Watch(
        disputes=OPEN_DISPUTES,
        child=RefKind.DISPUTE,
        after=7 * DAY,
        every=7 * DAY,
        until=365 * DAY,
        source="customer_disputes_v1: `seller_response_due_date` ends the seller's part alone",
        guess="until",
    ),
)

_ORDER_AT: Final = ("supplementary_data", "related_ids", "order_id")
_SALES: Final = "sale:"
_SALE_REFUNDS: Final = "sale_refund:"

_API: Final = ObjectsApi(
    (
        ApiObject(
            "authorization",
            _IDS,
            "/v2/payments/authorizations/{id}",
            _meaning_of_authorization,
            prefix=CHARGES,
            payment_at=_ORDER_AT,
        ),
        ApiObject(
            "capture",
            _IDS,
            "/v2/payments/captures/{id}",
            _meaning_of_capture,
            prefix=CAPTURES,
            payment_at=_ORDER_AT,
            instead=_SALES,
        ),
        ApiObject(
            "refund",
            _IDS,
            "/v2/payments/refunds/{id}",
            _meaning_of_refund,
            prefix=REFUNDS,
            payment_at=_ORDER_AT,
            instead=_SALE_REFUNDS,
        ),
        ApiObject(
            "dispute",
            _IDS,
            "/v1/customer/disputes/{id}",
            _meaning_of_dispute,
            prefix=DISPUTES,
            id_at=("dispute_id",),
        ),
        ApiObject("sale", _IDS, "/v1/payments/sale/{id}", _meaning_of_sale, prefix=_SALES),
        ApiObject("sale_refund", _IDS, "/v1/payments/refund/{id}", _meaning_of_sale_refund, prefix=_SALE_REFUNDS),
        ApiObject(
            "order",
            _ORDER_IDS,
            "/v2/checkout/orders/{id}",
            _meaning_of_order,
            parts=_payees_of,
            instead=_SALES,
        ),
        ApiObject("payment", _PAYMENT_IDS, "/v1/payments/payment/{id}", _meaning_of_payment),
    ),
    by_token,
)

REFETCH: Final = _API.refetch("https://api-m.paypal.com", watches=WATCHES, needs=("secret",), grant=GRANT)
