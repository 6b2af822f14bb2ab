"""What a value is that is no JSON of ours: framings and encodings that publishers are known to send. Pure.

Only for values that could not be read: the person who finds the dead letter has to know what to mend, and "expected
value at line 1" does not say it. Each is recognized by its first bytes, or by its outermost shape:
- Confluent's wire format: docs.confluent.io, "Wire format" (byte 0, the schema's id as a big-endian int32);
- AWS Glue Schema Registry: header version byte 3, compression byte 0 or 5, a UUID of 16 bytes;
- Avro 1.12: object container files (`Obj` and byte 1) and the single-object encoding (bytes C3 01);
- gzip RFC 1952, zlib RFC 1950, zstd RFC 8878, the LZ4 and Snappy frame formats;
- byte order marks: the Unicode standard, 23.8; UTF-8 is JSON's own encoding (RFC 8259, 8.1).
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

import msgspec

PLAIN: Final = "publish the JSON itself as UTF-8 text, without any framing"
CODECS: Final = "publish it plain and set the producer's compression.type: the broker's clients undo that by themselves"
_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "LZ4",
    b"\xff\x06\x00\x00sNaPpY": "Snappy",
    b"\x82SNAPPY\x00": "Snappy",
    b"BZh": "bzip2",
    b"\x78\x01": "zlib",
    b"\x78\x9c": "zlib",
    b"\x78\xda": "zlib",
}
_ENCODED: Final = {
    b"\xff\xfe\x00\x00": "UTF-32",
    b"\x00\x00\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
"""By their marks; the longer ones first."""
_UNMARKED: Final = {"utf-16-le": "UTF-16", "utf-16-be": "UTF-16", "utf-32-le": "UTF-32", "utf-32-be": "UTF-32"}
_LOOKED_AT_BYTES: Final = 32
"""Of a text without a mark; whole characters of each encoding."""
_BINARY: Final = {
    b"Obj\x01": "an Avro object container file",
    b"\xc3\x01": "Avro's single-object encoding",
    b"\xac\xed\x00\x05": "a serialized Java object (JDK serialization)",
    b"PK\x03\x04": "a ZIP archive",
    b"<": "XML",
}
_UUID: Final = re.compile(rb"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{8,}={0,2}\Z")
_CONFLUENT_BYTES_MIN: Final = 6
_GLUE_BYTES_MIN: Final = 19
_AVRO_UUID: Final = b"\x48"
"""Avro's length of a text of 36 characters: a zigzag varint."""
_PROTOBUF_UUID: Final = b"\x0a\x24"
"""Protobuf's field 1, of a text of 36 characters."""


def framing_of(value: bytes | None) -> str | None:
    """Return what the value is and what to do, or None where it has no form that is known. Raises nothing."""
    if value is None:
        return "the record has no value (a tombstone); nothing is deleted here, and a record says what happened"
    if not value.strip():
        return "the value is empty"
    return _by_first_bytes(value) or _by_shape(value) or _by_encoding(value)


def _begins(value: bytes, known: dict[bytes, str]) -> str | None:
    return next((name for prefix, name in known.items() if value.startswith(prefix)), None)


def _by_first_bytes(value: bytes) -> str | None:
    if name := _begins(value, _COMPRESSED):
        return f"the value is compressed with {name}; {CODECS}"
    if name := _begins(value, _ENCODED) or _unmarked(value):
        return f"the value is text in {name}; JSON is UTF-8: encode it so"
    if value.startswith(b"\xef\xbb\xbf"):
        return "the value begins with a UTF-8 byte order mark; leave it out (.NET: new UTF8Encoding(false))"
    if name := _begins(value, _BINARY):
        return f"the value is {name}; {PLAIN}"
    return _by_registry(value) or _by_length(value)


def _unmarked(value: bytes) -> str | None:
    """Name the encoding in which a value without a mark begins an object, other than UTF-8."""
    for codec, name in _UNMARKED.items():
        try:
            text = value[:_LOOKED_AT_BYTES].decode(codec)
        except UnicodeDecodeError:
            continue
        if text.startswith("{") and text.isascii() and "\x00" not in text:
            return name
    return None


def _by_registry(value: bytes) -> str | None:
    """Name the framings of schema registries, whose first byte is a version."""
    if value[0] == 0 and len(value) >= _CONFLUENT_BYTES_MIN:
        schema = int.from_bytes(value[1:5], "big")
        return (
            f"the value is in Confluent's wire format (byte 0, then schema id {schema}: Avro, Protobuf or JSON "
            "Schema); use a plain JSON or text serializer in place of the registry's"
        )
    if value[0] == 3 and len(value) >= _GLUE_BYTES_MIN and value[1] in (0, 5):  # noqa: PLR2004 - Glue's header
        return f"the value is in the wire format of AWS Glue's Schema Registry; {PLAIN}"
    return None


def _by_length(value: bytes) -> str | None:
    """Name Avro and Protobuf without a framing, as far as they begin with a UUID as text."""
    if value.startswith(_AVRO_UUID) and _UUID.match(value, 1):
        return f"the value looks like Avro without a framing; {PLAIN}"
    if value.startswith(_PROTOBUF_UUID) and _UUID.match(value, 2):
        return f"the value looks like Protobuf; {PLAIN}"
    return None


def _by_shape(value: bytes) -> str | None:
    """Name what is JSON, but not a record."""
    text = value.strip()
    try:
        document = msgspec.json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _by_text(text)
    match document:
        case str():
            return _by_inner_text(document)
        case list():
            return "the value is a JSON array; publish one record for each of its items"
        case dict():
            return _by_members(document)
        case _:
            return "the value is JSON, but no object"


def _by_text(text: bytes) -> str | None:
    if _holds_json(text):
        return f"the value is JSON in base64; {PLAIN}"
    if text.startswith((b"{'", b"{ '")):
        return "the value has single quotes, as Python prints a dict; write it with a JSON library (json.dumps)"
    if text.endswith(b"\x00"):
        return "the value ends with a NUL byte; leave it out"
    first, _, rest = text.partition(b"\n")
    if _is_object(first) and _is_object(rest.partition(b"\n")[0]):
        return "the value holds several JSON documents, one a line; publish one record for each"
    return None


def _by_inner_text(text: str) -> str:
    inner = text.encode("utf-8", "replace")
    if _is_object(inner):
        return "the value is JSON inside a JSON text: it was encoded twice; give the serializer the object itself"
    if _holds_json(inner.strip()):
        return f"the value is JSON in base64 inside a JSON text; {PLAIN}"
    return "the value is a JSON text; publish the object itself"


def _by_members(document: dict[str, Any]) -> str | None:
    names = document.keys()
    if {"schema", "payload"} <= names:
        return (
            "the value is in Kafka Connect's envelope (schema and payload); set schemas.enable=false for the "
            "JsonConverter, and for Debezium unwrap the row (ExtractNewRecordState or the outbox event router)"
        )
    if {"op", "source"} <= names and names & {"before", "after"}:
        return (
            "the value is Debezium's envelope of a row's change (op, before, after); unwrap it "
            "(ExtractNewRecordState), or publish events by the outbox event router"
        )
    if "specversion" in names and names & {"data", "data_base64"}:
        return (
            "the value is a CloudEvent in structured mode; publish in binary mode: attributes as headers ce_id, "
            "ce_source, ce_type, and the data as the value"
        )
    return None


def _by_encoding(value: bytes) -> str | None:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        byte = f"byte {value[error.start]:#04x} at {error.start}"
        return f"the value is no UTF-8 text ({byte}); JSON is UTF-8: encode it so"
    return None


def _holds_json(text: bytes) -> bool:
    """Tell whether a text is base64, of either alphabet, of a JSON object."""
    if not _BASE64.match(text):
        return False
    plain = text.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return _is_object(base64.b64decode(plain + b"=" * (-len(plain) % 4)))
    except binascii.Error:
        return False


def _is_object(text: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
