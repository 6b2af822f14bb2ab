"""What benchmarks fill a database with reads as what the consumer writes: else pages and batches would trip over it."""

from __future__ import annotations

import re

import msgspec
import pytest

from consumer.facts_json import load_joined
from consumer.fold import project
from runtime.sql import statement
from schemas.facts import ChildState, Fact, FactKind

pytestmark = pytest.mark.unit


def filled(name: str) -> str:
    """Return the facts of one payment as a statement formats them."""
    found = re.search(r"format\(((?:\s*'[^']+')+)", statement("ops.bench", name))
    assert found
    text = "".join(re.findall(r"'([^']+)'", found[1]))
    return re.sub(r"%(\d)\$s", lambda which: "500" if f"%{which[1]}$s" in AMOUNTS[name] else f"id_{which[1]}", text)


AMOUNTS = {"fill_payments": ("%1$s",), "fill_ledger": ("%2$s",)}


def test_a_payment_s_facts_are_a_captured_payment() -> None:
    row = project(load_joined(filled("fill_payments")))
    assert (row.status, row.amount, row.authorized, row.captured, row.flags) == ("captured", 500, 500, 500, ())


def test_a_ledger_row_s_facts_can_be_read() -> None:
    read = msgspec.json.decode(filled("fill_ledger"), type=list[tuple[FactKind, str, ChildState]])
    facts = [Fact(kind, key, state.name, state.amount) for kind, key, state in read]
    assert {(fact.kind, fact.state, fact.amount) for fact in facts} == {
        ("capture", "succeeded", 500),
        ("terms", "asked", 500),
    }
