"""Make every small change of SQL statements and run the tests that should notice: `make mutation-sql`.

Exit status 1 where a change is not noticed that `equal.toml` does not explain, or where an explanation fits no change.
Outcomes are kept in `.ratchet/mutation-sql.jsonl` as they come: what has not changed since is not run again.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from mutants.planted import ROOT
from mutants.results import write_between
from mutants.trial import PASSED, Trial, copied, end_of

from sqlmutation.changes import FOLDERS, StatementChange, UnfaithfulError, changes_of, printed, statements
from sqlmutation.outcomes import KEPT, REFUSED, SURVIVED, Outcomes, digest_of, explained, keep
from sqlmutation.page import table
from sqlmutation.recording import chosen, files_with_statements, fresh, nearness, record, recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlmutation.brokers import Prepared

PAGE = ROOT / "docs" / "mutation.md"
MARKS = ("<!-- written by `make mutation-sql`: begin -->\n", "<!-- written by `make mutation-sql`: end -->\n")
BUDGET_SECONDS = 60.0
"""The most that the tests of one change take, by what they took when they were noted."""
SECONDS_MAX = 120.0
"""Of one change. One that makes a test endless is noticed by this."""
TEST_SECONDS_MAX = 30
OURS = (
    *("consumer.role", "consumer.dispatcher.role", "producers.relay.role", "producers.ingress.app"),
    *("ops.redrives", "ops.retention", "runtime.migrations", "runtime.stack"),
)
"""Of the tree, what most tests import: none of it is changed but statements, which are read when they are run."""


def recorded_anew(files: Sequence[str], environment: dict[str, str]) -> None:
    """Note which tests of some files load which statements."""
    with tempfile.TemporaryDirectory(prefix="ratchet-mutation-sql-") as folder:
        Path(folder).chmod(0o755)
        began = time.monotonic()
        for file, tests in record(files, environment, Path(folder)):
            say(f"{time.monotonic() - began:6.1f} s  {tests:4} tests load statements  {file}")


def tests_by_statement(paths: Sequence[str], outcomes: Outcomes, budget: float) -> dict[str, list[str]]:
    """Return the tests of each statement."""
    seen = [one for tests in recorded().values() for one in tests if (ROOT / one.test.partition("::")[0]).is_file()]
    found = {}
    for path in paths:
        loading = [one.test for one in seen if path in one.statements]
        about = nearness(Path(path).stem, loading, text_of)
        found[path] = chosen(path, seen, outcomes.noticers(path), budget, about)
    return found


@cache
def text_of(file: str) -> str:
    return (ROOT / file).read_text()


def work_through(
    changes: Sequence[StatementChange], tests: dict[str, list[str]], prepared: Prepared, seconds: float
) -> None:
    """Try changes, statement by statement, until the time is over."""
    until = time.time() + seconds
    with (
        tempfile.TemporaryDirectory(prefix="ratchet-mutation-sql-") as folder,
        copied() as copy,
        Trial(copy, SECONDS_MAX, prepared.environment, OURS) as trial,
    ):
        trial.need_own_imports()
        for path, of_path in groupby(changes, key=lambda change: change.path):
            if time.time() > until:
                return
            theirs = list(of_path)
            refused = prepared.refused(one.text for one in theirs)
            for one in theirs:
                if one.text in refused:
                    keep({"digest": digest_of(one.text), "verdict": REFUSED, "path": path})
            due = [one for one in theirs if one.text not in refused]
            if due and tests[path]:
                try_statement(trial, due, tests[path], until, Path(folder) / "plan.json")


def try_statement(trial: Trial, due: Sequence[StatementChange], tests: list[str], until: float, plan: Path) -> None:
    """Try changes of one statement."""
    path = due[0].path
    asked = {
        "path": path,
        "plain": printed(path),
        "red": Outcomes().red(printed(path), tests),
        "tests": tests,
        "kept": str(KEPT),
        "seconds_max": SECONDS_MAX,
        "until": until,
        "changes": [{"text": one.text, "named": named(one)} for one in due],
    }
    plan.write_text(json.dumps(asked))
    began = time.monotonic()
    status, reported = trial.run(
        tests, None, "-p", "sqlmutation.each", "--plan", str(plan), "-o", f"timeout={TEST_SECONDS_MAX}"
    )
    if status != PASSED:
        say(f"mutation-sql: the tests of {path} can't be run:\n{end_of(reported)}")
        return
    after = Outcomes()
    verdicts = [after.of(one, tests) or "not run" for one in due]
    say(
        f"{time.monotonic() - began:6.1f} s  {len(due):3} changes, {verdicts.count(SURVIVED):3} not noticed, "
        f"{len(tests):3} tests  {path}"
    )


def named(change: StatementChange) -> dict[str, object]:
    """Return what names a change among the outcomes."""
    return {"path": change.path, "line": change.line, "before": change.before, "after": change.after, "nth": change.nth}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="mutation-sql", description=__doc__)
    parser.add_argument("places", nargs="*", metavar="PLACE", help="statements or their folders; all without one")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no trial after that time")
    parser.add_argument("--budget", type=float, default=BUDGET_SECONDS, help="seconds of tests for one change")
    parser.add_argument("--record", action="store_true", help="first note what the tests load that have changed since")
    parser.add_argument("--recorded", nargs="+", metavar="FILE", default=[], help="note these files of tests, no more")
    parser.add_argument("--show", action="store_true", help="run nothing; list what is not noticed")
    parser.add_argument("--page", action="store_true", help=f"write the table of {PAGE.name}")
    return parser.parse_args(arguments)


def changes_in(paths: Sequence[str]) -> list[StatementChange]:
    """Return all changes of statements that are printed as they are read; name the others."""
    found: list[StatementChange] = []
    try:
        import pglast  # noqa: F401 - who has none learns here how to get it
    except ModuleNotFoundError as error:
        raise SystemExit(f"mutation-sql: {error}; `make mutation-sql` installs pglast for itself") from error
    for path in paths:
        try:
            found += changes_of(path)
        except UnfaithfulError as error:
            say(f"mutation-sql: not changed, for it is printed as another statement: {error}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; return the exit status."""
    options = parsed(arguments)
    paths = statements(*(options.places or FOLDERS))
    with ExitStack() as stack:
        ready: Prepared | None = None
        if files := options.recorded or (stale_files() if options.record else []):
            ready = started(stack)
            recorded_anew(files, ready.environment)
        if options.recorded:
            return 0
        changes, outcomes = changes_in(paths), Outcomes()
        tests = tests_by_statement(paths, outcomes, options.budget)
        due = [one for one in changes if tests[one.path] and outcomes.of(one, tests[one.path]) is None]
        if due and not options.show:
            work_through(due, tests, ready or started(stack), options.seconds)
    return report(changes, tests, explained(), all_places=not options.places, page=options.page)


def started(stack: ExitStack) -> Prepared:
    """Start the brokers of the run."""
    from sqlmutation.brokers import prepared

    return stack.enter_context(prepared())


def stale_files() -> list[str]:
    """Return the files of tests of which nothing is noted since they changed."""
    known = fresh()
    return [one for one in files_with_statements() if one not in known]


def report(
    changes: Sequence[StatementChange],
    tests: dict[str, list[str]],
    why: dict[tuple[str, str, str, int], str],
    *,
    all_places: bool,
    page: bool,
) -> int:
    """Print what is left, write the page where that is asked for, and return the exit status.

    It is 1 where a change is neither noticed nor explained, or an explanation is of no change.
    """
    outcomes = Outcomes()
    verdict_of: Callable[[StatementChange], str | None] = lambda one: outcomes.of(one, tests[one.path])  # noqa: E731
    if page:
        write_between(PAGE, *MARKS, table(changes, verdict_of, why))
    left = [one for one in changes if verdict_of(one) == SURVIVED and one.key not in why]
    for one in left:
        say(f"not noticed: {one.path}:{one.line}{f' nth={one.nth}' * bool(one.nth)}: {one.before}  ->  {one.after}")
    paths = {change.path for change in changes}
    known = {change.key for change in changes}
    stale = [key for key in why if key not in known and (all_places or key[0] in paths)]
    for key in stale:
        say(f"equal.toml explains what is no change any more: {key}")
    due = sum(verdict_of(one) is None for one in changes)
    say(f"{len(changes)} changes, {len(left)} not noticed and not explained, {due} not run")
    return int(bool(stale or left))


if __name__ == "__main__":
    raise SystemExit(main())
