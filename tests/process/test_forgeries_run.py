"""`make forgeries`, in small: processes that forge requests of every family, all of which are refused."""

from __future__ import annotations

import json

import pytest

from ops.bench.forgeries import main
from ops.bench.forging import FAMILIES

pytestmark = pytest.mark.process


def test_all_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "90", "--workers", "1", "--json"]) == 0
    reported = json.loads(capsys.readouterr().out)
    assert {row["family"] for row in reported["rows"]} == {*FAMILIES} == reported["families"].keys()
    for family in FAMILIES:
        rows = [row for row in reported["rows"] if row["family"] == family]
        assert sum(row["forgeries"] for row in rows) == 90
        assert all(row["accepted"] == row["other_exceptions"] == 0 for row in rows)


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "10", "--workers", "1", "--family", "certificate"]) == 0
    assert "paypal" in capsys.readouterr().out
