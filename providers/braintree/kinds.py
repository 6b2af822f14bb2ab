"""Every kind that Braintree publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike

KINDS: Final[dict[str, Kind]] = {
    **alike(
        Decision.MONEY,
        "the transaction was taken; of a credit, the refund was made",
        "transaction_disbursed transaction_settled",
    ),
    **alike(
        Decision.MONEY,
        "the settlement came undone, or never was",
        "transaction_settlement_declined",
    ),
    **alike(
        Decision.MONEY,
        "a declined transaction was tried again: where the new one stands",
        "transaction_retried",
    ),
    **alike(
        Decision.MONEY,
        "the newest transaction of the subscription was taken",
        "subscription_charged_successfully",
    ),
    **alike(
        Decision.MONEY,
        "the newest transaction of the subscription failed",
        "subscription_charged_unsuccessfully",
    ),
    **alike(
        Decision.MONEY,
        "which transaction a local payment became, and where it stands",
        "local_payment_completed local_payment_funded",
    ),
    **alike(
        Decision.MONEY,
        "the refund failed",
        "refund_failed",
    ),
    **alike(
        Decision.MONEY,
        "where the dispute stands, which took `amount-disputed`; a retrieval is an inquiry, which takes nothing",
        "dispute_disputed dispute_opened dispute_under_review",
    ),
    **alike(
        Decision.MONEY,
        "the dispute was lost, `amount-disputed` stays gone",
        "dispute_accepted dispute_auto_accepted dispute_expired dispute_lost",
    ),
    **alike(
        Decision.MONEY,
        "the dispute was won, `amount-won` is back",
        "dispute_won",
    ),
    **alike(
        Decision.NOTHING,
        "a local payment that never became a transaction",
        "local_payment_expired local_payment_reversed",
    ),
    **alike(
        Decision.NOTHING,
        "a fraud review; what follows has kinds of its own",
        "transaction_reviewed",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes to the merchant",
        "disbursement disbursement_exception",
    ),
    **alike(
        Decision.NOTHING,
        "a subscription without a charge",
        "subscription_billing_skipped subscription_canceled subscription_expired subscription_trial_ended",
        "subscription_went_active subscription_went_past_due",
    ),
    **alike(
        Decision.NOTHING,
        "an account, a stored payment method or a test",
        "account_updater_daily_report check connected_merchant_paypal_status_changed",
        "connected_merchant_status_transitioned granted_payment_instrument_revoked granted_payment_method_revoked",
        "grantor_updated_granted_payment_method oauth_access_revoked partner_merchant_connected",
        "partner_merchant_declined partner_merchant_disconnected payment_method_customer_data_updated",
        "payment_method_revoked_by_customer recipient_updated_granted_payment_method",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Braintree",
    source="WebhookNotification.Kind of braintree_python, braintree_ruby (2026-05-28); developer.paypal.com/braintree",
    read_on="2026-06-16",
    kinds=KINDS,
    notes="""
- **Amounts**: each event has its own transaction's or dispute's, in major units.
- **Ids**: a transaction's own; a credit is the refund of `refunded-transaction-id`, a partial settlement a capture of
  `authorized-transaction-id`, a retry a transaction of the payment `retried-transaction-id`.
- **Events** have no id: it is the kind and the subject's id, of subscriptions the transaction's too.
- **One to one**: a local payment (`payment-id`) and its transaction. **Shared**: a subscription's id. `order-id` is
  the merchant's own reference.
- **Merchant and mode**: `merchant-account-id` of a sale or a dispute. Where an event leaves it out (refund_failed, and
  the SDK's samples of subscriptions and local payments) its ids find the payment, for they are the gateway's. A
  credit's is not read: a refund may go by another merchant account than its sale (`refund_signature` of the SDK). Two
  accounts of one id are a contradiction: two rows, both flagged. The mode is the endpoint's.
- **Cards**: no webhook tells of a transaction that the merchant charges itself (transaction webhooks are for bank
  debits); a dispute may be the first that is heard of it.
- **Disputes**: the amount disputed is debited and held until the dispute is resolved, and the amount won comes back
  (developer.paypal.com/braintree/graphql/reference, Dispute: `amountDisputed`, `amountWon`; read in November 2026). A
  retrieval takes nothing however it ends; a pre-arbitration is a dispute of its own.
""",
    tried="""
Read with `make corpus`, 28 November 2026; none of them is kept here.

- The sample notifications that the SDK's `webhook_testing` (braintree 4.48) makes when it is asked, 41 kinds: 16 with
  facts, 24 that say nothing, 1 refused (the sample of transaction_disbursed tells no currency).
- pay-rails/pay (2026-07-30), 3 real notifications: a subscription's charge with facts, whose list holds older
  transactions too, of which the newest is read, and names its merchant account; 2 that say nothing.
- braintree_python (2026-06-16) and braintree_ruby (2026-05-28): 3 each in their tests, which say nothing.
- In the reverse order and in eight made-up ones, each event twice, all of them come to the same rows.
""",
    open_questions="""
- On which day a chargeback debits the merchant: its first event counts.
- In which currency a dispute's amount stands where the settlement's is another.
- Whether a retried transaction may go by another merchant account than the first: then it is a row of its own, flagged.
- `refund_failed` names the sale by a key of Braintree's own: it is found by the refund's id, else it waits.
- The SDK's samples of local payments leave out the currency: then the amount is what the client asked for, and a sale
  that was voided, ran out or was declined ended without a sum.
- The paths and headers of the XML API are those of the SDK (braintree_python 4.45); no document describes them.
- Of a refund that is on its way no webhook tells (`WebhookNotification.Kind` has refund_failed alone, and settled and
  disbursed for bank debits), nor of a card's refund that is done: a refund that an event or an answer named is asked
  about by its own id, for it is a transaction with a status (braintree_python, `refunded_transaction_id`). A sale lists
  its refunds (`refund_ids`): of them the first is asked about. More are seldom missed: "You can refund transactions
  that have a status of settled or settling" (reference/request/transaction/refund), and a sale is asked about on a
  clock until it is submitted. What the merchant refunds later, and nothing names, is not found.
  The GraphQL API searches refunds by id, status and time (`RefundSearchInput`), not by their sale.
""",
)
