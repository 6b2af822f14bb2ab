"""Every kind that Standard Webhooks publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike

KINDS: Final[dict[str, Kind]] = {
    **alike(
        Decision.MONEY,
        "where a try stands",
        "payment.created payment.failed payment.processing payment.requires_action",
    ),
    **alike(
        Decision.MONEY,
        "`amount` is reserved",
        "payment.authorized",
    ),
    **alike(
        Decision.MONEY,
        "`amount` was taken; without an id the sum so far",
        "payment.captured",
    ),
    **alike(
        Decision.MONEY,
        "all of `total_amount` was taken (Dodo), or `due_amount` (Polar)",
        "order.paid payment.succeeded",
    ),
    **alike(
        Decision.MONEY,
        "the payment ended",
        "payment.canceled payment.cancelled payment.expired",
    ),
    **alike(
        Decision.MONEY,
        "`amount` was given back; without an id the sum so far",
        "payment.refunded",
    ),
    **alike(
        Decision.MONEY,
        "where a refund stands",
        "refund.canceled refund.created refund.failed refund.pending refund.reversed refund.succeeded",
        "refund.updated",
    ),
    **alike(
        Decision.MONEY,
        "where a dispute stands",
        "dispute.accepted dispute.cancelled dispute.challenged dispute.expired dispute.inquiry",
        "dispute.lost dispute.opened dispute.prevented dispute.under_review dispute.won",
    ),
    **alike(
        Decision.MONEY,
        "a dispute took its money, or gave it back",
        "dispute.funds_reinstated dispute.funds_withdrawn",
    ),
    **alike(
        Decision.NOTHING,
        "an order, a checkout or a subscription without a payment (Polar)",
        "checkout.created checkout.expired checkout.updated order.created order.refunded order.updated",
        "subscription.active subscription.canceled subscription.created subscription.cycled",
        "subscription.past_due subscription.paused subscription.resumed subscription.revoked",
        "subscription.uncanceled subscription.updated",
    ),
    **alike(
        Decision.NOTHING,
        "a subscription or a license without a payment (Dodo)",
        "license_key.created subscription.cancelled subscription.expired subscription.failed",
        "subscription.on_hold subscription.plan_changed subscription.renewed",
    ),
    **alike(
        Decision.NOTHING,
        "a customer, a product, a discount or a benefit (Polar)",
        "benefit.created benefit.updated benefit_grant.created benefit_grant.cycled benefit_grant.revoked",
        "benefit_grant.updated customer.created customer.deleted customer.state_changed customer.updated",
        "customer_seat.assigned customer_seat.claimed customer_seat.revoked discount.created discount.deleted",
        "discount.updated member.created member.deleted member.updated organization.updated product.created",
        "product.updated",
    ),
    **alike(
        Decision.NOTHING,
        "a subscription, a balance of credit, a basket or what was bought; no payment (Dodo)",
        "abandoned_checkout.detected abandoned_checkout.recovered credit.added credit.balance_low",
        "credit.deducted credit.expired credit.manual_adjustment credit.overage_charged credit.overage_reset",
        "credit.rolled_over credit.rollover_forfeited dunning.recovered dunning.started",
        "entitlement_grant.created entitlement_grant.delivered entitlement_grant.failed",
        "entitlement_grant.revoked subscription.unpaused subscription.update_payment_method",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out (Dodo)",
        "payout.created payout.failed payout.in_progress payout.on_hold payout.success",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Standard Webhooks",
    source="our own shape; dodopayments-typescript (2026-08-18); polarsource/polar models/webhook_endpoint.py",
    read_on="2026-08-22",
    kinds=KINDS,
    notes="""
- The specification leaves the payload open; our own shape stands in the module. Two public senders are read by
  theirs.
- **Dodo Payments**: `payment_id`, `total_amount` in minor units of ISO 4217, taken at once.
- **Disputes of Dodo**: "Funds are held" when one is opened (docs.dodopayments.com, webhooks/intents/dispute, read in
  November 2026), and are back when it is won or cancelled; `dispute_stage` ranks its rounds. `amount` is text in minor
  units (dodo-agent-plugin, refunds and disputes). In our own shape dispute.funds_withdrawn and .funds_reinstated tell.
- **Polar** (polarsource/polar, server, 2026-08-22): an order is a payment of `due_amount`, which is `total_amount` less
  the customer's balance; a refund names it by `order_id` and is `amount` and `tax_amount` together. Minor units: ISK
  and UGX with two decimals, MGA with none, all others as in ISO 4217 (kit/currency).
- **Signature**: Polar endpoints made before 8 September 2026 sign with the bytes of the shown secret, `whsec_`
  included. Configure it as `whsec_` + base64 of the whole shown secret: a key that is tried by itself would be a
  second spelling of every secret.
- **Merchant and mode**: the endpoint's settings say.
""",
    tried="""
Read with `make corpus`, 27 November 2026; none of them is kept here.

- Dodo: the bodies that dodopayments/dodopayments-cli makes to test an endpoint, 22 kinds: 13 with facts, 9 that say
  nothing. dodo-agent-plugin: 2, 1 with facts. 3 bodies out of two public files, 1 genuine: 2 with facts, 1 that says
  nothing. dodo-docs (2025-09-18): 2, refused (an example for another service without a payment's id, and one that lists
  kinds in place of one). The SDKs of Python and TypeScript (2026-08-18) and dodo-adapters hold schemas alone.
- Polar: the examples of polarsource/polar-js, 35 kinds, in the names that go over the wire: 3 with facts, 32 that say
  nothing. polarsource/polar (2026-08-22) and polar-adapters (2026-04-28): 93 of tests, which say nothing.
- hookdeck/webhook-skills (2026-02-22): 27 of other senders, which say nothing, none refused.
- In the reverse order and in eight made-up ones, each event twice, all of them come to the same rows.
- Some examples of Polar's write `due_amount` 0 beside a total that was paid; the server's code can't
  (models/order.py: `total_amount` and `applied_balance_amount`, never less than 0), and its code is followed.
- No genuine body of a refund or a dispute was found in any public file on that day (texts searched for:
  `"payload_type": "Refund"`, `"payload_type": "Dispute"`, `"type": "order.paid"`, `"applied_balance_amount"`).
""",
    open_questions="""
- Whether Dodo's payment.succeeded can come twice with a larger `total_amount`.
- Whether a dispute of Dodo's keeps its id from stage to stage, and whether one in `pre_dispute` holds money too: its
  page on the events makes no difference.
- How much of a payment of Dodo's was captured that is `partially_captured`: its API shows no such figure.
- Of Polar refunds alone are asked about, where `API_BASE_URL` is its address (`https://api.polar.sh`) and `API_KEY` its
  token with `refunds:read`; not an order, and nothing of a service of your own.
""",
)
