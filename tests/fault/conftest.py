"""What the fault tests need of their own: brokers that they may stop and freeze at nobody else's cost."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from consumer_harness import until
from consumer_processes import ConsumerProcesses, consumer_processes, new_database
from freezing import freeze

from runtime.settings import load
from runtime.stack import Endpoints, Stack, read_state
from runtime.stack.broker import last_words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


HOMES = Path(__file__).parent.parent.parent / ".ratchet-test"


@dataclass
class Brokers:
    """Embedded brokers of the fault tests, and what may be done to them."""

    stack: Stack
    home: Path
    endpoints: Endpoints

    def server(self, name: str) -> psutil.Process:
        found = read_state(self.home)
        assert found is not None
        return psutil.Process(found.servers[name].pid)

    def freeze(self, name: str) -> list[psutil.Process]:
        """Stop a server and all its processes where they stand; return them for `thaw`."""
        server = self.server(name)
        frozen = [server, *server.children(recursive=True)]
        for process in frozen:
            freeze(process)
        return frozen

    def thaw(self, frozen: list[psutil.Process]) -> None:
        for process in frozen:
            if process.is_running():
                process.send_signal(signal.SIGCONT)

    async def shut_down(self, name: str) -> None:
        """End a server as an operator would, its clients' connections with it, and wait until it is gone."""
        self.server(name).send_signal(signal.SIGINT)

        async def gone() -> bool:
            return name in self.stack.dead()

        await until(gone, f"{name} is gone", 30)


@pytest.fixture(scope="session")
async def brokers() -> AsyncIterator[Brokers]:
    """Start brokers of the fault tests' own; with endpoints configured there are none that may be stopped."""
    if not load().embedded() or load().test_stack != "embedded":
        pytest.skip("the configured brokers are not ours to stop")
    home = HOMES / f"fault-{os.getpid()}"
    stack = Stack(home)
    try:
        yield Brokers(stack, home, await stack.start())
    finally:
        await stack.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
async def harness(brokers: Brokers, tmp_path: Path) -> AsyncIterator[ConsumerProcesses]:
    """Give a test a migrated database and the consumer's topics from now on, on the fault tests' brokers."""
    async with (
        new_database(brokers.endpoints) as database,
        consumer_processes(brokers.endpoints.kafka, database, tmp_path) as made,
    ):
        yield made
        for name in brokers.stack.dead():
            pytest.fail(f"{name} ended by itself: {last_words(brokers.home / name / 'server.log')}")
