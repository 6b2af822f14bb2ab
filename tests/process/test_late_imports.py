"""What a fresh interpreter imports, and what it leaves until it is needed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime import telemetry

pytestmark = pytest.mark.process

TESTS = Path(__file__).parent.parent


def test_nobody_else_imports_opentelemetry_and_it_is_imported_late() -> None:
    root = Path(telemetry.__file__).parents[1]
    rooms = ("schemas", "providers", "runtime", "producers", "consumer", "ops")
    using = {
        str(file.relative_to(root))
        for room in rooms
        for file in (root / room).rglob("*.py")
        if re.search(r"^\s*(from|import) opentelemetry", file.read_text(), re.MULTILINE)
    }
    assert using == {"runtime/telemetry.py"}
    script = "import sys, runtime.lifecycle, consumer.processing; print('opentelemetry' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert ran.stdout.strip() == "False"


def test_a_command_imports_no_other_s_modules() -> None:
    look = "import sys, ops.cli; print(*sorted(name for name in sys.modules if name.partition('.')[0] == 'ops'))"
    loaded = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["ops", "ops.cli", "ops.loopback", "ops.output", "ops.server"]


def test_nothing_but_the_locustfile_knows_locust() -> None:
    """Locust patches sockets and threads of the whole process that imports it."""
    looks = "import load.run, load.posting, sys; sys.exit('gevent' in sys.modules or 'locust' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", looks], env={"PYTHONPATH": str(TESTS)}, check=False).returncode == 0
