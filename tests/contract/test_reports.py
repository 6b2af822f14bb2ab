"""What other people reported of their integrations, played as short histories: every order and repetition, one row.

`histories/NAME.jsonl` holds those of one provider, one a line: where it was reported, the situation, the deliveries in
the provider's shape (all ids and amounts are made up), and the rows that the provider's documents say. docs/providers
lists them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from memory_tables import MemoryTables
from playing import deliveries, orders, record_of, shown

pytestmark = pytest.mark.unit

REPORTS = [
    json.loads(line)
    for path in sorted((Path(__file__).parent / "histories").glob("*.jsonl"))
    for line in path.read_text().splitlines()
]


IDS = [f"{place} {one['provider']} {one['report']}" for place, one in enumerate(REPORTS)]


@pytest.mark.parametrize("report", REPORTS, ids=IDS)
def test_report(report: dict[str, Any]) -> None:
    records = [record_of(report["provider"], place, step) for place, step in enumerate(report["steps"])]
    for order in orders(records) if report.get("order", "any") == "any" else [records]:
        for batches in deliveries(order):
            tables = MemoryTables()
            for batch in batches:
                tables.process(batch)
            assert not tables.letters, [one.message for one in tables.letters]
            assert not tables.parked, report["situation"]
            assert shown(tables, report["rows"]) == report["rows"], [one.header("ce_type") for one in order]


def test_no_report_is_reported_twice() -> None:
    reported = [(one["provider"], one["report"], one["situation"]) for one in REPORTS]
    assert len(set(reported)) == len(reported)
