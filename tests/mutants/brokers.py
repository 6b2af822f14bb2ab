"""Embedded brokers that outlive one run of pytest: started once, and given to each by the folder they run in.

Starting them takes longer than most tests. Only the tests' fixture `stack` uses these; tests that stop and freeze
brokers still start some of their own.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from typing import TYPE_CHECKING, Final

from mutants.planted import ROOT
from runtime.stack import serve

if TYPE_CHECKING:
    from pathlib import Path

    from runtime.stack import Endpoints

VARIABLE: Final = "TESTS_BROKERS_HOME"
"""Names the folder to tests/conftest.py."""
START_SECONDS_MAX: Final = 180.0


class Brokers:
    """Brokers in a thread of their own, which brings back what a fault brings down; a context manager."""

    def __init__(self, number: int) -> None:
        self.home: Path = ROOT / ".ratchet-test" / f"mutants-{number}-{os.getpid()}"
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=self.home.name)

    def __enter__(self) -> dict[str, str]:
        """Start them; return what to put into the environment of pytest."""
        self._thread.start()
        if not self._ready.wait(START_SECONDS_MAX) or self._failure is not None:
            self.__exit__()
            raise SystemExit(f"mutants: the brokers do not start: {self._failure or 'no answer'}")
        return {VARIABLE: str(self.home)}

    def __exit__(self, *_: object) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - reported by who waits for the start
            self._failure = error
        self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()

        def ready(_: Endpoints) -> None:
            self._ready.set()

        await serve(self.home, self._stop, on_ready=ready)
