"""Histories that were read wrongly once, by the cases' ids: the rows that all of the deliveries come to.

`cases/histories_NAME.jsonl` holds those of one provider, one a line, with steps as `playing` reads them; `asks` are the
references that the other steps make us ask about. They go through the consumer, in the ledger in memory, each delivered
twice: in every order where `order` is `any`, else as given. All ids and amounts are made up.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from memory_tables import MemoryTables
from playing import deliveries, orders, record_of, shown

pytestmark = pytest.mark.unit

FILES = sorted((Path(__file__).parent / "cases").glob("histories_*.jsonl"))
CASES = [json.loads(line) for path in FILES for line in path.read_text().splitlines()]
ASKING = [case for case in CASES if "asks" in case]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_history(case: dict[str, Any]) -> None:
    records = [record_of(case["provider"], place, step) for place, step in enumerate(case["steps"])]
    for order in orders(records) if case["order"] == "any" else [records]:
        for batches in deliveries(order):
            tables = MemoryTables()
            for batch in batches:
                tables.process(batch)
            assert not tables.letters, case["title"]
            assert not tables.parked, case["title"]
            assert shown(tables, case["rows"]) == case["rows"], case["title"]


@pytest.mark.parametrize("case", ASKING, ids=[case["id"] for case in ASKING])
def test_what_the_events_make_us_ask(case: dict[str, Any]) -> None:
    reported = [step for step in case["steps"] if "api" not in step]
    tables = MemoryTables()
    for place, step in enumerate(reported):
        tables.process([record_of(case["provider"], place, step)])
    assert {one.ref for one in tables.refetches} == set(case["asks"])
