"""Values of well-known framings and encodings: the dead letter's message names them and says what to do."""

from __future__ import annotations

import base64
import bz2
import gzip
import json
import zlib
from typing import Any
from uuid import UUID

import pytest
from events import INTENT_ID, intent, record
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from consumer.decode import Event, decode
from consumer.framings import framing_of
from consumer.verdict import Dead
from schemas.dead_letter import MESSAGE_LENGTH_MAX, Reason

pytestmark = pytest.mark.unit

PLAIN = intent().value or b""
TEXT = PLAIN.decode()
ENVELOPE = json.loads(PLAIN)
SCHEMA = (7).to_bytes(4, "big")

FORMS: dict[str, tuple[bytes | None, str]] = {
    "confluent, JSON Schema": (b"\x00" + SCHEMA + PLAIN, "Confluent's wire format (byte 0, then schema id 7"),
    "confluent, Avro": (b"\x00" + SCHEMA + b"\x48" + str(INTENT_ID).encode(), "use a plain JSON or text serializer"),
    "confluent, Protobuf": (b"\x00" + SCHEMA + b"\x00\x0a\x24" + str(INTENT_ID).encode(), "Confluent's wire format"),
    "confluent, a large id": (b"\x00\x00\x00\x7b\x22" + PLAIN, "schema id 31522"),
    "glue": (b"\x03\x00" + UUID(int=9).bytes + PLAIN, "AWS Glue"),
    "glue, compressed": (b"\x03\x05" + UUID(int=9).bytes + zlib.compress(PLAIN), "AWS Glue"),
    "gzip": (gzip.compress(PLAIN), "compressed with gzip; publish it plain and set the producer's compression.type"),
    "zlib": (zlib.compress(PLAIN), "compressed with zlib"),
    "bzip2": (bz2.compress(PLAIN), "compressed with bzip2"),
    "zstd": (b"\x28\xb5\x2f\xfd" + PLAIN, "compressed with zstd"),
    "lz4": (b"\x04\x22\x4d\x18" + PLAIN, "compressed with LZ4"),
    "snappy of Java": (b"\x82SNAPPY\x00" + PLAIN, "compressed with Snappy"),
    "base64": (base64.b64encode(PLAIN), "JSON in base64"),
    "base64 of URLs": (base64.urlsafe_b64encode(PLAIN).rstrip(b"="), "JSON in base64"),
    "base64 in JSON": (json.dumps(base64.b64encode(PLAIN).decode()).encode(), "JSON in base64 inside a JSON text"),
    "UTF-8 with a mark": (b"\xef\xbb\xbf" + PLAIN, "byte order mark"),
    "UTF-16 with a mark": (TEXT.encode("utf-16"), "text in UTF-16; JSON is UTF-8"),
    "UTF-16, little": (TEXT.encode("utf-16-le"), "text in UTF-16"),
    "UTF-16, big": (TEXT.encode("utf-16-be"), "text in UTF-16"),
    "UTF-32 with a mark": (TEXT.encode("utf-32"), "text in UTF-32"),
    "UTF-32, little": (TEXT.encode("utf-32-le"), "text in UTF-32"),
    "UTF-32, big": (TEXT.encode("utf-32-be"), "text in UTF-32"),
    "Latin-1": ('{"id": "größe"}'.encode("latin-1"), "no UTF-8 text (byte 0xf6 at 10)"),
    "Avro alone": (b"\x48" + str(INTENT_ID).encode() + b"\x08shop", "looks like Avro"),
    "Avro's object": (b"\xc3\x01" + bytes(8) + PLAIN, "Avro's single-object encoding"),
    "Avro's file": (b"Obj\x01" + PLAIN, "Avro object container file"),
    "Protobuf": (b"\x0a\x24" + str(INTENT_ID).encode() + b"\x12\x04shop", "looks like Protobuf"),
    "Java": (b"\xac\xed\x00\x05t\x00\x02{}", "serialized Java object"),
    "XML": (b"<intent/>", "XML"),
    "JSON in JSON": (json.dumps(TEXT).encode(), "encoded twice"),
    "a JSON text": (b'"create"', "is a JSON text"),
    "an array": (b"[" + PLAIN + b"]", "publish one record for each"),
    "a number": (b"12", "is JSON, but no object"),
    "lines": (PLAIN + b"\n" + PLAIN, "several JSON documents"),
    "Python": (str(ENVELOPE).encode(), "single quotes"),
    "C": (PLAIN + b"\x00", "ends with a NUL byte"),
    "Connect": (json.dumps({"schema": {"type": "struct"}, "payload": ENVELOPE}).encode(), "schemas.enable=false"),
    "Debezium": (
        json.dumps({"before": None, "after": ENVELOPE, "source": {}, "op": "c"}).encode(),
        "Debezium's envelope",
    ),
    "CloudEvents": (json.dumps({"specversion": "1.0", "id": "1", "data": ENVELOPE}).encode(), "structured mode"),
    "a tombstone": (None, "no value (a tombstone)"),
    "nothing": (b" ", "the value is empty"),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_letter_names_the_form_and_says_what_to_do(name: str) -> None:
    value, expected = FORMS[name]
    dead = decode(replace(intent(), value=value))
    assert isinstance(dead, Dead)
    assert dead.reason is Reason.UNDECODABLE
    assert expected in dead.message
    assert len(dead.message) <= MESSAGE_LENGTH_MAX


def test_webhooks_that_cannot_be_read_are_named_too() -> None:
    dead = decode(record("stripe", "1", "charge.captured", gzip.compress(b"{}")))
    assert isinstance(dead, Dead)
    assert "compressed with gzip" in dead.message


def test_what_is_only_invalid_is_no_form() -> None:
    dead = decode(intent(amount=0))
    assert isinstance(dead, Dead)
    assert dead.message.startswith("intent: body.amount: ")


def test_a_word_whose_length_no_base64_has_is_no_base64() -> None:
    value = base64.b64encode(b'{"a": 1}').rstrip(b"=")
    assert "base64" in (framing_of(value) or "")
    assert framing_of(value[: len(value) // 4 * 4 + 1]) is None


@pytest.mark.parametrize(
    "members", [{"payload"}, {"schema"}, {"op"}, {"op", "source"}, {"op", "after"}, {"specversion"}, {"data"}, set()]
)
def test_a_member_that_an_envelope_has_too_makes_no_envelope(members: set[str]) -> None:
    """Whoever looks for a converter that there is none of looks in the wrong place."""
    assert framing_of(json.dumps({name: {} for name in members}).encode()) is None


def test_what_is_too_short_for_a_framing_has_none() -> None:
    assert framing_of(b"\x00" + SCHEMA) is None
    assert framing_of(b"\x03\x00" + b"u" * 16) is None


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"schema": '])
def test_what_is_nested_too_deeply_raises_nothing(opening: bytes) -> None:
    assert framing_of(opening * 20_000) is None
    assert framing_of(json.dumps((opening * 20_000).decode()).encode()) is not None


@given(st.binary(max_size=60))
def test_never_raises(value: bytes) -> None:
    assert framing_of(value) is None or framing_of(value)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (TEXT.replace('"amount": 1000', '"amount": 700, "amount": 900'), "amount"),
        (TEXT[:-1] + ', "client": "mall"}', "client"),
        (TEXT.replace('"amount": 1000', f'"amount": {"9" * 4000}, "amount": 900'), "amount"),
        (TEXT.replace('"amount": 1000', '"metadata": {"a": {"b": 1, "b": 2}}, "amount": 1000'), "b"),
    ],
)
def test_a_name_that_stands_twice_is_a_letter(value: str, name: str) -> None:
    dead = decode(replace(intent(), value=value.encode()))
    assert isinstance(dead, Dead)
    assert dead.reason is Reason.UNDECODABLE
    assert dead.message.startswith(f"intent: {name} stands twice in one object; write it once")


def test_a_name_in_two_objects_is_no_repetition() -> None:
    reported: dict[str, Any] = {"a": {"amount": 1}, "b": [{"amount": 2}, {"amount": 3}]}
    assert isinstance(decode(intent(metadata=reported)), Event)
