"""The disks of an embedded home, each named before it is full."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, NamedTuple

import pytest

from ops import home_disks

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit
DISK = 10**12


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def other_disk(monkeypatch: pytest.MonkeyPatch, folder: Path, free: int) -> None:
    """Have a folder, and what lies in it, be a disk of its own with so much room; other disks have plenty."""
    real = type(folder).stat

    class Stat:
        def __init__(self, path: Path) -> None:
            self.st_mode = real(path).st_mode
            self.st_dev = -1 if folder in (path, *path.parents) else real(path).st_dev

    monkeypatch.setattr(type(folder), "stat", lambda path, **_: Stat(path))
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: Usage(DISK, 0, free if folder in (path, *path.parents) else DISK)
    )


def test_a_home_that_is_not_there_yet_has_the_disk_of_the_folder_above(tmp_path: Path) -> None:
    (found,) = home_disks.findings(tmp_path / "not" / "there", 1)
    assert (found.check, found.ok) == ("disk", True)
    assert str(tmp_path) in found.found
    assert home_disks.low(tmp_path, 10**18)


def test_a_disk_is_named_once(tmp_path: Path) -> None:
    for name in home_disks.FOLDERS:
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    assert len(home_disks.findings(tmp_path, 1)) == 1


@pytest.mark.parametrize("name", home_disks.FOLDERS)
def test_a_folder_on_a_disk_of_its_own_is_named_before_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / name).mkdir(parents=True)
    other_disk(monkeypatch, tmp_path / name, 10**8)
    own, other = home_disks.findings(tmp_path, 10**9)
    assert (own.check, own.ok, own.advice) == ("disk", True, "")
    assert (other.check, other.ok) == (f"disk of {name}", False)
    assert "1.0 GB is the least" in other.advice
    assert home_disks.low(tmp_path, 10**9) == [f"disk of {name}: 0.1 GB free at {tmp_path / name}"]
