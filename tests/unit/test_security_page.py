"""docs/security.md: every test that its table of weaknesses names is there, and every weakness has one."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
HEADING = "## Weaknesses that were found"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
FOUND = 29
"""Weaknesses that hostile readings confirmed by running; the table only grows."""


def rows() -> list[str]:
    """Return the table's rows, without its head."""
    section = PAGE.partition(HEADING)[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


@lru_cache
def written_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_"))


def test_the_table_holds_all_that_was_found() -> None:
    assert len(rows()) >= FOUND
    assert len(set(rows())) == len(rows())


@pytest.mark.parametrize("row", rows())
def test_every_weakness_has_a_test_that_is_there(row: str) -> None:
    named = NAMED.findall(row)
    assert named, "name a test that fails without the fix, as `path::name`"
    assert [f"{path}::{name}" for path, name in named if name not in written_in(path)] == []


def test_no_test_is_named_in_another_way() -> None:
    assert PAGE.count("tests/") == len(NAMED.findall(PAGE)), "`tests/..py::name`, so that this test can look"
