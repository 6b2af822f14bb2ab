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
        Decision.MONEY,
        "the chargeback stands where its stage and its status say",
        "chargeback.created",
    ),
    **alike(
        Decision.REFUSED,
        "an order that was authorized; which event ends it is not documented",
        "order.authorization",
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
  (v3.0/reference/verify-transaction). By some methods its body is flat, without `event` and `data` (Node-v3#175).
- **Chargebacks** (version 4): one by its `id`, of the charge `charge_id`; the stage orders first (new, second,
  pre-arbitration, arbitration), then `updated_datetime`. Its amount is held at once and debited where it is accepted or
  lost (docs/chargebacks-1). Version 3 tells of them on its dashboard (docs/payment-operations/chargebacks, 2026-09-13).
- **Merchant and mode**: in no field that is signed; the endpoint's settings say.
""",
    tried="""
Read with `make corpus`, 27 November 2026; none of them is kept here. Version 3 as the API's answers and as events.

- Flutterwave/Node-v3: 12 answers with facts, 2 refused (answers to a charge that is not verified, or a test without a
  status). Flutterwave/PHP-v3: 2 with facts; its folder of webhooks holds empty files. getlago/lago-api (2026-08-21): 13
  events, 10 with facts, 3 refused (a test's body without an id or a reference). onepercentclub/bluebottle: 5 events,
  all with facts.
- Version 4: gowelle/flutterwave-php and toneflix/flutterwave-4-nodejs-sdk (2026-05-01) hold 39 made-up bodies: 21 say
  nothing, 17 are refused, for they name no reference, and 1, for its kind does not exist. 2 samples of
  charge.completed, one of them that of Flutterwave's page on OPay: both with facts.
- 2 flat bodies of version 3 (`event.type` CARD_TRANSACTION), one beside the API's answer of the same transaction, whose
  id it names: neither was read before, both are now; that answer has facts.
- In the reverse order and in eight made-up ones, each event twice, all of them come to the same rows.
- Of version 4 no body of a refund, a chargeback or an authorized order was found in any public file on that day (texts
  searched for: `"webhook_id": "wbk_`, `"type": "refund.completed"`, `"type": "chargeback.created"`).
""",
    open_questions="""
- The whole list of version 4's kinds. A list of others (api-evangelist/flutterwave, 2026-08-22) names charge.failed,
  refund.failed and chargeback.updated, which are read, and virtual_account.funded, which says nothing.
- The body of a chargeback's webhook: it is read as the API's chargeback (v4-api-reference/chargebacks and
  v4/api/chargebacks/chargeback_put, 2026-10-19), as charges and refunds come in the API's shape too; in any other it
  becomes a dead letter. That shape has no currency: then the dispute is known and its sum is not.
- What an authorized order becomes: its webhook has a published shape (v4-api-reference/orderauthorization), with a
  `status` of any text. Whether its capture comes as a charge, under which reference, and what tells of its void no
  document says: read, it would be a hold that nothing ends, so it is refused.
- What version 3 says of refunds and chargebacks: its verification tells of the charge alone.
- The currency of a version 4 refund: neither its webhook nor the API's refund has one (docs/refunds;
  v4-api-reference/refunds), so reading it again would not tell its sum. Neither it nor a chargeback is asked about:
  version 4's API has an address and a grant of its own (idp.flutterwave.com), and two published addresses disagree.
""",
)
