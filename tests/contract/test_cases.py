"""Deliveries that were read wrongly once, by their ids: what they come to, in every order of their facts.

`cases/facts.jsonl` holds one case a line: the bodies as the provider sends them (`intent` is one of ours) and the
columns that its documents say. All ids and amounts are made up.
"""

from __future__ import annotations

import base64
import json
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

import providers
from consumer.fold import newer, project
from schemas.facts import INTENT, Fact, FactKind

if TYPE_CHECKING:
    from schemas.payment import Facts

pytestmark = pytest.mark.unit

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases" / "facts.jsonl").read_text().splitlines()]


def facts_of(provider: str, step: Any) -> tuple[Fact, ...]:
    if isinstance(step, dict):
        asked = step["intent"]
        terms = [Fact(FactKind.TERMS, INTENT, "asked", asked["amount"])] if "amount" in asked else []
        return (*terms, Fact(FactKind.MODE, INTENT, asked.get("capture", "manual")))
    kind, body = step
    if isinstance(body, str):
        body = urlencode({"bt_signature": "p|x", "bt_payload": base64.encodebytes(body.encode()).decode()})
    return providers.interpret(provider, kind, (body if isinstance(body, str) else json.dumps(body)).encode()).facts


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_case(case: dict[str, Any]) -> None:
    found = [facts_of(case["provider"], step) for step in case["steps"]]
    for order in permutations(found):
        joined: Facts = {}
        for facts in order:
            joined |= newer(joined, facts)
        projection = project(joined)
        row = {name: getattr(projection, name) for name in case["row"]}
        assert json.loads(json.dumps(row)) == case["row"], case["title"]
