"""A full disk under Kafka, Postgres and the logs at once: named before it is full, nothing lost, back without a hand.

The whole home lies on a small tmpfs, so it takes a root of Linux. The goal is a minute from when there is room again.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from load.effects import verdict_of
from load.posting import LoadedIngress
from load.run import product
from load.traffic import CLIENT, Traffic

from ops.run_sample import choose_signers
from runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

DISK_BYTES = 1_200 * 1024 * 1024
FREE_BYTES_MIN = 100 * 1024 * 1024
"""From here on it is named: an idle home leaves more."""
FULL_SECONDS = 15.0
BACK_SECONDS_MAX = 60.0
API_KEY = "sk_disk_0123456789abcdef"
CHUNK = bytes(1 << 20)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Give a home on a disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only a root of Linux may mount a small disk")
    options = f"size={DISK_BYTES},mode=0755"
    if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "ratchet-disk", place], check=False).returncode:
        pytest.skip("this machine lets nobody mount a tmpfs")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path, leave_bytes: int) -> None:
    """Fill the disk but for so much; to the last byte where that is none."""
    with (place / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while shutil.disk_usage(place).free > leave_bytes:
            file.write(CHUNK)
    assert shutil.disk_usage(place).free <= leave_bytes + len(CHUNK)


async def told(place: Path, word: str) -> str:
    """Return what a command prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "ops.cli", word, "--json",
        env=os.environ | {"RATCHET_HOME": str(place), "RATCHET_OPS__DISK_FREE_BYTES_MIN": str(FREE_BYTES_MIN)},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


async def test_a_full_disk_loses_nothing_and_all_is_back_within_a_minute(home: Path) -> None:
    signers, secrets = choose_signers(Settings())
    more = secrets | {"RATCHET_API_KEYS": json.dumps({CLIENT: API_KEY})}
    traffic = Traffic(seed=16, now=int(time.time()))
    with product(home, more) as (settings, url):
        ingress = LoadedIngress(url, traffic, signers, API_KEY)
        async with ingress.under_load(20.0, 2.0):
            await asyncio.sleep(3)
            fill(home, FREE_BYTES_MIN // 2)
            for word in ("doctor", "status"):
                assert "GB free" in await told(home, word), f"{word} names the disk before it is full"
            fill(home, 0)
            await asyncio.sleep(FULL_SECONDS)
            (home / "filler").unlink()
            room = time.monotonic()
            await asyncio.sleep(5)
        await ingress.send_again()
        assert not ingress.waiting, "what was refused is taken in the end"
        verdict = await verdict_of(settings, ingress.answers, traffic, rest_seconds_max=120.0)
        assert verdict.problems == []
        assert time.monotonic() - room < BACK_SECONDS_MAX
    statuses = {answer.status for answer in ingress.answers}
    assert statuses <= {200, 202, 503, 0}, statuses
