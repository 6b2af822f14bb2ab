"""Splitting a body that holds several events, without losing a byte of any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from providers.core.reading import repaired

if TYPE_CHECKING:
    from collections.abc import Sequence


def own_slices(body: bytes, items: Sequence[bytes]) -> list[bytes]:
    """Return the provider's own bytes of each item.

    `items` are the raw values, in order, that `reading.decode` found in the body. Where it had to decode the repaired
    body instead, they hold stand-ins for broken characters; the repaired body is as long as the original, so the places
    found there hold in the body too.
    """
    starts = _starts(body, items) or _starts(repaired(body), items) or []
    return [body[start : start + len(item)] for start, item in zip(starts, items, strict=True)]


def _starts(whole: bytes, items: Sequence[bytes]) -> list[int] | None:
    starts, at = [], 0
    for item in items:
        start = whole.find(item, at)
        if start < 0:
            return None
        starts.append(start)
        at = start + len(item)
    return starts
