"""Run outsiders' suites against us and write docs/outsiders.md: `make outsiders`.

Exit status 1 where a test of theirs fails. Their files are cloned for the run from `--repositories`, and left out with
`--offline`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import re
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from mutants.planted import ROOT
from mutants.results import write_between

from outsiders.suites import SUITES, Suite

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = ROOT / "docs" / "outsiders.md"
MARKS = ("<!-- written by `make outsiders`: begin -->\n", "<!-- written by `make outsiders`: end -->\n")
SECONDS_MAX = 600
OWN = ("-q", "--no-header", "-p", "no:cacheprovider")
THEIRS = (*OWN, "-c", "/dev/null", "-p", "no:locust", "-p", "no:schemathesis", "-W", "ignore")
SUMMARY = re.compile(r"^(?=.*\d+ (?:passed|failed))(.*?) in [\d.]+s", re.MULTILINE)


def run(suite: Suite, repositories: str) -> tuple[bool, str, str]:
    """Run one suite; return whether it passed, the summary, and the commit of what was cloned."""
    with tempfile.TemporaryDirectory(prefix="ratchet-outsiders-") as folder:
        commit, command = "", [sys.executable, "-m", "pytest", *OWN, *suite.tests]
        if suite.repository:
            place = Path(folder) / "clone"
            git("clone", "--quiet", "--depth", "1", "--no-checkout", f"{repositories}{suite.repository}", str(place))
            commit = git("-C", str(place), "log", "-1", "--format=%h of %cs").strip()
            file = Path(folder) / f"{suite.package}_{Path(suite.path).name}"
            file.write_text(git("-C", str(place), "show", f"HEAD:{suite.path}"))
            without = " and ".join(f"not {name}" for name, _ in suite.left_out)
            command = [sys.executable, "-m", "pytest", *THEIRS, "-p", suite.plugin, "--rootdir", folder, str(file)]
            command += ["-k", without] if without else []
        paths = os.pathsep.join((str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "support")))
        done = subprocess.run(
            command,
            cwd=folder if suite.repository else ROOT,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
            check=False,
        )
    found = SUMMARY.findall(done.stdout)
    if done.returncode:
        sys.stdout.write(done.stdout[-3000:] + done.stderr[-1000:])
    return done.returncode == 0, found[-1].strip("= ") if found else f"exit status {done.returncode}", commit


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, timeout=SECONDS_MAX).stdout


def row_of(suite: Suite, summary: str, commit: str) -> str:
    reported = f"{version(suite.package)}{f'; their file {commit}' if commit else ''}"
    return f"| {suite.name} | {reported} | {suite.what} | {dt.datetime.now(dt.UTC).date().isoformat()} | {summary} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="outsiders", description=__doc__)
    parser.add_argument("--repositories", default="https://github.com/", help="where theirs are cloned from")
    parser.add_argument("--offline", action="store_true", help="leave out what has to be cloned")
    parser.add_argument("--without-brokers", action="store_true", help="leave out what needs brokers")
    parser.add_argument("--page", action="store_true", help=f"write the table of {PAGE.name}")
    options = parser.parse_args(arguments)
    rows, all_passed = [], True
    for suite in SUITES:
        if (suite.repository and options.offline) or (suite.brokers and options.without_brokers):
            rows.append(f"| {suite.name} | {version(suite.package)} | {suite.what} |  | not run |")
            continue
        passed, summary, commit = run(suite, options.repositories)
        all_passed &= passed
        rows.append(row_of(suite, summary, commit))
        sys.stdout.write(f"{rows[-1]}\n")
        sys.stdout.flush()
    left_out = [f"- {one.name}, `{name}`: {why}." for one in SUITES for name, why in one.left_out]
    head = ["| suite | version | what runs | date | result |", "|---|---|---|---|---|"]
    if options.page:
        write_between(PAGE, *MARKS, "\n".join([*head, *rows, "\nTheir tests that are left out:\n", *left_out]) + "\n")
    return int(not all_passed)


if __name__ == "__main__":
    raise SystemExit(main())
