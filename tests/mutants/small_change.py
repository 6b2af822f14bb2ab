"""A small change of one file, whatever the file holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SmallChange:
    """One change of one line: the `nth`, from 0, of those of the file that look the same."""

    path: str
    line: int
    before: str
    after: str
    nth: int
    text: str
    """The file with it."""
