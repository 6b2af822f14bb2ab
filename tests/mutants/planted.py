"""A planted fault: what its patch file says, and its hunks put into a tree. Nothing of the tree is imported.

A hunk fits where its old lines stand in the file exactly once; where they stand more often, the line number decides.
So a patch outlives lines that move, and fits no more once what it changes was changed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
FIELDS = ("Harm", "Breaks", "Tests")
AREAS = (
    *("consumer", "relay", "ingress", "intents", "audit", "lease", "dispatcher", "provider", "runtime", "deploy"),
    "client",
)
"""What a patch's name begins with."""

_HUNK = re.compile(r"@@ -(?P<line>\d+)(?:,\d+)? \+\d+(?:,\d+)? @@")
_MEMBER = re.compile(r"^(?:async )?(def|class) (\w+)|^    (?:async )?def (\w+)", re.MULTILINE)
"""A line that begins a function, class or method, also within a text; to parse all tests takes twenty times as long."""


class UnfitError(Exception):
    """A patch does not fit the tree, or its file is not written as it should be."""


@dataclass(frozen=True)
class Hunk:
    """Lines of one file and what they become; `line` is where they stood when the patch was made, from 0."""

    path: str
    line: int
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    """One planted fault: the harm it does, the guarantee it breaks, and the tests that have to notice."""

    name: str
    harm: str
    breaks: str
    tests: tuple[str, ...]
    hunks: tuple[Hunk, ...]

    @property
    def area(self) -> str:
        return self.name.partition("-")[0]

    @property
    def paths(self) -> frozenset[str]:
        return frozenset(hunk.path for hunk in self.hunks)

    @property
    def needs_brokers(self) -> bool:
        return any(_is_integration(ROOT / test.partition("::")[0]) for test in self.tests)


@cache
def load() -> tuple[Fault, ...]:
    """Return all planted faults, by name."""
    return tuple(read(path.stem, path.read_text()) for path in sorted(FOLDER.glob("*.patch")))


def read(name: str, text: str) -> Fault:
    """Read a patch file: fields, each of which may go on in indented lines, then a unified diff."""
    head, rule, diff = text.partition("\n--- a/")
    fields: dict[str, str] = {}
    last = ""
    for line in head.splitlines():
        field, colon, reported = line.partition(":")
        if line.startswith(" ") and last:
            fields[last] += f"\n{line.strip()}"
        elif colon and field in FIELDS and field not in fields:
            last = field
            fields[field] = reported.strip()
        elif line:
            raise UnfitError(f"{name}: the header says {line!r}; it takes {', '.join(FIELDS)}")
    if not rule or not all(fields.get(field) for field in FIELDS):
        raise UnfitError(f"{name}: the header needs {', '.join(FIELDS)}, and a diff from `--- a/PATH` on")
    harm, breaks = (" ".join(fields[field].split()) for field in FIELDS[:2])
    return Fault(name, harm, breaks, tuple(fields["Tests"].split()), tuple(_hunks(name, f"--- a/{diff}")))


def _hunks(name: str, diff: str) -> list[Hunk]:
    path, begin, body = "", 0, []
    hunks = []
    for line in [*diff.splitlines(), "--- a/"]:
        match = _HUNK.match(line)
        if match is None and not line.startswith("--- a/"):
            body.append(line)
            continue
        if path and begin >= 0:
            hunks.append(_hunk(name, path, begin, body))
        if match is None:
            path, begin = line.removeprefix("--- a/"), -1
        else:
            begin = int(match["line"]) - 1
        body = []
    if not hunks or any(hunk.old == hunk.new or not hunk.old for hunk in hunks):
        raise UnfitError(f"{name}: the diff changes nothing")
    return hunks


def _hunk(name: str, path: str, begin: int, body: Sequence[str]) -> Hunk:
    lines = [line or " " for line in body if not line.startswith(("+++ b/", "\\"))]
    if strange := [line for line in lines if line[0] not in " -+"]:
        raise UnfitError(f"{name}: no line of a unified diff: {strange[0]!r}")
    old = tuple(line[1:] for line in lines if line[0] != "+")
    return Hunk(path, begin, old, tuple(line[1:] for line in lines if line[0] != "-"))


def planted(fault: Fault, root: Path) -> dict[str, str]:
    """Return the texts of the files of a tree that a fault changes, changed; raise UnfitError where it does not fit."""
    lines: dict[str, list[str]] = {}
    for hunk in fault.hunks:
        if hunk.path not in lines:
            try:
                lines[hunk.path] = (root / hunk.path).read_text().split("\n")
            except FileNotFoundError:
                raise UnfitError(f"{fault.name}: there is no {hunk.path}") from None
        ours = lines[hunk.path]
        begin = _place(fault.name, hunk, ours)
        ours[begin : begin + len(hunk.old)] = hunk.new
    return {path: "\n".join(ours) for path, ours in lines.items()}


def _place(name: str, hunk: Hunk, lines: Sequence[str]) -> int:
    old, length = list(hunk.old), len(hunk.old)
    places = [place for place in range(len(lines) - length + 1) if lines[place : place + length] == old]
    if len(places) == 1 or hunk.line in places:
        return places[0] if len(places) == 1 else hunk.line
    found = "are no more" if not places else f"stand {len(places)} times"
    raise UnfitError(f"{name}: the lines that it changes in {hunk.path} {found}; make the patch anew")


@cache
def _is_integration(path: Path) -> bool:
    """Tell whether a test file has the mark of those that need brokers; one that is not there counts as such."""
    return not path.is_file() or "pytest.mark.integration" in path.read_text()


@cache
def _members(path: Path) -> frozenset[str]:
    """Return the names of a test file's functions, classes and methods, as a node id has them."""
    found: set[str] = set()
    owner = ""
    for kind, name, method in _MEMBER.findall(path.read_text()):
        if name:
            owner = f"{name}::" if kind == "class" else ""
            found.add(name)
        elif owner:
            found.add(owner + method)
    return frozenset(found)


def unknown_tests(fault: Fault, root: Path = ROOT) -> list[str]:
    """Return the tests of a fault that are not in the tree, by file and name; parameters are not looked at."""
    unknown = []
    for test in fault.tests:
        file, _, member = test.partition("::")
        path = root / file
        if not path.is_file() or (member and member.partition("[")[0] not in _members(path)):
            unknown.append(test)
    return unknown
