"""A run of the tests that is killed leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.process

SUPPORT = Path(__file__).parents[1] / "support"
GONE_SECONDS_MAX = 40.0
RUN = """
import subprocess, sys, time
sys.path.insert(0, sys.argv[1])
import reaper
kept = reaper.start()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, kept.pid, flush=True)
time.sleep(600)
"""


def runs(process: psutil.Process) -> bool:
    """Tell whether a process runs; one may end between two questions."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("frozen", [False, True])
def test_what_a_killed_run_started_is_ended(*, frozen: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, str(SUPPORT)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        started = [psutil.Process(int(pid)) for pid in run.stdout.readline().split()]
        if frozen:
            started[0].suspend()
        os.kill(run.pid, signal.SIGKILL)
    deadline = time.monotonic() + GONE_SECONDS_MAX
    while any(map(runs, started)):
        assert time.monotonic() < deadline, "a process of a killed run lives on"
        time.sleep(0.05)
