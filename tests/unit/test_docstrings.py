"""Docstrings are true at least in what they name: a word in code font stands somewhere in code, SQL or templates.

Those of `providers` also name what providers' documents have, and are left out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest
from markdown_pages import ROOT
from source_files import python_files, source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

ROOMS = ("schemas", "runtime", "producers", "consumer", "ops")
DOCSTRING = re.compile(r'"""(?s:.*?)"""')
WORD = re.compile(r"[A-Za-z_]\w+")
KNOWN = frozenset(
    {"acme2", "MemoryStorage", "__RECALL", "gnp", "ru_maxrss", "ARGUMENTS", "RATCHET_RETENTION__", "_DAYS"}
)
"""Examples, parts of a setting's name, and what libraries have."""


@lru_cache
def written() -> frozenset[str]:
    """Return every word of code outside docstrings, and the names of files."""
    found: set[str] = set()
    for room in (*ROOMS, "providers", "migrations", "tests"):
        for path in (ROOT / room).rglob("*"):
            if path.suffix in (".py", ".sql", ".html", ".json"):
                found.add(path.stem)
            if path.suffix in (".py", ".sql", ".html"):
                found |= set(WORD.findall(DOCSTRING.sub("", path.read_text(encoding="utf-8"))))
    return frozenset(found)


def named(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each word in code font of a file's docstrings, with what it stands in."""
    for docstring in source(path).docstrings:
        for code in re.findall(r"`([^`]+)`", docstring):
            yield from ((word, code) for word in WORD.findall(code))


@pytest.mark.parametrize("room", ROOMS)
def test_what_docstrings_name_is_there(room: str) -> None:
    known = written() | KNOWN
    wrong = [
        f"{path.relative_to(ROOT)}: {word} in `{code}`"
        for path in python_files(room)
        for word, code in named(path)
        if word not in known
    ]
    assert wrong == []
