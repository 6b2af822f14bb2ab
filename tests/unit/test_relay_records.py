from __future__ import annotations

import datetime as dt
import json
import random
import uuid

import pytest
from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError
from aiokafka.partitioner import murmur2 as reference

from producers.relay.cluster import find_mismatch
from producers.relay.destination import _divide
from producers.relay.lanes import cut
from producers.relay.loop import LaneHealth
from producers.relay.records import (
    CHANGE_FIELDS,
    COMMAND_FIELDS,
    STATE_FIELDS,
    RelayedRecord,
    change_of,
    command_of,
    letter_of,
    refusal_of,
    smaller_letter,
    spooled_of,
    state_of,
    truncated,
)
from producers.relay.role import watch_health
from runtime.health import Probe
from runtime.kafka import InvalidRecordError
from runtime.kafka_partitions import murmur2, partition_of
from schemas.changes import Change, State
from schemas.commands import CommandRecord

pytestmark = pytest.mark.unit

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
CHANGE = {
    "payment_id": uuid.UUID("01890000-0000-7000-8000-000000000001"),
    "version": 4,
    "source": "adyen/acme",
    "event_id": 'e"1ü',
    "event_type": "CAPTURE",
    "outcome": "late",
    "from_status": None,
    "to_status": "captured",
    "event_amount": 10**15,
    "occurred_at": None,
    "recorded_at": NOW,
    "provider": "adyen",
    "account": "acme",
    "merchant_account": "ShopNL",
    "livemode": False,
    "provider_ref": None,
    "reference": "ORD-1",
    "client": None,
    "status": "captured",
    "refund_status": "none",
    "dispute_status": "none",
    "currency": None,
    "amount": 10**15,
    "authorized": 0,
    "captured": 1,
    "refunded": 0,
    "disputed": 0,
    "flags": ["over_captured"],
    "intent_id": None,
    "merged_into": uuid.UUID("01890000-0000-7000-8000-000000000002"),
    "metadata": '{"cart":[7,"é"]}',
    "created_at": NOW,
    "epoch": 1_790_000_000,
}
PARSED = CHANGE | {"metadata": {"cart": [7, "é"]}}


def test_change_is_the_published_type_and_nothing_else():
    record = change_of(CHANGE | {"traceparent": None})
    assert record is not None
    assert "traceparent" not in dict(record.headers)
    assert (record.topic, record.key) == ("payments.changes", str(CHANGE["payment_id"]).encode())
    assert Change.model_validate_json(record.value or b"") == Change(**PARSED)
    assert tuple(json.loads(record.value or b"")) == CHANGE_FIELDS == tuple(Change.model_fields)
    headers = dict(record.headers)
    assert headers["ce_id"] == b"01890000-0000-7000-8000-000000000001/4"
    assert headers["ce_time"] == b"2026-01-02T03:04:05.000006+00:00"
    assert (headers["ce_status"], headers["ce_provider"], headers["ce_livemode"]) == (b"captured", b"adyen", b"false")


def test_state_is_the_payment_without_an_event():
    record = state_of(CHANGE)
    assert record is not None
    assert (record.topic, record.key) == ("payments.state", str(CHANGE["payment_id"]).encode())
    assert State.model_validate_json(record.value or b"") == State(**{name: PARSED[name] for name in STATE_FIELDS})
    assert tuple(json.loads(record.value or b"")) == STATE_FIELDS == tuple(State.model_fields)
    headers = dict(record.headers)
    assert (headers["ce_type"], headers["ce_id"]) == (b"payment.state", b"01890000-0000-7000-8000-000000000001/4")
    assert (headers["ce_status"], headers["ce_provider"], headers["ce_livemode"]) == (b"captured", b"adyen", b"false")


def test_a_row_that_is_not_the_newest_of_its_payment_is_no_state():
    assert state_of(CHANGE | {"payment_id": None}) is None


COMMAND = {
    "payment_id": uuid.UUID("01890000-0000-7000-8000-000000000001"),
    "attempt_id": uuid.UUID("01890000-0000-7000-8000-000000000002"),
    "command_id": 'refund"1ü',
    "client": "shop",
    "command": "refund",
    "provider": "adyen",
    "account": "acme",
    "merchant_account": "ShopNL",
    "livemode": False,
    "provider_ref": "PSP1",
    "reference": "ORD-1",
    "currency": "EUR",
    "amount": 10**15,
    "reason": None,
    "metadata": '{"cart":[7,"é"]}',
    "asked_at": NOW,
    "expires_at": NOW + dt.timedelta(hours=6),
    "traceparent": None,
    "due": True,
}


def test_a_command_is_the_published_type_and_nothing_else():
    record = command_of(COMMAND)
    assert record is not None
    assert (record.topic, record.key) == ("payments.commands", str(COMMAND["payment_id"]).encode())
    reported = {name: COMMAND[name] for name in COMMAND_FIELDS} | {
        "id": COMMAND["command_id"],
        "metadata": {"cart": [7, "é"]},
    }
    assert CommandRecord.model_validate_json(record.value or b"") == CommandRecord(**reported)
    assert tuple(json.loads(record.value or b"")) == ("id", *COMMAND_FIELDS) == tuple(CommandRecord.model_fields)
    headers = dict(record.headers)
    assert headers["ce_id"] == 'refund"1ü'.encode()
    assert (headers["ce_type"], headers["ce_source"]) == (b"command.refund", b"ratchet/commands")
    assert headers["ce_time"] == b"2026-01-02T03:04:05.000006+00:00"
    assert headers["ce_expirytime"] == b"2026-01-02T09:04:05.000006+00:00"
    assert (headers["ce_provider"], headers["ce_livemode"]) == (b"adyen", b"false")
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    traced = command_of(COMMAND | {"traceparent": trace})
    assert traced is not None
    assert traced.headers[-1] == ("traceparent", trace.encode())


def test_a_command_that_nobody_has_to_begin_is_not_published():
    assert command_of(COMMAND | {"due": False}) is None


def test_change_carries_the_trace_of_the_event_that_caused_it():
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    record = change_of(CHANGE | {"traceparent": trace})
    assert record is not None
    assert record.headers[-1] == ("traceparent", trace.encode())


def test_row_without_a_version_is_no_change():
    assert change_of(CHANGE | {"version": None, "payment_id": None}) is None


def test_letter_keeps_null_headers_and_its_partition_number():
    row = {
        "topic": "t", "partition": 2, "offset": 9, "timestamp_ms": -1, "key": None, "value": None, "message": "é",
        "reason": "orphan", "delivery_count": 1, "redrive_count": 0, "header_names": [b"a"], "header_values": [None],
        "digest": b"d" * 32, "value_left_out": False,
    }  # fmt: skip
    record = letter_of(row)
    assert (record.key, record.value, record.timestamp_ms, record.spread) == (None, None, -1, 2)
    assert record.headers[0] == ("a", None)
    assert dict(record.headers)["kafka_dlt-original-timestamp"] == b"\xff" * 8
    assert dict(record.headers)["__dlq.errors.message"] == "é".encode()
    assert record.size() > 100


LETTER = {
    "topic": "t", "partition": 2, "offset": 9, "timestamp_ms": 5, "key": b"k", "value": b"v", "message": "m",
    "reason": "orphan", "delivery_count": 1, "redrive_count": 0, "header_names": [b"a"], "header_values": [b"1"],
    "digest": b"d" * 32, "value_left_out": False,
}  # fmt: skip


def test_a_letter_loses_its_value_then_its_headers_then_its_key_and_says_so():
    letter: RelayedRecord | None = letter_of(LETTER)
    added = letter.headers[1:]
    reported = []
    while (letter := truncated(letter)) is not None:
        assert len(reported) < 3, "it ends"
        found = dict(letter.headers)
        reported.append((found["ratchet-dlq-truncated"], letter.key, letter.value, letter.headers[0][0]))
        assert letter.headers[-len(added) :] == added
        assert found["ratchet-dlq-digest"] == (b"d" * 32).hex().encode()
    assert reported == [
        (b"value", b"k", None, "a"),
        (b"value,headers", b"k", None, "ratchet-dlq-truncated"),
        (b"value,headers,key", None, None, "ratchet-dlq-truncated"),
    ]
    assert (
        dict(letter_of(LETTER | {"value_left_out": True, "value": None}).headers)["ratchet-dlq-truncated"] == b"value"
    )


def test_what_is_published_in_place_of_a_refused_letter_depends_on_the_refusal():
    letter = letter_of(LETTER)
    assert smaller_letter(letter, InvalidTimestampError()) == letter._replace(timestamp_ms=None)
    assert smaller_letter(letter._replace(timestamp_ms=None), InvalidTimestampError()) is None
    assert smaller_letter(letter, MessageSizeTooLargeError()) == truncated(letter)
    assert smaller_letter(letter, InvalidRecordError()) is None
    assert "INVALID" not in refusal_of(letter, InvalidRecordError())
    assert "broker's log" in refusal_of(letter, InvalidRecordError())


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ([7], []),
        ([1, 9, 1], [[0], [1], [2]]),
        ([9, 1], [[], [0], [1]]),
        ([5, 5, 5, 5], [[0, 1], [2, 3]]),
        ([5, 5], [[0], [1]]),
    ],
)
def test_a_refused_batch_is_divided(sizes: list[int], parts: list[list[int]]):
    assert _divide(list(range(len(sizes))), sizes) == parts


def test_spooled_record_is_as_it_was():
    row = {"id": 5, "topic": "t", "key": b"k", "value": b"v", "header_names": [b"a"], "header_values": [b"1"]}
    assert spooled_of(row) == RelayedRecord("t", b"k", b"v", (("a", b"1"),), None, 5)


def test_partition_is_the_one_of_kafkas_own_producer():
    dice = random.Random(1)
    for length in range(70):
        key = dice.randbytes(length)
        assert murmur2(key) == reference(key)
        assert partition_of(key, 7) == (reference(key) & 0x7FFFFFFF) % 7


def outgoing(size: int) -> RelayedRecord:
    return RelayedRecord("t", None, b"x" * size, (), None, 0)


def test_batch_is_cut_at_the_bound_and_never_empty():
    rows = [{}] * 4
    assert cut(rows, [outgoing(5), None, outgoing(5), outgoing(1)], 10) == (3, [outgoing(5), outgoing(5)])
    assert cut(rows, [outgoing(50), None, outgoing(5), None], 10) == (2, [outgoing(50)])
    assert cut(rows, [None] * 4, 10) == (4, [])
    assert cut(rows[:1], [outgoing(5)], 10) == (1, [outgoing(5)])


def cursor(**changes: object) -> dict[str, object]:
    healthy = {"name": "changes", "relay_xid": 5, "known": 1, "current": 1, "next_xid": 9, "highest_xid": 8}
    return healthy | changes


def test_only_ids_of_this_cluster_are_let_pass():
    assert find_mismatch([cursor(), cursor(known=None), cursor(highest_xid=None)]) is None
    assert "restored from a dump" in str(find_mismatch([cursor(), cursor(known=2)]))
    assert "transaction id 9" in str(find_mismatch([cursor(highest_xid=9)]))
    assert "only reached 9" in str(find_mismatch([cursor(relay_xid=50, highest_xid=None)]))


def test_probe_tells_waiting_failing_and_hanging_lanes():
    probe, lane, waiting = Probe("relay"), LaneHealth(), {}
    watch_health(probe, {"changes": lane}, waiting, stalled_after_seconds=20)
    assert (probe.unready(), probe.stuck()) == (None, None)
    waiting["starting"] = "starting: away"
    lane.failed("changes: away", halted=False)
    assert probe.unready() == "starting: away; changes: away"
    lane.ended_at -= 30
    assert probe.stuck() is None, "a relay that stands by is not stuck"
    probe.facts["leading"] = True
    assert probe.stuck() == "no turn has ended: changes for 30 s"
    lane.succeeded(3)
    assert (probe.stuck(), lane.failure, lane.records) == (None, None, 3)
