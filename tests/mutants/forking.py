"""Runs of pytest in one copy of a tree, each forked from a process that has imported what all need but the tree.

Importing pytest, Hypothesis and the clients takes longer than most tests. This file runs as a program of its own in the
copy, with the modules to import as its arguments. A line on its standard input is a JSON list: the file that takes the
output, then pytest's arguments. It answers with two lines, the run's process id and, at its end, pytest's status.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import sys


def serve() -> None:
    """Fork a run for each line until there are no more."""
    for name in sys.argv[1:]:
        with contextlib.suppress(ImportError):  # what is not there is not needed either
            importlib.import_module(name)
    for line in sys.stdin:
        output, *arguments = json.loads(line)
        child = os.fork()
        if child == 0:
            run(output, arguments)
        answer(child)
        _, status = os.waitpid(child, 0)
        answer(os.waitstatus_to_exitcode(status))


def answer(number: int) -> None:
    """Write a line that the other end waits for."""
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


def run(output: str, arguments: list[str]) -> None:
    """Run pytest in this process, which ends with it."""
    import pytest

    status = 3
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for standard, end in ((0, nothing), (1, handle), (2, handle)):
            os.dup2(end, standard)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        status = int(pytest.main(arguments))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
