"""CPU time of a server with all its processes, those that ended included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping


def cpu_seconds(pid: int) -> float:
    """Return the user and system seconds of a process, of its living descendants, and of its children that ended.

    Postgres' postmaster waits for each backend that ends, so the kernel adds that one's seconds to the postmaster's
    children; a living backend's own children count with it.
    """
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    return sum(_own(process) for process in family)


def _own(process: psutil.Process) -> float:
    try:
        spent = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(
        spent.user + spent.system + getattr(spent, "children_user", 0.0) + getattr(spent, "children_system", 0.0)
    )


def snapshot(servers: Mapping[str, int]) -> dict[str, float]:
    """Return the CPU seconds of each server so far."""
    return {name: cpu_seconds(pid) for name, pid in servers.items()}


def spent(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return the CPU seconds between two snapshots; never below zero: a server may have been restarted."""
    return {name: max(0.0, after[name] - before.get(name, 0.0)) for name in after}
