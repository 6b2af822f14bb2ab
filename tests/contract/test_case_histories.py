"""Histories that were read wrongly once, by the cases' ids: the rows that all of the deliveries come to.

`cases/histories_NAME.jsonl` holds those of one provider, one a line. A step is `[kind, body]` as the provider sends it,
`{"intent": ..}` as a client of ours asks, or `{"api": .., "of": ..}` what the provider's API answers when it is asked
for a reference; `asks` are the references that the other steps make us ask about. They go through the consumer, in the
books on paper, each delivered twice: in every order where `order` is `any`, else as told. All ids and amounts are made
up.
"""

from __future__ import annotations

import json
import math
from itertools import islice, permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from events import INTENT_ID, intent, record
from paper_books import PaperBooks

import providers
from providers.core.refetch import Fetched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas.record import Record

pytestmark = pytest.mark.unit

FILES = sorted((Path(__file__).parent / "cases").glob("histories_*.jsonl"))
CASES = [json.loads(line) for path in FILES for line in path.read_text().splitlines()]
ORDERS_MAX = 48
"""Of the orders of a long history this many are played, evenly spread; the fold is held to all by its own tests."""
ASKING = [case for case in CASES if "asks" in case]


def record_of(provider: str, place: int, step: Any) -> Record:
    if isinstance(step, list):
        kind, body = step
        return record(provider, f"e{place}", kind, body)
    if "intent" in step:
        return intent(INTENT_ID, **{"provider": provider, **step["intent"]})
    body = json.dumps(step["api"]).encode()
    found = providers.find(provider)
    assert found is not None
    assert found.refetch is not None
    answer = found.refetch.answer(step["of"], 200, body)
    assert isinstance(answer, Fetched), step
    return record(provider, f"e{place}", answer.kind, body)


def orders(records: list[Record]) -> Iterable[Sequence[Record]]:
    step = max(math.factorial(len(records)) // ORDERS_MAX, 1) | 1
    return islice(permutations(records), 0, None, step)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_history(case: dict[str, Any]) -> None:
    records = [record_of(case["provider"], place, step) for place, step in enumerate(case["steps"])]
    for order in orders(records) if case["order"] == "any" else [records]:
        for batches in ([[one] for one in (*order, *order)], [list(order), list(order)]):
            books = PaperBooks()
            for batch in batches:
                books.settle(batch)
            assert not books.letters, case["title"]
            assert not books.parked, case["title"]
            assert shown(books, case["rows"]) == case["rows"], case["title"]


@pytest.mark.parametrize("case", ASKING, ids=[case["id"] for case in ASKING])
def test_what_the_events_make_us_ask(case: dict[str, Any]) -> None:
    told = [step for step in case["steps"] if "api" not in step]
    books = PaperBooks()
    for place, step in enumerate(told):
        books.settle([record_of(case["provider"], place, step)])
    assert {one.ref for one in books.refetches} == set(case["asks"])


def shown(books: PaperBooks, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that add up to all the money, of the columns that the case looks at."""
    columns = sorted({name for row in rows for name in row})
    alive = [row for row in books.payments.values() if row["merged_into"] is None and row["intent_id"] is None]
    held = sorted(alive, key=lambda row: str(row["provider_ref"]))
    return json.loads(json.dumps([{name: row[name] for name in columns} for row in held]))  # type: ignore[no-any-return]
