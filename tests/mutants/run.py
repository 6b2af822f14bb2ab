"""Plant each fault in a copy of the tree and run the tests that have to notice: `make mutants`.

Exit status 1 where a fault survives, fits no more, names a test that does not exist, or takes too long, and where its
tests fail without it: then they prove nothing. The tree itself is never changed.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import queue
import signal
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mutants.planted import load, unknown_tests
from mutants.results import GREEN, PAGE, Results, table, write_page
from mutants.trial import (
    BROKEN,
    KILLED,
    RED,
    SLOW,
    SURVIVED,
    UNFIT,
    UNKNOWN,
    Outcome,
    Trial,
    copied,
    git,
    red_without,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mutants.planted import Fault

ADVICE = {
    SURVIVED: "write the test that notices, and name it in the patch",
    UNFIT: "make the patch anew for today's tree, or drop it with the code that it was about",
    UNKNOWN: "name tests that exist",
    RED: "mend the tests first",
    BROKEN: "plant a mistake that a reviewer could miss",
    SLOW: "name quicker tests, or give it more --seconds",
}
TRIED = (KILLED, SURVIVED, BROKEN, SLOW, GREEN)
"""Outcomes that a fault has only where its tests passed without it."""


def choose(
    faults: Sequence[Fault], names: Sequence[str], changed: frozenset[str] | None, *, brokers: bool | None = None
) -> list[Fault]:
    """Return the faults asked for: by name (with wildcards), of changed files, with or without brokers, or either."""
    return [
        fault
        for fault in faults
        if (not names or any(fnmatch.fnmatch(fault.name, name) for name in names))
        and (changed is None or changed & (fault.paths | {test.partition("::")[0] for test in fault.tests}))
        and (brokers is None or brokers == fault.needs_brokers)
    ]


def changed_since(base: str) -> frozenset[str]:
    """Return the paths that differ from a commit, with what is not committed or not tracked; a changed patch counts."""
    reported = git("diff", "--name-only", base) + git("ls-files", "--others", "--exclude-standard")
    patches = {Path(path).stem for path in reported if path.startswith("tests/mutants/") and path.endswith(".patch")}
    return frozenset(reported) | {path for fault in load() if fault.name in patches for path in fault.paths}


class Run:
    """Plants faults, `jobs` at a time, and writes each outcome down as it comes."""

    def __init__(self, results: Results, seconds_max: float, jobs: int, console: Console) -> None:
        self._results = results
        self._seconds_max = seconds_max
        self._jobs = jobs
        self._console = console
        self._trials: queue.SimpleQueue[Trial] = queue.SimpleQueue()

    def work_through(self, faults: Sequence[Fault]) -> list[Outcome]:
        """Try all faults, each in a copy and with brokers that nobody else uses meanwhile."""
        unknown = {fault.name: " ".join(tests) for fault in faults if (tests := unknown_tests(fault))}
        known = [fault for fault in faults if fault.name not in unknown]
        outcomes = [self._refused(fault, UNKNOWN, unknown) for fault in faults if fault.name in unknown]
        if not known:
            return outcomes
        with ExitStack() as stack:
            for number in range(self._jobs):
                self._trials.put(self._prepared(stack, number, brokers=any(fault.needs_brokers for fault in known)))
            red = self._red(known)
            outcomes += [self._refused(fault, RED, red) for fault in known if fault.name in red]
            return outcomes + self._tried([fault for fault in known if fault.name not in red])

    def _prepared(self, stack: ExitStack, number: int, *, brokers: bool) -> Trial:
        environment: dict[str, str] = {}
        if brokers:
            from mutants.brokers import Brokers

            environment = stack.enter_context(Brokers(number))
        trial = stack.enter_context(Trial(stack.enter_context(copied()), self._seconds_max, environment))
        trial.need_own_imports()
        return trial

    def _refused(self, fault: Fault, verdict: str, printed: dict[str, str]) -> Outcome:
        outcome = Outcome(fault.name, fault.area, verdict, 0.0, printed=printed[fault.name])
        self._results.keep(fault, outcome)
        return outcome

    def _red(self, faults: Sequence[Fault]) -> dict[str, str]:
        """Run the tests without a fault, but for those that are known to pass so."""
        new = [fault for fault in faults if not self._results.sound(fault, TRIED)]
        tests = {test for fault in new for test in fault.tests}
        if tests:
            self._console.print(f"{len(tests)} tests and files, without a fault ..")
        trial = self._trials.get()
        red = red_without(trial, new)
        self._trials.put(trial)
        for fault in new:
            if fault.name not in red:
                self._results.keep(fault, Outcome(fault.name, fault.area, GREEN, 0.0))
        return red

    def _tried(self, faults: Sequence[Fault]) -> list[Outcome]:
        by_name = {fault.name: fault for fault in faults}
        outcomes = []
        pool = ThreadPoolExecutor(self._jobs)
        try:
            for number, future in enumerate(as_completed([pool.submit(self._try_out, one) for one in faults]), 1):
                outcome = future.result()
                outcomes.append(outcome)
                self._results.keep(by_name[outcome.name], outcome)
                style = "green" if outcome.verdict == KILLED else "bold red"
                self._console.print(
                    f"{number:4}/{len(faults)} {outcome.seconds:6.1f} s  [{style}]{outcome.verdict}[/]  {outcome.name}"
                )
        finally:
            pool.shutdown(cancel_futures=True)
        return outcomes

    def _try_out(self, fault: Fault) -> Outcome:
        trial = self._trials.get()
        try:
            return trial.try_out(fault)
        finally:
            self._trials.put(trial)


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
            console.print(outcome.printed, style="dim", markup=False)
    shown = Table("area", *(name for name in (KILLED, *ADVICE)), "seconds")
    for area in sorted({outcome.area for outcome in outcomes}):
        theirs = [outcome for outcome in outcomes if outcome.area == area]
        counts = Counter(outcome.verdict for outcome in theirs)
        figures = [str(counts[verdict] or "") for verdict in (KILLED, *ADVICE)]
        shown.add_row(area, *figures, f"{sum(outcome.seconds for outcome in theirs):.0f}")
    console.print(shown)
    killed = sum(outcome.verdict == KILLED for outcome in outcomes)
    console.print(f"{killed} of {len(outcomes)} planted faults were noticed")


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="names of faults, wildcards allowed; all without one")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="the same, as an option")
    parser.add_argument("--changed", metavar="BASE", help="only those of files that differ from this commit")
    need = parser.add_mutually_exclusive_group()
    need.add_argument("--quick", dest="brokers", action="store_false", help="only those whose tests need no brokers")
    need.add_argument("--brokers", action="store_true", help="only those whose tests need brokers")
    parser.set_defaults(brokers=None)
    parser.add_argument("--resume", action="store_true", help="leave out what was noticed and has not changed since")
    parser.add_argument(
        "--seconds", type=float, default=300, metavar="N", help="the most that a fault's tests may take"
    )
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many are tried at once")
    parser.add_argument("--list", action="store_true", help="show the faults and run nothing")
    parser.add_argument("--json", action="store_true", help="print the outcomes as JSON on standard output")
    parser.add_argument("--page", action="store_true", help=f"write the last result of every fault to {PAGE.name}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit status."""
    options = parsed(arguments)
    console = Console(stderr=options.json, highlight=False, soft_wrap=True)
    changed = None if options.changed is None else changed_since(options.changed)
    names = [*options.names, *options.only]
    faults = choose(load(), names, changed, brokers=options.brokers)
    if not faults and names:
        console.print(f"mutants: no planted fault is named {' or '.join(names)}; see --list")
        return 2
    if options.list:
        for fault in faults:
            console.print(f"{fault.name}: {fault.harm}", markup=False)
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    results = Results()
    due = [fault for fault in faults if not (options.resume and results.sound(fault, [KILLED]))]
    if len(due) < len(faults):
        console.print(f"{len(faults) - len(due)} of {len(faults)} were noticed before, and have not changed since")
    try:
        outcomes = Run(results, options.seconds, max(options.jobs, 1), console).work_through(due)
    except KeyboardInterrupt:
        console.print("mutants: ended before its time; go on with --resume")
        return 130
    tell(outcomes, due, console)
    if options.page:
        write_page(table(results, load()))
    if options.json:
        shown = [replace(outcome, seconds=round(outcome.seconds, 2)) for outcome in outcomes]
        sys.stdout.write(json.dumps([asdict(outcome) for outcome in shown], indent=2) + "\n")
    return 0 if all(outcome.verdict == KILLED for outcome in outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
