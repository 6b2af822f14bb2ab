"""Metadata: what a client may say of its own with an intent. JSON, bounded in every direction."""

from __future__ import annotations

import json
from typing import Any, Final

MEMBERS_MAX: Final = 50
"""Members of one object, items of one array."""
NAME_LENGTH_MAX: Final = 64
TEXT_LENGTH_MAX: Final = 500
NESTING_MAX: Final = 3
"""Objects and arrays inside the metadata's own object, one in another."""
BYTES_MAX: Final = 64 * 1024
"""All of it, as compact JSON: numbers may be longer there than they were written (1e15)."""
NUMBER_MAX: Final = 2**53 - 1
"""What every JSON reader takes without loss (RFC 7493, 2.2), either way of zero."""
_TEXT_PATTERN: Final = r"^[^\u0000]*$"


def checked(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata; raise ValueError naming the bound that it breaks."""
    _check(metadata, NESTING_MAX)
    if len(json.dumps(metadata, separators=(",", ":")).encode()) > BYTES_MAX:
        raise ValueError(f"is over {BYTES_MAX} bytes")
    return metadata


def _check(value: Any, nesting_left: int) -> None:
    match value:
        case bool() | None:
            return
        case str():
            _check_text(value, TEXT_LENGTH_MAX)
        case int() | float():
            if not -NUMBER_MAX <= value <= NUMBER_MAX:
                raise ValueError(f"holds a number beyond {NUMBER_MAX}")
        case dict() | list():
            _check_members(value, nesting_left)
        case _:
            raise ValueError("holds what is no JSON")


def _check_members(value: dict[Any, Any] | list[Any], nesting_left: int) -> None:
    if nesting_left < 0:
        raise ValueError(f"is nested deeper than {NESTING_MAX}")
    if len(value) > MEMBERS_MAX:
        raise ValueError(f"holds more than {MEMBERS_MAX} members in one place")
    if isinstance(value, dict):
        for name in value:
            _check_text(name, NAME_LENGTH_MAX)
    for member in value.values() if isinstance(value, dict) else value:
        _check(member, nesting_left - 1)


def _check_text(text: str, length_max: int) -> None:
    if len(text) > length_max:
        raise ValueError(f"holds a text or a name longer than {length_max}")
    if "\x00" in text:
        raise ValueError("holds a NUL character, which can't be stored")


def json_schema() -> dict[str, Any]:
    """Return the same bounds as JSON Schema; the bound on all bytes can't be stated there."""
    return _object(NESTING_MAX)


def _object(nesting_left: int) -> dict[str, Any]:
    return {
        "type": "object",
        "maxProperties": MEMBERS_MAX,
        "propertyNames": {"maxLength": NAME_LENGTH_MAX, "pattern": _TEXT_PATTERN},
        "additionalProperties": _value(nesting_left - 1),
    }


def _value(nesting_left: int) -> dict[str, Any]:
    choices: list[dict[str, Any]] = [
        {"type": "string", "maxLength": TEXT_LENGTH_MAX, "pattern": _TEXT_PATTERN},
        {"type": "number", "minimum": -NUMBER_MAX, "maximum": NUMBER_MAX},
        {"type": "boolean"},
        {"type": "null"},
    ]
    if nesting_left >= 0:
        choices += [
            {"type": "array", "maxItems": MEMBERS_MAX, "items": _value(nesting_left - 1)},
            _object(nesting_left),
        ]
    return {"anyOf": choices}
