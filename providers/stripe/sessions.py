"""What Stripe's Checkout sessions and invoices mean: they become payments, and their ids are names of those.

A session has one PaymentIntent at most, an invoice of ours is paid by one as a rule; several that pay one invoice are
one payment in parts. The PaymentIntent carries none of their metadata, so nothing but their own events ties the two. A
subscription has many invoices: its id is for looking up alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from providers.core.meaning import id_or_none, maybe_time, need_currency, need_id, refs_of
from providers.core.payments import Facts, attempt, captured, ended, terms
from providers.core.reading import value_at
from providers.stripe.things import StripeEvent, Thing, asked_of, id_of, name_of, reference_of, version_of
from schemas.facts import Meaning, Ref, RefKind

if TYPE_CHECKING:
    from collections.abc import Callable

_SESSION_STATES: Final = {
    "checkout.session.completed": "created",
    "checkout.session.async_payment_succeeded": "created",
    "checkout.session.async_payment_failed": "failed",
}
SESSION_KINDS: Final = tuple(_SESSION_STATES)
INVOICE_KINDS: Final = ("invoice.paid", "invoice.payment_succeeded", "invoice.payment_failed")


def read_session(kind: str) -> Callable[[StripeEvent, Thing], Meaning]:
    """Read a Checkout session; one of amount 0, or that only keeps a card, becomes no payment."""

    def read(event: StripeEvent, session: Thing) -> Meaning:
        own, intent = need_id(session.id, "data.object.id"), id_of(session.payment_intent, "payment_intent")
        invoice = name_of(session.invoice)
        payment = intent or invoice
        if payment is None or session.amount_total == 0:
            return Meaning()
        total, currency = asked_of(session)
        version = version_of(event)
        failed = _SESSION_STATES[kind] == "failed"
        facts: Facts = (attempt(payment, _SESSION_STATES[kind], version=version if failed else 0),)
        if intent:
            facts += (terms(intent, total, version=version),)
            # "The payment funds are available in your account"
            paid = session.payment_status == "paid" and currency is not None
            facts += (captured(intent, total, authorization=intent),) if paid else ()
        return Meaning(
            refs=_names(session, own, intent, invoice),
            facts=facts,
            opens=True,
            currency=currency,
            amount=total,
            provider_ref=payment,
            occurred_at=maybe_time(event.created),
        )

    return read


def _names(session: Thing, own: str, intent: str | None, invoice: str | None) -> tuple[Ref, ...]:
    """Return the names of a session's payment; a client may have promised it by any of them."""
    return refs_of(
        (RefKind.PAYMENT, intent),
        (RefKind.PAYMENT, invoice),
        (RefKind.PAYMENT, own),
        (RefKind.SHARED, name_of(session.subscription)),
        (RefKind.REFERENCE, reference_of(session) or id_or_none(session.client_reference_id)),
    )


def read_expired(event: StripeEvent, session: Thing) -> Meaning:
    """Read an expired Checkout session; it closes what is known or promised, and nothing else ever names it."""
    own, intent = need_id(session.id, "data.object.id"), id_of(session.payment_intent, "payment_intent")
    return Meaning(
        refs=_names(session, own, intent, None),
        facts=(ended(intent or own, "expired"),),
        opens=True,
        waits=False,
        provider_ref=intent or own,
        occurred_at=maybe_time(event.created),
    )


def read_invoice(event: StripeEvent, invoice: Thing) -> Meaning:
    """Read an invoice that was paid or could not be: which payment it is; API versions before 2025-03-31 say so."""
    subscription = invoice.subscription or value_at(invoice.parent, "subscription_details", "subscription")
    return _tied(event, invoice, None, (invoice.id, subscription))


def read_invoice_payment(event: StripeEvent, paid: Thing) -> Meaning:
    """Read one payment of an invoice, as API versions since 2025-03-31 tell it."""
    return _tied(event, paid, paid.payment, (paid.invoice, None))


def _tied(event: StripeEvent, thing: Thing, names: object, bill: tuple[object, object]) -> Meaning:
    """Tie an invoice to the payment that `names` holds, whose own events say how much was paid.

    `bill` is the invoice and its subscription; without an invoice or a payment the event says nothing.
    """
    given = names if isinstance(names, dict) else {"charge": thing.charge, "payment_intent": thing.payment_intent}
    charge = id_of(given.get("charge"), "charge")
    payment = id_of(given.get("payment_intent"), "payment_intent") or charge
    invoice, subscription = (name_of(one) for one in bill)
    if payment is None or invoice is None:
        return Meaning()
    return Meaning(
        refs=refs_of(
            (RefKind.PAYMENT, payment),
            (RefKind.CHARGE, charge),
            (RefKind.PAYMENT, invoice),
            (RefKind.SHARED, subscription),
        ),
        facts=(attempt(payment, "created"),),
        opens=True,
        currency=None if thing.currency is None else need_currency(thing.currency, "currency"),
        provider_ref=payment,
        occurred_at=maybe_time(event.created),
    )
