"""What the house rules say once: things that stand in one place alone, and files and functions that fit in the eye."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache

import pytest
from markdown_pages import ROOT
from source_files import IMPORT, IMPORT_FROM, source

pytestmark = pytest.mark.unit

OWN = "tests/unit/test_house.py"
ONCE = {
    r'"/"\.join\(filter\(None': ["ops/payment_commands.py"],  # provider, account and merchant account
    r"import backoff\b": ["runtime/retry.py"],
    r"uvicorn\.Server(?:\):|\()": ["runtime/http_server.py"],
    r"def _?uuid7\(": ["schemas/payment.py"],
    r"def \w*until\(condition": ["tests/support/waiting.py"],
    r"max_examples\b": ["tests/support/profiles.py"],
}
"""What stands in one place alone, and where. `schemas.record.source_of` writes a provider with its account.

A pattern that begins with letters takes a tenth of the time.
"""

OF_ITS_OWN_PROCESS = re.compile(r"\bsys\.executable\b|\bmark\.slow\b|\bProcessPoolExecutor\b")
"""What shows that a test starts Python, or is long: such a one belongs into tests/process."""

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


def test_unit_tests_start_no_python_and_none_is_slow() -> None:
    """`pytest tests/unit` takes a minute."""
    texts = {path: text for path, text in sources(tests=True).items() if path.startswith("tests/unit/") and path != OWN}
    assert len(texts) > 150
    assert [path for path, text in texts.items() if OF_ITS_OWN_PROCESS.search(text)] == []


def test_files_fit_in_the_head() -> None:
    long = {path: lines for path, text in sources(tests=False).items() if (lines := text.count("\n")) > FILE_LINES_MAX}
    assert long == {}


def test_functions_fit_in_the_eye() -> None:
    long = {
        f"{path}: {function.name}": function.lines
        for path in sources(tests=False)
        for function in source(ROOT / path).functions
        if function.lines > FUNCTION_LINES_MAX
    }
    assert long == {}


def imported(path: str) -> set[str]:
    """Return the modules that a file imports, late imports and `from package import module` too."""
    found: set[str] = set()
    for use in source(ROOT / path).uses:
        if use.kind == IMPORT:
            found |= set(use.words)
        elif use.kind == IMPORT_FROM and use.of:
            found |= {use.of, *(f"{use.of}.{name}" for name in use.words[1:])}
    return found


def test_the_dispatcher_and_the_consumer_know_nothing_of_each_other() -> None:
    """Two roles in one folder: each could be moved away without the other."""
    wrong = {
        path: sorted(found)
        for path in sources(tests=False)
        if path.startswith("consumer/")
        if (
            found := {
                name
                for name in imported(path)
                if name.startswith("consumer.")
                and name.startswith("consumer.dispatcher") != path.startswith("consumer/dispatcher/")
            }
        )
    }
    assert wrong == {}


def test_what_prints_is_imported_by_what_prints_alone() -> None:
    """Files of commands hold options and tables; what the console and others need too stands beside them."""
    wrong = {
        path: sorted(found)
        for path in sources(tests=False)
        if not path.endswith("_commands.py") and path != "ops/cli.py"
        if (found := {name for name in imported(path) if re.match(r"ops\.\w+_commands$", name)})
    }
    assert wrong == {}
