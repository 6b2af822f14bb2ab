"""Flutterwave's version 3 read again: what its API is asked, and what the answer comes to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from vector_events import facts, refs, refused

import providers
from providers.core.refetch import Credentials, Fetched, Refetch
from providers.flutterwave import PROVIDER

pytestmark = pytest.mark.unit

CREDENTIALS = Credentials("http://api", "key")
PAID = {"id": 4400001, "tx_ref": "ORD-77", "amount": 2500, "currency": "NGN", "status": "successful"}


def refetch() -> Refetch:
    assert PROVIDER.refetch is not None
    return PROVIDER.refetch


def answered(**changes: Any) -> bytes:
    return json.dumps({"status": "success", "data": {**PAID, **changes}}).encode()


def test_a_transaction_is_asked_for_by_its_number() -> None:
    body = json.dumps({"event": "charge.completed", "data": PAID}).encode()
    assert PROVIDER.named is not None
    asked = refetch().request(PROVIDER.named(body) or "", CREDENTIALS, 0)
    assert asked is not None
    assert (asked.method, asked.url) == ("GET", "http://api/v3/transactions/4400001/verify")
    assert asked.headers["Authorization"] == "Bearer key"
    assert refetch().request("chg_1", CREDENTIALS, 0) is None
    assert refetch().request("1/../2", CREDENTIALS, 0) is None


def test_a_flat_body_names_the_transaction_by_its_own_id() -> None:
    """By some methods version 3 wraps nothing (Node-v3#175): its `id` is that of the API's transaction."""
    flat = {"id": 4400001, "txRef": "ORD-77", "status": "successful", "event.type": "CARD_TRANSACTION"}
    assert PROVIDER.named is not None
    assert PROVIDER.named(json.dumps(flat).encode()) == "4400001"
    transfer = {"event.type": "Transfer", "transfer": {"id": 7, "status": "SUCCESSFUL"}}
    assert PROVIDER.named(json.dumps(transfer).encode()) is None
    assert PROVIDER.named(b'{"id": "wbk_1", "type": "customer.created"}') is None


def test_only_the_transaction_that_was_asked_for_is_an_answer() -> None:
    answer = refetch().answer
    assert answer("4400001", 200, answered()) == Fetched("transaction", "4400001")
    assert answer("4400002", 200, answered()) is None
    assert answer("4400001", 404, answered()) is None
    assert answer("4400001", 200, b'{"status": "error", "data": null}') is None


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        pytest.param("successful", ("capture", "4400001", "succeeded", "250000"), id="FW1"),
        ("failed", ("attempt", "4400001", "failed")),
        ("pending", ("attempt", "4400001", "processing")),
    ],
)
def test_the_answer_says_what_the_hint_could_not(status: str, fact: tuple[str, ...]) -> None:
    found = providers.interpret("flutterwave", "refetch.transaction", answered(status=status))
    assert facts(found) == {("terms", "4400001", "asked", "250000"), fact}
    assert refs(found) == [("payment", "ORD-77"), ("payment", "4400001"), ("reference", "ORD-77")]
    assert (found.opens, found.currency) == (True, "NGN")


def test_an_answer_that_cannot_be_read() -> None:
    assert refused("flutterwave", "refetch.transaction", {"data": []}) == "undecodable"
    assert refused("flutterwave", "refetch.transaction", json.loads(answered(status="odd"))) == "undecodable"
