"""Where everything of one embedded stack lies: all of it under RATCHET_HOME, private to its user."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from runtime.folders import make_private
from schemas.errors import StackError

DISK_BYTES_MIN: Final = 1024**3
"""Free bytes below which a start is refused: jars 45 MB, Postgres 60 MB and its WAL, Kafka's segments."""
PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700
UNUSABLE: Final = '$"`:\n'
"""What no path of ours may hold: Postgres' initdb hands its own path to a shell between double quotes, and Java
separates its class path by colons."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one home; `home` is absolute."""

    home: Path

    @property
    def lock(self) -> Path:
        return self.home / "stack.lock"

    @property
    def state(self) -> Path:
        return self.home / "stack.json"

    @property
    def kept(self) -> Path:
        return self.home / "stack-kept.json"

    def broker(self, name: str) -> Path:
        """Return the folder of one broker."""
        return self.home / name


def at(home: Path) -> Layout:
    """Return the layout of a home, without touching the disk."""
    return Layout(Path(os.path.abspath(home)))  # noqa: PTH100 - resolve() would turn a link into its target


def usable(path: Path) -> Path:
    """Return the path; raise StackError where the brokers cannot work under it."""
    wrong = " and ".join(repr(letter) for letter in UNUSABLE if letter in str(path))
    if wrong:
        raise StackError(
            f"the brokers cannot work under a path with {wrong}: {path}; move the checkout, or set RATCHET_HOME "
            "and install into another environment"
        )
    return path


def make_ready(layout: Layout) -> None:
    """Create the home and make sure that it can be written and has room; raise StackError if not."""
    usable(layout.home)
    try:
        make_private(layout.home)
        close(layout)
        for name in ("kafka", "postgres", "redis"):
            layout.broker(name).mkdir(exist_ok=True, mode=PRIVATE_FOLDER)
        probe = layout.home / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
        free_bytes = shutil.disk_usage(layout.home).free
    except OSError as error:
        raise StackError(
            f"the home {layout.home} cannot be written ({error.strerror}); make it writable or set RATCHET_HOME"
        ) from error
    if free_bytes < DISK_BYTES_MIN:
        raise StackError(
            f"the disk of {layout.home} has {free_bytes // 1024**2} MiB free and the embedded brokers need "
            f"{DISK_BYTES_MIN // 1024**2}; free some or set RATCHET_HOME to another disk"
        )


def close(layout: Layout) -> None:
    """Take away from others what a home of an earlier version let them read; a folder that is not ours stays as it is.

    The right to pass through stays: as root, Postgres' user needs it.
    """
    for directory in (layout.home, layout.home / "log", layout.home / "run", *map(layout.broker, ("kafka", "redis"))):
        if layout.kept.exists() and directory.is_dir():
            mode = stat.S_IMODE(directory.stat().st_mode)
            kept = mode & (PRIVATE_FOLDER | stat.S_IXGRP | stat.S_IXOTH)
            if kept != mode:
                directory.chmod(kept)


def write_private(path: Path, text: str) -> None:
    """Replace a file at once (a reader sees the old or the new one), readable by its owner alone."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def open_private(path: Path) -> IO[bytes]:
    """Begin a file anew for its owner alone, whatever it was before."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "wb")


def let_others_pass(path: Path) -> list[Path]:
    """Give every folder above `path` the right to be passed through (o+x, never to be read); return those changed.

    Needed only when we are root, because Postgres refuses to run as root and its user must reach its files.
    """
    changed = []
    for directory in path.parents:
        mode = stat.S_IMODE(directory.stat().st_mode)
        if not mode & stat.S_IXOTH:
            directory.chmod(mode | stat.S_IXOTH)
            changed.append(directory)
    return changed
