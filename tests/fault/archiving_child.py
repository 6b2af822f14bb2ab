"""Archiving and retention as a child process that kills itself at a step; never part of the product.

Arguments: the owner's DSN, the folder, the seal. Each line of standard input is a step, for which a process is forked
(an import takes longer than a run). A step is anything that leaves a trace: a query before and after its answer, rows
written to a file, a file that is synchronised, named, linked or removed. At that step it ends by SIGKILL; with 0 it
prints how many steps archiving took and how many there were in all. A line with the exit status ends each answer.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import functools
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pyarrow.parquet  # noqa: F401 - so that no fork has to import it

from ops import archive_parquet
from ops.archive import Archive
from ops.archive_run import Archiving, archive_old
from ops.retention import DAYS_MIN, Signing, remove_old

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = b"a key that nobody who owns the schema has"
ROWS_MAX = 25


class Steps:
    """Counts steps, and ends the process at one."""

    last = 0
    count = 0

    @classmethod
    def take(cls) -> None:
        cls.count += 1
        if cls.count == cls.last:
            os.kill(os.getpid(), signal.SIGKILL)


def stepped(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        Steps.take()
        found = function(*args, **kwargs)
        Steps.take()
        return found

    return run


def stepped_awaited(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> Any:
        Steps.take()
        found = await function(*args, **kwargs)
        Steps.take()
        return found

    return run


async def main(step: int) -> None:
    dsn, folder, seal = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    connection = await asyncpg.connect(dsn)
    Steps.last = step
    for owner, names in {
        os: ("fsync", "link"),
        Path: ("replace", "unlink"),
        archive_parquet.ParquetRows: ("write", "close"),
    }.items():
        for name in names:
            setattr(owner, name, stepped(getattr(owner, name)))
    for name in ("execute", "fetch"):
        setattr(asyncpg.Connection, name, stepped_awaited(getattr(asyncpg.Connection, name)))
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=DAYS_MIN + 1)
    await archive_old(connection, Archive.opened(folder, KEY), Archiving(later, ROWS_MAX, KEY, seal))
    archived = Steps.count
    await remove_old(connection, DAYS_MIN, later, Signing(KEY), Archive.opened(folder, KEY))
    print(archived, Steps.count, flush=True)  # noqa: T201


for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        asyncio.run(main(int(line)))
        os._exit(0)
    print("status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201
