"""Every kind that Flutterwave publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike

KINDS: Final[dict[str, Kind]] = {
    **alike(
        Decision.MONEY,
        "the charge ended as its status says",
        "charge.completed",
    ),
    **alike(
        Decision.MONEY,
        "the refund stands where its status says",
        "refund.completed",
    ),
    **alike(
        Decision.REFUSED,
        "an order that was authorized; not documented well enough to be read",
        "order.authorization",
    ),
    **alike(
        Decision.REFUSED,
        "a chargeback; not documented well enough to be read",
        "chargeback.created",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out",
        "transfer.completed transfer.disburse transfer.reversal",
    ),
    **alike(
        Decision.NOTHING,
        "a subscription; its money is a charge",
        "subscription.cancelled",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Flutterwave",
    source="developer.flutterwave.com/docs/webhooks (version 4), /v3.0/docs/webhooks",
    read_on="2026-11-26",
    kinds=KINDS,
    notes="""
- **Amounts**: each event has its own, in major units; a refund's is `amount_refunded`, and not read where the event
  tells no currency: then the refund is known and its sum is not.
- **Events** have the id `webhook_id`, in some kinds `id`.
- **Ids**: a charge goes by its id; all charges under the merchant's reference (`reference`, in version 3 `tx_ref`)
  are one payment. A refund names its charge by `charge_id`.
- **Version 3** signs nothing: its webhook is a hint, and the transaction is read again at the API
  (v3.0/reference/verify-transaction).
- **Merchant and mode**: in no field that is signed; the endpoint's settings say.
""",
    tried="""
None: no genuine body of version 4 was found in any public repository, only samples; none as JSON in
toneflix/flutterwave-4-nodejs-sdk (2026-05-01) and getlago/lago-api (2026-08-21).
""",
    open_questions="""
- The whole list of version 4's kinds, and the shapes of its chargebacks and authorized orders: refused until a
  document or a genuine body shows them. A list of others (api-evangelist/flutterwave, 2026) names charge.failed and
  refund.failed, which are read, chargeback.updated, which is refused, and virtual_account.funded, which says nothing.
- What version 3 says of refunds and chargebacks: its verification tells of the charge alone.
- The currency of a version 4 refund: neither its webhook nor the API's refund has one (docs/refunds;
  toneflix/flutterwave-4-nodejs-sdk, IRefund), so reading it again would not tell its sum, and it is not asked about.
""",
)
