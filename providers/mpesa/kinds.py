"""Every callback that Daraja publishes, by the name that its shape has here, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, described

KINDS: Final[dict[str, Kind]] = {
    **described(
        Decision.MONEY,
        {
            "stkCallback": "M-Pesa Express: what became of a push; its receipt is asked about too",
            "Result": "Reversal, Transaction Status, B2C, B2B, Account Balance, Tax Remittance, B2C top-up: of these a "
            "reversal takes money back and a status says what a receipt is; money that leaves the till says nothing",
        },
    ),
    **alike(
        Decision.MONEY,
        "C2B confirmation: a customer paid",
        "CustomerPayBillOnline CustomerBuyGoodsOnline",
    ),
    "Pay Bill": Kind(Decision.MONEY, "C2B confirmation: a customer paid"),
    "Buy Goods": Kind(Decision.MONEY, "C2B confirmation: a customer paid"),
    **described(
        Decision.NOTHING,
        {
            "Ratiba": "a standing order was made or paid; the receipt that it names is asked about",
            "B2BExpress": "a business paid a business; the receipt that it names is asked about",
            "BillManager": "an invoice was paid; the receipt that it names is asked about",
        },
    ),
}

CATALOGUE: Final = Catalogue(
    name="M-Pesa",
    source="the Daraja portal, as mpesakit (2026-08-08), mpesa-daraja-mcp and other public copies of it show it",
    read_on="2026-11-28",
    kinds=KINDS,
    notes="""
- **Signed**: nothing. The secret ends the path, every callback is a hint, and the API is read again before money moves:
  a push by an STK query (`API_MERCHANT`, `API_PASS_KEY`), a receipt by a transaction status query (`API_INITIATOR`,
  `API_INITIATOR_CREDENTIAL`). The answer to the latter comes by another callback; it is believed when it carries the
  `ConversationID` of a query of ours that is open, and names the receipt that was asked about.
- **Amounts**: shillings, as text or number, of the transaction itself.
- **Ids**: a push is its `CheckoutRequestID`, money is its receipt (`TransID`, `MpesaReceiptNumber`, `ReceiptNo`). That
  a receipt belongs to a push, and a reversal to a receipt, only callbacks tell, which nobody signs. It is passed
  through the query (`Occasion`) and taken where it fits: the push was captured, the receipt is a payment to this till,
  of all that the push asked, from the intent's `phone` where it names one, and the first of this push; a reversal is of
  this till and no larger than its receipt. A receipt that does not fit is a payment by itself, a reversal a dead
  letter. So who knows the path's secret can tie a stranger's receipt to a push of the same amount whose intent names
  no phone, as long as its own is not known, and nothing else.
- **A push and its C2B confirmation** are one payment: the push counts what no receipt tells.
- **Merchant and mode**: one endpoint a short code; production and sandbox are different hosts.
- A result code may be no number (`SFC_IC0003`); 1019 is an expired push; 500.001.1001 is an open push, and wrong
  credentials where its words say so.
- A validation request has the shape of a confirmation and looks just like it; its receipt is asked about and does
  not exist.
""",
    tried="""
Read with `make corpus`, 28 November 2026; none of them is kept here.

- Byte-Barn/mpesakit (2026-08-08): 66 bodies in 24 files, most of them literals of its tests and schemas: 7 with facts,
  57 that say nothing, 2 refused (tests that leave out the result code).
- gathuku/laravel_mpesa (2023-02-06): 3, 2 with facts, 1 that says nothing. frappe/press (2026-08-22): 1, with facts.
  frappe/payments (2024-03-28) builds its bodies in code.
- The payment notification of Bill Manager (mpesakit, bill_manager/schemas) was answered 401 and is taken now.
- In the reverse order and in eight made-up ones, each event twice, they come to the same rows.
""",
    open_questions="""
- How a reversed transaction reads in a status query: the documented statuses know none; `Reversed` is read where it
  comes, and the reversal's own receipt is asked about either way.
- Which signed text would tie a C2B payment to an order: `BillRefNumber` comes in the unsigned confirmation alone, so it
  groups nothing.
- Whether the receipt of a Ratiba payment answers a status query of the short code that it is paid to.
""",
)
