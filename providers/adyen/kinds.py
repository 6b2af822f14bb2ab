"""Every event code that Adyen publishes, and what is decided about it."""

from __future__ import annotations

from typing import Final

from providers.core.catalogue import Catalogue, Decision, Kind, alike, described

KINDS: Final[dict[str, Kind]] = {
    **described(
        Decision.MONEY,
        {
            "AUTHORISATION": "success: `amount` is reserved, or taken where that is set; else a try failed",
            "PENDING": "a try is processing",
            "AUTHORISATION_ADJUSTMENT": "success: the authorization's new figure",
            "CAPTURE": "success: `amount` of this capture was taken; else nothing happened",
            "CAPTURE_FAILED": "the capture of this pspReference came undone",
            "CANCELLATION": "success: the authorization is released; nothing had been captured",
            "TECHNICAL_CANCEL": "success: the authorization is released",
            "CANCEL_OR_REFUND": "success: a refund of `amount` where money had been captured, else a release",
            "EXPIRE": "what was not captured of the authorization expired",
            "REFUND": "success: `amount` went back, which proves a capture; else the refund failed",
            "REFUND_WITH_DATA": "as REFUND",
            "REFUND_FAILED": "the refund of this pspReference failed after it had been accepted",
            "REFUNDED_REVERSED": "the refund of this pspReference came back to the account",
            "ORDER_CLOSED": "success false: the order was not paid in full, its parts are given back; else nothing",
            "REQUEST_FOR_INFORMATION": "an inquiry: no money moves",
            "NOTIFICATION_OF_CHARGEBACK": "a dispute is open: no money moves yet",
            "INFORMATION_SUPPLIED": "the dispute or inquiry is answered: under review",
            "DISPUTE_DEFENSE_PERIOD_ENDED": "lost where a chargeback took money, else the inquiry ended",
            "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": "the issuer accepted the defense, or let the time pass: won",
            "CHARGEBACK": "`amount` was taken: open",
            "CHARGEBACK_REVERSED": "`amount` is back: won, until a later stage",
            "SECOND_CHARGEBACK": "`amount` was taken again: lost, above CHARGEBACK_REVERSED in any order",
            "PREARBITRATION_OPEN": "the issuer opened pre-arbitration: open, no money moves",
            "PREARBITRATION_OPENED": "as PREARBITRATION_OPEN, an older name",
            "PREARBITRATION_ACCEPTED": "the issuer's case was accepted: lost, `amount` is taken",
            "PREARBITRATION_DECLINED": "the issuer's case was declined: under review",
            "PREARBITRATION_ISSUER_WITHDRAWN": "the issuer withdrew: won, the money is or stays back",
            "PREARBITRATION_LOST": "the issuer declined our case: lost, `amount` is gone",
            "PREARBITRATION_WON": "the issuer accepted our case: won, `amount` is back",
            "SCHEME_ARBITRATION": "the case went to the scheme: under review",
            "SCHEME_ARBITRATION_LOST": "the scheme ruled that we are liable: lost, `amount` is taken",
            "SCHEME_ARBITRATION_WON": "the scheme ruled that the issuer is liable: won, `amount` is back",
        },
    ),
    **alike(
        Decision.NOTHING,
        "money that goes out, or comes back from there; no payment of a customer's",
        "PAIDOUT_REVERSED PAYOUT_DECLINE PAYOUT_EXPIRE PAYOUT_THIRDPARTY",
    ),
    **alike(
        Decision.NOTHING,
        "stored details, their changes and their end",
        "ACH_NOTIFICATION_OF_CHANGE DEACTIVATE_RECURRING DIRECT_DEBIT_NOTICE_OF_CHANGE_NOTIFICATION DISABLE_RECURRING",
        "RECURRING_CONTRACT",
    ),
    **alike(
        Decision.NOTHING,
        "a process that tries again: each try is an AUTHORISATION of its own",
        "AUTORESCUE AUTORESCUE_NEXT_ATTEMPT CANCEL_AUTORESCUE PROCESS_RETRY",
    ),
    **alike(
        Decision.NOTHING,
        "a review; what it does to the payment comes as CAPTURE, CANCELLATION or CANCEL_OR_REFUND",
        "MANUAL_REVIEW_ACCEPT MANUAL_REVIEW_REJECT",
    ),
    **described(
        Decision.NOTHING,
        {
            "AUTHENTICATION": "a 3-D Secure check without payment",
            "DONATION": "a donation to a third party beside a payment",
            "HANDLED_EXTERNALLY": "the payment went on elsewhere",
            "ISSUER_COMMENTS": "free text about a dispute",
            "NOTIFICATION_OF_FRAUD": "an alert of the issuer's; the dispute, if any, has events of its own",
            "OFFER_CLOSED": "a payment page was left or timed out; what had been tried has events of its own",
            "ORDER_OPENED": "an order of several parts began; each part is an AUTHORISATION of its own",
            "POSTPONED_REFUND": "a refund waits for the capture; REFUND tells when it is made",
            "REPORT_AVAILABLE": "a report",
            "VOID_PENDING_REFUND": "the answer to a terminal's request; which object it names is not documented",
        },
    ),
}

CATALOGUE: Final = Catalogue(
    name="Adyen",
    source="Adyen/adyen-openapi json/Webhooks-v1.json; EVENT_CODE_* of adyen-java-api-library",
    read_on="2026-07-01",
    kinds=KINDS,
    notes="""
- **Signed**: pspReference, originalReference, merchantAccountCode, merchantReference, amount, eventCode and success;
  nothing else of an item decides anything (docs.adyen.com, Verify HMAC signatures).
- **Amounts**: each event has its own, of this capture, refund or dispute. Minor units of Adyen's table: CLP 2, CVE 0,
  IDR 0, ISK 2 decimals, all others as in ISO 4217 (docs.adyen.com/development-resources/currency-codes).
- **Ids**: a payment is the pspReference of its AUTHORISATION, the originalReference of its modifications; a capture, a
  refund and a dispute go by their own pspReference, the same in all their events.
- **Merchant and mode**: merchantAccountCode; `live` is not signed, so the endpoint's setting says.
- **Shared ids**: merchantReference is the merchant's own and joins nothing; the parts of an order are joined by the
  intent that promised it.
- **When money is taken**: AUTHORISATION does not say; the intent or the account's setting does. CAPTURE says how much;
  REFUND, CHARGEBACK and a CANCEL_OR_REFUND of a part prove a capture, CANCELLATION and EXPIRE that there was none.
- **Platform webhooks**: dotted types (balancePlatform., merchant.) are signed as a whole and are about no payment.
""",
    tried="""
Read with `make corpus`, November 2026; none of them is kept here.

- adyen-java-api-library (mocks), commercetools-adyen-integration, lago-api, hyperswitch-prism: 27 items, 21 with facts,
  5 that say nothing, 1 refused, which its test made up (an amount without currency).
- Adyen/adyen-openapi (2026-07-01), Adyen's own examples of its webhooks: 51 items, 35 with facts, 16 that say nothing,
  none refused. Some of its disputes have no originalReference: there pspReference is the payment.
- adyen-java-api-library (2026-08-21): 11 items, 9 with facts, 2 that say nothing; commercetools-adyen-integration: 2,
  with facts; getlago/lago-api (2026-08-21): 11, 8 with facts; hyperswitch-prism (2026-04-27): 3, 1 refused as above.
  solidus-adyen (2017-09-13), Sylius/AdyenPlugin (2025-09-12), hookdeck/webhook-skills: no item as JSON.
- 28 November 2026: wikimedia-fundraising-SmashPig (2026-08-19): 33 items, 24 with facts, 9 that say nothing.
  adyen-dotnet-api-library: 9, 7 with facts, 2 that say nothing; adyen-node-api-library: 9, 5 with facts, 1 that says
  nothing, 3 refused (a test's variable or made-up code in place of a kind); spree_adyen (2026-05-15): 19, 15 with
  facts, 2 that say nothing, 2 refused (made up); alphagov/pay-connector (2026-08-21): 6, 5 with facts;
  adyen-magento2: 2, 1 refused (made up).
- In the reverse order and in eight made-up ones, each event twice, all of them come to the same rows.
""",
    open_questions="""
- Whether INFORMATION_SUPPLIED answers the inquiry or the chargeback where one dispute had both: it reads under review.
- Whether a capture that is tried again after CAPTURE_FAILED repeats the pspReference of the failed one.
- Whether EXPIRE always has an originalReference: without one its pspReference is taken for the payment.
- Whether PREARBITRATION_DECLINED is final where no SCHEME_ARBITRATION follows.
- Whether the parts of an order that failed always have REFUND or CANCELLATION events: they count once either way.
- What became of a payment whose events were lost: Adyen has no API that shows a payment by its pspReference
  (help.adyen.com, "Is there an API which can allow me to show the status of the transaction?", read in November 2026),
  so nothing is asked again on a clock. What it offers instead: webhooks that are tried for 30 days, the Payment
  accounting and Dispute reports, and the result of a session for its own shopper.
""",
)
