"""The genuine requests of the contract's vectors as the events that `verify` finds in them, and lives made of them."""

from __future__ import annotations

import base64
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from events import record
from every_order import in_every_order, in_every_order_at_once
from memory_tables import MemoryTables

import providers
from consumer.decode import ANY, DecodingTerms
from schemas.errors import UninterpretableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from consumer.decode import Event
    from consumer.plan import Letter
    from providers.core.contract import Notification
    from schemas.facts import Meaning
    from schemas.record import Record

VECTORS = Path(__file__).parent.parent / "contract" / "vectors"


@cache
def notifications(provider: str) -> dict[str, list[Notification]]:
    """Return the events of every genuine case by the case's name."""
    cases = json.loads((VECTORS / f"{provider}.json").read_text())["cases"]
    return {case["name"]: _verify(provider, case) for case in cases if case["expect"] == "accept"}


def _verify(provider: str, case: dict[str, Any]) -> list[Notification]:
    return providers.verify(
        provider,
        headers=case["headers"],
        body=base64.b64decode(case["body_base64"]),
        url=case["url"],
        secrets=case["secrets"],
        now=case["now"],
        config=case.get("config"),
    )


def event(provider: str, case: str, place: int = 0) -> Notification:
    return notifications(provider)[case][place]


def body_of(provider: str, case: str, place: int = 0) -> dict[str, Any]:
    """Return a fresh copy of a genuine JSON body."""
    body: dict[str, Any] = json.loads(event(provider, case, place).body)
    return body


def meaning(provider: str, case: str, place: int = 0) -> Meaning:
    """Interpret one event of a case as it is."""
    found = event(provider, case, place)
    return providers.interpret(provider, found.kind or "", found.body)


def interpreted(provider: str, kind: str, body: object) -> Meaning:
    """Interpret a body that a test made."""
    return providers.interpret(provider, kind, body if isinstance(body, bytes) else json.dumps(body).encode())


def refused(provider: str, kind: str, body: object) -> str:
    """Return the reason for which a body that a test made is not interpreted."""
    with pytest.raises(UninterpretableError) as error:
        interpreted(provider, kind, body)
    return str(error.value.reason)


def changed(body: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return the body with the value at a dotted path changed (`data.items.0.id`)."""
    copy: Any = json.loads(json.dumps(body))
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place = copy
    for step in steps:
        place = place[step]
    place[last] = value
    whole: dict[str, Any] = copy
    return whole


def genuine(provider: str, case: str, place: int = 0) -> Record:
    """Return an event of a case as the consumer gets it."""
    found = event(provider, case, place)
    return record(provider, found.event_id or f"{case}:{place}", found.kind or "", found.body)


def made(provider: str, kind: str, body: object, event_id: str) -> Record:
    return record(provider, event_id, kind, body)


def check_every_order(records: Sequence[Record], **row: Any) -> None:
    """Process the records in every order, one by one and all at once; each comes to the one row."""
    for order, _, tables in (*in_every_order(records), *in_every_order_at_once(records)):
        shown = {name: tables.only[name] for name in row}
        assert shown == row, [records[place].header("ce_type") for place in order]
        assert not tables.letters
        assert not tables.parked
        assert len(tables.ledger) == len(records)


def facts(found: Meaning) -> set[tuple[str, ...]]:
    """Return facts as texts: kind, key, state and, where there is one, the amount."""
    parts = {(str(one.kind), one.key, one.state, one.amount) for one in found.facts}
    return {tuple(str(part) for part in one if part is not None) for one in parts}


def refs(found: Meaning) -> list[tuple[str, str]]:
    return [(str(one.kind), one.ref) for one in found.refs]


Paper = MemoryTables
"""What Postgres would hold, on paper."""


class Processed(NamedTuple):
    """What records came to: payments' rows, which events wait, and which are dead letters."""

    rows: list[dict[str, Any]]
    waiting: list[Event]
    dead: list[Letter]


def on_paper(batches: Iterable[Sequence[Record]], endpoints: DecodingTerms = ANY) -> MemoryTables:
    """Process batches one after the other; return what Postgres would hold."""
    tables = MemoryTables(endpoints=endpoints)
    for batch in batches:
        tables.process(batch)
    return tables


def processed(batches: Iterable[Sequence[Record]]) -> Processed:
    """Process batches one after the other."""
    tables = on_paper(batches)
    return Processed(list(tables.payments.values()), [one.event for one in tables.parked.values()], tables.letters)
