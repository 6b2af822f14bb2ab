"""A unit test that starts Python, or works for too long, fails."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import nullcontext

import profiles
import pytest
from unit_bounds import bounded

pytestmark = pytest.mark.unit


def test_python_is_not_started() -> None:
    with pytest.raises(AssertionError, match="belongs into tests/process"):
        subprocess.run(["/usr/bin/python3", "-c", ""], check=True)
    with pytest.raises(AssertionError, match="starts ratchet"):
        subprocess.Popen("ratchet")


async def test_nor_by_a_loop() -> None:
    with pytest.raises(AssertionError, match="belongs into tests/process"):
        await asyncio.create_subprocess_exec("python3", "-c", "")


def test_git_may_be_asked() -> None:
    assert subprocess.run(["git", "--version"], capture_output=True, check=True).stdout


@pytest.mark.parametrize(("profile", "fails"), [("dev", True), ("nightly", False)])
def test_work_is_bounded_where_no_more_examples_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, profile: str, *, fails: bool
) -> None:
    monkeypatch.setattr(profiles, "chosen", lambda: profile)
    with pytest.raises(AssertionError, match="of CPU") if fails else nullcontext(), bounded(cpu_seconds_max=-1.0):
        pass
