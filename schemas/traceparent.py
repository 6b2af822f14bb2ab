"""The trace context that travels with an event: W3C Trace Context, level 1, section 3.2.

A `traceparent` names the trace that an event belongs to. It is passed on from header to header whether or not this
process makes spans of its own; what is not well formed is dropped, as the document says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from schemas.record import TRUST_HEADER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Header = tuple[str, bytes | None]

HEADER: Final = "traceparent"
_PATTERN: Final = r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z"
"""Four fields, of any version but ff; what has the further fields of a later version is not passed on."""
_WELL_FORMED: Final = re.compile(_PATTERN)
_WELL_FORMED_BYTES: Final = re.compile(_PATTERN.encode())


def well_formed(value: str | None) -> str | None:
    """Return the value if it is a `traceparent`, else None."""
    return value if value and _WELL_FORMED.match(value) else None


def trace_of(headers: Mapping[str, bytes]) -> str | None:
    """Return the well-formed `traceparent` among a record's headers, or None."""
    return _read(headers.get(HEADER))


def _read(value: bytes | None) -> str | None:
    return value.decode() if value is not None and _WELL_FORMED_BYTES.match(value) else None


def traceparent_of(headers: Sequence[Header]) -> str | None:
    """Return the well-formed `traceparent` of a record, or None.

    Our own records carry it last, or have the trust header last and none: then one look is enough.
    """
    if not headers:
        return None
    name, value = headers[-1]
    if name == TRUST_HEADER:
        return None
    if name != HEADER:
        value = next((value for name, value in reversed(headers) if name == HEADER), None)
    return _read(value)
