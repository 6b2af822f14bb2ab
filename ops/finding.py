"""One thing that was looked at, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, whether it is right, what was seen, and what to do where it is not."""

    check: str
    ok: bool
    found: str
    advice: str = ""
