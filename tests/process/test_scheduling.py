"""A test that kills its worker fails once; the rest of its file and all others run, and the run ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

SUPPORT = Path(__file__).parents[1] / "support"
FILE = """
import os, signal, pytest

@pytest.mark.parametrize("number", range(6))
def test_one(number):
    if number == {fatal}:
        os.kill(os.getpid(), signal.SIGKILL)
"""
PYTEST = (sys.executable, "-m", "pytest", "-p", "xdist", "-p", "no:cacheprovider")
BARE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
RUN_SECONDS_MAX = 100


@pytest.mark.parametrize("workers", [1, 2])
def test_a_test_that_kills_its_worker_fails_once(tmp_path: Path, workers: int) -> None:
    (tmp_path / "conftest.py").write_text("from scheduling import make\n\npytest_xdist_make_scheduler = make\n")
    for name, fatal in (("test_a", None), ("test_b", 2), ("test_c", 5), ("test_d", None)):
        (tmp_path / f"{name}.py").write_text(FILE.format(fatal=fatal))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = (*PYTEST, "-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder", "-q", str(tmp_path))
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(SUPPORT)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False
    )
    counts = {outcome: int(count) for count, outcome in re.findall(r"(\d+) (passed|failed)", done.stdout)}
    assert counts == {"passed": 22, "failed": 2}, done.stdout + done.stderr
    assert done.stdout.count("crashed while running") >= 2
    assert done.returncode == 1
