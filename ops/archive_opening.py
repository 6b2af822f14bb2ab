"""Opens an archive for a command: by now pyarrow has to be there, which is an extra (`archive`) and imported late."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ops.archive import Archive
    from ops.archive_proof import ArchiveProof


def open_archive(folder: Path, key: bytes) -> Archive:
    """Open an archive that holds; raises SettingsError without pyarrow, ArchiveError where it does not hold."""
    from ops.archive import Archive
    from ops.archive_parquet import check_pyarrow

    check_pyarrow()
    return Archive.opened(folder, key)


def open_proof(folder: Path, key: bytes, seal: Path | None) -> ArchiveProof:
    """Read and check an archive; raises SettingsError without pyarrow, and what `ArchiveProof.of` raises."""
    from ops.archive_parquet import check_pyarrow
    from ops.archive_proof import ArchiveProof

    check_pyarrow()
    return ArchiveProof.of(folder, key, seal)
