"""What is reported of Postgres' disk, and from when on it is a problem."""

from __future__ import annotations

import pytest

from ops import postgres_disk
from runtime.postgres_disk import PostgresDisk

pytestmark = pytest.mark.unit
GB = 10**9


def test_a_disk_with_room_is_no_problem() -> None:
    found = postgres_disk.finding(PostgresDisk(100 * GB, 40 * GB, 2 * GB), 58 * GB)
    assert (found.check, found.ok, found.advice) == ("postgres disk", True, "")
    assert found.found == "58.0 GB free of 100.0: databases use 40.0, WAL 2.0"


def test_a_disk_with_less_room_than_the_bound_is_named() -> None:
    found = postgres_disk.finding(PostgresDisk(100 * GB, 40 * GB, 2 * GB), 58 * GB + 1)
    assert not found.ok
    assert "RUNBOOK: The disk of Postgres fills up" in found.advice


def test_a_disk_that_is_larger_than_the_settings_say_is_named_too() -> None:
    assert not postgres_disk.finding(PostgresDisk(10 * GB, 12 * GB, GB), 0).ok
