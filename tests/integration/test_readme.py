"""README's blocks, pasted whole into a shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ops.binds import any_port
from producers.ingress.intents.clients import KEY_LENGTH_MIN

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

README = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
LOOPBACK = "127.0.0.1"


def block(title: str) -> str:
    """Return the first block of shell commands under a title."""
    found = re.search(rf"^## {title}$.*?^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[1]


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="README's blocks use them")
def test_the_first_webhook_and_the_first_intent_answer_202(tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    script = block("A first webhook by curl") + block("A payment intent")
    port = any_port(LOOPBACK)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    kept["RATCHET_CONSOLE__BIND"] = f"{LOOPBACK}:0"
    try:
        done = subprocess.run(
            ["bash", "-e", "-c", script.replace(":8080", f":{port}")],
            cwd=tmp_path, env=kept, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
    finally:
        down = subprocess.run([".venv/bin/ratchet", "down"], cwd=tmp_path, env=kept, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert down.stdout.startswith(b"stopped")
    assert done.stdout.count("HTTP/1.1 202 Accepted") == 2, done.stdout
    assert '{"accepted":1}' in done.stdout.replace(" ", "")
    assert "pi_1" in done.stdout


def test_its_key_is_long_enough() -> None:
    (key,) = set(re.findall(r"Bearer ([\w-]+)", README))
    assert len(key) >= KEY_LENGTH_MIN
    assert f'"shop":"{key}"' in README
