"""Make every change of the pure modules and run the tests that should notice: `make mutation`.

Exit status 1 where a change is not noticed that `equal.toml` does not explain, or where an explanation fits no change.
Outcomes are kept in `.ratchet/mutation.jsonl` as they come: what has not changed since is not run again.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import time
import tomllib
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mutants.planted import ROOT
from mutants.results import GREEN, write_between
from mutants.trial import FAILED, FAILURES, PASSED, Trial, copied

from mutation.changes import TARGETS, UNREAD, CodeChange, changes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEPT = ROOT / ".ratchet" / "mutation.jsonl"
EQUAL = Path(__file__).with_name("equal.toml")
PAGE = ROOT / "docs" / "mutation.md"
MARKS = ("<!-- written by `make mutation`: begin -->\n", "<!-- written by `make mutation`: end -->\n")
SECONDS_MAX, SECONDS_AGAIN = 60.0, 300.0
"""Of one file's tests; what is not through is tried again with more time, for the machine may have been busy."""
OURS = {
    "consumer": ("runtime.settings", "schemas.facts", "schemas.intents", "schemas.payment", "providers"),
    "providers": ("schemas.facts", "schemas.errors", "schemas.intents", "schemas.payment"),
}
"""Of the tree, what no module of a package is imported by, so that it need not be imported for each change."""
FIRST_MAX = 30
"""Tests that are run before the others: most changes of a module are noticed by few."""
NOTICED, SURVIVED, SLOW = "noticed", "survived", "endless"
"""A change that makes a test endless is noticed by its time-out."""


def explained() -> dict[tuple[str, str, str, int], str]:
    """Return the changes that change nothing, and why."""
    entries = tomllib.loads(EQUAL.read_text()).get("change", [])
    return {
        (one["module"], one["operator"], " ".join(one["line"].split()), one.get("nth", 0)): one["because"]
        for one in entries
    }


def held() -> list[str]:
    """Return the modules in which each change is noticed or explained, and has to stay so."""
    return [module for module in TARGETS if module not in UNREAD]


def kept() -> dict[str, str]:
    """Return the outcomes by digest."""
    if not KEPT.is_file():
        return {}
    lines: list[dict[str, str]] = [json.loads(line) for line in KEPT.read_text().splitlines()]
    return {line["digest"]: line["verdict"] for line in lines}


def noticers() -> dict[str, dict[str, str]]:
    """Return by module the tests that noticed a change of it, by change, newest first."""
    found: dict[str, dict[str, str]] = {}
    for line in reversed(KEPT.read_text().splitlines() if KEPT.is_file() else []):
        one: dict[str, str] = json.loads(line)
        if one.get("noticed_by"):
            found.setdefault(one["module"], {}).setdefault(one["after"], one["noticed_by"])
    return found


def keep(change: CodeChange, verdict: str, noticed_by: str = "") -> None:
    KEPT.parent.mkdir(exist_ok=True)
    with KEPT.open("a") as file:
        output = {"module": change.path, "line": change.line, "after": change.after, "noticed_by": noticed_by}
        digest = change.digest_with(noticed_by.partition("::")[0]) if noticed_by else change.digest
        file.write(json.dumps({"digest": digest, "verdict": verdict, **output}) + "\n")


def verdict_of(change: CodeChange, verdicts: dict[str, str]) -> str | None:
    """Return what became of a change, None where that is not known of today's tests.

    What one file noticed stays noticed while that file is the same; nothing but all of them tells that none notices.
    """
    if any(verdicts.get(change.digest_with(name)) == NOTICED for name in TARGETS[change.path]):
        return NOTICED
    return verdicts.get(change.digest)


def work_through(changes: Sequence[CodeChange], seconds: float, verdicts: dict[str, str]) -> None:
    """Try the changes of which no outcome is kept, until the time is over; add the outcomes to `verdicts`."""
    due = [change for change in changes if verdict_of(change, verdicts) is None]
    if not due:
        return
    until = time.monotonic() + seconds
    noticed = noticers()
    with copied() as copy:
        for module, theirs in groupby(due, key=lambda change: change.path):
            with Trial(copy, SECONDS_MAX, ours=OURS[module.partition("/")[0]]) as trial:
                trial.need_own_imports()
                need_green(trial, module, verdicts)
                if not work_through_module(trial, list(theirs), until, verdicts, noticed.setdefault(module, {})):
                    return


def work_through_module(
    trial: Trial, due: Sequence[CodeChange], until: float, verdicts: dict[str, str], noticed: dict[str, str]
) -> bool:
    """Try changes of one module until the time is over; tell whether all were tried."""
    for number, change in enumerate(due, 1):
        if time.monotonic() > until:
            sys.stdout.write(f"{change.path}: {len(due) - number + 1} changes are left: go on with the same command\n")
            return False
        began = time.monotonic()
        verdict, noticed_by = tried(trial, change, noticed)
        keep(change, verdict, noticed_by)
        if noticed_by:
            noticed[change.after] = noticed_by
        verdicts[change.digest] = verdict
        output = f"{number:4}/{len(due)} {time.monotonic() - began:5.1f} s {verdict:8} {change.path}:{change.line}"
        sys.stdout.write(f"{output}  {change.before}  ->  {change.after}\n")
        sys.stdout.flush()
    return True


def need_green(trial: Trial, module: str, verdicts: dict[str, str]) -> None:
    """Run the tests of a module without a change, unless that was done; raise SystemExit where they fail."""
    plain = CodeChange(module, 0, "", "", 0, (ROOT / module).read_text(), "")
    if verdicts.get(plain.digest) == GREEN:
        return
    status, output = trial.run(TARGETS[module], None)
    if status != PASSED:
        raise SystemExit(f"mutation: the tests of {module} fail without a change:\n{output[-1500:]}")
    keep(plain, GREEN)


def first_of(noticed: dict[str, str], change: CodeChange) -> list[str]:
    """Return the tests that run first: that which noticed the change before, then those that noticed most others."""
    own = noticed.get(change.after)
    others = [name for name, _ in Counter(noticed.values()).most_common(FIRST_MAX)]
    return list(dict.fromkeys([own, *others] if own else others))


def tried(trial: Trial, change: CodeChange, noticed: dict[str, str]) -> tuple[str, str]:
    """Run the tests with a change, file by file; return what came of it, and the test that noticed it, if any."""
    options = [option for name in first_of(noticed, change) for option in ("--first", name)]
    files = [noticed[change.after].partition("::")[0]] if change.after in noticed else []
    module = change.path.removesuffix(".py").replace("/", ".")
    try:
        trial._write({change.path: change.text})
        for file in dict.fromkeys([*files, *TARGETS[change.path]]):
            if file not in TARGETS[change.path]:
                continue
            arguments = ("-x", "-p", "mutation.plain_first", "--unread", module, *options)
            status, reported = trial.run([file], SECONDS_MAX, *arguments)
            if status is None:
                status, reported = trial.run([file], SECONDS_AGAIN, *arguments)
            if status != PASSED:
                failed = FAILURES.search(reported)
                verdict = SLOW if status is None else NOTICED if status == FAILED else "broken"
                return verdict, failed[1] if failed and verdict == NOTICED else ""
    finally:
        trial._write({change.path: (ROOT / change.path).read_text()})
    return SURVIVED, ""


def table(changes: Iterable[CodeChange], verdicts: dict[str, str], why: dict[Any, str]) -> str:
    """Return what came of it as Markdown."""
    rows: dict[str, Counter[str]] = {}
    left: list[str] = []
    equal: list[str] = []
    for change in changes:
        row = rows.setdefault(change.path, Counter())
        verdict = verdict_of(change, verdicts) or "not run"
        row["changes"] += 1
        if verdict == SURVIVED:
            verdict = "equal" if change.key in why else "not noticed"
            shown = f"`{change.path}:{change.line}`: `{change.before}` as `{change.after}`"
            (equal if change.key in why else left).append(f"- {shown}" + (f": {why.get(change.key, '')}".rstrip(": ")))
        row["noticed" if verdict in {NOTICED, SLOW, "broken"} else verdict] += 1
    columns = ("changes", "noticed", "equal", "not noticed", "not run")
    lines = [
        f"Run {dt.datetime.now(dt.UTC).date().isoformat()}.\n",
        f"| module | {' | '.join(columns)} |",
        "|---|" + "--:|" * len(columns),
        *(f"| `{name}` | {' | '.join(str(row[one] or '') for one in columns)} |" for name, row in rows.items()),
    ]
    if left:
        lines += ["\nNot noticed, and not explained:\n", *left]
    if equal:
        lines += ["\nNot noticed, for they change nothing:\n", *equal]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="such as consumer/fold.py; without one all that are held"
    )
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no trial after that time")
    parser.add_argument("--page", action="store_true", help=f"write the table of {PAGE.name}")
    options = parser.parse_args(arguments)
    if unknown := set(options.modules) - TARGETS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(TARGETS)}")
    try:
        changes = [change for module in options.modules or held() for change in changes_of(module)]
    except ModuleNotFoundError as error:
        raise SystemExit(f"mutation: {error}; `make mutation` installs cosmic-ray for itself") from error
    verdicts, why = kept(), explained()
    work_through(changes, options.seconds, verdicts)
    if options.page:
        write_between(PAGE, *MARKS, table([one for module in held() for one in changes_of(module)], verdicts, why))
    left = [one for one in changes if verdict_of(one, verdicts) == SURVIVED and one.key not in why]
    known = {change.key for change in changes}
    stale = [key for key in why if key not in known and (not options.modules or key[0] in options.modules)]
    for one in left:
        place = f"{one.path}:{one.line} {one.key[1]} nth={one.nth}"
        sys.stdout.write(f"not noticed: {place}: {one.before} -> {one.after}\n")
    if not options.modules:
        sys.stdout.write(f"held: {', '.join(held())}; not read yet, and not held: {', '.join(UNREAD) or 'none'}\n")
    for key in stale:
        sys.stdout.write(f"equal.toml explains what is no change any more: {key}\n")
    return int(bool(left or stale))


if __name__ == "__main__":
    raise SystemExit(main())
