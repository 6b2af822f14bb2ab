"""What became of each fault when it was last planted: kept in a file, so that a run goes on where another ended.

Each line of the file is one outcome, the last of a name counts. Its key is made of all that it depends on at first
hand: the patch, the files that it changes and the tests that it names.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

from mutants.planted import ROOT
from mutants.trial import KILLED, SURVIVED, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from mutants.planted import Fault

FILE: Final = ROOT / ".ratchet" / "mutants.jsonl"
PAGE: Final = ROOT / "docs" / "proof.md"
GREEN: Final = "green without it"
"""Not an outcome: the fault's tests passed without it, so that this need not be looked at again."""
BEGIN, END = "<!-- written by `make mutants`: begin -->\n", "<!-- written by `make mutants`: end -->"


@dataclass(frozen=True)
class Kept:
    """An outcome, the day of it, and the key of what it depended on."""

    outcome: Outcome
    day: str
    key: str


FIELDS = frozenset(field.name for field in fields(Outcome))
"""What a line of the file holds of an outcome."""


def key_of(fault: Fault, root: Path = ROOT) -> str:
    """Return a digest of the patch, the files that it changes and those of its tests."""
    digest = hashlib.sha256(repr((fault.tests, fault.hunks)).encode())
    for path in sorted(fault.paths | {test.partition("::")[0] for test in fault.tests}):
        file = root / path
        digest.update(hashlib.sha256(file.read_bytes() if file.is_file() else b"").digest())
    return digest.hexdigest()


class Results:
    """The file of outcomes; the last of each fault."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file
        self._kept: dict[str, Kept] = {}
        self._keys: dict[str, str] = {}
        if file.is_file():
            for line in file.read_text().splitlines():
                found: dict[str, Any] = json.loads(line)
                day, key = found.pop("day"), found.pop("key")
                if not found.keys() <= FIELDS:
                    continue  # as an older version wrote it: tried again
                self._kept[found["name"]] = Kept(Outcome(**found), day, key)

    def of(self, fault: Fault) -> Kept | None:
        return self._kept.get(fault.name)

    def keep(self, fault: Fault, outcome: Outcome) -> None:
        """Write an outcome down at once."""
        kept = Kept(outcome, dt.datetime.now(dt.UTC).date().isoformat(), self._key(fault))
        self._kept[fault.name] = kept
        self._file.parent.mkdir(exist_ok=True)
        with self._file.open("a") as file:
            rounded = replace(outcome, seconds=round(outcome.seconds, 1))
            file.write(json.dumps({**asdict(rounded), "day": kept.day, "key": kept.key}) + "\n")

    def sound(self, fault: Fault, verdicts: Iterable[str]) -> bool:
        """Tell whether the last outcome is one of those, and nothing changed since that it depends on."""
        kept = self.of(fault)
        return kept is not None and kept.outcome.verdict in set(verdicts) and kept.key == self._key(fault)

    def _key(self, fault: Fault) -> str:
        """Return the key as it was when it was first asked for: a run looks at the tree as it stood at its start."""
        if fault.name not in self._keys:
            self._keys[fault.name] = key_of(fault)
        return self._keys[fault.name]


def table(results: Results, faults: Sequence[Fault]) -> str:
    """Return the results of all faults as Markdown: by area, then those that were not noticed."""
    days = sorted({kept.day for fault in faults if (kept := results.of(fault)) and kept.outcome.verdict != GREEN})
    lines = [
        "| area | planted | noticed | survived | other | not run | changed since |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    total: Counter[str] = Counter()
    for area in sorted({fault.area for fault in faults}):
        counts = Counter[str]()
        for fault in faults:
            if fault.area == area:
                counts.update(_counted(results, fault))
        total.update(counts)
        lines.append(_row(area, counts))
    lines.append(_row("**all**", total))
    when = "never" if not days else days[0] if len(days) == 1 else f"from {days[0]} to {days[-1]}"
    reported = [
        f"- `{fault.name}`: {kept.outcome.verdict}. {fault.harm}"
        for fault in faults
        if (kept := results.of(fault)) and kept.outcome.verdict not in (KILLED, GREEN)
    ]
    text = f"Run {when}: {total['noticed']} of {total['planted']} planted faults were noticed.\n\n" + "\n".join(lines)
    return text + ("\n\nNot noticed:\n\n" + "\n".join(reported) if reported else "") + "\n"


def _counted(results: Results, fault: Fault) -> list[str]:
    kept = results.of(fault)
    if kept is None or kept.outcome.verdict == GREEN:
        return ["planted", "not run"]
    found = {KILLED: "noticed", SURVIVED: "survived"}.get(kept.outcome.verdict, "other")
    return ["planted", found] if kept.key == key_of(fault) else ["planted", found, "changed since"]


def _row(name: str, counts: Counter[str]) -> str:
    columns = ("planted", "noticed", "survived", "other", "not run", "changed since")
    return f"| {name} | " + " | ".join(str(counts[column] or "") for column in columns) + " |"


def write_page(text: str, page: Path = PAGE) -> None:
    """Put the table where the page has its place for it."""
    write_between(page, BEGIN, END, text)


def write_between(page: Path, begin: str, end: str, text: str) -> None:
    """Put a text between two lines of a page."""
    before, first, rest = page.read_text().partition(begin)
    _, last, after = rest.partition(end)
    if not first or not last:
        raise SystemExit(f"{page} has no lines {begin.strip()} and {end.strip()}")
    page.write_text(before + first + text + last + after)
