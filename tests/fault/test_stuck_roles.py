"""A role that lives but does not get on: /livez sees it, however it is stuck, long before 30 s are over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest
from consumer_harness import until, webhook
from consumer_processes import ConsumerProcesses, consumer_processes
from freezing import freeze

from ops.status import ask_livez
from runtime.lifecycle import read_run_file
from runtime.settings import RoleSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from conftest import Database

    from runtime.stack import Endpoints

pytestmark = [pytest.mark.integration, pytest.mark.slow]

SEEN_WITHIN_SECONDS = 30.0
"""The promise: a stuck role is seen by then."""
PROBE_SECONDS = 1.0
"""How long the tests wait for an answer; the product waits `probe_timeout_seconds`."""

HANGING_ROLE = """
import asyncio, signal, sys, time
from runtime.lifecycle import run_role
from runtime.settings import load

async def serve(settings, stop, probe):
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: time.sleep(3600))
    probe.state = "running"
    await stop.wait()

sys.exit(run_role("relay", load(), serve))
"""


@contextmanager
def role(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a role whose loop blocks for good at SIGUSR1."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
    process = subprocess.Popen([sys.executable, "-c", HANGING_ROLE], env=environment | {"RATCHET_HOME": str(home)})
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def address_of(home: Path, name: str) -> str:
    async def there() -> bool:
        return read_run_file(home, name) is not None

    await until(there, "the role says where its probe is")
    found = read_run_file(home, name)
    assert found is not None
    return found.probe


async def test_a_frozen_process_and_a_blocked_loop_do_not_answer(tmp_path: Path) -> None:
    assert RoleSettings().probe_timeout_seconds < SEEN_WITHIN_SECONDS
    with role(tmp_path) as process:
        probe = await address_of(tmp_path, "relay")
        assert await ask_livez(probe, 10.0) is None
        freeze(psutil.Process(process.pid))
        assert await ask_livez(probe, PROBE_SECONDS) is not None
        process.send_signal(signal.SIGCONT)

        async def back() -> bool:
            return await ask_livez(probe, 5.0) is None

        await until(back, "it answers again")
        process.send_signal(signal.SIGUSR1)

        async def hangs() -> bool:
            return await ask_livez(probe, PROBE_SECONDS) is not None

        await until(hangs, "a loop that is blocked does not answer", 20)
        assert process.poll() is None, "it lives"


@pytest.fixture
async def harness(stack: Endpoints, database: Database, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    async with consumer_processes(stack.kafka, database, tmp_path) as made:
        yield made


async def test_a_consumer_that_processes_nothing_while_there_is_lag_is_seen(harness: ConsumerProcesses) -> None:
    """Its loop runs, its probe answers, it is a member of the group: only its progress tells."""
    child = harness.spawn(limits={"stall_seconds": 5.0, "batches_in_flight_max": 1}, hang="stuck-here")
    await harness.publish([webhook("payment.created", "normal")])
    await harness.until_written(1)
    probe = await address_of(harness.folder / "home-0", "consumer")
    assert await ask_livez(probe, 10.0) is None
    began = time.monotonic()
    await harness.publish([webhook("payment.created", "stuck-here")])

    async def seen() -> bool:
        return "1 batches open and nothing attempted" in str(await ask_livez(probe, 10.0))

    await until(seen, "the stall is reported", SEEN_WITHIN_SECONDS)
    assert time.monotonic() - began < SEEN_WITHIN_SECONDS
    assert child.running
    assert child.health()["state"] == "running"

    async def reported() -> bool:
        return bool(child.lines("stalled"))

    await until(reported, "the log tells it")
    assert child.lines("stalled")[0]["tasks"], "and says where the tasks wait"
