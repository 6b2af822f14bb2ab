"""What the contract suite runs on, found by itself: the providers, their vectors and their traces.

A provider is a module of `providers`; `vectors/NAME.json` holds its requests and `traces/NAME.json` lives of payments
as it tells them. Nothing here names a provider.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from events import record

import providers
from schemas.errors import UninterpretableError
from schemas.topics import INTENTS

if TYPE_CHECKING:
    from providers.core.contract import Notification
    from schemas.facts import Meaning
    from schemas.record import Record

HERE = Path(__file__).parent
NAMES = tuple(sorted(providers.names()))


@dataclass(frozen=True)
class Life:
    """Events of one payment, of which every order is possible, and the rows that any order of them comes to."""

    provider: str
    name: str
    records: tuple[Record, ...]
    rows: tuple[dict[str, Any], ...]

    def __str__(self) -> str:
        return f"{self.provider}-{self.name}"


@cache
def cases(provider: str) -> list[dict[str, Any]]:
    """Return the requests of a provider's vectors; none where there are no vectors."""
    path = HERE / "vectors" / f"{provider}.json"
    found: list[dict[str, Any]] = json.loads(path.read_text())["cases"] if path.exists() else []
    return found


def accepted(provider: str) -> list[dict[str, Any]]:
    return [case for case in cases(provider) if case["expect"] == "accept"]


def verify(provider: str, case: dict[str, Any], body: bytes | None = None) -> list[Notification]:
    """Verify a case of the vectors, with another body if one is given."""
    return providers.verify(
        provider,
        headers=case["headers"],
        body=base64.b64decode(case["body_base64"]) if body is None else body,
        url=case["url"],
        secrets=case["secrets"],
        now=case["now"],
        config=case.get("config"),
    )


@cache
def genuine(provider: str) -> dict[str, list[Notification]]:
    """Return the events of every genuine request by the case's name."""
    return {case["name"]: verify(provider, case) for case in accepted(provider)}


def events_of(provider: str) -> list[Notification]:
    return [one for found in genuine(provider).values() for one in found]


def interpreted(provider: str, notification: Notification) -> Meaning | None:
    """Return what a genuine event means, or None where it means nothing that we know."""
    try:
        return providers.interpret(provider, notification.kind or "", notification.body)
    except UninterpretableError:
        return None


def moves_payments(provider: str) -> bool:
    """Tell whether any genuine event of the vectors says something about a payment."""
    meanings = [interpreted(provider, one) for one in events_of(provider)]
    return any(meaning is not None and meaning.facts for meaning in meanings)


@cache
def lives(provider: str) -> list[Life]:
    """Return the lives of a provider's trace; none where there is no trace."""
    path = HERE / "traces" / f"{provider}.json"
    reported = json.loads(path.read_text())["lives"] if path.exists() else []
    return [
        Life(
            provider,
            life["name"],
            tuple(_record(provider, event) for event in life["events"]),
            tuple({"flags": []} | row for row in life.get("rows", [life.get("row")])),
        )
        for life in reported
    ]


def _record(provider: str, event: dict[str, Any]) -> Record:
    """Return an event of a trace as the consumer gets it."""
    if "intent" in event:
        stated = event["intent"]
        event_id, kind = f"{stated['id']}:{stated['command']}", f"intent.{stated['command']}"
        return record(f"intents/{stated['client']}", event_id, kind, stated, topic=INTENTS.name)
    if "case" in event:
        place = event.get("item", 0)
        found = genuine(provider)[event["case"]][place]
        return record(provider, found.event_id or f"{event['case']}:{place}", found.kind or "", found.body)
    body = event["body"]
    return record(provider, event["event_id"], event["kind"], body.encode() if isinstance(body, str) else body)


LIVES = [life for name in NAMES for life in lives(name)]
