"""What a role says of a schema that does not fit."""

from __future__ import annotations

import pytest

from runtime.schema_version import mismatch, newest_known

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("applied", "expected"),
    [
        (None, ["no schema yet", "`ratchet migrate up`"]),
        (17, ["at 0017", "works with 0019", "`ratchet migrate up`"]),
        (21, ["at 0021", "newer than 0019", "start the release that brought it", "--steps 2"]),
    ],
)
def test_a_schema_that_does_not_fit_is_reported_with_what_to_do(applied: int | None, expected: list[str]) -> None:
    found = mismatch(applied, 19)
    assert found is not None
    assert [part for part in expected if part not in found] == []


def test_a_schema_that_fits_is_nothing() -> None:
    assert mismatch(newest_known(), newest_known()) is None
