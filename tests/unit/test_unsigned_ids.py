"""Events whose id nobody signed, and hints: what a forger may replay must not swallow what is genuine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from events import record, understood
from memory_tables import MemoryTables
from msgspec.structs import replace

import providers
from schemas.facts import Meaning
from schemas.record import TRUST_HEADER

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit


def razorpay(
    event_id: str,
    kind: str = "payment.captured",
    *,
    amount: int = 1000,
    status: str = "captured",
    payment: str = "pay_1",
) -> Record:
    """Return an event of Razorpay, whose event id comes in an unsigned header."""
    entity: dict[str, Any] = {
        "id": payment, "entity": "payment", "amount": amount, "currency": "INR", "status": status,
        "order_id": f"order_{payment}", "captured": status == "captured", "amount_refunded": 0,
        "created_at": 1_790_000_000,
    }  # fmt: skip
    body = {"entity": "event", "event": kind, "contains": ["payment"], "payload": {"payment": {"entity": entity}}}
    return record("razorpay", event_id, kind, body)


def hint(body: bytes = b"id=tr_1", event_id: str = "sha256:1") -> Record:
    """Return Mollie's old kind: unsigned, it names a payment and says nothing of it."""
    return with_trust(record("mollie", event_id, "unknown", body), b"hint")


def with_trust(one: Record, trust: bytes | None) -> Record:
    """Return a record with another mark of what it proves, or with none."""
    headers = tuple((name, value) for name, value in one.headers if name != TRUST_HEADER)
    return replace(one, headers=headers if trust is None else (*headers, (TRUST_HEADER, trust)))


def event_ids(tables: MemoryTables) -> list[str]:
    return [row.event_id for row in tables.ledger]


def test_a_body_replayed_under_another_id_is_no_new_event() -> None:
    tables = MemoryTables()
    tables.process([razorpay("evt_1")])
    tables.process([razorpay("evt_2")])
    assert (event_ids(tables), tables.duplicates) == (["evt_1"], 1)


def test_the_same_in_one_batch() -> None:
    tables = MemoryTables()
    tables.process([razorpay("evt_1"), razorpay("evt_2"), razorpay("evt_1")])
    assert (event_ids(tables), tables.duplicates) == (["evt_1"], 2)


def test_a_replay_under_a_future_id_does_not_swallow_the_genuine_event() -> None:
    tables = MemoryTables()
    failed = razorpay("evt_genuine", "payment.failed", status="failed")
    tables.process([razorpay("evt_1"), razorpay("evt_genuine")])
    tables.process([failed])
    first, second = event_ids(tables)
    assert first == "evt_1"
    assert second == "evt_genuine"
    other = json.loads(failed.value or b"")
    other["contains"] = ["payment", "order"]
    tables.process([record("razorpay", "evt_genuine", "payment.failed", other)])
    assert event_ids(tables)[2].startswith("evt_genuine#")
    assert not tables.letters


def test_an_event_that_waits_holds_its_body_and_keeps_its_own_id() -> None:
    tables = MemoryTables()
    refund = {"id": "rfnd_1", "entity": "refund", "amount": 400, "currency": "INR", "payment_id": "pay_2",
              "status": "processed", "created_at": 1_790_000_000}  # fmt: skip
    body = {"entity": "event", "event": "refund.processed", "contains": ["refund"],
            "payload": {"refund": {"entity": refund}}}  # fmt: skip
    tables.process([razorpay("evt_2", "payment.authorized", status="authorized")])
    tables.process([record("razorpay", "evt_2", "refund.processed", body)])
    tables.process([record("razorpay", "evt_3", "refund.processed", body)])
    assert (len(tables.parked), tables.duplicates) == (1, 1)
    tables.process([razorpay("evt_4", payment="pay_2")])
    assert not tables.parked
    assert event_ids(tables)[2].startswith("evt_2#")
    assert tables.row_of("pay_2")["refunded"] == 400


def test_a_hint_moves_nothing_and_asks_the_provider() -> None:
    tables = MemoryTables()
    tables.process([hint()])
    (row,) = tables.ledger
    assert (row.payment_id, row.outcome, row.facts) == (None, "noop", "[]")
    assert [(one.provider, one.ref, one.reason) for one in tables.refetches] == [("mollie", "tr_1", "hint")]


def test_a_hint_that_comes_again_asks_again() -> None:
    tables = MemoryTables()
    tables.process([hint()])
    tables.process([hint()])
    assert (len(tables.ledger), tables.duplicates, len(tables.refetches)) == (1, 1, 2)


def test_a_hint_under_the_id_of_a_genuine_event_does_not_swallow_it() -> None:
    """Nobody signed the hint's id: who posts it may know, or guess, that of an event to come."""
    genuine = razorpay("evt_1")
    tables = MemoryTables()
    tables.process([with_trust(razorpay("evt_1", "payment.failed", status="failed"), b"hint")])
    assert not tables.payments
    tables.process([genuine])
    assert (len(tables.ledger), tables.duplicates, tables.row_of("pay_1")["captured"]) == (2, 0, 1000)
    assert event_ids(tables)[0].startswith("hint:")


@pytest.mark.parametrize("trust", [None, b"", b"Verified", b"verified ", b"hint"])
def test_what_nobody_marked_as_verified_moves_nothing(trust: bytes | None) -> None:
    """Only the ingress marks records: one without the mark was written by somebody else, or says that it is a hint."""
    event = understood(with_trust(razorpay("evt_1"), trust))
    assert event.hint
    assert event.meaning == Meaning()


def test_one_body_under_two_unsigned_kinds_is_two_events() -> None:
    """Shopify may tell that an order is paid by the very bytes with which it was created."""
    order = {
        "id": 5_000_000_000_001, "currency": "EUR", "total_price": "10.00", "financial_status": "paid",
        "updated_at": "2026-09-21T14:18:20Z",
    }  # fmt: skip
    tables = MemoryTables()
    tables.process([record("shopify", "evt_1", "orders/create", order)])
    tables.process([record("shopify", "evt_2", "orders/paid", order)])
    tables.process([record("shopify", "evt_3", "orders/paid", order)])
    assert (event_ids(tables), tables.duplicates) == (["evt_1", "evt_2"], 1)


@pytest.mark.parametrize("provider", ["github", "razorpay", "shopify"])
def test_ids_that_stand_in_headers_count_as_unsigned(provider: str) -> None:
    found = providers.find(provider)
    assert found is not None
    assert not found.event_id_signed


def test_a_body_is_noted_under_its_account() -> None:
    """Two accounts may get the same bytes: the second's is no replay of the first's."""
    one = razorpay("evt_1")
    plan = MemoryTables().process([record("razorpay/acme", "evt_1", "payment.captured", one.value or b"")])
    assert [(source, event_id) for source, _, event_id in plan.bodies] == [("razorpay/acme", "evt_1")]
