"""Every kind of event that Square publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, described

KINDS: Final[dict[str, Kind]] = {
    **described(
        Decision.MONEY,
        {
            "payment.created": "what its status says, of `total_money`",
            "payment.updated": "what its status says, of `total_money`",
            "refund.created": "what its status says, of its own `amount_money`",
            "refund.updated": "what its status says, of its own `amount_money`",
            "dispute.created": "what its state says, in its version; its amount is gone where it was lost or accepted",
            "dispute.state.changed": "as dispute.created",
            "dispute.state.updated": "as dispute.created",
        },
    ),
    **alike(
        Decision.NOTHING,
        "evidence is no state",
        "dispute.evidence.added dispute.evidence.created dispute.evidence.deleted dispute.evidence.removed",
    ),
    **alike(
        Decision.NOTHING,
        "an order, an invoice or a checkout; its money is a payment",
        "invoice.canceled invoice.created invoice.deleted invoice.payment_made invoice.published",
        "invoice.refunded invoice.scheduled_charge_failed invoice.updated",
        "online_checkout.location_settings.updated online_checkout.merchant_settings.updated order.created",
        "order.custom_attribute.owned.deleted order.custom_attribute.owned.updated",
        "order.custom_attribute.visible.deleted order.custom_attribute.visible.updated",
        "order.custom_attribute_definition.owned.created order.custom_attribute_definition.owned.deleted",
        "order.custom_attribute_definition.owned.updated order.custom_attribute_definition.visible.created",
        "order.custom_attribute_definition.visible.deleted order.custom_attribute_definition.visible.updated",
        "order.fulfillment.updated order.updated subscription.created subscription.updated",
    ),
    **alike(
        Decision.NOTHING,
        "a terminal's steps; its money is a payment or a refund",
        "device.code.paired device.created terminal.action.created terminal.action.updated",
        "terminal.checkout.created terminal.checkout.updated terminal.refund.created terminal.refund.updated",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out",
        "bank_account.created bank_account.disabled bank_account.verified payout.failed payout.paid",
        "payout.sent",
    ),
    **alike(
        Decision.NOTHING,
        "gift cards and points: no payment",
        "gift_card.activity.created gift_card.activity.updated gift_card.created gift_card.customer_linked",
        "gift_card.customer_unlinked gift_card.updated loyalty.account.created loyalty.account.deleted",
        "loyalty.account.updated loyalty.event.created loyalty.program.created loyalty.program.updated",
        "loyalty.promotion.created loyalty.promotion.updated",
    ),
    **alike(
        Decision.NOTHING,
        "customers, cards, bookings and what they are asked",
        "booking.created booking.custom_attribute.owned.deleted booking.custom_attribute.owned.updated",
        "booking.custom_attribute.visible.deleted booking.custom_attribute.visible.updated",
        "booking.custom_attribute_definition.owned.created booking.custom_attribute_definition.owned.deleted",
        "booking.custom_attribute_definition.owned.updated",
        "booking.custom_attribute_definition.visible.created",
        "booking.custom_attribute_definition.visible.deleted",
        "booking.custom_attribute_definition.visible.updated booking.updated card.automatically_updated",
        "card.created card.disabled card.forgotten card.updated customer.created",
        "customer.custom_attribute.deleted customer.custom_attribute.owned.deleted",
        "customer.custom_attribute.owned.updated customer.custom_attribute.public.deleted",
        "customer.custom_attribute.public.updated customer.custom_attribute.updated",
        "customer.custom_attribute.visible.deleted customer.custom_attribute.visible.updated",
        "customer.custom_attribute_definition.created customer.custom_attribute_definition.deleted",
        "customer.custom_attribute_definition.owned.created",
        "customer.custom_attribute_definition.owned.deleted",
        "customer.custom_attribute_definition.owned.updated",
        "customer.custom_attribute_definition.public.created",
        "customer.custom_attribute_definition.public.deleted",
        "customer.custom_attribute_definition.public.updated customer.custom_attribute_definition.updated",
        "customer.custom_attribute_definition.visible.created",
        "customer.custom_attribute_definition.visible.deleted",
        "customer.custom_attribute_definition.visible.updated customer.deleted customer.updated",
    ),
    **alike(
        Decision.NOTHING,
        "the shop, its goods and its people",
        "catalog.version.updated inventory.count.updated job.created job.updated",
        "labor.scheduled_shift.created labor.scheduled_shift.deleted labor.scheduled_shift.published",
        "labor.scheduled_shift.updated labor.shift.created labor.shift.deleted labor.shift.updated",
        "labor.timecard.created labor.timecard.deleted labor.timecard.updated location.created",
        "location.custom_attribute.owned.deleted location.custom_attribute.owned.updated",
        "location.custom_attribute.visible.deleted location.custom_attribute.visible.updated",
        "location.custom_attribute_definition.owned.created",
        "location.custom_attribute_definition.owned.deleted",
        "location.custom_attribute_definition.owned.updated",
        "location.custom_attribute_definition.visible.created",
        "location.custom_attribute_definition.visible.deleted",
        "location.custom_attribute_definition.visible.updated location.updated",
        "merchant.custom_attribute.owned.deleted merchant.custom_attribute.owned.updated",
        "merchant.custom_attribute.visible.deleted merchant.custom_attribute.visible.updated",
        "merchant.custom_attribute_definition.owned.created",
        "merchant.custom_attribute_definition.owned.deleted",
        "merchant.custom_attribute_definition.owned.updated",
        "merchant.custom_attribute_definition.visible.created",
        "merchant.custom_attribute_definition.visible.deleted",
        "merchant.custom_attribute_definition.visible.updated oauth.authorization.revoked team_member.created",
        "team_member.updated team_member.wage_setting.updated transfer_order.created transfer_order.deleted",
        "transfer_order.updated vendor.created vendor.updated",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Square",
    source="square/connect-api-specification api.json (2025-08-19), square-python-sdk",
    read_on="2026-08-18",
    kinds=KINDS,
    notes="""
- **Signed**: the notification URL and the whole body.
- **Amounts**: whole numbers in minor units of ISO 4217. `total_money` is what a payment comes to, tip included, in the
  version of `updated_at`; refunds and disputes have their own.
- **Disputes** (api.json): `version` orders their states; one that was accepted is debited (AcceptDispute), one that was
  lost is read alike.
- **Ids**: of the payment (its authorization and capture too), refund, dispute. An order id may have several payments.
- **Merchant and mode**: merchant_id; the sandbox has subscriptions of its own.
- Kinds of catalog, customers, orders, invoices, payouts, terminals and the like say nothing of a payment.
""",
    tried="""
Read with `make corpus`, November 2026; none of them is kept here.

- square/connect-api-specification (2025-08-19): 150 events, 8 with facts, 142 that say nothing, none refused.
- square/square-python-sdk (2026-08-18): no event with its payment; hookdeck/webhook-skills: none.
- In the reverse order, each event twice, they come to the same rows: connect-api-specification.
""",
    open_questions="""
- Whether a dispute that is open holds its money already: AcceptDispute debits it, and of the rest no document speaks.
- Whether a second round has the same dispute id: its version would be newer.
- How long a bank transfer or a refund may be pending. An answer names no merchant; the payment's id finds its payment
  all the same.
""",
)
