"""Postgres array literals: a column of many values as one text parameter. Pure.

The driver encodes an array value by value (0.3 us each); a literal is joined in C, ten times faster, and Postgres reads
it back with `$1::text::text[]`. Inside double quotes only the quote and the backslash are special (PostgreSQL manual,
8.15.6, Array Input and Output Syntax).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Column = tuple[Any, ...]


def columns_of(rows: Iterable[Column], width: int) -> list[Column]:
    """Turn rows into `width` columns; no rows are as many empty ones."""
    return list(zip(*rows, strict=True)) or [()] * width


def text_array(values: Sequence[str | None]) -> str:
    """Return texts as a literal for `text[]`; None is NULL."""
    if None in values:
        return "{" + ",".join(["NULL" if value is None else f'"{_escaped(value)}"' for value in values]) + "}"
    joined = "".join(values)  # type: ignore[arg-type]
    if '"' in joined or "\\" in joined:
        values = [_escaped(value) for value in values if value is not None]
    return '{"' + '","'.join(values) + '"}' if values else "{}"  # type: ignore[arg-type]


def plain_array(values: Iterable[object]) -> str:
    """Return values whose text needs no quotes (numbers, uuids) as a literal; None is NULL."""
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


def bytes_array(values: Iterable[bytes]) -> str:
    """Return byte strings as a literal for `bytea[]`."""
    return "{" + ",".join([f'"\\\\x{value.hex()}"' for value in values]) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
