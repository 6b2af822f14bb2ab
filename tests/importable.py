"""`python tests/importable.py`: collect all tests, run none, and say what could not be imported."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import pytest


def main() -> int:
    """Return 0 where every module of the tests can be imported."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", str(Path(__file__).parent)])
    _, errors, text = shown.getvalue().partition("ERRORS ==")
    if code:
        sys.stdout.write(errors + text or shown.getvalue())
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main())
