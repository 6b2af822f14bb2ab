"""Every kind of event that Mollie publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, described

KINDS: Final[dict[str, Kind]] = {
    **described(
        Decision.MONEY,
        {
            "payment.pending": "a try is processing",
            "payment.authorized": "`amount` is reserved",
            "payment.paid": "`amountCaptured`, else `amount`, was taken; cumulative",
            "payment.failed": "the try failed, and what it had reserved is released",
            "payment.canceled": "the payment ended",
            "payment.expired": "the payment ended",
            "refund.queued": "a refund of `amount` is pending",
            "refund.pending": "a refund of `amount` is pending",
            "refund.processing": "a refund of `amount` is pending",
            "refund.refunded": "`amount` was given back",
            "refund.failed": "the refund came to nothing",
            "refund.canceled": "the refund came to nothing",
            "chargeback.received": "a dispute opened and took `amount`",
            "chargeback.reversed": "the dispute was won and gave `amount` back",
        },
    ),
    **alike(
        Decision.NOTHING,
        "a part of what the payment tells cumulatively, which is asked about",
        "capture.succeeded capture.failed",
    ),
    **alike(Decision.NOTHING, "of a link, whose payment has events of its own", "payment-link.paid"),
    **alike(Decision.NOTHING, "no payment: the balance", "balance-transaction.created"),
    **alike(
        Decision.NOTHING,
        "no payment: money paid out",
        "payout.initiated payout.processing-at-bank payout.completed payout.canceled payout.failed",
    ),
    **alike(
        Decision.NOTHING,
        "no payment: an invoice",
        "sales-invoice.created sales-invoice.issued sales-invoice.canceled sales-invoice.paid",
    ),
    **alike(
        Decision.NOTHING, "no payment: an invoice", "sales-invoice.e-invoice-failed sales-invoice.e-invoice-issued"
    ),
    **alike(
        Decision.NOTHING,
        "no payment: the merchant's own transfers",
        "business-account-transfer.requested business-account-transfer.initiated",
    ),
    **alike(
        Decision.NOTHING,
        "no payment: the merchant's own transfers",
        "business-account-transfer.pending-review business-account-transfer.processed",
    ),
    **alike(
        Decision.NOTHING,
        "no payment: the merchant's own transfers",
        "business-account-transfer.failed business-account-transfer.blocked business-account-transfer.returned",
        "business-account-draft-transfer.created business-account-draft-transfer.approved",
        "business-account-draft-transfer.declined",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Mollie",
    source="mollie/openapi specs.yaml, webhook-event-types, and draft transfers, which that list leaves out",
    read_on="2026-08-21",
    kinds=KINDS,
    notes="""
- **Signed**: the whole body of next-generation webhooks. The old kind is an unsigned id (tr_, ord_), read at the API;
  so is a payment in the `simple` form. A refund or a chargeback in that form is read as the payment that its link names
  (`_links.entity`, optional in mollie/openapi); without one it is a dead letter.
- **Amounts**: major units as text, in the decimals of ISO 4217. Of a payment cumulative, of refunds and chargebacks
  their own. A refund may be above the payment (create-payment-refund: up to EUR 25).
- **Ids**: tr_ of a payment, re_ of a refund, chb_ of a chargeback, from first to last event. ord_ is one payment whose
  tries are its tr_ payments. Subscriptions, mandates and links are shared and join nothing.
- **Merchant and mode**: profileId, mode.
""",
    tried="""
Read with `make corpus`, 27 November 2026; none of them is kept here.

- mollie/openapi (2026-08-21), its YAML as JSON: 214 example payments and orders, read as the API's answers: all with
  facts, none refused; 1 event (`payment-link.paid`), which says nothing.
- The API's answers in the tests of the SDKs, all with facts but 1: mollie-api-node (2026-06-30) 72, 1 refused (a status
  that its test leaves open); mollie-api-python (2026-08-03) 15; mollie-api-ruby (2025-07-20) 8; mollie-api-php
  (2026-05-21) 6, and 2 events, which say nothing. hookdeck/webhook-skills (2026-02-22): none.
- In the reverse order and in eight made-up ones, each event twice, all of them come to the same rows.
- No whole body of a next-generation payment.paid, refund or chargeback was found in any public file on that day (texts
  searched for: `"entityId": "tr_`, `"type": "chargeback.created"`): only cut ones, without an amount.
""",
    open_questions="""
- Whether a chargeback's entity has a mode: without one the endpoint's setting says.
- No event tells of a chargeback that was reversed where only the old webhook is set up.
""",
)
