"""The watch over the record that is in hand ends a process that stands still."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.process

BLOCKED = """
import time
from consumer.hand import HandWatch
with HandWatch(0.2, 60.0).holding():
    {hang}
"""
"""A record that stops the process: the loop never runs again."""


@pytest.mark.parametrize("hang", ["time.sleep(30)", "(lambda: sum(range(10**12)))()"], ids=["waits", "holds the lock"])
def test_a_process_that_stands_still_ends_itself_and_says_where(hang: str) -> None:
    """Also where the record never lets go of the interpreter's lock, so that no thread of Python's could act."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED.format(hang=hang)], capture_output=True, timeout=25, check=False
    )
    assert done.returncode == 1
    assert b"most recent call first" in done.stderr
    assert time.monotonic() - began < 20
