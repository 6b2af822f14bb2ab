"""Histories of deliveries, played through the consumer in the ledger in memory.

A step is `[kind, body]` as the provider sends it, `{"intent": ..}` as a client of ours asks, or `{"api": .., "of": ..}`
what the provider's API answers when it is asked for a reference. A body that is text is XML, in a webhook in its form.
"""

from __future__ import annotations

import base64
import json
import math
from itertools import islice, permutations
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from events import INTENT_ID, intent, record

import providers
from providers.core.refetch import Fetched

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from memory_tables import MemoryTables

    from schemas.record import Record

ORDERS_MAX = 48
"""Of the orders of a long history this many are played, evenly spread; the fold is held to all by its own tests."""


def record_of(provider: str, place: int, step: Any) -> Record:
    """Return a step as the consumer gets it; its event id is that of its place."""
    if isinstance(step, list):
        kind, body = step
        return record(provider, f"e{place}", kind, _form(body) if isinstance(body, str) else body)
    if "intent" in step:
        return intent(INTENT_ID, **{"provider": provider, **step["intent"]})
    reported = step["api"]
    body = reported.encode() if isinstance(reported, str) else json.dumps(reported).encode()
    found = providers.find(provider)
    assert found is not None
    assert found.refetch is not None
    answer = found.refetch.answer(step["of"], 200, body)
    assert isinstance(answer, Fetched), step
    return record(provider, f"e{place}", answer.kind, body)


def _form(xml: str) -> bytes:
    payload = base64.encodebytes(xml.encode()).decode()
    return urlencode({"bt_signature": "p|x", "bt_payload": payload}).encode()


def orders(records: list[Record]) -> Iterable[Sequence[Record]]:
    """Return the orders to play."""
    step = max(math.factorial(len(records)) // ORDERS_MAX, 1) | 1
    return islice(permutations(records), 0, None, step)


def deliveries(order: Sequence[Record]) -> tuple[list[list[Record]], ...]:
    """Return the batches in which an order is delivered twice: one by one, and all at once."""
    return [[one] for one in (*order, *order)], [list(order), list(order)]


def shown(tables: MemoryTables, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that add up to all the money, of the columns that the case looks at."""
    columns = sorted({name for row in rows for name in row})
    alive = [row for row in tables.payments.values() if row["merged_into"] is None and row["intent_id"] is None]
    held = sorted(alive, key=lambda row: str(row["provider_ref"]))
    return json.loads(json.dumps([{name: row[name] for name in columns} for row in held]))  # type: ignore[no-any-return]
