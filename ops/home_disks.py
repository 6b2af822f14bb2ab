"""The room that is left on the disks of an embedded home: its folders may be mounts, or links to other disks."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Final

from ops.finding import Finding

if TYPE_CHECKING:
    from pathlib import Path

GIGABYTE: Final = 1e9
FOLDERS: Final = ("kafka", "kafka/data", "postgres", "postgres/data", "postgres/data/pg_wal", "redis", "log", "run")
"""Folders of a home that people put on a disk of their own, from the outer to the inner."""


def folders_by_disk(home: Path) -> dict[int, Path]:
    """Return the disks of a home by their device, each with its outermost folder; the home's own comes first.

    A home that is not there yet is looked for in the folders above it. What we may not look into is left out.
    """
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    found = {existing.stat().st_dev: existing}
    for name in FOLDERS:
        with contextlib.suppress(OSError):
            found.setdefault((home / name).stat().st_dev, home / name)
    return found


def findings(home: Path, bytes_min: int) -> list[Finding]:
    """Look at the room left on each disk of a home."""
    found = []
    for folder in folders_by_disk(home).values():
        free = shutil.disk_usage(folder).free
        ok = free >= bytes_min
        advice = "" if ok else f"make room, or set RATCHET_HOME; {bytes_min / GIGABYTE:.1f} GB is the least"
        check = f"disk of {folder.relative_to(home)}" if home in folder.parents else "disk"
        found.append(Finding(check, ok=ok, found=f"{free / GIGABYTE:.1f} GB free at {folder}", advice=advice))
    return found


def low(home: Path, bytes_min: int) -> list[str]:
    """Return one sentence for each disk of a home that has less room than that."""
    return [f"{one.check}: {one.found}" for one in findings(home, bytes_min) if not one.ok]
