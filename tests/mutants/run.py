"""Plant each fault in a copy of the tree and run the tests that have to notice: `make mutants`.

Exit status 1 where a fault survives, fits no more, names a test that does not exist, or takes too long, and where its
tests fail without it: then they prove nothing. The tree itself is never changed.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mutants.planted import ROOT, Fault, UnfitError, load, planted, unknown_tests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KILLED, SURVIVED, UNFIT, UNKNOWN, RED, BROKEN, SLOW = (
    "killed",
    "survived",
    "fits no more",
    "unknown test",
    "red without it",
    "does not import",
    "too slow",
)
ADVICE = {
    SURVIVED: "write the test that notices, and name it in the patch",
    UNFIT: "make the patch anew for today's tree, or drop it with the code that it was about",
    UNKNOWN: "name tests that exist",
    RED: "mend the tests first",
    BROKEN: "plant a mistake that a reviewer could miss",
    SLOW: "name quicker tests, or give it more --seconds",
}
PASSED, FAILED, UNCOLLECTED = 0, 1, 2
"""Exit statuses of pytest; 4 is a wrong command line, also a test that is not there."""
_FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", re.MULTILINE)
"""A line of pytest's summary, and the test that it names."""


@dataclass(frozen=True)
class Outcome:
    """What became of one fault: `noticed_by` is the test that failed, else `told` the end of what its tests printed."""

    name: str
    area: str
    verdict: str
    seconds: float
    noticed_by: str = ""
    told: str = ""


def choose(
    faults: Sequence[Fault], names: Sequence[str], changed: frozenset[str] | None, *, quick: bool
) -> list[Fault]:
    """Return the faults asked for: by name (with wildcards), of changed files, without brokers."""
    return [
        fault
        for fault in faults
        if (not names or any(fnmatch.fnmatch(fault.name, name) for name in names))
        and (changed is None or changed & (fault.paths | {test.partition("::")[0] for test in fault.tests}))
        and not (quick and fault.needs_brokers)
    ]


def changed_since(base: str) -> frozenset[str]:
    """Return the paths that differ from a commit, with what is not committed or not tracked; a changed patch counts."""
    told = _git("diff", "--name-only", base) + _git("ls-files", "--others", "--exclude-standard")
    patches = {Path(path).stem for path in told if path.startswith("tests/mutants/") and path.endswith(".patch")}
    return frozenset(told) | {path for fault in load() if fault.name in patches for path in fault.paths}


def _git(*arguments: str) -> list[str]:
    command = ["git", "-C", str(ROOT), *arguments, "-z"]
    return [
        path for path in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0") if path
    ]


@contextmanager
def copied() -> Iterator[Path]:
    """Give a copy of the tree as it stands, without what git ignores."""
    with tempfile.TemporaryDirectory(prefix="ratchet-mutants-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / "tree"
        for path in _git("ls-files", "--cached", "--others", "--exclude-standard"):
            if (ROOT / path).is_file():
                (copy / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / path, copy / path)
        # As root, the embedded Postgres is another user that has to reach its files.
        Path(folder).chmod(0o755)
        yield copy


class Trial:
    """Runs tests in the copy of a tree, with and without a fault."""

    def __init__(self, copy: Path, seconds_max: float) -> None:
        self._copy = copy
        self._seconds_max = seconds_max

    def need_own_imports(self) -> None:
        """Raise SystemExit where the tests would import another tree than the copy: then nothing could be noticed."""
        command = [sys.executable, "-c", "import consumer, providers; print(consumer.__file__, providers.__file__)"]
        told = subprocess.run(
            command, cwd=self._copy, env=self._environment(), check=True, capture_output=True, text=True
        )
        if not all(Path(path).is_relative_to(self._copy) for path in told.stdout.split()):
            raise SystemExit(f"mutants: the copy's tests import {told.stdout.strip()}, not {self._copy}")

    def try_out(self, fault: Fault) -> Outcome:
        """Plant a fault, run its tests, and take it out again."""
        try:
            texts = planted(fault, self._copy)
        except UnfitError as error:
            return Outcome(fault.name, fault.area, UNFIT, 0.0, told=str(error))
        held = {path: (self._copy / path).read_text() for path in texts}
        began = time.monotonic()
        try:
            self._write(texts)
            status, told = self.run(fault.tests, self._seconds_max, "-x")
        finally:
            self._write(held)
        verdicts = {PASSED: SURVIVED, FAILED: KILLED, UNCOLLECTED: BROKEN, None: SLOW}
        verdict, seconds = verdicts.get(status, UNKNOWN), time.monotonic() - began
        if verdict == KILLED:
            noticed = _FAILED.search(told)
            return Outcome(fault.name, fault.area, KILLED, seconds, noticed_by=noticed[1] if noticed else "")
        return Outcome(fault.name, fault.area, verdict, seconds, told=_end(told))

    def run(self, tests: Sequence[str], seconds_max: float | None, *options: str) -> tuple[int | None, str]:
        """Run tests; return pytest's status, None past the time, and what it printed."""
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *options, *tests]
        process = subprocess.Popen(
            command,
            cwd=self._copy,
            env=self._environment(),
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

    def _environment(self) -> dict[str, str]:
        paths = [str(self._copy), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def _write(self, texts: dict[str, str]) -> None:
        """Write files, and drop what was compiled of them: one of the same size and second would count as fresh."""
        for path, text in texts.items():
            file = self._copy / path
            file.write_text(text)
            for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
                compiled.unlink()


def red_without(trial: Trial, faults: Sequence[Fault], console: Console) -> dict[str, str]:
    """Return the faults whose tests don't pass without them, and what those tell."""
    tests = sorted({test for fault in faults for test in fault.tests})
    if not tests:
        return {}
    console.print(f"{len(tests)} tests and files, without a fault ..")
    status, told = trial.run(tests, None)
    if status == PASSED:
        return {}
    red = _FAILED.findall(told)
    if status != FAILED or not red:
        raise SystemExit(f"mutants: the tests can't be run without a fault:\n{_end(told)}")
    return {
        fault.name: " ".join(theirs)
        for fault in faults
        if (theirs := [one for one in red if any(_belongs(one, test) for test in fault.tests)])
    }


def _belongs(node: str, test: str) -> bool:
    """Tell whether a test that failed is one of those that a file, a function or a node's id names."""
    return node == test or node.startswith((f"{test}::", f"{test}["))


def _end(told: str) -> str:
    return "\n".join(told.splitlines()[-15:])


def work_through(faults: Sequence[Fault], seconds_max: float, jobs: int, console: Console) -> list[Outcome]:
    """Try all faults, `jobs` at a time, each in a copy that nobody else uses meanwhile; tell each as it comes."""
    unknown = {fault.name: " ".join(tests) for fault in faults if (tests := unknown_tests(fault))}
    known = [fault for fault in faults if fault.name not in unknown]
    outcomes = [
        Outcome(fault.name, fault.area, UNKNOWN, 0.0, told=unknown[fault.name])
        for fault in faults
        if fault.name in unknown
    ]
    with ExitStack() as stack, ThreadPoolExecutor(jobs) as pool:
        trials: queue.SimpleQueue[Trial] = queue.SimpleQueue()
        for _ in range(jobs):
            trials.put(Trial(stack.enter_context(copied()), seconds_max))
        first = trials.get()
        first.need_own_imports()
        red = red_without(first, known, console)
        trials.put(first)
        outcomes += [
            Outcome(fault.name, fault.area, RED, 0.0, told=red[fault.name]) for fault in known if fault.name in red
        ]

        def try_out(fault: Fault) -> Outcome:
            trial = trials.get()
            try:
                return trial.try_out(fault)
            finally:
                trials.put(trial)

        sound = [pool.submit(try_out, fault) for fault in known if fault.name not in red]
        for number, future in enumerate(as_completed(sound), 1):
            outcome = future.result()
            outcomes.append(outcome)
            style = "green" if outcome.verdict == KILLED else "bold red"
            console.print(
                f"{number:4}/{len(sound)} {outcome.seconds:6.1f} s  [{style}]{outcome.verdict}[/]  {outcome.name}"
            )
    return outcomes


def tell(outcomes: Sequence[Outcome], faults: Sequence[Fault], console: Console) -> None:
    """Print what survived with its harm, then a table by area."""
    by_name = {fault.name: fault for fault in faults}
    for outcome in outcomes:
        if outcome.verdict != KILLED:
            fault = by_name[outcome.name]
            console.print(f"\n[bold red]{outcome.verdict}[/]: {fault.name}: {ADVICE[outcome.verdict]}")
            console.print(
                f"  harm:   {fault.harm}\n  breaks: {fault.breaks}\n  tests:  {' '.join(fault.tests)}", markup=False
            )
            console.print(outcome.told, style="dim", markup=False)
    table = Table("area", *(name for name in (KILLED, *ADVICE)), "seconds")
    for area in sorted({outcome.area for outcome in outcomes}):
        theirs = [outcome for outcome in outcomes if outcome.area == area]
        counts = Counter(outcome.verdict for outcome in theirs)
        figures = [str(counts[verdict] or "") for verdict in (KILLED, *ADVICE)]
        table.add_row(area, *figures, f"{sum(outcome.seconds for outcome in theirs):.0f}")
    console.print(table)
    killed = sum(outcome.verdict == KILLED for outcome in outcomes)
    console.print(f"{killed} of {len(outcomes)} planted faults were noticed")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="names of faults, wildcards allowed; all without one")
    parser.add_argument("--changed", metavar="BASE", help="only those of files that differ from this commit")
    parser.add_argument("--quick", action="store_true", help="only those whose tests need no brokers")
    parser.add_argument(
        "--seconds", type=float, default=300, metavar="N", help="the most that a fault's tests may take"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many are tried at once")
    parser.add_argument("--list", action="store_true", help="show the faults and run nothing")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON on standard output")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit status."""
    options = parsed(arguments)
    console = Console(stderr=options.json, highlight=False, soft_wrap=True)
    changed = None if options.changed is None else changed_since(options.changed)
    faults = choose(load(), options.names, changed, quick=options.quick)
    if not faults and options.names:
        console.print(f"mutants: no planted fault is named {' or '.join(options.names)}; see --list")
        return 2
    if options.list:
        for fault in faults:
            console.print(f"{fault.name}: {fault.harm}", markup=False)
        return 0
    outcomes = work_through(faults, options.seconds, max(options.jobs, 1), console) if faults else []
    tell(outcomes, faults, console)
    if options.json:
        shown = [replace(outcome, seconds=round(outcome.seconds, 2)) for outcome in outcomes]
        sys.stdout.write(json.dumps([asdict(outcome) for outcome in shown], indent=2) + "\n")
    return 0 if all(outcome.verdict == KILLED for outcome in outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
