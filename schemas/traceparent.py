"""The trace context that travels with an event: W3C Trace Context, level 1, section 3.2.

A `traceparent` names the trace that an event belongs to. It is passed on from header to header whether or not this
process makes spans of its own; what is not well formed is dropped, as the document says.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    Header = tuple[str, bytes | None]

HEADER: Final = "traceparent"
LENGTH: Final = 55
"""Characters of version 00; a later version's further fields are not ours to keep."""
_WELL_FORMED: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")


def well_formed(value: str | None) -> str | None:
    """Return the value if it is a `traceparent`, else None."""
    return value if value and _WELL_FORMED.match(value) else None


def traceparent_of(headers: Sequence[Header]) -> str | None:
    """Return the well-formed `traceparent` of a record, or None; our own records carry it last."""
    for name, value in reversed(headers):
        if name == HEADER:
            return None if value is None or len(value) != LENGTH else well_formed(value.decode("latin-1"))
    return None
