"""Every kind that Paystack publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike

KINDS: Final[dict[str, Kind]] = {
    **alike(
        Decision.MONEY,
        "the transaction was taken",
        "charge.success",
    ),
    **alike(
        Decision.MONEY,
        "the dispute waits for the merchant, or for the bank",
        "charge.dispute.create charge.dispute.remind",
    ),
    **alike(
        Decision.MONEY,
        "how the dispute ended",
        "charge.dispute.resolve",
    ),
    **alike(
        Decision.MONEY,
        "a refund, by its id; without one it says nothing",
        "refund.failed refund.pending refund.processed refund.processing",
    ),
    **alike(
        Decision.NOTHING,
        "a payment request; its money is a charge",
        "paymentrequest.pending paymentrequest.success",
    ),
    **alike(
        Decision.NOTHING,
        "a subscription or its invoice; its money is a charge",
        "invoice.create invoice.payment_failed invoice.update subscription.create subscription.disable",
        "subscription.expiring_cards subscription.not_renew",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out",
        "transfer.failed transfer.reversed transfer.success",
    ),
    **alike(
        Decision.NOTHING,
        "a customer or an account",
        "customeridentification.failed customeridentification.success dedicatedaccount.assign.failed",
        "dedicatedaccount.assign.success",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Paystack",
    source="paystack.com/docs/payments/webhooks, Types of events, as pypaystack2 lists them",
    read_on="2026-07-04",
    kinds=KINDS,
    notes="""
- **Amounts**: each event has its own. Hundredths of every currency, also of XOF and RWF; `payments` holds ISO 4217.
- **Ids**: the payment is the merchant's transaction reference; a refund is `refund_reference`, else `id`; a dispute
  its `id`. Events have no id but `data.id`.
- **Mode**: `data.domain`. **Merchant**: in no field that charges carry.
- **Disputes**: one that was accepted takes `refund_amount` off the payouts (handling-disputes; support article
  360014290660).
""",
    tried="""
The published samples that the vectors are made of: right. No other body of a payment was found in public
repositories.
- gray-adeyi/pypaystack2 (2026-07-04): 3 events, 1 with facts, 2 that say nothing, none refused. PaystackOSS/openapi
  (2025-10-24) holds no event.
""",
    open_questions="""
- That amounts in XOF and RWF are hundredths, secondary sources say; no document of Paystack's own was found.
- Pending refunds without any id can't be tied to what follows; they say nothing.
- When a dispute's money goes while it is open, and whether a refund's event tells of an accepted one too.
""",
)
