"""docs/commands.md names every command there is, and no other; so does README of those that it names."""

from __future__ import annotations

import re

import markdown_pages as markdown
import pytest
import typer.main

from ops.cli import app

pytestmark = pytest.mark.unit

PAGE = "docs/commands.md"
NAMED = re.compile(r"ratchet((?: [a-z][a-z-]*)+)")


def commands(group: object, words: str = "") -> set[str]:
    """Return every command of a group, as its words."""
    inner = getattr(group, "commands", None)
    if inner is None:
        return {words.strip()}
    return {name for word, one in inner.items() for name in commands(one, f"{words} {word}")}


ALL = commands(typer.main.get_command(app))


def named_in(page: str) -> list[str]:
    """Return what the first cells of a page's tables call a command."""
    cells = [row[0] for row in markdown.rows(markdown.read(page))]
    spans = [span for cell in cells for span in markdown.code_in(cell) if span.startswith("ratchet ")]
    return [match[1].strip() for span in spans if (match := NAMED.match(span))]


def test_the_page_names_every_command_once() -> None:
    named = named_in(PAGE)
    assert sorted(named) == sorted(ALL)


def test_the_readme_names_commands_that_are_there() -> None:
    named = named_in("README.md")
    assert len(named) > 8
    assert [name for name in named if name not in ALL] == []
