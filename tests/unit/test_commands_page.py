"""docs/commands.md names every command there is, and no other; so does README of those that it names."""

from __future__ import annotations

import re

import markdown_pages as markdown
import pytest
import typer.main
from typer.core import TyperGroup

from ops.cli import app

pytestmark = pytest.mark.unit

PAGE = "docs/commands.md"
NAMED = re.compile(r"ratchet((?: [a-z][a-z-]*)+)")


def commands(command: object, words: str = "") -> set[str]:
    """Return every command of a group, as its words."""
    if not isinstance(command, TyperGroup):
        return {words.strip()}
    context = typer.Context(command)
    inner = [(word, command.get_command(context, word)) for word in command.list_commands(context)]
    return {name for word, one in inner for name in commands(one, f"{words} {word}")}


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
