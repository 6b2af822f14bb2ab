"""Markdown pages as the tests of documents read them: headings, anchors, links, tables and what stands in code."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDERS = ("deploy", "docs", "tests")
"""Where pages lie beside those at the top: nothing that a checkout makes (.venv, .ratchet) is one of them."""

_FENCED = re.compile(r"(?ms)^( *)(```|~~~).*?^\1\2[ \t]*$")
_CODE = re.compile(r"(`+)(.+?)\1")
_HEADING = re.compile(r"(?m)^#{1,6} +(.+?) *#*$")
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\(\s*(?P<target>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+\"[^\"]*\")?\s*\)")


class Link(NamedTuple):
    """A link of a page: what it shows, and where it leads."""

    text: str
    target: str


def pages() -> list[str]:
    """Return every page by its path from the top of the checkout."""
    found = [*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


@lru_cache
def read(page: str) -> str:
    """Return a page without its blocks of code."""
    return _FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))


def links_in(text: str) -> list[Link]:
    """Return the links of a text, pictures too; what stands in code is none."""
    shown = _CODE.sub(lambda match: re.sub(r"[\[\]]", " ", match[0]), text)
    return [Link(match["text"], match["target"]) for match in _LINK.finditer(shown)]


def code_in(text: str) -> list[str]:
    """Return what a text sets in code font."""
    return [match[2] for match in _CODE.finditer(text)]


def slug(heading: str) -> str:
    """Return a heading's anchor, as GitHub makes it: lower case, no punctuation, hyphens for blanks."""
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")


@lru_cache
def anchors(page: str) -> frozenset[str]:
    """Return the anchors of a page's headings; one that stands twice is numbered."""
    found: dict[str, int] = {}
    names = set()
    for heading in _HEADING.findall(read(page)):
        name = slug(heading)
        count = found.get(name, 0)
        found[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return frozenset(names)


def rows(text: str) -> list[list[str]]:
    """Return the cells of a text's tables, without their heads."""
    found: list[list[str]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if not line.startswith("|") or re.fullmatch(r"[|\-: ]+", line):
            continue
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if not re.fullmatch(r"\|[|\-: ]+", below):
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))])
    return found
