from __future__ import annotations

from typing import Any

import pytest

from producers.relay.records import letter_of
from producers.relay.redrive import COUNT_MAX, redriven_of, sort_out, too_many
from schemas.dead_letter import ADDED_HEADERS
from schemas.topics import INTENTS, RECORD_BYTES_MAX, WEBHOOKS

pytestmark = pytest.mark.unit


def letter(**columns: Any) -> dict[str, Any]:
    return {
        "id": 1, "topic": WEBHOOKS.name, "partition": 2, "key": b"k", "value": b"v", "header_names": [b"a"],
        "header_values": [b"1"], "redrive_count": 0, "status": "open", "value_left_out": False,
    } | columns  # fmt: skip


def test_record_has_the_originals_headers_and_the_count_alone():
    names, values = [b"ratchet-redrive-count", b"a", b"a"], [b"4", None, b"2"]
    record = redriven_of(letter(header_names=names, header_values=values, redrive_count=4), INTENTS.name)
    assert (record.topic, record.key, record.value, record.timestamp_ms) == (INTENTS.name, b"k", b"v", None)
    assert record.headers == (("a", None), ("a", b"2"), ("ratchet-redrive-count", b"5"))


def test_record_without_key_stays_on_its_partition_and_the_count_has_an_end():
    record = redriven_of(letter(key=None, value=None, redrive_count=COUNT_MAX), WEBHOOKS.name)
    assert (record.key, record.value, record.spread) == (None, None, 2)
    assert dict(record.headers)["ratchet-redrive-count"] == str(COUNT_MAX).encode()


def test_letters_that_can_not_go_say_why():
    rows = [
        letter(id=1),
        letter(id=2, status="discarded"),
        letter(id=3, topic="elsewhere"),
        letter(id=4, value=bytes(RECORD_BYTES_MAX)),
        letter(id=5, value=None, value_left_out=True),
    ]
    found = sort_out(rows, None)
    assert list(found.going) == [1]
    assert set(found.skipped) == {2, 3, 4, 5}
    assert "discarded" in found.skipped[2]
    assert "elsewhere" in found.skipped[3]
    assert "bytes" in found.skipped[4]
    assert "larger" in found.skipped[5]
    found = sort_out(rows[2:3], INTENTS.name)
    assert found.going[3].topic == INTENTS.name
    assert sort_out(rows[2:3], "payments.dlq").going == {}
    assert sort_out(rows[:1], INTENTS.name).going[1].topic == WEBHOOKS.name, "a target is for what came from elsewhere"


@pytest.mark.parametrize(
    ("changed", "ends"),
    [
        ({}, True),
        ({"policy": "keep_going"}, False),
        ({"failures_min": 21}, False),
        ({"published": 200}, False),
        ({"failed_before": 15, "published_before": 50}, False),
    ],
)
def test_redrive_fails_above_the_ratio_alone(changed: dict[str, Any], *, ends: bool):
    counted = {
        "failed": 20, "failed_before": 0, "published": 100, "published_before": 0, "policy": "stop_on_failures",
        "failure_ratio_max": 0.1, "failures_min": 10,
    } | changed  # fmt: skip
    found = too_many(counted)
    assert (found is not None) is ends
    if found:
        assert found[0] == "failed"
        assert "20 of 100" in found[1]


def test_added_headers_are_those_that_the_relay_adds():
    row = letter(offset=3, timestamp_ms=1, message="m", reason="orphan", delivery_count=1, digest=b"")
    assert tuple(name for name, _ in letter_of(row).headers[1:]) == ADDED_HEADERS


def test_what_a_redrive_did_before_it_was_resumed_does_not_count() -> None:
    counted = {
        "policy": "stop_on_failures", "failures_min": 5, "failure_ratio_max": 0.2,
        "failed": 10, "failed_before": 5, "published": 110, "published_before": 100,
    }  # fmt: skip
    found = too_many(counted)
    assert found is not None
    assert (found[0], found[1].startswith("5 of 10 published letters")) == ("failed", True)
    assert too_many({**counted, "failed_before": 9}) is None
