"""Folders of a home, which its user alone can read: passwords, logs and payloads lie there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

OWNER_ALONE: Final = 0o700


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are not there, for their owner alone; what is there stays as it is.

    `Path.mkdir` gives its mode to the last folder only, so that a new home would be open above its closed folders.
    Raises OSError where it cannot be made.
    """
    for missing in [path for path in (*reversed(folder.parents), folder) if not path.is_dir()]:
        missing.mkdir(mode=OWNER_ALONE, exist_ok=True)
