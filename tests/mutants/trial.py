"""One fault at a time: a copy of the tree, the fault put into it and taken out again, its tests run between."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mutants.planted import ROOT, UnfitError, planted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mutants.planted import Fault

KILLED, SURVIVED, UNFIT, UNKNOWN, RED, BROKEN, SLOW = (
    "killed",
    "survived",
    "fits no more",
    "unknown test",
    "red without it",
    "does not import",
    "too slow",
)
PASSED, FAILED, UNCOLLECTED = 0, 1, 2
"""Exit statuses of pytest; 4 is a wrong command line, also a test that is not there."""
FAILURES = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", re.MULTILINE)
"""A line of pytest's summary, and the test that it names."""
LINES_SHOWN_MAX = 15


@dataclass(frozen=True)
class Outcome:
    """What became of one fault: `noticed_by` is the test that failed, else `told` the end of what its tests printed."""

    name: str
    area: str
    verdict: str
    seconds: float
    noticed_by: str = ""
    told: str = ""


def git(*arguments: str) -> list[str]:
    """Return the paths that a command of git lists."""
    command = ["git", "-C", str(ROOT), *arguments, "-z"]
    return [
        path for path in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0") if path
    ]


@contextmanager
def copied() -> Iterator[Path]:
    """Give a copy of the tree as it stands, without what git ignores."""
    with tempfile.TemporaryDirectory(prefix="ratchet-mutants-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "tree"
        for path in git("ls-files", "--cached", "--others", "--exclude-standard"):
            if (ROOT / path).is_file():
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, copy / path)
        # As root, the embedded Postgres is another user that has to reach its files.
        Path(folder).chmod(0o755)
        yield copy


@dataclass(frozen=True)
class Trial:
    """Runs tests in the copy of a tree, with and without a fault; `environment` is added to what pytest inherits."""

    copy: Path
    seconds_max: float
    environment: dict[str, str] = field(default_factory=dict)

    def need_own_imports(self) -> None:
        """Raise SystemExit where the tests would import another tree than the copy: then nothing could be noticed."""
        command = [sys.executable, "-c", "import consumer, providers; print(consumer.__file__, providers.__file__)"]
        told = subprocess.run(command, cwd=self.copy, env=self._inherited(), check=True, capture_output=True, text=True)
        if not all(Path(path).is_relative_to(self.copy) for path in told.stdout.split()):
            raise SystemExit(f"mutants: the copy's tests import {told.stdout.strip()}, not {self.copy}")

    def try_out(self, fault: Fault) -> Outcome:
        """Plant a fault, run its tests, and take it out again."""
        try:
            texts = planted(fault, self.copy)
        except UnfitError as error:
            return Outcome(fault.name, fault.area, UNFIT, 0.0, told=str(error))
        held = {path: (self.copy / path).read_text() for path in texts}
        began = time.monotonic()
        try:
            self._write(texts)
            status, told = self.run(fault.tests, self.seconds_max, "-x")
        finally:
            self._write(held)
        verdicts = {PASSED: SURVIVED, FAILED: KILLED, UNCOLLECTED: BROKEN, None: SLOW}
        verdict, seconds = verdicts.get(status, UNKNOWN), time.monotonic() - began
        if verdict == KILLED:
            noticed = FAILURES.search(told)
            return Outcome(fault.name, fault.area, KILLED, seconds, noticed_by=noticed[1] if noticed else "")
        return Outcome(fault.name, fault.area, verdict, seconds, told=end_of(told))

    def run(self, tests: Sequence[str], seconds_max: float | None, *options: str) -> tuple[int | None, str]:
        """Run tests; return pytest's status, None past the time, and what it printed."""
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *options, *tests]
        process = subprocess.Popen(
            command,
            cwd=self.copy,
            env=self._inherited(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            told, _ = process.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired:
            process.terminate()  # pytest ends what it started; what it leaves its reaper ends
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            return None, f"not through after {seconds_max:.0f} s"
        return process.returncode, told

    def _inherited(self) -> dict[str, str]:
        paths = [str(self.copy), *filter(None, [os.environ.get("PYTHONPATH")])]
        ours = {"PYTHONPATH": os.pathsep.join(paths), "HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": ""}
        return {**os.environ, **self.environment, **ours}

    def _write(self, texts: dict[str, str]) -> None:
        """Write files, and drop what was compiled of them: one of the same size and second would count as fresh."""
        for path, text in texts.items():
            file = self.copy / path
            file.write_text(text)
            for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
                compiled.unlink()


def red_without(trial: Trial, faults: Sequence[Fault]) -> dict[str, str]:
    """Return the faults whose tests don't pass without them, and which tests those are."""
    tests = sorted({test for fault in faults for test in fault.tests})
    if not tests:
        return {}
    status, told = trial.run(tests, None)
    if status == PASSED:
        return {}
    red = FAILURES.findall(told)
    if status != FAILED or not red:
        raise SystemExit(f"mutants: the tests can't be run without a fault:\n{end_of(told)}")
    return {
        fault.name: " ".join(theirs)
        for fault in faults
        if (theirs := [one for one in red if any(belongs(one, test) for test in fault.tests)])
    }


def belongs(node: str, test: str) -> bool:
    """Tell whether a test that failed is one of those that a file, a function or a node's id names."""
    return node == test or node.startswith((f"{test}::", f"{test}["))


def end_of(told: str) -> str:
    """Return the last lines of what pytest printed."""
    return "\n".join(told.splitlines()[-LINES_SHOWN_MAX:])
