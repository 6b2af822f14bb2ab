"""The recipe of CONTRIBUTING.md: one file, its vectors and one trace make a provider, with no other change.

The house is copied, the three files are put into the copy, and the copy's own contract suite runs on them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.unit, pytest.mark.timeout(300)]

HERE = Path(__file__).parent
HOUSE = HERE.parent.parent
ROOMS = ("schemas", "providers", "runtime", "producers", "consumer")
SECRET = "acme secret"
PAID = {"id": "evt_1", "type": "payment.paid", "payment": "P1", "amount": 1000, "currency": "EUR"}
BACK = {**PAID, "id": "evt_2", "type": "payment.refunded", "refund": "R1", "amount": 400}
ROW = {
    "provider_ref": "P1", "client": None, "reference": None, "status": "captured", "refund_status": "partial",
    "dispute_status": "none", "currency": "EUR", "amount": 1000, "authorized": 1000, "captured": 1000, "refunded": 400,
    "disputed": 0,
}  # fmt: skip


def case(name: str, event: dict[str, Any], *, signed_with: str = SECRET, reason: str | None = None) -> dict[str, Any]:
    """Return one case of the vectors, signed by what an SDK would do."""
    body = json.dumps(event).encode()
    events = [{"event_id": event["id"], "kind": event["type"], "payment_ref": event["payment"]}]
    verdict: dict[str, Any] = {"expect": "accept", "trust": "verified", "events": events}
    return {
        "name": name,
        "secrets": [SECRET],
        "url": "https://example.test/webhooks/acme",
        "headers": {"Acme-Signature": hmac.digest(signed_with.encode(), body, hashlib.sha256).hex()},
        "body_base64": base64.b64encode(body).decode(),
        "now": 1_790_000_300,
        **(verdict if reason is None else {"expect": "reject", "reason": reason}),
    }


def add_acme(house: Path, *, row: dict[str, Any]) -> None:
    """Put the three files of the recipe into a copy of the house."""
    wrong = case("wrong_secret", PAID, signed_with="another", reason="wrong_secret")
    cases = [case("paid", PAID), case("refunded", BACK), wrong]
    life = {"name": "paid, refunded in part", "events": [{"case": "paid"}, {"case": "refunded"}], "row": row}
    files = {"vectors": {"provider": "acme", "cases": cases}, "traces": {"provider": "acme", "lives": [life]}}
    for folder, content in files.items():
        (house / "tests" / "contract" / folder / "acme.json").write_text(json.dumps(content))
    shutil.copy(HERE / "recipe" / "acme.py", house / "providers" / "acme.py")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """Copy the rooms and the tests."""
    unwanted = shutil.ignore_patterns("__pycache__", "test_recipe.py", "test_sdk_*", "integration", "fault", "load")
    for name in (*ROOMS, "tests"):
        shutil.copytree(HOUSE / name, tmp_path / name, ignore=unwanted)
    shutil.copy(HOUSE / "pyproject.toml", tmp_path)
    return tmp_path


def run_suite(house: Path, *arguments: str) -> dict[str, set[str]]:
    """Run the copy's contract suite; return the names of the test functions that passed on acme, failed, or did not."""
    report = house / "report.xml"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST"))}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
         "--hypothesis-seed=1", *arguments],
        cwd=house, env=environment, check=False, timeout=280, capture_output=True,
    )  # fmt: skip
    found: dict[str, set[str]] = {"passed": set(), "failed": set()}
    for test in ET.parse(report).iter("testcase"):
        outcome = "passed" if not len(test) else test[0].tag.replace("error", "failed").replace("failure", "failed")
        found.setdefault(outcome, set()).add(test.get("name", "").partition("[")[0])
    return found


def suite() -> dict[str, set[str]]:
    """Return the files of the suite that run a provider at a time, and their test functions that do."""
    by_provider = re.compile(
        r'@pytest\.mark\.parametrize\(\s*(?:"(?:provider|life|name)"|\("provider", "case"\)), *'
        r"(?:NAMES|LIVES|sorted\(providers\.names\(\)\)|_cases\(\))[^@]*?(?:@[^@]*?)*?^def (test_\w+)",
        re.MULTILINE,
    )
    found = {path.name: set(by_provider.findall(path.read_text())) for path in HERE.glob("test_*.py")}
    return {f"tests/contract/{name}": functions for name, functions in found.items() if functions}


def test_one_file_its_vectors_and_one_trace_pass_the_whole_contract_suite(house: Path) -> None:
    add_acme(house, row=ROW)
    found = run_suite(house, *suite(), "-k", "acme")
    expected = set().union(*suite().values())
    assert not found["failed"]
    assert found["passed"] == expected
    assert len(expected) >= 16


def test_the_suite_notices_what_is_wrong_with_a_new_provider(house: Path) -> None:
    add_acme(house, row={**ROW, "refunded": 0})
    file = house / "providers" / "acme.py"
    file.write_text(file.read_text().replace('    check_body_mac(request, "acme-signature", hmac_hex)\n', ""))
    (house / "tests" / "contract" / "traces" / "stripe.json").unlink()
    files = [f"tests/contract/test_{name}.py" for name in ("vectors", "traces")]
    found = run_suite(house, *files, "-k", "acme or (stripe and trace)")
    expected = {
        "test_case",
        "test_the_trace_and_its_reverse_come_to_the_row",
        "test_any_order_repetition_and_cut_gives_one_row",
        "test_who_speaks_of_payments_has_a_trace",
    }
    assert found["failed"] == expected
