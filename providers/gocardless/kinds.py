"""Every kind of event that GoCardless publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, said

KINDS: Final[dict[str, Kind]] = {
    **said(
        Decision.MONEY,
        {
            "payments.created": "a try was made",
            "payments.submitted": "a try is processing",
            "payments.resubmission_requested": "a try is processing again",
            "payments.confirmed": "the payment was collected, whole",
            "payments.paid_out": "the payment was collected, whole",
            "payments.failed": "the collection failed, also after it was confirmed",
            "payments.late_failure_settled": "the collection failed after it was paid out",
            "payments.customer_approval_denied": "the try failed",
            "payments.cancelled": "the payment ended",
            "payments.charged_back": "a dispute opened and took the whole",
            "payments.chargeback_settled": "the dispute is lost",
            "payments.chargeback_cancelled": "the dispute was won, the money is back",
            "refunds.created": "a refund is pending",
            "refunds.paid": "the refund was given back",
            "refunds.refund_settled": "the refund was given back",
            "refunds.failed": "the refund came to nothing",
            "refunds.funds_returned": "the refund came back",
            "subscriptions.payment_created": "a subscription made a payment",
        },
    ),
    **alike(Decision.NOTHING, "nothing moves", "payments.customer_approval_granted", "payments.surcharge_fee_debited"),
}

CATALOGUE: Final = Catalogue(
    name="GoCardless",
    source="developer.gocardless.com/api-reference, Events",
    read_on="as of the first version",
    kinds=KINDS,
    notes="""
- **Signed**: the whole body.
- **Amounts**: no event tells one; a payment is collected whole. The API tells amount and currency (minor units).
- **Ids**: PM of a payment and of its chargeback, RF of a refund; a refund's events name the refund alone.
- **Merchant and mode**: none is signed; the sandbox has endpoints of its own.
- **Shared ids**: subscription, instalment schedule, mandate.
- **Order**: created_at orders the events of one payment, which may fail and be tried again under one id.
- Kinds of mandates, payouts, billing requests, creditors and the like are about no payment and say nothing.
""",
    open_questions="""
- This list was not compared with the reference again when the page was made.
- How long after a confirmation a payment can still fail: it depends on the scheme.
""",
)
