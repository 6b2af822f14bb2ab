"""GitHub's events name no payment; a broken delivery is still a dead letter."""

from __future__ import annotations

import pytest
from vector_events import meaning, refused

from schemas.facts import Meaning

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("case", ["event_ping", "event_marketplace_purchase"])
def test_real_bodies(case: str) -> None:
    assert meaning("github", case) == Meaning()


@pytest.mark.parametrize(("kind", "body"), [("ping", b""), ("ping", b"Hello, World!"), ("ping", b"[]"), ("", b"{}")])
def test_undecodable(kind: str, body: bytes) -> None:
    assert refused("github", kind, body) == "undecodable"
