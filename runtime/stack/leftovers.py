"""What a killed run left behind: its lock and its servers, which must be gone before the next run."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from typing import TYPE_CHECKING

from runtime.stack.layout import PRIVATE_FILE, Layout
from schemas.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.stack.state import StackState

POLL_SECONDS = 0.1
KILL_WAIT_SECONDS = 5.0


def take_lock(path: Path) -> int | None:
    """Lock a file for this process and return its handle; None if another holds it. The kernel frees it at our end."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def is_locked(path: Path) -> bool:
    """Tell whether a process holds the lock."""
    if not path.exists():
        return False
    handle = take_lock(path)
    if handle is not None:
        os.close(handle)
    return handle is None


def wait_until_gone(layout: Layout, names: tuple[str, ...], old: StackState | None, wait_seconds: float) -> None:
    """Wait for the servers of a killed run, which their reapers stop; kill those that stay, known by pid and start.

    Raise StackError if one stays even so. Blocks.
    """
    if _gone_within(layout, names, wait_seconds):
        return
    for server in old.servers.values() if old else ():
        server.signal(signal.SIGKILL)
    if not _gone_within(layout, names, KILL_WAIT_SECONDS):
        held = [name for name in names if is_locked(layout.broker(name) / "server.lock")]
        raise StackError(f"{', '.join(held)} of an earlier run still live in {layout.home}; stop them by hand")


def _gone_within(layout: Layout, names: tuple[str, ...], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(is_locked(layout.broker(name) / "server.lock") for name in names):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
