"""Who a process is: its pid and its start time. A name or a pid alone may be another's by now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import psutil

from schemas.errors import StackError

STARTED_TOLERANCE_SECONDS: Final = 2.0
"""How far two readings of one start time lie apart at most: the boot time it is derived from moves with the clock."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A process: pid and start time in seconds since 1970."""

    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """Return the process if it still runs (a zombie does not) and is this very one."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= STARTED_TOLERANCE_SECONDS
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None

    def alive(self) -> bool:
        """Tell whether this very process still runs."""
        return self.process() is not None

    def signal(self, number: int) -> bool:
        """Send a signal to this very process; False if it is gone. Raise StackError if it belongs to another user."""
        process = self.process()
        if process is None:
            return False
        try:
            process.send_signal(number)
        except psutil.AccessDenied as error:
            raise StackError(f"the process {self.pid} belongs to another user; stop it as that user") from error
        except psutil.NoSuchProcess:
            return False
        return True


def of(pid: int) -> Identity | None:
    """Return the identity of a running process, or None."""
    try:
        return Identity(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return None
