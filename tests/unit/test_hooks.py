"""The hooks of git run what `make lint` runs, and nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parents[2]
REPOSITORIES = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
HOOKS = [hook for repository in REPOSITORIES for hook in repository["hooks"]]


def linted() -> list[str]:
    """Return the commands of `make lint`."""
    recipe = re.search(r"(?m)^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert recipe
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]


def test_they_are_the_lints() -> None:
    assert [hook["entry"] for hook in HOOKS] == linted()
    assert [hook["id"] for hook in HOOKS if hook["pass_filenames"] or "pre-push" not in hook["stages"]] == []


def test_nothing_is_fetched() -> None:
    assert [repository["repo"] for repository in REPOSITORIES] == ["local"]
    assert {hook["language"] for hook in HOOKS} == {"system"}
