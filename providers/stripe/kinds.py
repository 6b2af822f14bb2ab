"""Every kind of event that Stripe publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, described

KINDS: Final[dict[str, Kind]] = {
    **described(
        Decision.MONEY,
        {
            "payment_intent.created": "a payment of `amount` was begun",
            "payment_intent.requires_action": "a try waits for the customer",
            "payment_intent.processing": "a try is processing",
            "payment_intent.partially_funded": "nothing yet: a bank transfer brought a part",
            "payment_intent.amount_capturable_updated": "capturable and received is reserved, received is taken",
            "payment_intent.succeeded": "`amount_received` is taken, in all",
            "payment_intent.payment_failed": "the try failed, by its charge and its payment method",
            "payment_intent.canceled": "the payment is over; nothing more is taken",
            "charge.pending": "a try is processing",
            "charge.succeeded": "captured: `amount_captured` is taken; else the card's `amount_authorized` is reserved",
            "charge.captured": "`amount_captured` is taken, in all",
            "charge.failed": "a try failed",
            "charge.expired": "what was reserved is released",
            "charge.refunded": "`amount_refunded` in all, less what was never taken; not captured: released",
            "charge.updated": "of a charge that succeeded as charge.succeeded: part captures show here too",
            "charge.refund.updated": "as refund.updated, of older integrations",
            "refund.created": "the refund `id` of `amount`, in its `status`; nothing where it names no payment",
            "refund.updated": "as refund.created",
            "refund.failed": "as refund.created",
            "charge.dispute.created": "the dispute's `status`; what its balance transactions took",
            "charge.dispute.updated": "as charge.dispute.created",
            "charge.dispute.closed": "as charge.dispute.created",
            "charge.dispute.funds_withdrawn": "as its balance transactions say, else `amount` was taken",
            "charge.dispute.funds_reinstated": "as its balance transactions say, else `amount` is back",
            "checkout.session.completed": "which payment the session became; paid: `amount_total` is taken",
            "checkout.session.async_payment_succeeded": "as checkout.session.completed",
            "checkout.session.async_payment_failed": "the try failed",
            "checkout.session.expired": "ends what is known or promised by its ids; nothing where nothing is",
            "invoice.paid": "which payment the invoice became, where it says so (API versions before 2025-03-31)",
            "invoice.payment_succeeded": "as invoice.paid",
            "invoice.payment_failed": "as invoice.paid",
            "invoice_payment.paid": "which payment the invoice became (API versions since 2025-03-31)",
        },
    ),
    **alike(
        Decision.NOTHING,
        "the account, its people, apps, files and reports",
        "account.application.authorized account.application.deauthorized account.external_account.created",
        "account.external_account.deleted account.external_account.updated account.updated",
        "apps.install.created apps.install.deleted apps.install.updated billing_portal.configuration.created",
        "billing_portal.configuration.updated billing_portal.session.created capability.updated file.created",
        "financial_connections.account.account_numbers_updated financial_connections.account.created",
        "financial_connections.account.deactivated financial_connections.account.disconnected",
        "financial_connections.account.expected_deactivation_date_updated",
        "financial_connections.account.reactivated financial_connections.account.refreshed_balance",
        "financial_connections.account.refreshed_ownership",
        "financial_connections.account.refreshed_transactions",
        "financial_connections.account.supported_payment_method_types_updated",
        "financial_connections.account.upcoming_account_number_expiry",
        "financial_connections.account.upcoming_deactivation",
        "financial_connections.authorization.expected_deactivation_date_updated",
        "financial_connections.authorization.upcoming_deactivation identity.verification_session.canceled",
        "identity.verification_session.created identity.verification_session.processing",
        "identity.verification_session.redacted identity.verification_session.requires_input",
        "identity.verification_session.verified person.created person.deleted person.updated",
        "reporting.report_run.failed reporting.report_run.succeeded reporting.report_type.updated",
        "sigma.scheduled_query_run.created terminal.reader.action_failed terminal.reader.action_succeeded",
        "terminal.reader.action_updated test_helpers.test_clock.advancing test_helpers.test_clock.created",
        "test_helpers.test_clock.deleted test_helpers.test_clock.internal_failure",
        "test_helpers.test_clock.ready",
    ),
    **alike(
        Decision.NOTHING,
        "money between the account, its bank and other accounts: no payment of a customer's",
        "application_fee.created application_fee.refund.updated application_fee.refunded balance.available",
        "balance_settings.updated cash_balance.funds_available customer_cash_balance_transaction.created",
        "payout.canceled payout.created payout.failed payout.paid payout.reconciliation_completed",
        "payout.updated reserve.hold.created reserve.hold.updated reserve.plan.created reserve.plan.disabled",
        "reserve.plan.expired reserve.plan.updated reserve.release.created topup.canceled topup.created",
        "topup.failed topup.reversed topup.succeeded transfer.created transfer.reversed transfer.updated",
        "treasury.credit_reversal.created treasury.credit_reversal.posted treasury.debit_reversal.completed",
        "treasury.debit_reversal.created treasury.debit_reversal.initial_credit_granted",
        "treasury.financial_account.closed treasury.financial_account.created",
        "treasury.financial_account.features_status_updated treasury.inbound_transfer.canceled",
        "treasury.inbound_transfer.created treasury.inbound_transfer.failed",
        "treasury.inbound_transfer.succeeded treasury.outbound_payment.canceled",
        "treasury.outbound_payment.created treasury.outbound_payment.expected_arrival_date_updated",
        "treasury.outbound_payment.failed treasury.outbound_payment.posted treasury.outbound_payment.returned",
        "treasury.outbound_payment.tracking_details_updated treasury.outbound_transfer.canceled",
        "treasury.outbound_transfer.created treasury.outbound_transfer.expected_arrival_date_updated",
        "treasury.outbound_transfer.failed treasury.outbound_transfer.posted",
        "treasury.outbound_transfer.returned treasury.outbound_transfer.tracking_details_updated",
        "treasury.received_credit.created treasury.received_credit.failed treasury.received_credit.succeeded",
        "treasury.received_debit.created",
    ),
    **alike(
        Decision.NOTHING,
        "what is sold and at what price: no payment",
        "billing.alert.triggered billing.credit_balance_transaction.created billing.credit_grant.created",
        "billing.credit_grant.updated billing.meter.created billing.meter.deactivated",
        "billing.meter.reactivated billing.meter.updated climate.order.canceled climate.order.created",
        "climate.order.delayed climate.order.delivered climate.order.product_substituted",
        "climate.product.created climate.product.pricing_updated coupon.created coupon.deleted coupon.updated",
        "entitlements.active_entitlement_summary.updated payment_link.created payment_link.updated",
        "plan.created plan.deleted plan.updated price.created price.deleted price.updated product.created",
        "product.deleted product.updated promotion_code.created promotion_code.updated",
        "subscription_schedule.aborted subscription_schedule.canceled subscription_schedule.completed",
        "subscription_schedule.created subscription_schedule.expiring subscription_schedule.released",
        "subscription_schedule.updated tax.settings.updated tax_rate.created tax_rate.updated",
    ),
    **alike(
        Decision.NOTHING,
        "an invoice before, beside and after its payment; its money is reported by the payment",
        "credit_note.created credit_note.updated credit_note.voided invoice.created invoice.deleted",
        "invoice.finalization_failed invoice.finalized invoice.marked_uncollectible invoice.overdue",
        "invoice.overpaid invoice.payment_action_required invoice.payment_attempt_required invoice.sent",
        "invoice.upcoming invoice.updated invoice.voided invoice.will_be_due invoiceitem.created",
        "invoiceitem.deleted quote.accepted quote.canceled quote.created quote.finalized",
    ),
    **alike(
        Decision.NOTHING,
        "what customers keep for later: no payment",
        "customer.created customer.deleted customer.discount.created customer.discount.deleted",
        "customer.discount.updated customer.source.created customer.source.deleted customer.source.expiring",
        "customer.source.updated customer.subscription.created customer.subscription.deleted",
        "customer.subscription.paused customer.subscription.pending_update_applied",
        "customer.subscription.pending_update_expired customer.subscription.resumed",
        "customer.subscription.trial_will_end customer.subscription.updated customer.tax_id.created",
        "customer.tax_id.deleted customer.tax_id.updated customer.updated mandate.updated",
        "payment_method.attached payment_method.automatically_updated payment_method.detached",
        "payment_method.updated setup_intent.canceled setup_intent.created setup_intent.requires_action",
        "setup_intent.setup_failed setup_intent.succeeded source.canceled source.chargeable source.failed",
        "source.mandate_notification source.refund_attributes_required source.transaction.created",
        "source.transaction.updated three_d_secure.authentication.canceled",
        "three_d_secure.authentication.challenge_started three_d_secure.authentication.errored",
        "three_d_secure.authentication.failed three_d_secure.authentication.requires_challenge",
        "three_d_secure.authentication.requires_submission three_d_secure.authentication.succeeded",
    ),
    **alike(
        Decision.NOTHING,
        "cards that the account issues to others: no payment to it",
        "issuing_authorization.created issuing_authorization.request issuing_authorization.updated",
        "issuing_card.created issuing_card.updated issuing_cardholder.created issuing_cardholder.updated",
        "issuing_dispute.closed issuing_dispute.created issuing_dispute.funds_reinstated",
        "issuing_dispute.funds_rescinded issuing_dispute.submitted issuing_dispute.updated",
        "issuing_personalization_design.activated issuing_personalization_design.deactivated",
        "issuing_personalization_design.rejected issuing_personalization_design.updated issuing_token.created",
        "issuing_token.updated issuing_transaction.created",
        "issuing_transaction.purchase_details_receipt_updated issuing_transaction.updated",
    ),
    **alike(
        Decision.NOTHING,
        "a warning or a look at a payment; what it leads to has events of its own",
        "radar.early_fraud_warning.created radar.early_fraud_warning.updated review.closed review.opened",
    ),
    **alike(
        Decision.NOTHING,
        "a thin event of an account, a meter, a catalogue of products or a test: no payment",
        "v1.billing.meter.error_report_triggered v1.billing.meter.no_meter_found",
        "v2.commerce.product_catalog.imports.failed v2.commerce.product_catalog.imports.processing",
        "v2.commerce.product_catalog.imports.succeeded",
        "v2.commerce.product_catalog.imports.succeeded_with_errors v2.core.account.closed",
        "v2.core.account.created v2.core.account.updated",
        "v2.core.account[configuration.customer].capability_status_updated",
        "v2.core.account[configuration.customer].updated",
        "v2.core.account[configuration.merchant].capability_status_updated",
        "v2.core.account[configuration.merchant].updated",
        "v2.core.account[configuration.recipient].capability_status_updated",
        "v2.core.account[configuration.recipient].updated v2.core.account[defaults].updated",
        "v2.core.account[future_requirements].updated v2.core.account[identity].updated",
        "v2.core.account[requirements].updated v2.core.account_link.returned v2.core.account_person.created",
        "v2.core.account_person.deleted v2.core.account_person.updated v2.core.event_destination.ping",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Stripe",
    source="stripe-python, kinds of a webhook endpoint; meanings by docs.stripe.com/api/events/types",
    read_on="version 16.1.0",
    kinds=KINDS,
    notes="""
- **Signed**: the whole body, so every field counts. `created` of the event orders the states of one object alone.
- **Amounts**: a PaymentIntent's and a charge's are cumulative: authorized, captured and refunded in all, under the
  PaymentIntent's id; a refund has its own. A dispute's are the sums of its balance transactions: one that was lost
  gives back what had been refunded before (support.stripe.com, dispute for the full charge amount after a partial
  refund).
- **Minor units** (docs.stripe.com/currencies, zero-decimal currencies and special cases): ISK and UGX are written with
  two decimals, MGA with none; all others are as in ISO 4217.
- **Ids**: the PaymentIntent, in older integrations the charge; a try by its charge, else its payment method; refunds
  and disputes by their own.
- **One to one**: a Checkout session and an invoice are names of their payment, bound by their own events (and by
  `invoice` of PaymentIntents and charges before 2025-03-31). **Shared**: a subscription.
- **Thin events** (docs.stripe.com/event-destinations/overview, 2026) name an object and say nothing of it: `v1.` and
  the kind of a payment, a refund, a dispute or a session makes us ask the API about it, so `API_KEY` must be set. Those
  of invoices say nothing.
- **Merchant and mode**: `account` (Connect) and `livemode` of the event.
- **One event in two API versions**, as Stripe's guide to upgrades sends it, is one event: what both say must
  agree, and what the copy that lists more adds counts, under `id#digest` in the ledger.
- **Bank debits** (ACH, SEPA, Bacs, BECS, ACSS, New Zealand) that fail after they succeeded, or that the payer takes
  back, come as a dispute that is final (support.stripe.com, "Respond to or contest an ACH Direct Debit dispute", "SEPA
  Direct Debit payment disputes"; read November 2026). Such a payment is asked about for 60 days (ACSS 90), and of one
  that says it is disputed the disputes are read too.
- Other kinds of the families payment_intent., charge. and refund. become dead letters `unknown_kind`; any other says
  nothing.
""",
    tried="""
Read with `make corpus`, November 2026; none of them is kept here.

- stripe-ruby-mock (webhook_fixtures), lago-api, hyperswitch-prism, the other repositories' JSON files: 170 events, 35
  with facts, 131 that say nothing, 4 refused. Two of those were disputes of 2013, which had no id: they are read since.
  The other two are made up by their tests (no amount).
- By repository: stripe-ruby-mock (2026-08-12) 89 events, 22 with facts, none refused; lago-api (2026-08-21) 31, 13 with
  facts, none refused; hookdeck/webhook-skills (2026-02-22) 27, none with facts, 4 refused (PaymentIntents that its
  tests made up, without `amount_received`); dj-stripe (2026-07-23) 11 and pay (2026-07-30) 1, which say nothing;
  solidus_stripe (2024-08-14) and opencollective-api (2026-08-21) none as JSON.
- dj-stripe, pay, stripe/openapi fixtures and the objects inside those events, read as the API's answers: 85 objects, 82
  read, 3 refused (a PaymentIntent of status `failed`, a charge of a dispute without amount, a charge without status:
  none is Stripe's).
- 28 November 2026: integrallis/stripe_event (2025-12-09) and antiwork/gumroad (2025-04-04) keep charges of 2012 without
  `captured`, which were refused: they are read since. gumroad's other 72 events: 4 with facts, 65 that say nothing, 3
  refused (made up). alphagov/pay-connector (2026-08-21): 9, 1 with facts, the rest templates without a kind.
- In the reverse order and in eight made-up ones, each event twice, they come to the same rows.
""",
    open_questions="""
- Which thin events there are of payments: they are a private preview. Those that stripe-python publishes (15.3.1, 24
  kinds) are of none; the names are taken to be as theirs, `v1.` before the kind that there was.
- Whether the release of what a final capture left has a refund event of its own: where `refund.created` is sent for it,
  it counts as a refund.
- Whether a dispute in another currency than its payment is sent: it shows without its sum.
- Whether a dispute can be lost after it was won; its balance transactions would tell the money, its state stays won.
- For how long the banks of Bacs, BECS and New Zealand take a debit back: longer than anybody asks here.
- How much of a bank transfer that came in part is already the merchant's (payment_intent.partially_funded).
""",
)
