"""Every kind that Paystack publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike

KINDS: Final[dict[str, Kind]] = {
    **alike(
        Decision.MONEY,
        "the transaction was taken",
        "charge.success",
    ),
    **alike(
        Decision.MONEY,
        "the try failed",
        "charge.failed",
    ),
    **alike(
        Decision.MONEY,
        "`amount` is reserved on a card",
        "preauthorization.reserve.success",
    ),
    **alike(
        Decision.MONEY,
        "`captured_amount` was taken",
        "preauthorization.capture.success",
    ),
    **alike(
        Decision.MONEY,
        "what was reserved is released",
        "preauthorization.release.success",
    ),
    **alike(
        Decision.MONEY,
        "the dispute waits for the merchant, or for the bank",
        "charge.dispute.create charge.dispute.remind",
    ),
    **alike(
        Decision.MONEY,
        "how the dispute ended",
        "charge.dispute.resolve",
    ),
    **alike(
        Decision.MONEY,
        "a refund, by its id; without one it says nothing",
        "refund.failed refund.needs-attention refund.pending refund.processed refund.processing",
    ),
    **alike(
        Decision.NOTHING,
        "a payment request; its money is a charge",
        "paymentrequest.pending paymentrequest.success",
    ),
    **alike(
        Decision.NOTHING,
        "a subscription or its invoice; its money is a charge",
        "invoice.create invoice.payment_failed invoice.update subscription.create subscription.disable",
        "subscription.expiring_cards subscription.not_renew",
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out",
        "transfer.failed transfer.reversed transfer.success",
    ),
    **alike(
        Decision.NOTHING,
        "a customer or an account",
        "customeridentification.failed customeridentification.success dedicatedaccount.assign.failed",
        "dedicatedaccount.assign.success",
    ),
    **alike(
        Decision.NOTHING,
        "a mandate for debits",
        "direct_debit.authorization.active direct_debit.authorization.created",
    ),
    **alike(
        Decision.NOTHING,
        "a transfer of a wrong sum goes back to the customer; it names no transaction",
        "bank.transfer.rejected",
    ),
    **alike(
        Decision.NOTHING,
        "what is reserved stays reserved",
        "preauthorization.capture.failed preauthorization.release.failed",
    ),
}

CATALOGUE: Final = Catalogue(
    name="Paystack",
    source="PaystackOSS/doc-code-snippets, the samples of its documentation; charge.failed: other people's code alone",
    read_on="2026-02-23",
    kinds=KINDS,
    notes="""
- **Amounts**: each event has its own. Hundredths of every currency, also of XOF and RWF; `payments` holds ISO 4217.
- **Ids**: the payment is the merchant's transaction reference; a refund is `refund_reference`, else `id`; a dispute
  its `id`. Events have no id but `data.id`.
- **Mode**: `data.domain`. **Merchant**: in no field that charges carry.
- **Preauthorizations**: reserved, taken and released under one `reference`, which is the transaction's too. The API
  shows them by it (`/preauthorization/:reference`).
- **Disputes**: one that was accepted takes `refund_amount` off the payouts (handling-disputes; support article
  360014290660).
""",
    tried="""
Read with `make corpus`, November 2026; none of them is kept here. The published samples that the vectors are made of:
right.

- PaystackOSS/doc-code-snippets (2026-02-23), the samples of Paystack's documentation: 126 events, 48 with facts, 76
  that say nothing, 2 refused: one charge.success, kept in two forms, that tells no currency (multi-split, of 2020).
- gray-adeyi/pypaystack2 (2026-07-04): 3 events, 1 with facts, 2 that say nothing, none refused. PaystackOSS/openapi
  (2025-10-24) holds no event.
- In the reverse order, each event twice, they come to the same rows: doc-code-snippets.
""",
    open_questions="""
- In which currency a charge is that tells none, as one sample of 2020 does: it becomes a dead letter.
- Whether charge.success comes beside preauthorization.capture.success; under one reference both are one capture.
- Whether the rest of a hold that was captured in part is released at once, and by which event.
- That amounts in XOF and RWF are hundredths, secondary sources say; no document of Paystack's own was found.
- Pending refunds without any id can't be tied to what follows; they say nothing.
- When a dispute's money goes while it is open, and whether a refund's event tells of an accepted one too.
- A refund can't be asked about, looked for again on 2026-11-28. Its events name it by `refund_reference`;
  `GET /refund/{id}` shows one by its `id`, with its transaction's reference and without its own (PaystackOSS/openapi
  RefundFetchResponse, 2025-10-24; doc-code-snippets refunds/fetch, 2026-02-23). Of the published events
  refund.needs-attention alone tells both; whether `bank_reference` is the same no document says, and in the genuine
  answers that airbytehq/airbyte#37219 shows it is null. `GET /refund` takes
  `from`, `to`, `page` and `perPage` (refund_list); older SDKs send `reference` or `transaction` too, which no document
  describes. Under its `id` a refund would be given back twice. So one whose end was lost stays pending.
- Whether a hold that a card refused has other states than `failed`. How much of one was taken its own answer does not
  say, so its transaction is asked next.
- What `reversed` means of a transaction: a refund or a dispute, each of which tells of itself; it is read as taken.
""",
)
