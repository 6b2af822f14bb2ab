"""Which test loads which statement, and how long it takes: noted once for each file of tests.

The tests run in a copy of the tree whose runtime/sql.py notes what it loads, so that processes which a test starts do
so too: pytest names the test under way in the environment that they inherit.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mutants.planted import ROOT
from mutants.trial import Trial, copied, git

from sqlmutation.outcomes import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

RECORD: Final = ROOT / ".ratchet" / "mutation-sql-tests.jsonl"
VARIABLE: Final = "TESTS_STATEMENTS_SEEN"
NOTING: Final = """

_read, _noted = statement, set()


def statement(package, name):
    import os

    test, _, _ = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")
    if test and (test, package, name) not in _noted:
        _noted.add((test, package, name))
        with open(os.environ["TESTS_STATEMENTS_SEEN"], "a") as file:
            file.write(f"{test}\\t{package.replace('.', '/')}/sql/{name}.sql\\n")
    return _read(package, name)


statement.cache_clear = _read.cache_clear
"""
TOOK: Final = re.compile(r"^(\d+\.\d+)s (?:setup|call|teardown) +(\S.*?) *$", re.MULTILINE)
FOLDERS: Final = ("tests/integration", "tests/attack", "tests/fault", "tests/unit", "tests/process", "tests/contract")
NEEDS_DATABASE: Final = re.compile(r"\bdatabase\b|\bharness\b|\bstack\b|\bstatement\(")
FILE_SECONDS_MAX: Final = 900.0


@dataclass(frozen=True)
class Seen:
    """A test, how long it takes, and which statements it loads."""

    test: str
    seconds: float
    statements: frozenset[str]


def files_with_statements() -> list[str]:
    """Return the files of tests that may ask a database; those of the integration tests first."""
    found = [
        path
        for path in git("ls-files", "--cached", "--others", "--exclude-standard", "tests")
        if Path(path).name.startswith("test_")
        and path.endswith(".py")
        and path.startswith(FOLDERS)
        and NEEDS_DATABASE.search((ROOT / path).read_text())
    ]
    return sorted(found, key=lambda path: (next(at for at, one in enumerate(FOLDERS) if path.startswith(one)), path))


def recorded(file: Path = RECORD) -> dict[str, list[Seen]]:
    """Return by file of tests what was noted last; its tests may have changed since."""
    found: dict[str, list[Seen]] = {}
    for line in file.read_text().splitlines() if file.is_file() else []:
        one: dict[str, Any] = json.loads(line)
        found[one["file"]] = [Seen(name, took, frozenset(paths)) for name, took, paths in one["tests"]]
    return found


def fresh(file: Path = RECORD) -> set[str]:
    """Return the files of tests that are as they were when they were noted."""
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
    digests = {one["file"]: one["digest"] for one in lines}
    return {
        name
        for name, digest in digests.items()
        if (ROOT / name).is_file() and digest == digest_of((ROOT / name).read_text())
    }


def record(files: Sequence[str], environment: dict[str, str], folder: Path) -> Iterable[tuple[str, int]]:
    """Run files of tests and note what they load; yield each file and how many of its tests load any."""
    seen = folder / "seen.txt"
    with copied() as copy:
        with (copy / "runtime" / "sql.py").open("a") as module:
            module.write(NOTING)
        with Trial(copy, FILE_SECONDS_MAX, {**environment, VARIABLE: str(seen)}) as trial:
            for file in files:
                seen.write_text("")
                seen.chmod(0o666)
                options = ("-m", "not slow", "--durations=0", "--durations-min=0.001", "-vv")
                _, printed = trial.run([file], FILE_SECONDS_MAX, *options)
                tests = noted_tests(printed, seen.read_text())
                line = {
                    "file": file,
                    "digest": digest_of((ROOT / file).read_text()),
                    "tests": [[one.test, one.seconds, sorted(one.statements)] for one in tests],
                }
                RECORD.parent.mkdir(exist_ok=True)
                with RECORD.open("a") as output:
                    output.write(json.dumps(line) + "\n")
                yield file, len(tests)


def noted_tests(printed: str, noted: str) -> list[Seen]:
    """Return the tests that loaded a statement, by the durations that pytest printed and what was noted."""
    seconds: dict[str, float] = {}
    for took, test in TOOK.findall(printed):
        seconds[test] = seconds.get(test, 0.0) + float(took)
    statements: dict[str, set[str]] = {}
    for line in noted.splitlines():
        test, _, path = line.partition("\t")
        statements.setdefault(test, set()).add(path)
    return [Seen(test, round(seconds.get(test, 0.0), 3), frozenset(paths)) for test, paths in statements.items()]


def chosen(path: str, seen: Iterable[Seen], first: Sequence[str], budget: float, about: Mapping[str, int]) -> list[str]:
    """Return the tests for a statement: those that are about it, then in turn one of each file, the quickest first.

    All but those that name it themselves take no more than `budget` seconds together. Those that noticed a change of it
    come `first`.
    """
    place = {name: number for number, name in enumerate(first)}
    mine = sorted((one for one in seen if path in one.statements), key=lambda one: (one.seconds, one.test))
    turns: Counter[str] = Counter()
    ranked = []
    for one in mine:
        file = one.test.partition("::")[0]
        ranked.append((about.get(one.test, FAR), turns[file], one.seconds, one.test))
        turns[file] += 1
    tests, spent = [], 0.0
    for nearness, _, took, name in sorted(ranked):
        if nearness == NAMES_IT or spent + took <= budget or not tests:
            tests.append(name)
            spent += 0.0 if nearness == NAMES_IT else took
    return sorted(tests, key=lambda name: place.get(name, len(place)))


NAMES_IT, BESIDE, FAR = range(3)
"""How near a test is to a statement: its function has the statement's name, its file has it, or neither."""


def nearness(name: str, tests: Iterable[str], text_of: Callable[[str], str]) -> dict[str, int]:
    """Return how near tests are to a statement, those that are far left out."""
    found = {}
    for test in tests:
        file, _, function = test.partition("::")
        head = rf"^(?:async )?def {function.partition('[')[0]}\("
        body = re.search(rf"{head}.*?(?=^[^\s)]|\Z)", text_of(file), re.MULTILINE | re.DOTALL)
        if body is not None and f'"{name}"' in body[0]:
            found[test] = NAMES_IT
        elif f'"{name}"' in text_of(file):
            found[test] = BESIDE
    return found
