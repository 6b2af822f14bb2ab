"""Twilio's delivery reports name no payment but a message; a broken delivery is still a dead letter."""

from __future__ import annotations

import pytest
from vector_events import meaning, refused

from schemas.facts import Meaning

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("case", ["event_sent", "event_delivered", "event_undelivered", "event_failed"])
def test_real_bodies(case: str) -> None:
    found = meaning("twilio", case)
    assert found == Meaning(delivery_report=found.delivery_report)
    assert found.delivery_report is not None
    assert found.delivery_report.status == case.removeprefix("event_")


@pytest.mark.parametrize(("kind", "body"), [("sent", b""), ("sent", b" \r\n"), ("", b"MessageSid=SM1")])
def test_undecodable(kind: str, body: bytes) -> None:
    assert refused("twilio", kind, body) == "undecodable"
