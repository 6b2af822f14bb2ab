"""What became of each change: kept in a file, so that a run goes on where another ended."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mutants.planted import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlmutation.changes import StatementChange

KEPT: Final = ROOT / ".ratchet" / "mutation-sql.jsonl"
EQUAL: Final = Path(__file__).with_name("equal.toml")
NOTICED, SURVIVED, SLOW, REFUSED, GREEN = "noticed", "survived", "endless", "refused", "green without it"
"""A change that makes a test endless is noticed by its time-out; one that Postgres refuses to prepare is none."""


def digest_of(*texts: str) -> str:
    """Return a digest of texts in their order."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def digest_with(text: str, tests: Iterable[str]) -> str:
    """Return a digest of a statement and of the files of some tests."""
    files = sorted({test.partition("::")[0] for test in tests})
    return digest_of(text, *((ROOT / file).read_text() for file in files if (ROOT / file).is_file()))


def digest_of_all(text: str, tests: Iterable[str]) -> str:
    """Return a digest of a statement, the tests that all were run with it, and their files."""
    names = sorted(tests)
    return digest_of(digest_with(text, names), *names)


class Outcomes:
    """The file of outcomes, as it was when it was read."""

    def __init__(self, file: Path = KEPT) -> None:
        lines = file.read_text().splitlines() if file.is_file() else []
        self._found: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self._of = {one["digest"]: one for one in self._found}

    def of(self, change: StatementChange, tests: Iterable[str]) -> str | None:
        """Return what became of a change, None where that is not known of today's tests.

        What one file noticed stays noticed while that file is the same; that none notices is of all of them.
        """
        if digest_of(change.text) in self._of:
            return REFUSED
        for one in self.about(change):
            if one["verdict"] == NOTICED and one["digest"] == digest_with(change.text, [one["by"]]):
                return NOTICED
        found = self._of.get(digest_of_all(change.text, tests))
        return None if found is None else str(found["verdict"])

    def about(self, change: StatementChange) -> list[dict[str, Any]]:
        """Return the outcomes of a change, of whatever tests, oldest first."""
        return self._by_key().get(change.key, [])

    def red(self, text: str, tests: Iterable[str]) -> list[str] | None:
        """Return which tests fail with the statement unchanged, None where that has not been tried."""
        found = self._of.get(digest_of_all(text, tests))
        return None if found is None or found["verdict"] != GREEN else list(found["red"])

    def noticers(self, path: str) -> list[str]:
        """Return the tests that noticed a change of a statement, those of most changes first."""
        names = [one["by"] for one in self._found if one.get("path") == path and one.get("by")]
        return sorted(dict.fromkeys(names), key=lambda name: -names.count(name))

    def _by_key(self) -> dict[tuple[str, str, str, int], list[dict[str, Any]]]:
        if not hasattr(self, "_keyed"):
            self._keyed: dict[tuple[str, str, str, int], list[dict[str, Any]]] = {}
            for one in self._found:
                if "nth" in one:
                    key = one["path"], one["before"], one["after"], one["nth"]
                    self._keyed.setdefault(key, []).append(one)
        return self._keyed


def keep(line: dict[str, Any], file: Path = KEPT) -> None:
    """Write an outcome down at once."""
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as output:
        output.write(json.dumps(line) + "\n")


def explained(file: Path = EQUAL) -> dict[tuple[str, str, str, int], str]:
    """Return the changes that change nothing, and why."""
    entries = tomllib.loads(file.read_text()).get("change", [])
    return {(one["statement"], one["before"], one["after"], one.get("nth", 0)): one["because"] for one in entries}
