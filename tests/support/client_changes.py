"""A change of a payment as `payments.changes` has it, for the tests of the clients."""

from __future__ import annotations

from typing import Any

CHANGE: dict[str, Any] = {
    "payment_id": "01890000-0000-7000-8000-000000000001", "version": 3, "epoch": 1, "source": "stripe",
    "event_id": "evt_3", "event_type": "x", "outcome": "applied", "from_status": "authorized",
    "to_status": "captured", "event_amount": 5, "occurred_at": None, "recorded_at": "2026-01-01T00:00:00Z",
    "provider": "stripe", "account": "", "merchant_account": "", "livemode": True, "provider_ref": "pi_1",
    "reference": None, "client": None, "status": "captured", "refund_status": "none", "dispute_status": "none",
    "currency": "EUR", "amount": 5, "authorized": 5, "captured": 5, "refunded": 0, "disputed": 0, "flags": [],
    "intent_id": None, "merged_into": None, "metadata": None, "created_at": "2026-01-01T00:00:00Z",
}  # fmt: skip
