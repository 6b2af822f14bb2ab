"""Ends what a killed run of the tests leaves behind: the processes that its tests had started.

Each pytest process (with pytest-xdist the controller and every worker) starts one reaper and holds the pipe to its
standard input. All that the tests start inherits RUN_OF, the process's id. When the pipe closes, however the process
ended, what still has that id is asked to stop and killed if it does not. The embedded brokers inherit nothing; their
reapers stop them when their owner is gone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

import psutil

RUN_OF: Final = "TESTS_RUN_OF"
STOP_SECONDS_MAX: Final = 15.0


def start() -> subprocess.Popen[bytes]:
    """Mark this process and all that it starts from now on; return its reaper."""
    os.environ[RUN_OF] = str(os.getpid())
    # In a session of its own, as Ctrl-C is for the run; with no environment, so that nothing measures it.
    command = [sys.executable, "-I", __file__, os.environ[RUN_OF]]
    return subprocess.Popen(command, stdin=subprocess.PIPE, env={}, start_new_session=True)


def release(started: subprocess.Popen[bytes]) -> None:
    """Let the reaper end what is left, if there is something, and end itself."""
    started.communicate()


def left_by(run: str) -> list[psutil.Process]:
    """Return the processes that inherited a run's id; those of other users cannot be asked."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.pid != os.getpid() and one.environ().get(RUN_OF) == run:
                found.append(one)
        except psutil.Error:
            continue
    return found


def end(processes: list[psutil.Process]) -> None:
    """Ask processes to stop, frozen ones too; kill those that do not."""
    for signal_all in (psutil.Process.terminate, psutil.Process.resume, psutil.Process.kill):
        for one in processes:
            try:
                signal_all(one)
            except psutil.Error:
                continue
        if signal_all is psutil.Process.resume:
            processes = psutil.wait_procs(processes, STOP_SECONDS_MAX)[1]


if __name__ == "__main__":
    sys.stdin.buffer.read()
    end(left_by(sys.argv[1]))
