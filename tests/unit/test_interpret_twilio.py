"""Twilio's receipts name no payment but a message; a broken delivery is still a dead letter."""

from __future__ import annotations

import pytest
from vector_events import meaning, refused

from schemas.facts import Meaning

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("case", ["event_sent", "event_delivered", "event_undelivered", "event_failed"])
def test_real_bodies(case: str) -> None:
    found = meaning("twilio", case)
    assert found == Meaning(receipt=found.receipt)
    assert found.receipt is not None
    assert found.receipt.status == case.removeprefix("event_")


@pytest.mark.parametrize(("kind", "body"), [("sent", b""), ("sent", b" \r\n"), ("", b"MessageSid=SM1")])
def test_undecodable(kind: str, body: bytes) -> None:
    assert refused("twilio", kind, body) == "undecodable"
