"""Every kind of event that Square publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, said

KINDS: Final[dict[str, Kind]] = {
    **said(
        Decision.MONEY,
        {
            "payment.created": "what its status says, of `total_money`",
            "payment.updated": "what its status says, of `total_money`",
            "refund.created": "what its status says, of its own `amount_money`",
            "refund.updated": "what its status says, of its own `amount_money`",
            "dispute.created": "what its state says; takes nothing that is documented",
            "dispute.state.changed": "what its state says",
            "dispute.state.updated": "what its state says",
        },
    ),
    **alike(
        Decision.NOTHING,
        "evidence is no state",
        "dispute.evidence.added dispute.evidence.created dispute.evidence.deleted dispute.evidence.removed",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Square",
    source="square/connect-api-specification api.json",
    read_on="2025-08-19",
    kinds=KINDS,
    notes="""
- **Signed**: the notification URL and the whole body.
- **Amounts**: whole numbers in minor units of ISO 4217. `total_money` is what a payment comes to, tip included, in the
  version of `updated_at`; refunds and disputes have their own.
- **Ids**: of the payment (its authorization and capture too), refund, dispute. An order id may have several payments.
- **Merchant and mode**: merchant_id; the sandbox has subscriptions of its own.
- Kinds of catalog, customers, orders, invoices, payouts, terminals and the like say nothing of a payment.
""",
    tried="""
Read with `make corpus`, November 2026; none of them is kept here.

- square/connect-api-specification (2025-08-19): 150 events, 8 with facts, 142 that say nothing, none refused.
""",
    open_questions="""
- When a dispute takes its money and gives it back.
- Whether a second round has the same dispute id.
""",
)
