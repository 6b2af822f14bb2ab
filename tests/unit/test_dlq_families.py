from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.dlq_families import INT32_MAX, INT64_MAX, number_of, read_back, text_of
from producers.relay.records import letter_of, truncated
from schemas.dead_letter import Reason
from schemas.record import Record

pytestmark = pytest.mark.unit

NAMES = st.sampled_from([
    "ce_id", "ratchet-redrive-count", "ratchet-dlq-reason", "__dlq.errors.topic", "__dlq.errors.offset",
    "kafka_dlt-original-topic", "kafka_dlt-original-partition", "__connect.errors.topic", "__streams.errors.topic",
])  # fmt: skip
HEADERS = st.lists(st.tuples(NAMES, st.none() | st.binary(max_size=12)), max_size=14)


def in_dlq(*headers: tuple[str, bytes | None], **parts: Any) -> Record:
    found = {"topic": "payments.dlq", "partition": 3, "offset": 44, "timestamp_ms": 5, "key": b"k", "value": b"v"}
    return Record(headers=headers, **found | parts)


def sent_of(offset: int = 1) -> Any:
    """Return the record that the relay publishes of a letter without headers."""
    return letter_of({
        "topic": "payments.webhooks", "partition": 7, "offset": offset, "timestamp_ms": 9, "key": None, "value": b"",
        "header_names": [], "header_values": [], "message": "why", "reason": "conflict", "delivery_count": 2,
        "redrive_count": 0, "digest": b"d" * 32, "value_left_out": False,
    })  # fmt: skip


def place(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset


@given(HEADERS, st.sampled_from(Reason))
def test_letter_of_ours_comes_back_byte_for_byte(headers: list[tuple[str, bytes | None]], reason: Reason):
    row = {
        "topic": "payments.webhooks", "partition": 7, "offset": 2**40, "timestamp_ms": 9, "key": None, "value": b"",
        "header_names": [name.encode() for name, _ in headers], "header_values": [value for _, value in headers],
        "message": "why", "reason": reason.value, "delivery_count": 3, "redrive_count": 2,
        "digest": b"d" * 32, "value_left_out": False,
    }  # fmt: skip
    sent = letter_of(row)
    found = read_back(in_dlq(*sent.headers, key=sent.key, value=sent.value, timestamp_ms=sent.timestamp_ms))
    assert found.record == Record("payments.webhooks", 7, 2**40, 9, None, b"", tuple(headers))
    assert (found.reason, found.message, found.delivery_count, found.ours) == (reason, "why", 3, True)


@given(HEADERS)
def test_nothing_raises_and_no_familys_header_stays(headers: list[tuple[str, bytes | None]]):
    found = read_back(in_dlq(*headers))
    assert [name for name, _ in found.record.headers if name not in ("ce_id", "ratchet-redrive-count")] == []
    assert (found.record.key, found.record.value) == (b"k", b"v")


def test_spring_keeps_the_first_of_several_and_its_time():
    twice = (struct.pack(">q", 6), struct.pack(">q", 99))
    found = read_back(
        in_dlq(
            ("kafka_dlt-original-topic", b"payments.webhooks"),
            ("kafka_dlt-original-topic", b"payments.webhooks-retry"),
            ("kafka_dlt-original-partition", struct.pack(">i", 1)),
            *(("kafka_dlt-original-offset", value) for value in twice),
            ("kafka_dlt-original-timestamp", struct.pack(">q", 1234)),
            ("kafka_dlt-exception-fqcn", b"java.lang.IllegalStateException"),
            ("kafka_dlt-exception-message", b"secret of the payload"),
            ("x", b"y"),
        )
    )
    assert place(found.record) == ("payments.webhooks", 1, 6)
    assert (found.record.timestamp_ms, found.record.headers) == (1234, (("x", b"y"),))
    assert "Spring: java.lang.IllegalStateException" in found.message
    assert "secret" not in found.message
    assert (found.reason, found.ours) == (Reason.UNEXPECTED, False)


@pytest.mark.parametrize("prefix", ["__connect.errors.", "__dlq.errors.", "__streams.errors."])
def test_texts_of_connect_share_groups_and_streams(prefix: str):
    reported = (("topic", b"payments.intents"), ("partition", b"2"), ("offset", b"12345678"))
    found = read_back(in_dlq(*((prefix + name, value) for name, value in reported)))
    assert place(found.record) == ("payments.intents", 2, 12_345_678)
    assert found.record.timestamp_ms == 5


def test_reason_of_ours_counts_where_it_is_one():
    assert read_back(in_dlq(("ratchet-dlq-reason", b"orphan"))).reason is Reason.ORPHAN
    assert read_back(in_dlq(("ratchet-dlq-reason", b"whatever"))).reason is Reason.UNEXPECTED
    twice = (("ratchet-dlq-reason", b"orphan"), ("ratchet-dlq-reason", b"conflict"))
    assert read_back(in_dlq(*twice)).reason is Reason.CONFLICT, "the last one is of the letter, others of the original"


@pytest.mark.parametrize("known", ["partition", "offset"])
def test_half_a_place_is_none(known: str):
    """Mixed of two topics it would be the place of another letter, which is known already then."""
    named = (("__connect.errors.topic", b"payments.webhooks"), (f"__connect.errors.{known}", b"7"))
    assert place(read_back(in_dlq(*named)).record) == ("payments.webhooks", 3, 44)


@pytest.mark.parametrize(("value", "count"), [(b"4", 4), (b"", 1), (b"x", 1), (b"0", 1)])
def test_a_letter_was_delivered_once_at_least(value: bytes, count: int):
    sent = [(name, value if name == "__dlq.errors.delivery.count" else old) for name, old in sent_of(offset=0).headers]
    found = read_back(in_dlq(*sent))
    assert (found.ours, found.record.offset, found.delivery_count) == (True, 0, count)
    foreign = (("__dlq.errors.topic", b"t"), ("__dlq.errors.delivery.count", value))
    assert read_back(in_dlq(*foreign)).delivery_count == count


def test_headers_of_an_original_that_is_whole_stay():
    """Their names are free: somebody may have copied them from a letter."""
    own = (("ratchet-dlq-truncated", b"1"), ("ratchet-dlq-digest", bytes(32).hex().encode()))
    found = read_back(in_dlq(*own, *sent_of().headers, value=b"v"))
    assert (found.record.headers, found.digest) == (own, None)


def test_letter_of_nobody_stands_at_its_own_place():
    found = read_back(in_dlq(("a", None)))
    assert (place(found.record), found.record.headers) == (("payments.dlq", 3, 44), (("a", None),))
    found = read_back(in_dlq(("__connect.errors.topic", b"payments.webhooks"), ("__connect.errors.offset", b"-1")))
    assert place(found.record) == ("payments.webhooks", 3, 44)


@given(HEADERS, st.none() | st.binary(max_size=3))
def test_a_letter_that_was_too_large_is_known_by_the_digest_of_the_whole(
    headers: list[tuple[str, bytes | None]], key: bytes | None
):
    row = {
        "topic": "payments.webhooks", "partition": 7, "offset": 2**40, "timestamp_ms": 9, "key": key, "value": b"v",
        "header_names": [name.encode() for name, _ in headers], "header_values": [value for _, value in headers],
        "message": "why", "reason": "orphan", "delivery_count": 3, "redrive_count": 2,
        "digest": bytes(range(32)), "value_left_out": False,
    }  # fmt: skip
    sent = truncated(letter_of(row))
    assert sent is not None
    found = read_back(in_dlq(*sent.headers, key=sent.key, value=sent.value, timestamp_ms=sent.timestamp_ms))
    assert found.record == Record("payments.webhooks", 7, 2**40, 9, key, None, tuple(headers))
    assert (found.ours, found.digest) == (True, bytes(range(32)))
    for damaged in (b"zz", b"00"):
        spoilt = [(name, damaged if name == "ratchet-dlq-digest" else value) for name, value in sent.headers]
        assert read_back(in_dlq(*spoilt, key=sent.key, value=None)).digest is None


def test_block_that_only_looks_like_ours_is_another_tools():
    row = {
        "topic": "t", "partition": 7, "offset": 1, "timestamp_ms": 9, "key": None, "value": b"", "header_names": [],
        "header_values": [], "message": "why", "reason": "orphan", "delivery_count": 3, "redrive_count": 2,
        "digest": b"d" * 32, "value_left_out": False,
    }  # fmt: skip
    headers = [(name, b"x" if name == "__dlq.errors.offset" else value) for name, value in letter_of(row).headers]
    found = read_back(in_dlq(*headers))
    assert (found.ours, found.record.topic) == (False, "t")


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (None, None), (b"", None), (b"x", None), (b"7", 7), (b"1234", 1234), (b"12345678", 12_345_678),
        (struct.pack(">i", 5), 5), (struct.pack(">q", 2**40), 2**40), (struct.pack(">i", -1), None),
        (b"99999999999999999999", None), (str(INT64_MAX).encode(), INT64_MAX), (b"\x00\x01", None),
    ],
)  # fmt: skip
def test_numbers(value: bytes | None, number: int | None):
    assert number_of(value, INT64_MAX) == number


def test_bounds_of_numbers_and_texts():
    assert number_of(str(INT32_MAX + 1).encode(), INT32_MAX) is None
    assert text_of(b"a\x00b" * 9, 4) == "abab"
    assert text_of(b"\xff", 4) == text_of(None, 4) == ""
