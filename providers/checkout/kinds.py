"""Every kind of event that Checkout.com publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, described

KINDS: Final[dict[str, Kind]] = {
    **described(
        Decision.MONEY,
        {
            "payment_approved": "`amount` is reserved",
            "payment_pending": "a try is processing",
            "payment_declined": "a try failed",
            "payment_canceled": "the payment ended",
            "payment_expired": "the payment ended",
            "payment_voided": "the authorization is released",
            "payment_authorization_incremented": "a larger authorization: `balances.total_authorized`",
            "payment_captured": "`amount` of this action was taken",
            "payment_capture_declined": "the capture of this action took nothing",
            "payment_refunded": "`amount` of this action was given back",
            "payment_refund_declined": "the refund of this action came to nothing",
            "payment_returned": "`amount` of what was taken went back (ACH and the like); of a payout nothing",
            "dispute_evidence_required": "a dispute opened and took its amount",
            "dispute_canceled": "the dispute is won, its amount is back",
            "dispute_won": "the dispute is won, its amount is back",
            "dispute_lost": "the dispute is lost, its amount stays gone",
            "dispute_received": "a dispute opened; its amount counts from the event that follows",
            "dispute_accepted": "as dispute_lost",
            "dispute_evidence_submitted": "under review, its amount is held",
            "dispute_evidence_acknowledged_by_scheme": "as dispute_evidence_submitted",
            "dispute_arbitration_evidence_submitted": "under review, a stage later",
            "dispute_arbitration_sent_to_scheme": "under review, a stage later",
            "dispute_arbitration_won": "won in arbitration, its amount is back",
            "dispute_arbitration_lost": "lost in arbitration, its amount is gone whatever came before",
            "dispute_expired": "as dispute_lost",
            "dispute_resolved": "prevented: the payment had been refunded",
        },
    ),
    **alike(Decision.NOTHING, "asked for, not done yet", "payment_capture_pending", "payment_refund_pending"),
    **alike(Decision.NOTHING, "tried, not done", "payment_void_declined", "payment_authorization_increment_declined"),
    **alike(Decision.NOTHING, "money that goes out", "payment_paid"),
    **alike(
        Decision.NOTHING,
        "about a payment, and no money of it; what follows has events of its own",
        "authentication_approved authentication_attempted authentication_expired authentication_failed",
        "authentication_started payment_authentication_failed payment_compliance_review payment_optimized",
        "payment_retry_scheduled request_for_information_received",
    ),
    **alike(
        Decision.NOTHING,
        "a card, an instrument, an account or a report",
        "bank_account_updated batch_successful batch_unsuccessful card_verification_declined card_verified",
        "payment_instrument_created payment_instrument_error payment_instrument_verification_failed",
        "payment_instrument_rejected payment_instrument_verification_passed payment_instrument_verified",
        "payments_disabled payments_enabled payouts_disabled payouts_enabled sub_entity_created status_changed",
        "transfer_status_changed full_dd_failed full_dd_passed match_failed match_passed vmss_failed vmss_passed",
        "authorization_advice_received authorization_approved authorization_declined issuing_dispute_closed",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Checkout.com",
    source="checkout.com/docs, Event types (2025-12-17), its pages of examples, hookdeck/webhook-skills (2026-09-28), "
    "a PrestaShop module's workflow; of issuing and identities only what was found",
    read_on="2026-11-28",
    kinds=KINDS,
    notes="""
- **Signed**: the whole body.
- **Amounts**: minor units of ISO 4217, CLP with two decimals; of the action itself. A dispute tells its amount
  (docs.checkout.com, "Dispute evidence required", 2025-06-04); one that does not is of all that was captured.
- **Disputes**: the amount "will be immediately deducted" when a dispute is issued ("How disputes work") and is back
  when it is won or canceled ("Event types", 2022-04-29). It counts from the first event but `dispute_received`: what
  the customer had got back already is resolved without a demand.
- **Ids**: pay_ of a payment, action_id of a capture and of a refund, dsp_ of a dispute.
- **Merchant and mode**: data.entity_id; the sandbox has endpoints of its own.
- A payout (a `destination` and no source but an account of the merchant) says nothing.
""",
    tried="""
Read with `make corpus`, 27 November 2026; none of them is kept here.

- checkout-api-reference (2021-07-20), its YAML too, checkout-sdk-java, checkout-sdk-php (2026-08-19), checkout-sdk-go,
  hyperswitch-prism (2026-04-27) and getlago/lago-api (2026-08-21) hold no event of Checkout.com.
- 13 bodies out of six public files, one by one (hookdeck/webhook-skills, skills/checkout-com-webhooks, and the tests of
  shops; genuine ones of the sandbox and of live accounts among them, of 2019 to 2025): 9 with facts, 4 that say nothing
  (2 of issuing, 2 payment_capture_pending), none refused. They have `created_on`, which was not read, and is now.
- In the reverse order and in eight made-up ones, each event twice, all of them come to the same rows.
- The examples of Checkout.com's own pages (docs/workflows/webhook-event-types, 2022 to 2025, 28 November 2026), their
  fields one by one: payment_approved, payment_declined, payment_refunded, dispute_evidence_required, expired, lost,
  resolved and arbitration_evidence_submitted: 8, all with facts. No payment of theirs names an entity, and each dispute
  does: in any order they come to one row, which has the entity.
""",
    open_questions="""
- Whether `request_for_information_received` is of a payment that it names: it says nothing. The page lists over 150
  kinds; no public copy has all of issuing, fraud and identities. Outside payment_ and dispute_ every kind says nothing.
- Whether a dispute that is resolved, for its payment had been refunded, ever held its amount: it counts as nothing.
- CLF: its page on amounts listed it without decimals until 2022 and not at all in 2025; it is read as in ISO 4217.
- Whether a pending refund has the action id of the refund that follows: it says nothing.
- When an authorization ends (`expires_on`) no event tells beforehand; the schedule asks until 32 days. The balances of
  an answer name no action: they count what no event reported.
- The public specification is of 2021; later statuses (Requested, Active) are those of checkout-sdk-java.
""",
)
