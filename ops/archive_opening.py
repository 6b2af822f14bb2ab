"""Opens an archive for a command: by now pyarrow has to be there, which is an extra (`archive`) and imported late."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ops.archive import Archive
    from ops.archive_check import ArchiveCheck


def open_archive(folder: Path, key: bytes) -> Archive:
    """Open an archive that holds; raises SettingsError without pyarrow, ArchiveError where it does not hold."""
    from ops.archive import Archive
    from ops.archive_parquet import check_pyarrow

    check_pyarrow()
    return Archive.opened(folder, key)


def open_check(folder: Path, key: bytes, seal: Path | None) -> ArchiveCheck:
    """Read and check an archive; raises SettingsError without pyarrow, and what `ArchiveCheck.of` raises."""
    from ops.archive_check import ArchiveCheck
    from ops.archive_parquet import check_pyarrow

    check_pyarrow()
    return ArchiveCheck.of(folder, key, seal)
