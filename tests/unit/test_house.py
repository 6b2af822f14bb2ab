"""What the house rules say once: things that stand in one place alone, and files and functions that fit in the eye."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import lru_cache

import pytest
from markdown_pages import ROOT

pytestmark = pytest.mark.unit

OWN = "tests/unit/test_house.py"
ONCE = {
    r'"/"\.join\(filter\(None': ["ops/payment_commands.py"],  # provider, account and merchant account
    r"\bimport backoff\b": ["runtime/retry.py"],
    r"\(uvicorn\.Server\):|uvicorn\.Server\(": ["runtime/http_server.py"],
    r"(?m)^def _?uuid7\(": ["schemas/payment.py"],
    r"(?m)^(?:async )?def \w*until\(condition": ["tests/support/waiting.py"],
}
"""What stands in one place alone, and where. `schemas.record.source_of` writes a provider with its account."""

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 50


@lru_cache
def sources(*, tests: bool) -> dict[str, str]:
    """Return the text of each Python file, those of the tests or those of the product."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    own = [path for path in listed.split() if path.startswith("tests/") == tests and not path.startswith("clients/")]
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in own if (ROOT / path).exists()}


@pytest.mark.parametrize("pattern", ONCE)
def test_what_is_to_stand_once_stands_once(pattern: str) -> None:
    texts = sources(tests=False) | sources(tests=True)
    found = [path for path, text in texts.items() if re.search(pattern, text)]
    assert [path for path in found if path != OWN] == ONCE[pattern]


def test_files_fit_in_the_head() -> None:
    long = {path: lines for path, text in sources(tests=False).items() if (lines := text.count("\n")) > FILE_LINES_MAX}
    assert long == {}


def test_functions_fit_in_the_eye() -> None:
    long = {
        f"{path}: {node.name}": lines
        for path, text in sources(tests=False).items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    }
    assert long == {}
