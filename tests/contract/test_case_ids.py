"""Every case that was given is played by its id: `cases/ids.txt` lists them, and none is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

pytestmark = pytest.mark.unit

TESTS: Final = Path(__file__).parents[1]
CASES: Final = TESTS / "contract" / "cases"
BESIDE: Final = {
    "FW1": "unit/test_refetch_flutterwave.py",
    "M1": "unit/test_interpret_mpesa.py",
    "M3": "unit/test_interpret_mpesa.py",
    "PB23": "unit/test_interpret_mpesa.py",
}
"""Cases of bodies that nobody signed: what they name is asked about, by tests of their own that say the id."""


def test_every_case_is_played_by_its_id() -> None:
    reported = (CASES / "ids.txt").read_text().split()
    files = sorted(CASES.glob("*.jsonl"))
    played = [json.loads(line)["id"] for path in files for line in path.read_text().splitlines()]
    assert len(reported) == len(set(reported)) == 72
    assert sorted(set(reported) - set(played) - BESIDE.keys()) == []


@pytest.mark.parametrize(("case", "path"), BESIDE.items())
def test_a_case_beside_is_named_in_its_test(case: str, path: str) -> None:
    assert f'"{case}"' in (TESTS / path).read_text()
