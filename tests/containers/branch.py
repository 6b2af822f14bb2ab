"""`make test-containers`: the integration tests on brokers in containers, of the images that compose.yaml names.

Where no engine answers it says so and ends with 0. Further words are pytest's: files in place of all, or options.
"""

from __future__ import annotations

import subprocess
import sys

from containers.engine import ROOT, AbsentError, engine
from containers.run import report

TESTS = "tests/integration"
OPTIONS = ("-n", "0", "-m", "not slow", "-o", "timeout=600")


def command_of(words: list[str]) -> list[str]:
    """Return the command line of pytest: all integration tests that are not slow, or the files that the words name."""
    named = any(word.startswith("tests/") for word in words)
    return [sys.executable, "-m", "pytest", *OPTIONS, *words, *([] if named else [TESTS])]


def main(words: list[str]) -> int:
    """Run the tests; return pytest's exit status."""
    try:
        with engine() as found:
            report(f"the integration tests on {found.version}")
            own = {"RATCHET_TEST_STACK": "containers", "TESTCONTAINERS_RYUK_DISABLED": "true"}
            return subprocess.run(
                command_of(words), env=dict(found.environment) | own, cwd=ROOT, check=False
            ).returncode
    except AbsentError as error:
        report(f"skipped: {error}")
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
