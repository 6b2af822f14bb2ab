"""Reading bodies: one JSON decoder for identity and meaning, so that both see the same event."""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from schemas.facts import REF_LENGTH_MAX

T = TypeVar("T")

_ANY: Final = msgspec.json.Decoder()
UNPROVEN_REPAIR_BYTES_MAX: Final = 64 * 1024
"""How much of a body is repaired that nobody has proven yet: strict JSON costs a tenth of that."""
_HIGH, _LOW = rb"\\u[dD][89abAB][0-9a-fA-F]{2}", rb"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE: Final = re.compile(rb"%b(?!%b)|(?<!%b)%b" % (_HIGH, _LOW, _HIGH, _LOW))
_BACKSLASH: Final = b"\\\\"
_BACKSLASH_STAND_IN: Final = b"\x00\x00"
"""Stands for an escaped backslash while escapes are looked for. JSON holds no NUL (RFC 8259, 7)."""
_STAND_IN: Final = "\x7f"
_BROKEN_BYTE: Final = re.compile("[\udc80-\udcff]")
"""A byte that is no UTF-8, as `surrogateescape` decodes it."""
_FORBIDDEN: Final = re.compile("[\x00\x7f\ufffd\ud800-\udfff]")
"""NUL and lone surrogates, which Postgres does not store, and the stand-ins that `repaired` writes."""


def repaired(body: bytes) -> bytes:
    r"""Return the body with its broken characters replaced, byte for byte of the same length.

    A name cut in the middle of an emoji (`\ud83d` alone) or a byte that is no UTF-8 must not hide the payment that
    the body is about. Stand-ins are U+FFFD and DEL; `storable` refuses both, so that no id is ever made of them.
    """
    if b"\x00" in body:
        return body
    text = _LONE_SURROGATE.sub(rb"\\ufffd", body.replace(_BACKSLASH, _BACKSLASH_STAND_IN))
    text = text.replace(_BACKSLASH_STAND_IN, _BACKSLASH)
    return _BROKEN_BYTE.sub(_STAND_IN, text.decode("utf-8", "surrogateescape")).encode()


def decode(decoder: msgspec.json.Decoder[T], body: bytes, *, repair_bytes_max: int | None = None) -> T | None:
    """Decode the body, if need be its `repaired` form; None where it is no JSON or not the decoder's shape.

    A body over `repair_bytes_max` is taken as it is: UNPROVEN_REPAIR_BYTES_MAX where a stranger may have sent it.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError:
        return None
    except (ValueError, RecursionError):
        pass
    if repair_bytes_max is not None and len(body) > repair_bytes_max:
        return None
    try:
        return decoder.decode(repaired(body))
    except (ValueError, RecursionError):
        return None


def read_json(body: bytes) -> Any:
    """Return the body as plain Python values, or None where it is no JSON."""
    return decode(_ANY, body)


def storable(text: str) -> bool:
    """Tell whether a text may be an id: 1 to REF_LENGTH_MAX characters that Postgres and Kafka take as they are.

    Control characters are taken too: merchants type references, what a provider signed is never refused for one, and
    an id that was cleaned would be another's. Whoever shows an id makes it harmless (`runtime.terminal`).
    """
    if not 0 < len(text) <= REF_LENGTH_MAX:
        return False
    return (text.isascii() and text.isprintable()) or not _FORBIDDEN.search(text)


def plain(text: str) -> bool:
    """Tell whether an id that nobody signed may be asked about: providers make their ids of printable characters."""
    return storable(text) and text.isprintable()


def all_storable(texts: list[str]) -> bool:
    """Tell whether each of the texts is `storable`; plain ones are looked at all at once."""
    joined = "".join(texts)
    if len(joined) <= REF_LENGTH_MAX and joined.isascii() and joined.isprintable() and "" not in texts:
        return True
    return all(storable(text) for text in texts)


def to_id(value: object) -> str | None:
    """Return a text, or a whole number as text, if it may be an id; else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value if isinstance(value, str) and storable(value) else None


def value_at(value: Any, *path: str | int) -> Any:
    """Walk through objects (by name) and arrays (by index); None where the way ends early."""
    for step in path:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and -len(value) <= step < len(value) else None
    return value


def text_at(value: Any, *path: str | int) -> str | None:
    """Return the id at the end of the path (see `to_id`), or None."""
    return to_id(value_at(value, *path))
