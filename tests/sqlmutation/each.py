"""A plugin of pytest: the tests are collected once, and run anew in a fork for each change of a statement.

What came of each is appended to the file of outcomes at once, so a run that is ended goes on where it was.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from sqlmutation.outcomes import GREEN, NOTICED, SLOW, SURVIVED, digest_of_all, digest_with, keep

if TYPE_CHECKING:
    from collections.abc import Callable

STOP_SECONDS_MAX: Final = 10.0
RED: Final = "red without it"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the file that says what is to be tried."""
    parser.addoption("--plan", required=True, help="JSON: the statement's file, its texts, and where outcomes go")


class Failures:
    """The tests that failed in this process."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and report.nodeid not in self.names:
            self.names.append(report.nodeid)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Try each change of the plan; this process itself runs no test."""
    if session.testsfailed:
        raise session.Interrupted("what is to be run can't be collected")
    plan: dict[str, Any] = json.loads(Path(session.config.getoption("--plan")).read_text())
    place = {name: number for number, name in enumerate(plan["tests"])}
    items = sorted(session.items, key=lambda item: place.get(item.nodeid, len(place)))
    file, kept = Path(plan["path"]), Path(plan["kept"])
    plain = file.read_text()
    try:
        items = _green(session, items, plan, file, kept)
        for change in plan["changes"]:
            if time.time() > plan["until"] or not items:
                break
            file.write_text(change["text"])
            began = time.monotonic()
            noticed = _tried(lambda: _run(session, items, first=True), plan["seconds_max"])
            by = noticed[0] if noticed else ""
            verdict = SLOW if noticed is None else NOTICED if noticed else SURVIVED
            digest = digest_with(change["text"], [by]) if by else digest_of_all(change["text"], plan["tests"])
            line = {"digest": digest, "verdict": verdict, "by": by, "seconds": round(time.monotonic() - began, 1)}
            keep({**line, **change["named"]}, kept)
            if by:  # what noticed one change of a statement notices the next one often, too
                items.sort(key=lambda item: item.nodeid != by)
    finally:
        file.write_text(plain)
    return True


def _green(
    session: pytest.Session, items: list[pytest.Item], plan: dict[str, Any], file: Path, kept: Path
) -> list[pytest.Item]:
    """Run all with the statement as it is printed without a change; return those that pass."""
    red = plan["red"]
    if red is None:
        file.write_text(plan["plain"])
        red = _tried(lambda: _run(session, items, first=False), None) or []
        digest = digest_of_all(plan["plain"], plan["tests"])
        keep({"digest": digest, "verdict": GREEN, "red": red, "path": plan["path"]}, kept)
    return [item for item in items if item.nodeid not in red]


def _run(session: pytest.Session, items: list[pytest.Item], *, first: bool) -> list[str]:
    """Run tests in this process, up to the first that fails or all; return those that failed."""
    failures = Failures()
    session.config.pluginmanager.register(failures)
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if first and failures.names:
            break
    session._setupstate.teardown_exact(None)
    return failures.names


def _tried(work: Callable[[], list[str]], seconds_max: float | None) -> list[str] | None:
    """Return what work came to in a fork of this process, None where it is not through in time."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        names = [RED]
        try:
            signal.signal(signal.SIGTERM, signal.default_int_handler)
            names = work()
        except BaseException as error:  # noqa: BLE001 - what a test leaves broken has been noticed as well
            names = [f"{RED}: {type(error).__name__}: {error}"]
        finally:
            os.write(theirs, json.dumps(names).encode())
            os._exit(0)
    os.close(theirs)
    try:
        if not select.select([ours], [], [], seconds_max)[0]:
            _end(child)
            return None
        found = os.read(ours, 1 << 16)
        os.waitpid(child, 0)
        names: list[str] = json.loads(found) if found else [RED]
        return names
    finally:
        os.close(ours)


def _end(child: int) -> None:
    """Ask a run to end, and kill it where it does not."""
    os.kill(child, signal.SIGTERM)
    until = time.monotonic() + STOP_SECONDS_MAX
    while time.monotonic() < until:
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
