"""What a change of a statement looks like to a reader: the words that differ, with a few around them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

WORD: Final = re.compile(r"'(?:[^']|'')*'|\$?\w+|::|<>|[<>]=|->>?|\|\||\S")
AROUND: Final = 3
"""Words that are shown before and after what differs."""


@lru_cache(maxsize=1)
def words_of(text: str) -> list[str]:
    """Return the words of a text; the last one is remembered, for it has many changes."""
    return WORD.findall(text)


def differing(before: str, after: str) -> tuple[str, str]:
    """Return the part of two statements that differs, with the words around it."""
    old, new = words_of(before), WORD.findall(after)
    shorter = min(len(old), len(new))
    same = next((at for at in range(shorter) if old[at] != new[at]), shorter)
    left = shorter - same
    ends = next((at for at in range(left) if old[-1 - at] != new[-1 - at]), left)
    first, last = max(same - AROUND, 0), max(ends - AROUND, 0)
    return " ".join(old[first : len(old) - last]), " ".join(new[first : len(new) - last])
