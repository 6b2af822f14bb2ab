"""docs/site.py, run as `make docs` runs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from mutants.planted import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.process

SITE = ROOT / "docs" / "site.py"


@pytest.mark.slow
def test_the_site_is_built_without_a_network(tmp_path: Path) -> None:
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], check=False).returncode:
        alone = []
    subprocess.run([*alone, sys.executable, SITE, tmp_path / "site"], check=True, timeout=110)
    assert (tmp_path / "site" / "html" / "docs" / "walkthrough.html").exists()
