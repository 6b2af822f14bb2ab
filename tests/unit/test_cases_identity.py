"""Cases from real deliveries: payments of two merchants, or of test and live, under one endpoint stay apart."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, Any

import pytest
from events import record
from memory_tables import MemoryTables

from consumer.decode import decode, endpoints_of
from runtime.settings import ProviderSettings, Settings
from runtime.settings.scopes import scopes_of
from schemas.topics import DEFAULT

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit


def stripe(event_id: str, account: str, payment: str, amount: int, order: str, *, live: bool = True) -> Record:
    thing = {
        "id": payment, "object": "payment_intent", "amount": amount, "amount_capturable": 0, "amount_received": amount,
        "currency": "eur", "latest_charge": None, "metadata": {"order_id": order},
    }  # fmt: skip
    kind = "payment_intent.succeeded"
    body = {
        "id": event_id,
        "object": "event",
        "created": 1790000001,
        "livemode": live,
        "type": kind,
        "account": account,
    }
    return record("stripe", event_id, kind, {**body, "data": {"object": thing}})


def adyen(merchant: str, payment: str, amount: int) -> Record:
    item = {
        "amount": {"currency": "EUR", "value": amount}, "eventCode": "AUTHORISATION", "success": "true",
        "eventDate": "2026-09-21T14:18:20+02:00", "merchantAccountCode": merchant, "merchantReference": "ORD-1",
        "pspReference": payment,
    }  # fmt: skip
    return record("adyen", f"{payment}:AUTHORISATION:true", "AUTHORISATION", item)


def rows_of(tables: MemoryTables, *names: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[name] for name in names) for row in tables.payments.values())


def test_t1_two_connected_accounts_with_one_order_number_are_two_payments() -> None:
    steps = [stripe("evt_1", "acct_A", "pi_A", 1000, "1001"), stripe("evt_2", "acct_B", "pi_B", 9900, "1001")]
    for order in permutations(steps):
        tables = MemoryTables()
        tables.process(order)
        assert rows_of(tables, "provider_ref", "merchant_account", "captured") == [
            ("pi_A", "acct_A", 1000),
            ("pi_B", "acct_B", 9900),
        ]


def test_t1b_two_merchant_accounts_with_one_reference_are_two_payments() -> None:
    for order in permutations([adyen("ShopNL", "PSP1", 1000), adyen("ShopDE", "PSP2", 5000)]):
        tables = MemoryTables()
        tables.process(order)
        assert rows_of(tables, "provider_ref", "merchant_account", "authorized") == [
            ("PSP1", "ShopNL", 1000),
            ("PSP2", "ShopDE", 5000),
        ]


def test_t2_test_money_moves_no_live_row() -> None:
    steps = [
        stripe("evt_9", "acct_A", "pi_T", 5000, "7", live=False),
        stripe("evt_10", "acct_A", "pi_L", 2000, "7"),
    ]
    for order in permutations(steps):
        tables = MemoryTables()
        tables.process(order)
        assert rows_of(tables, "provider_ref", "livemode", "captured") == [("pi_L", True, 2000), ("pi_T", False, 5000)]


def shop(mode: str | None) -> MemoryTables:
    """Process a shop's test order and its dispute, which names no mode, at an endpoint of that mode, in both orders."""
    provider = ProviderSettings.model_validate({"secrets": ["s"], "mode": mode})
    endpoints = endpoints_of(scopes_of(Settings(providers={"shopify": provider})), DEFAULT)
    money = {"currency": "USD", "total_price": "100.00", "updated_at": "2026-09-21T10:00:00-04:00"}
    order = {"id": 900, "financial_status": "paid", "test": True, **money}
    dispute = {"id": 9, "order_id": 900, "type": "chargeback", "status": "needs_response"}
    steps = [
        record("shopify", "e1", "orders/paid", order),
        record("shopify", "e2", "disputes/create", {**dispute, "amount": "100.00", "currency": "USD"}),
    ]
    found = []
    for records in permutations(steps):
        found.append(MemoryTables())
        found[-1].process_items([(one, decode(one, endpoints)) for one in records])
    assert len({str(rows_of(tables, "livemode", "dispute_status", "disputed")) for tables in found}) == 1
    return found[0]


def test_a_dispute_that_signs_no_mode_is_of_the_mode_that_its_endpoint_has() -> None:
    tables = shop("test")
    assert rows_of(tables, "livemode", "dispute_status", "disputed") == [(False, "open", 10000)]
    assert not tables.parked


@pytest.mark.parametrize("mode", [None, "live"])
def test_a_dispute_at_a_live_endpoint_meets_no_test_order(mode: str | None) -> None:
    tables = shop(mode)
    assert rows_of(tables, "livemode", "dispute_status", "disputed") == [(False, "none", 0)]
    assert len(tables.parked) == 1, "it waits for a live order of that id"
