"""Every kind of event that GoCardless publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, described

KINDS: Final[dict[str, Kind]] = {
    **described(
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
            "instalment_schedules.payment_created": "a schedule made a payment",
            "subscriptions.payment_created": "a subscription made a payment",
        },
    ),
    **alike(
        Decision.NOTHING,
        "nothing moves",
        "payments.customer_approval_granted payments.sds_settlement_delayed payments.surcharge_fee_debited",
    ),
    **alike(
        Decision.NOTHING,
        "on the way to a payment, which has events of its own",
        "billing_requests.created billing_requests.flow_created billing_requests.flow_visited",
        "billing_requests.flow_exited billing_requests.collect_customer_details",
        "billing_requests.select_institution billing_requests.collect_bank_account",
        "billing_requests.payer_details_confirmed billing_requests.bank_authorisation_visited",
        "billing_requests.bank_authorisation_authorised billing_requests.bank_authorisation_denied",
        "billing_requests.bank_authorisation_expired billing_requests.bank_authorisation_failed",
        "billing_requests.fulfilled billing_requests.cancelled billing_requests.choose_currency",
        "billing_requests.collect_amount billing_requests.payer_geo_blocked billing_requests.failed",
        "payer_authorisations.completed payer_authorisations.failed",
    ),
    **alike(
        Decision.NOTHING,
        "a mandate, which many payments share",
        "mandates.created mandates.customer_approval_granted mandates.customer_approval_skipped",
        "mandates.active mandates.cancelled mandates.failed mandates.transferred mandates.expired",
        "mandates.submitted mandates.resubmission_requested mandates.reinstated mandates.replaced",
        "mandates.consumed mandates.blocked",
    ),
    **alike(
        Decision.NOTHING,
        "a subscription or a schedule; its payments have events of their own",
        "subscriptions.created subscriptions.customer_approval_granted subscriptions.customer_approval_denied",
        "subscriptions.amended subscriptions.cancelled subscriptions.finished subscriptions.paused",
        "subscriptions.resumed subscriptions.scheduled_pause subscriptions.scheduled_pause_cancelled",
        "subscriptions.scheduled_resume instalment_schedules.created instalment_schedules.creation_failed",
        "instalment_schedules.cancelled instalment_schedules.errored instalment_schedules.resumed",
        "instalment_schedules.completed",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out, or to the merchant",
        "outbound_payments.created outbound_payments.cancelled outbound_payments.failed",
        "outbound_payments.set_to_pending_approval outbound_payments.set_to_executing",
        "outbound_payments.executed payouts.paid payouts.fx_rate_confirmed",
        "payouts.tax_exchange_rates_confirmed payment_account_transaction.created",
    ),
    **alike(
        Decision.NOTHING,
        "an account, a customer or a report",
        "creditors.updated creditors.new_payout_currency_added creditors.account_auto_frozen",
        "creditors.account_auto_frozen_reverted creditors.bounced_payout customers.approved",
        "customers.under_review customers.request_for_information_required exports.started exports.completed",
        "exports.failed scheme_identifiers.activated",
    ),
}

CATALOGUE: Final = Catalogue(
    name="GoCardless",
    source="developer.gocardless.com/api-reference, Event types, as api-evangelist/gocardless shows it",
    read_on="2026-11-28",
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
    tried="""
Read with `make corpus`, November 2026; none of them is kept here.

- getlago/lago-api (2026-08-21) and gocardless-pro-python (2026-08-13): 12 events, 4 with facts, 8 that say nothing,
  none refused. woocommerce-gateway-gocardless (2025-02-13): none as JSON.
- alphagov/pay-direct-debit-connector (2021-09-29): 18 events in 17 files, 12 with facts, 6 that say nothing, none
  refused. digitickets/omnipay-gocardlessv2: 2 of a test, refused (payments without a payment's id).
- In the reverse order and in eight made-up ones, each event twice, they come to the same rows.
""",
    open_questions="""
- `instalment_schedules.payment_created` is not in the list (95 kinds, compared in full), but of subscriptions it is: it
  is read as theirs.
- The list calls one resource `payment_account_transaction` and `payment_account_transactions`: both say nothing.
- `payments.sds_settlement_delayed` is listed and not explained; its name tells of when money is paid out.
- How long after a confirmation a payment can still fail: it depends on the scheme.
""",
)
