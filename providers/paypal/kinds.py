"""Every kind that PayPal publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike

KINDS: Final[dict[str, Kind]] = {
    **alike(
        Decision.MONEY,
        "the order and what was asked for, of several payees of each",
        "CHECKOUT.ORDER.APPROVED",
    ),
    **alike(
        Decision.MONEY,
        "what the order lists, of several payees of each: authorizations and captures; without any it is on its way",
        "CHECKOUT.ORDER.COMPLETED",
    ),
    **alike(
        Decision.MONEY,
        "the approved order was not captured in time: canceled, of several units each",
        "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
    ),
    **alike(
        Decision.MONEY,
        "`amount` is reserved, in the place of an older authorization of the order",
        "PAYMENT.AUTHORIZATION.CREATED",
    ),
    **alike(
        Decision.MONEY,
        "the authorization was voided, or its time was over",
        "PAYMENT.AUTHORIZATION.VOIDED",
    ),
    **alike(
        Decision.MONEY,
        "`amount` of this capture or sale was taken",
        "PAYMENT.CAPTURE.COMPLETED PAYMENT.SALE.COMPLETED",
    ),
    **alike(
        Decision.MONEY,
        "the capture or sale is on its way",
        "PAYMENT.CAPTURE.PENDING PAYMENT.SALE.PENDING",
    ),
    **alike(
        Decision.MONEY,
        "the capture or sale failed",
        "PAYMENT.CAPTURE.DECLINED PAYMENT.CAPTURE.DENIED PAYMENT.SALE.DENIED",
    ),
    **alike(
        Decision.MONEY,
        "a refund of `amount`, in the state that it tells",
        "PAYMENT.CAPTURE.REFUNDED PAYMENT.SALE.REFUNDED",
    ),
    **alike(
        Decision.MONEY,
        "PayPal took `amount` back, perhaps a part",
        "PAYMENT.CAPTURE.REVERSED PAYMENT.SALE.REVERSED",
    ),
    **alike(
        Decision.MONEY,
        "the refund is on its way",
        "PAYMENT.REFUND.PENDING",
    ),
    **alike(
        Decision.MONEY,
        "the refund failed",
        "PAYMENT.REFUND.FAILED",
    ),
    **alike(
        Decision.MONEY,
        "where the dispute stands; an inquiry takes nothing",
        "CUSTOMER.DISPUTE.CREATED CUSTOMER.DISPUTE.UPDATED",
    ),
    **alike(
        Decision.MONEY,
        "how the dispute ended in its stage",
        "CUSTOMER.DISPUTE.RESOLVED",
    ),
    **alike(
        Decision.NOTHING,
        "a step on the way to a payment whose money has kinds of its own",
        "CHECKOUT.CHECKOUT.BUYER-APPROVED CHECKOUT.ORDER.PROCESSED CHECKOUT.ORDER.SAVED PAYMENT.ORDER.CANCELLED",
        "PAYMENT.ORDER.CREATED PAYMENTS.PAYMENT.CREATED",
    ),
    **alike(
        Decision.REFUSED,
        "the dashboard offers it; whether the order is over or may be paid otherwise is not documented",
        "CHECKOUT.ORDER.DECLINED CHECKOUT.ORDER.VOIDED",
    ),
    **alike(
        Decision.NOTHING,
        "deprecated; CUSTOMER.DISPUTE.CREATED tells of the same dispute",
        "RISK.DISPUTE.CREATED",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out",
        "PAYMENT.PAYOUTSBATCH.DENIED PAYMENT.PAYOUTSBATCH.PROCESSING PAYMENT.PAYOUTSBATCH.SUCCESS",
        "PAYMENT.PAYOUTS-ITEM.BLOCKED PAYMENT.PAYOUTS-ITEM.CANCELED PAYMENT.PAYOUTS-ITEM.DENIED",
        "PAYMENT.PAYOUTS-ITEM.FAILED PAYMENT.PAYOUTS-ITEM.HELD PAYMENT.PAYOUTS-ITEM.REFUNDED",
        "PAYMENT.PAYOUTS-ITEM.RETURNED PAYMENT.PAYOUTS-ITEM.SUCCEEDED PAYMENT.PAYOUTS-ITEM.UNCLAIMED",
        "PAYMENT.REFERENCED-PAYOUT-ITEM.COMPLETED PAYMENT.REFERENCED-PAYOUT-ITEM.FAILED",
    ),
    **alike(
        Decision.NOTHING,
        "a plan, a product or a subscription; its payments are sales",
        "BILLING.PLAN.ACTIVATED BILLING.PLAN.CREATED BILLING.PLAN.DEACTIVATED",
        "BILLING.PLAN.PRICING-CHANGE.ACTIVATED BILLING.PLAN.UPDATED BILLING.SUBSCRIPTION.ACTIVATED",
        "BILLING.SUBSCRIPTION.CANCELLED BILLING.SUBSCRIPTION.CREATED BILLING.SUBSCRIPTION.EXPIRED",
        "BILLING.SUBSCRIPTION.PAYMENT.FAILED BILLING.SUBSCRIPTION.RE-ACTIVATED",
        "BILLING.SUBSCRIPTION.SUSPENDED BILLING.SUBSCRIPTION.UPDATED CATALOG.PRODUCT.CREATED",
        "CATALOG.PRODUCT.UPDATED",
    ),
    **alike(
        Decision.NOTHING,
        "an invoice; what pays it has kinds of its own",
        "INVOICING.INVOICE.CANCELLED INVOICING.INVOICE.CREATED INVOICING.INVOICE.PAID",
        "INVOICING.INVOICE.REFUNDED INVOICING.INVOICE.SCHEDULED INVOICING.INVOICE.UPDATED",
    ),
    **alike(
        Decision.NOTHING,
        "an account, a consent or a stored card",
        "CUSTOMER.ACCOUNT-LIMITATION.ADDED CUSTOMER.ACCOUNT-LIMITATION.ESCALATED",
        "CUSTOMER.ACCOUNT-LIMITATION.LIFTED CUSTOMER.ACCOUNT-LIMITATION.UPDATED",
        "CUSTOMER.MANAGED-ACCOUNT.ACCOUNT-CREATED CUSTOMER.MANAGED-ACCOUNT.ACCOUNT-STATUS-CHANGED",
        "CUSTOMER.MANAGED-ACCOUNT.ACCOUNT-UPDATED CUSTOMER.MANAGED-ACCOUNT.CREATION-FAILED",
        "CUSTOMER.MANAGED-ACCOUNT.NEGATIVE-BALANCE-DEBIT-INITIATED",
        "CUSTOMER.MANAGED-ACCOUNT.NEGATIVE-BALANCE-NOTIFIED CUSTOMER.MANAGED-ACCOUNT.RISK-ASSESSED",
        "CUSTOMER.MERCHANT-INTEGRATION.CAPABILITY-UPDATED",
        "CUSTOMER.MERCHANT-INTEGRATION.PRODUCT-SUBSCRIPTION-UPDATED",
        "CUSTOMER.MERCHANT-INTEGRATION.SELLER-ALREADY-INTEGRATED",
        "CUSTOMER.MERCHANT-INTEGRATION.SELLER-CONSENT-GRANTED",
        "CUSTOMER.MERCHANT-INTEGRATION.SELLER-EMAIL-CONFIRMED",
        "CUSTOMER.MERCHANT-INTEGRATION.SELLER-ONBOARDING-INITIATED IDENTITY.AUTHORIZATION-CONSENT.REVOKED",
        "MERCHANT.ONBOARDING.COMPLETED MERCHANT.PARTNER-CONSENT.REVOKED VAULT.CREDIT-CARD.CREATED",
        "VAULT.CREDIT-CARD.DELETED VAULT.CREDIT-CARD.UPDATED VAULT.PAYMENT-TOKEN.CREATED",
        "VAULT.PAYMENT-TOKEN.DELETED VAULT.PAYMENT-TOKEN.DELETION-INITIATED",
    ),
}

CATALOGUE: Final = Catalogue(
    name="PayPal",
    source="developer.paypal.com/api/rest/webhooks/event-names, /subscriptions/webhooks, and three of the dashboard",
    read_on="2026-07-10",
    kinds=KINDS,
    notes="""
- **Amounts**: each event has its own, of this authorization, capture, refund or reversal; an order's terms are the
  sum of its purchase units. Major units as text, exact to the decimals of ISO 4217 (Payments v2). Version 1 writes
  what is given back below zero.
- **Ids**: an authorization, a capture, a sale and a refund go by their own id in all their events; a reversal by its
  own, which is that of a refund; a dispute by `dispute_id`. The payment is the order, in version 1 `parent_payment`.
- **Shared ids**: a subscription (`billing_agreement_id`) has many sales and joins none. `invoice_id` is the
  merchant's own reference; `custom_id` is free text and is not read.
- **Merchant**: `payee.merchant_id` of a purchase unit, a capture or an authorization. An order of several payees is a
  payment of each ([decision 43](../decisions/0043-an-order-may-be-several-payments.md)). A capture that names its order
  and no payee (Payments v2.5 lists none) is of the order's one payment, as long as the endpoint lists no two
  MERCHANT_ACCOUNTS. Where it does, the capture joins the order once an event proves that it has one payee: the order
  itself, or an authorization. A refund's `payer` and a dispute's `seller` are not read: both name the capture.
- **Mode**: in none; the endpoint's settings say.
- **Disputes** (Disputes v1): the stage orders first (INQUIRY, CHARGEBACK, PRE_ARBITRATION, ARBITRATION), then
  `update_time`. One that names several transactions shows on the payment of each. Their money goes by
  PAYMENT.CAPTURE.REVERSED and REFUNDED, so they have no sum of their own.
- **Authorizations**: an order with the intent AUTHORIZE has one purchase unit (Orders v2); a reauthorization is a new
  authorization that takes the place of the one before.
""",
    tried="""
49 sample webhooks of HearthSim/dj-paypal, versions 1 and 2: 47 read as their kinds say, 2 refused (reversals of
version 1 that name neither sale nor capture).
- srmklive/laravel-paypal (2024-03-22): 5 events, all with facts; paypal-rest-api-specifications (2024-02-03): 1, with
  facts; PayPal-PHP-SDK (2020-05-11), SwagPayPal (2024-10-24), hookdeck/webhook-skills: no event as JSON.
- antiwork/gumroad (2025-04-04): 22 events, genuine ones among them, 14 with facts, 7 that say nothing, 1 refused (a
  test's variable in place of the outcome). solidusio/solidus_paypal_commerce_platform (2026-06-24): 8, all with facts.
- In the reverse order and in eight made-up ones, each event twice, they come to the same rows.
""",
    open_questions="""
- Whose an order is that is changed after its approval (PATCH may replace its units): the first payee and the second
  have a payment each, flagged `contradiction`.
- Which sale a reversal of version 1 belongs to: its published sample names none, so it becomes a dead letter.
- Several authorizations that a saved order may have at once can't be distinguished from reauthorizations: one that was
  captured keeps its place, of the others the latest counts.
- Whether COMPLETED is sent again after a reversal that was won back.
- What an id is of: an order, a capture or an authorization look alike. All but orders are asked about by the kind of
  their reference. A payment of version 1 is asked about as a whole (payments_payment_v1: `related_resources` lists its
  sales, authorizations, captures and refunds). What is known as no order or capture is asked about as a sale
  (`/v1/payments/sale`), what is known as no refund as one of version 1 (`/v1/payments/refund`); both are deprecated
  (payments_payment_v1 1.12 of 2024-02-03), and until when they answer no document says. They show "only sales that were
  created through the REST API"; those of subscriptions are shown with their `billing_agreement_id`
  (paypal/PayPal-Python-SDK#187). Whether version 2 knows a sale as a capture no document says. Disputes of several
  payments are not asked about. What the API knows as neither is no error, and is asked about again once a week; lost
  events of either are found in the list of events (`ratchet recall`).
- What CHECKOUT.ORDER.DECLINED and VOIDED say: merchants subscribe to them in the dashboard, the list of event names
  has neither (84 kinds in the copy of api-evangelist/paypal of 2026-08-22, compared in full on 28 November 2026).
- How long an eCheck, a review or a pending refund takes.
""",
)
