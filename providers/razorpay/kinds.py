"""Every kind that Razorpay publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike

KINDS: Final[dict[str, Kind]] = {
    **alike(
        Decision.MONEY,
        "the payment is reserved",
        "payment.authorized",
    ),
    **alike(
        Decision.MONEY,
        "the payment was taken in full",
        "order.paid payment.captured",
    ),
    **alike(
        Decision.MONEY,
        "the try failed",
        "payment.failed",
    ),
    **alike(
        Decision.MONEY,
        "cash on delivery: on its way (magic-checkout)",
        "payment.pending",
    ),
    **alike(
        Decision.MONEY,
        "the payment inside, where its status says, and what stands behind it",
        "invoice.paid invoice.partially_paid payment_link.paid payment_link.partially_paid",
        "qr_code.credited subscription.charged virtual_account.credited",
    ),
    **alike(
        Decision.MONEY,
        "nobody pays it any more; what was paid in part stays",
        "invoice.expired payment_link.cancelled payment_link.expired",
    ),
    **alike(
        Decision.MONEY,
        "a refund, in the state that it tells; of a hold, its end",
        "refund.created refund.failed refund.processed refund.speed_changed",
    ),
    **alike(
        Decision.MONEY,
        "the dispute waits for the merchant; in its first phases an inquiry",
        "payment.dispute.action_required payment.dispute.created",
    ),
    **alike(
        Decision.MONEY,
        "how the dispute stands or ended",
        "payment.dispute.closed payment.dispute.lost payment.dispute.under_review payment.dispute.won",
    ),
    **alike(
        Decision.NOTHING,
        "a bank that is down",
        "payment.downtime.resolved payment.downtime.started payment.downtime.updated",
        "payout.downtime.resolved payout.downtime.started",
    ),
    **alike(
        Decision.NOTHING,
        "a QR code or a virtual account without a payment",
        "qr_code.closed qr_code.created virtual_account.closed virtual_account.created",
    ),
    **alike(
        Decision.NOTHING,
        "a subscription without a charge",
        "subscription.activated subscription.authenticated subscription.cancelled subscription.completed",
        "subscription.halted subscription.paused subscription.pending subscription.resumed",
        "subscription.updated",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out",
        "payout.failed payout.initiated payout.pending payout.processed payout.queued payout.rejected",
        "payout.reversed payout.updated payout_link.attempted payout_link.cancelled payout_link.expired",
        "payout_link.issued payout_link.pending payout_link.processed payout_link.processing",
        "payout_link.rejected settlement.processed transaction.created transfer.failed transfer.processed",
    ),
    **alike(
        Decision.NOTHING,
        "an account or a token",
        "account.app.authorization_revoked fund_account.validation.completed",
        "fund_account.validation.failed product.route.activated product.route.needs_clarification",
        "product.route.under_review token.activated token.cancelled token.confirmed token.deactivated",
        "token.expiry_updated token.initiated token.paused token.rejected",
        "token.service_provider.activated token.service_provider.cancelled",
        "token.service_provider.deactivated token.service_provider.failed token.suspended",
    ),
    **alike(
        Decision.NOTHING,
        "a partner's account and the products of it",
        "account.activated account.activated_kyc_pending account.funds_hold account.funds_unhold",
        "account.instant_activation_gmv_limit_warning account.instantly_activated account.needs_clarification",
        "account.payments_enabled account.rejected account.suspended account.under_review account.updated",
        "banking_accounts.issued product.payment_gateway.activated",
        "product.payment_gateway.activated_kyc_pending product.payment_gateway.instantly_activated",
        "product.payment_gateway.needs_clarification product.payment_gateway.rejected",
        "product.payment_gateway.under_review product.payment_link.activated",
        "product.payment_link.needs_clarification product.payment_link.rejected",
        "product.payment_link.under_review product.payment_links.activated",
        "product.payment_links.activated_kyc_pending product.payment_links.needs_clarification",
        "product.payment_links.under_review",
    ),
    **alike(
        Decision.NOTHING,
        "a card's token",
        "token.cancellation_initiated token.resumed token.service_provider_token.activated",
    ),
    **alike(
        Decision.NOTHING,
        "a notice before a debit",
        "order.notification.delivered order.notification.failed",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out",
        "payout.downtime transfers.failed",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Razorpay",
    source="razorpay/markdown-docs: webhooks/all.md, every page about webhooks, and the samples on them",
    read_on="2026-04-09",
    kinds=KINDS,
    notes="""
- **Amounts**: each event has its own payment's, refund's or dispute's, in minor units of ISO 4217 (JPY 0, KWD 3;
  payments/international-payments.md).
- **Ids**: a payment, a refund and a dispute go by their own id; all attempts of an order are one payment of ours.
- **One to one**: an order, a payment link and an invoice, also where they are paid in parts. **Shared**: a
  subscription, a QR code, a virtual account. `receipt` is the merchant's own reference.
- **Merchant**: `account_id`. **Mode**: in no field; the endpoint's setting says.
- **Refunds** of a payment that was never captured (`payload.payment.entity.captured` false) give a hold back. Where it
  is true, a refund and a dispute tell that the payment which they show was taken.
- **Disputes**: the phase orders first, then the event's `created_at`; `amount_deducted` is what a lost one took, 0
  before (api/disputes/entity.md).
""",
    tried="""
162 sample events of razorpay/markdown-docs: all read, 59 with facts; the same rows in the reverse order.
- razorpay/markdown-docs (2026-04-09): 329 events, 145 with facts, 184 that say nothing, none refused.
  razorpay-php (2025-08-05): 1, with facts. The pages' links and invoices come to `expired` and `canceled` as they say.
- razorpay/razorpay-woocommerce: 11 events in its documents and tests, 5 with facts, 1 that says nothing, 5 refused (cut
  short, without a sum or an entity). With literals markdown-docs has 342 events in 59 files, 148 with facts, 194 that
  say nothing (28 November 2026).
- In the reverse order and in eight made-up ones, each event twice, they come to the same rows: markdown-docs.
""",
    open_questions="""
- Whether a second round comes under the same dispute id: both would be read right.
- Whether a dispute that is debited at its start tells so by an event. "Chargeback Fees & Penalties" (razorpay.com/docs,
  2026) says that Razorpay deducts the amount at the outset, api/disputes/entity that `amount_deducted` is 0 until the
  dispute is lost: the money counts from the event that tells it.
- `amount_refunded` of a payment counts refunds that may still fail, so an answer's sum is not read; refunds are asked
  about by their own ids.
""",
)
