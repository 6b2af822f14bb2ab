"""A planted fault is tried out: its tests run in a process of their own, and it has one of five outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from mutants import planted, trial
from mutants.trial import KILLED, SURVIVED, Trial

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

TEXT = """\
Harm: Money is counted twice.
Breaks: exactly one effect
Tests: {tests}

--- a/one.py
+++ b/one.py
@@ -2,3 +2,3 @@
 a = 1
-b = 2
+{line}
 c = 4
"""


@pytest.mark.parametrize(
    ("planted_line", "tests", "verdict", "noticed_by"),
    [
        ("b = 3", "test_one.py", KILLED, "test_one.py::test_b"),
        ("b = 2  # the same", "test_one.py", SURVIVED, ""),
        ("b = c", "test_one.py", trial.BROKEN, ""),
        ("b = 3", "test_one.py::test_nothing", trial.UNKNOWN, ""),
        ("b = 3", "test_one.py::test_slow", trial.SLOW, ""),
    ],
)
def test_what_becomes_of_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, planted_line: str, tests: str, verdict: str, noticed_by: str
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the start of pytest is most of what this takes
    monkeypatch.setattr(trial, "PRELOADED", ("pytest",))
    fault = planted.read("consumer-one", TEXT.format(tests=tests, line=planted_line))
    file = tmp_path / "one.py"
    file.write_text("\na = 1\nb = 2\nc = 4\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    slow = "def test_slow():\n    import time\n    time.sleep(60)\n" if verdict == trial.SLOW else ""
    (tmp_path / "test_one.py").write_text(f"import one\n\n\ndef test_b():\n    assert one.b == 2\n\n\n{slow}")
    with Trial(tmp_path, 0.5 if verdict == trial.SLOW else 60) as tried:
        outcome = tried.try_out(fault)
    assert (outcome.verdict, outcome.noticed_by) == (verdict, noticed_by), outcome.printed
    assert file.read_text() == "\na = 1\nb = 2\nc = 4\n", "the fault is taken out again"


def test_a_fault_that_fits_no_more_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PRELOADED", ())
    with Trial(tmp_path, 60) as tried:
        outcome = tried.try_out(planted.read("consumer-one", TEXT.format(tests="test_one.py", line="b = 3")))
    assert (outcome.verdict, outcome.printed) == (trial.UNFIT, "consumer-one: there is no one.py")
