"""`make attacks`: run every test that docs/security.md names for a weakness, and write docs/attacks.md.

    python tests/attack/report.py [--only WORD] [--keep FOLDER] [--from FOLDER]

The page holds one line a weakness: how many of its tests passed, and the figures that they recorded. `--only` runs the
rows that have the word; nothing is written then. `--from` writes the page from the reports that `--keep` kept: one a
folder of tests, so what ran is there also where the rest was stopped.
"""

from __future__ import annotations

import argparse
import ast
import datetime as dt
import os
import platform
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "security.md"
TARGET: Final = ROOT / "docs" / "attacks.md"
HEADING: Final = "## Weaknesses that were found"
NAMED: Final = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ORDER: Final = ("unit", "contract", "attack", "integration")
"""The folders of tests, what is quick first."""
HEAD: Final = """# Weaknesses and their tests, as they ran last

Written by `make attacks` on {date} ({where}; load of the machine by others included: {load}).
One line for each weakness of [security.md](security.md#weaknesses-that-were-found), which names the tests; a range is
over the cases of a test. Times by the clock are for this load; how they were measured stands in
[performance.md](performance.md#under-attack). {total}

| weakness | tests passed | figures |
|---|---|---|
"""


@dataclass
class Outcome:
    """What came of one test, all its cases together."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    figures: dict[str, list[float]] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        return self.passed + self.failed + self.skipped


def rows(page: str) -> list[tuple[str, list[str]]]:
    """Return each weakness and the node ids of its tests."""
    section = page.partition(HEADING)[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [(line.split("|")[1].strip(), [f"{path}::{name}" for path, name in NAMED.findall(line)]) for line in lines]


def outcomes(reports: Path) -> dict[str, Outcome]:
    """Return what came of each test by its file's and its own name, out of pytest's reports."""
    found: dict[str, Outcome] = {}
    for case in (case for file in sorted(reports.glob("*.xml")) for case in ET.parse(file).iter("testcase")):
        module = [part for part in case.get("classname", "").split(".") if part[:1].islower()]
        name = f"{'/'.join(module)}.py::{case.get('name', '').partition('[')[0]}"
        outcome = found.setdefault(name, Outcome())
        kinds = {child.tag for child in case}
        if kinds & {"failure", "error"}:
            outcome.failed += 1
        elif "skipped" in kinds:
            outcome.skipped += 1
        else:
            outcome.passed += 1
        for one in case.iter("property"):
            outcome.figures.setdefault(one.get("name", ""), []).append(float(one.get("value", "nan")))
    return found


def node(test: str) -> str:
    """Return pytest's name of a test: with its class, where it stands in one."""
    path, _, name = test.partition("::")
    tree = ast.parse((ROOT / path).read_text())
    classes = (one for one in tree.body if isinstance(one, ast.ClassDef))
    inside = [one.name for one in classes if name in map(_name, one.body)]
    return "::".join((path, *inside, name))


def _name(member: ast.stmt) -> str:
    return member.name if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) else ""


def run(tests: Iterable[str], reports: Path) -> None:
    """Run the tests, slow ones too, folder by folder, and write pytest's reports; what failed stands in them."""
    folders: dict[str, set[str]] = {}
    for test in tests:
        folders.setdefault(test.split("/")[1], set()).add(node(test))
    reports.mkdir(parents=True, exist_ok=True)
    for folder in sorted(folders, key=ORDER.index):
        words = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
        words += [f"--junitxml={reports / folder}.xml", *sorted(folders[folder])]
        subprocess.run(words, cwd=ROOT, check=False)


def shown(values: Sequence[float]) -> str:
    """Return a figure, or the range of several."""
    texts = [f"{value:,.0f}" if value == int(value) else f"{value:,.1f}" for value in (min(values), max(values))]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"


def line(weakness: str, tests: Sequence[str], found: dict[str, Outcome]) -> str:
    """Return a weakness' line of the page."""
    own = [found.get(test, Outcome()) for test in tests]
    passed, cases = sum(one.passed for one in own), sum(one.cases for one in own)
    state = f"{passed} of {cases}" if cases and all(one.cases for one in own) else f"{passed} of {cases}, some not run"
    figures: dict[str, list[float]] = {}
    for one in own:
        for name, values in one.figures.items():
            figures.setdefault(name.replace("_", " "), []).extend(values)
    return f"| {weakness} | {state} | {'; '.join(f'{name} {shown(figures[name])}' for name in figures)} |"


def page(found: dict[str, Outcome]) -> str:
    """Return docs/attacks.md."""
    lines = [line(weakness, tests, found) for weakness, tests in rows(PAGE.read_text())]
    named = {test for _, tests in rows(PAGE.read_text()) for test in tests}
    missing = len(named - found.keys())
    passed, cases = sum(one.passed for one in found.values()), sum(one.cases for one in found.values())
    return (
        HEAD.format(
            date=dt.datetime.now(dt.UTC).date(),
            where=f"Python {platform.python_version()}, {os.cpu_count()} shared cores",
            load=f"{os.getloadavg()[2]:.1f}",
            total=f"In all {passed} of {cases} cases passed; of {len(named)} tests {missing} were not run.",
        )
        + "\n".join(lines)
        + "\n"
    )


def main() -> int:
    """Run, and write the page; 1 where a test failed or was not run."""
    parser = argparse.ArgumentParser(prog="attacks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", help="rows of docs/security.md that have this word")
    parser.add_argument("--keep", type=Path, help="a folder for pytest's reports")
    parser.add_argument("--from", dest="source", type=Path, help="such a folder: nothing is run")
    given = parser.parse_args()
    chosen = [tests for weakness, tests in rows(PAGE.read_text()) if given.only in weakness]
    with tempfile.TemporaryDirectory() as folder:
        reports = given.source or given.keep or Path(folder)
        if given.source is None:
            run((test for tests in chosen for test in tests), reports)
        found = outcomes(reports)
    if not given.only:
        TARGET.write_text(page(found))
    wanted = {test for tests in chosen for test in tests}
    return int(any(not found.get(test, Outcome()).passed or found[test].failed for test in wanted))


if __name__ == "__main__":
    sys.exit(main())
