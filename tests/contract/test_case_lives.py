"""Lives of payments that were read wrongly once, by the cases' ids: the rows that all of the deliveries come to.

`cases/lives_NAME.jsonl` holds a provider's, one a line: the bodies as the provider sends them (`intent` is one of
ours), the columns that its documents say, and the kinds that wait for a payment of which nothing came (`waiting`). They
go through the consumer, in the ledger in memory, in every order where `order` is `any`, each delivered twice. All ids
and amounts are made up.
"""

from __future__ import annotations

import base64
import json
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from events import INTENT_ID, intent, record
from memory_tables import MemoryTables

if TYPE_CHECKING:
    from schemas.record import Record

pytestmark = pytest.mark.unit

FILES = sorted((Path(__file__).parent / "cases").glob("lives_*.jsonl"))
CASES = [json.loads(line) for path in FILES for line in path.read_text().splitlines()]


def record_of(provider: str, place: int, step: Any) -> Record:
    if isinstance(step, dict):
        return intent(INTENT_ID, **{"currency": "EUR", **step["intent"]})
    kind, body = step
    if isinstance(body, str):
        text = base64.encodebytes(body.encode()).decode()
        body = urlencode({"bt_signature": "p|x", "bt_payload": text}).encode()
    return record(provider, f"e{place}", kind, body)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    records = [record_of(case["provider"], place, step) for place, step in enumerate(case["steps"])]
    for order in permutations(records) if case["order"] == "any" else [records]:
        for batches in ([[one] for one in (*order, *order)], [list(order), list(order)]):
            tables = MemoryTables()
            for batch in batches:
                tables.process(batch)
            assert not tables.letters, case["title"]
            assert sorted(one.event.kind for one in tables.parked.values()) == case.get("waiting", []), case["title"]
            assert [{name: row[name] for name in like} for row, like in shown(tables, case)] == case["rows"], order


def shown(tables: MemoryTables, case: dict[str, Any]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each counted row beside what the case says of it."""
    return list(zip(tables.counted, case["rows"], strict=True))
