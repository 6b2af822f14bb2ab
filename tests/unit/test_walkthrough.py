"""docs/walkthrough.md: few stops, and every function that it names stands in the file named before it."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

import markdown_pages as markdown
import pytest

pytestmark = pytest.mark.unit

PAGE = "docs/walkthrough.md"
TEXT = markdown.read(PAGE)
WEBHOOK, COMMAND, CHANGES = "One webhook", "One command", "Four changes"
FILES_OF_A_CHANGE_MAX = 3
ELSEWHERE = ("RATCHET_", "make ", "meaning_version")
"""What a step names beside what stands in its file."""
STOPS_MAX = 8
NAMED = re.compile(r"\]\(\.\./([\w/]+\.py)\)|`([\w.]+)\(\)`")
"""A link to a file, or a function."""
ASIDE = re.compile(r"`([\w.]+)\(\)`(?:\s+and\s+`([\w.]+)\(\)`)?\s+(?:in|of)\s+\[[^\]]*\]\(\.\./([\w/]+\.py)\)")
"""One function, or two, in or of another file."""


@lru_cache
def written_in(path: str) -> frozenset[str]:
    """Return the functions of a file, those of a class with its name before them."""
    tree = ast.parse((markdown.ROOT / path).read_text(encoding="utf-8"))
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    names = [node.name for node in tree.body if isinstance(node, functions)]
    names += [f"{one.name}.{node.name}" for one in classes for node in one.body if isinstance(node, functions)]
    return frozenset(names)


def way(title: str) -> str:
    """Return the text of one way."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def stops(title: str) -> list[str]:
    """Return the text of each stop of a way, without its heading."""
    return re.split(r"(?m)^### .*$", way(title))[1:]


def missing(text: str) -> list[str]:
    """Return the functions that a text names and that do not stand in the file that belongs to them.

    That is the file whose link follows in the same sentence as "in" or "of", else the one linked before.
    """
    aside = {(name, path) for *names, path in ASIDE.findall(text) for name in names if name}
    own, wrong = "", [f"{path}: {name}" for name, path in sorted(aside) if name not in written_in(path)]
    for match in NAMED.finditer(text):
        own = own or match[1] or ""
        name = match[2]
        if name and name not in {one for one, _ in aside} and name not in written_in(own):
            wrong.append(f"{own}: {name}")
    return wrong


def changes() -> dict[str, str]:
    """Return the text of each of the changes by its title."""
    return dict(re.findall(r"(?ms)^### ([^\n]+)\n(.*?)(?=^### |\Z)", way(CHANGES)))


def test_a_change_takes_at_most_three_files() -> None:
    assert len(changes()) == len(("body", "kind", "retry", "wording"))
    files = {title: [link.target for link in markdown.links_in(text)] for title, text in changes().items()}
    assert {title: found for title, found in files.items() if not 0 < len(found) <= FILES_OF_A_CHANGE_MAX} == {}


def test_the_first_file_of_a_change_is_named_by_architecture() -> None:
    shown = {link.target for link in markdown.links_in(markdown.read("ARCHITECTURE.md"))}
    first = [markdown.links_in(text)[0].target.removeprefix("../") for text in changes().values()]
    assert [path for path in first if path not in shown] == []
    assert "docs/walkthrough.md#four-changes" in shown


def test_what_a_change_names_stands_in_the_file_named_with_it() -> None:
    """The step begins with the file; what it names in code font is a word of that file, a setting or a command."""
    steps = [step for text in changes().values() for step in re.split(r"(?m)^\d\. ", text)[1:]]
    wrong = []
    for step in steps:
        links = markdown.links_in(step)
        text = (markdown.ROOT / links[0].target.removeprefix("../")).read_text(encoding="utf-8") if links else ""
        names = [
            name for name in markdown.code_in(step) if not name.startswith(("RATCHET_", "make ", "meaning_version"))
        ]
        wrong += [f"{links[0].text}: {name}" for name in names if name not in text]
    assert wrong == []
    assert len(steps) > 7


@pytest.mark.parametrize("title", [WEBHOOK, COMMAND])
def test_there_are_few_stops_of_one_file_each(title: str) -> None:
    assert 5 < len(stops(title)) <= STOPS_MAX
    numbers = [int(number) for number in re.findall(r"(?m)^### (\d+)\. ", way(title))]
    assert numbers == list(range(1, len(stops(title)) + 1))
    first = [markdown.links_in(stop.strip().splitlines()[0]) for stop in stops(title)]
    assert [len(links) for links in first] == [1] * len(first)
    files = [links[0] for links in first]
    assert len({link.target for link in files}) == len(files)
    assert [link for link in files if link.target != f"../{link.text}" or not link.text.endswith(".py")] == []


@pytest.mark.parametrize("title", [WEBHOOK, COMMAND])
def test_every_function_that_is_named_is_there(title: str) -> None:
    assert [name for stop in stops(title) for name in missing(stop)] == []
    assert len(re.findall(r"`[\w.]+\(\)`", way(title))) > 12


def test_a_function_that_is_gone_is_seen() -> None:
    own = "[consumer/fold.py](../consumer/fold.py)\n\n- `project()`, `nothing()`"
    assert missing(own) == ["consumer/fold.py: nothing"]
    aside = f"{own[:-12]}\n\n`decide()` in [consumer/verdict.py](../consumer/verdict.py), `gone()` of\n"
    assert missing(aside + "[consumer/plan.py](../consumer/plan.py)") == ["consumer/plan.py: gone"]
