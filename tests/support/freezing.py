"""Stopping a process where it stands, for tests of what others do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil
from waiting import wait_until

if TYPE_CHECKING:
    from broker_containers import BrokerContainer


def freeze(process: psutil.Process | BrokerContainer) -> None:
    """Suspend a process and wait until it stands still.

    SIGSTOP waits for one thread to take it; until then the others go on. On a busy machine that was 20 ms in half of
    all cases and up to 50: a broker answered one request more.
    """
    process.suspend()
    if isinstance(process, psutil.Process):
        wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "the process stands still", 10)
