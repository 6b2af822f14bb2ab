"""What is installed and shipped: nothing without its digest, and no parser that nobody calls."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unit

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("consumer", "migrations", "ops", "producers", "providers", "runtime", "schemas")
NAMES = {"argon2-cffi": "argon2", "pyyaml": "yaml"}
"""Modules of packages that are named otherwise."""


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def imported() -> set[str]:
    """Return the top-level names that what is shipped imports, anywhere in a file."""
    found: set[str] = set()
    for path in (file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def test_every_locked_file_has_its_digest() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    files = [
        (package["name"], file)
        for package in lock["package"]
        for file in (*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ()))
    ]
    assert len(files) > len(lock["package"])
    assert [name for name, file in files if not re.fullmatch(r"sha256:[0-9a-f]{64}", file.get("hash", ""))] == []


def test_what_builds_is_locked() -> None:
    wanted = {re.split(r"[<>=!~ \[]", name)[0] for name in project()["build-system"]["requires"]}
    locked = {package["name"] for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]}
    assert wanted <= locked


def test_what_is_needed_at_run_time_is_imported() -> None:
    used = imported()
    needed = {re.split(r"[<>=!~ ;\[]", name)[0] for name in project()["project"]["dependencies"]}
    assert {name for name in needed if NAMES.get(name, name.replace("-", "_")) not in used} == set()
