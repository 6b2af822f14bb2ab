"""Deliveries of Adyen's that were read wrongly once, by their ids: what the rows come to, in every order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from events import adyen, intent
from every_order import in_every_order

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

PAID: Final = [adyen("AUTHORISATION", "PAY"), adyen("CAPTURE", "CAP1")]
DEFENDED: Final = [*PAID, adyen("CHARGEBACK", "DIS1"), adyen("CHARGEBACK_REVERSED", "DIS1")]
BROKEN_ORDER: Final = [
    intent(provider="adyen", reference="ORD-1", capture="automatic"),
    adyen("ORDER_OPENED", "ORDP1", original=None),
    adyen("AUTHORISATION", "GC1", 200),
    adyen("AUTHORISATION", "PSP2", 800, success=False),
    adyen("ORDER_CLOSED", "ORDP1", original=None, success=False),
]
LOST: Final = {"status": "captured", "dispute_status": "lost", "disputed": 1000}
WON: Final = {"status": "captured", "dispute_status": "won", "disputed": 0}

CASES: Final[dict[str, tuple[list[Record], dict[str, Any]]]] = {
    "A6": ([*PAID, adyen("CHARGEBACK", "DIS1"), adyen("DISPUTE_DEFENSE_PERIOD_ENDED", "DIS1")], LOST),
    "A6 won later": ([*DEFENDED, adyen("DISPUTE_DEFENSE_PERIOD_ENDED", "DIS1")], WON),
    "A6 of a question": (
        [*PAID, adyen("REQUEST_FOR_INFORMATION", "DIS1"), adyen("DISPUTE_DEFENSE_PERIOD_ENDED", "DIS1")],
        {"dispute_status": "prevented", "disputed": 0},
    ),
    "PC6": (BROKEN_ORDER, {"status": "canceled", "captured": 0, "refunded": 0, "client": "shop"}),
    "PC6 with the part's cancellation": (
        [*BROKEN_ORDER, adyen("CANCELLATION", "CAN1", 200, original="GC1")],
        {"status": "canceled", "captured": 0, "refunded": 0, "client": "shop"},
    ),
    "PC6 with the part's refund": (
        [*BROKEN_ORDER, adyen("REFUND", "REF1", 200, original="GC1")],
        {"captured": 200, "refunded": 200, "refund_status": "full", "client": "shop"},
    ),
    "PC6 paid in full": (
        [
            *BROKEN_ORDER[:3],
            adyen("AUTHORISATION", "PSP3", 800),
            adyen("ORDER_CLOSED", "ORDP1", original=None),
        ],
        {"status": "captured", "captured": 1000, "client": "shop"},
    ),
    "PC8": ([*DEFENDED, adyen("SECOND_CHARGEBACK", "DIS1"), adyen("PREARBITRATION_WON", "DIS1")], WON),
    "PC9": ([*DEFENDED, adyen("SCHEME_ARBITRATION_LOST", "DIS1")], LOST),
    "PC9 accepted": ([*DEFENDED, adyen("PREARBITRATION_OPEN", "DIS1"), adyen("PREARBITRATION_ACCEPTED", "DIS1")], LOST),
    "PC9 open": (
        [*DEFENDED, adyen("PREARBITRATION_OPEN", "DIS1")],
        {"status": "captured", "dispute_status": "open", "disputed": 0},
    ),
    "PC9 declined": (
        [*DEFENDED, adyen("PREARBITRATION_DECLINED", "DIS1"), adyen("SCHEME_ARBITRATION", "DIS1")],
        {"status": "captured", "dispute_status": "under_review", "disputed": 0},
    ),
    "PC9 withdrawn": ([*DEFENDED, adyen("PREARBITRATION_ISSUER_WITHDRAWN", "DIS1")], WON),
    "PC9 arbitration won": (
        [*DEFENDED, adyen("SECOND_CHARGEBACK", "DIS1"), adyen("SCHEME_ARBITRATION_WON", "DIS1")],
        WON,
    ),
    "PC17": (
        [
            *PAID,
            adyen("NOTIFICATION_OF_CHARGEBACK", "DIS1"),
            adyen("CHARGEBACK", "DIS1"),
            adyen("INFORMATION_SUPPLIED", "DIS1"),
        ],
        {"status": "captured", "dispute_status": "under_review", "disputed": 1000},
    ),
    "PC17 of a question": (
        [*PAID, adyen("REQUEST_FOR_INFORMATION", "DIS1"), adyen("INFORMATION_SUPPLIED", "DIS1")],
        {"dispute_status": "under_review", "disputed": 0},
    ),
    "the issuer let the time pass": ([*DEFENDED, adyen("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", "DIS1")], WON),
    "IDR": (
        [adyen("AUTHORISATION", "PAY", 5000, currency="IDR"), adyen("CAPTURE", "CAP1", 5000, currency="IDR")],
        {"currency": "IDR", "amount": 500_000, "captured": 500_000},
    ),
    "CVE": ([adyen("AUTHORISATION", "PAY", 5000, currency="CVE")], {"currency": "CVE", "authorized": 500_000}),
    "ISK": ([adyen("AUTHORISATION", "PAY", 5000, currency="ISK")], {"currency": "ISK", "authorized": 50}),
    "CLP": ([adyen("AUTHORISATION", "PAY", 5000, currency="CLP")], {"currency": "CLP", "authorized": 50}),
    "a reference that is none": ([adyen("AUTHORISATION", "PAY", reference="x" * 300)], {"reference": None}),
}


@pytest.mark.parametrize(("records", "row"), CASES.values(), ids=CASES)
def test_case(records: list[Record], row: dict[str, Any]) -> None:
    for end in in_every_order(records):
        assert [{name: shown[name] for name in row} for shown in end.tables.counted] == [row]
        assert not end.tables.letters
        assert not end.tables.parked
