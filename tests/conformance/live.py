"""Ratchet as `ratchet up` runs it, with its sample, for clients that publish and read; its roles are killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import psutil

from runtime.stack import read_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from runtime.stack import Endpoints

RATCHET = (sys.executable, "-P", "-m", "ops.cli")
LIVES = 150
"""Payments' lives in the sample that `up` posts."""
WAIT_SECONDS = 120.0


@dataclass(frozen=True)
class Live:
    """A running Ratchet by its home."""

    home: Path
    variables: dict[str, str]

    @property
    def endpoints(self) -> Endpoints:
        state = read_state(self.home)
        assert state is not None
        return state.endpoints

    def run(self, *words: str) -> Any:
        """Run a command; return its document."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RATCHET_")}
        done = subprocess.run(
            [*RATCHET, *words, "--json"],
            env=kept | self.variables, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.stdout, done.stderr[-2000:]
        return json.loads(done.stdout)

    def kill(self, *roles: str) -> None:
        """Kill roles with SIGKILL, and wait until each one's successor serves."""
        for role in roles:
            pid = self.until(lambda role=role: self.pid_of(role))  # type: ignore[misc]
            os.kill(pid, signal.SIGKILL)
            self.until(lambda role=role, pid=pid: self.pid_of(role) not in (None, pid))  # type: ignore[misc]

    def pid_of(self, role: str) -> int | None:
        with contextlib.suppress(OSError, ValueError, KeyError):
            pid = int(json.loads((self.home / "run" / f"{role}.json").read_text())["pid"])
            return pid if psutil.pid_exists(pid) else None
        return None

    def until(self, holds: Callable[[], Any]) -> Any:
        deadline = time.monotonic() + WAIT_SECONDS
        while not (found := holds()):
            assert time.monotonic() < deadline, (self.home / "log").exists() and self.run("status")
            time.sleep(0.1)
        return found

    def await_rest(self) -> None:
        """Wait until nothing is on its way any more."""
        self.until(self._at_rest)

    def _at_rest(self) -> bool:
        found = self.run("status")
        return not any((*found["lag"].values(), *(found["counts"].get(name, 1) for name in ("outbox", "spool"))))

    async def payments(self) -> dict[str, dict[str, Any]]:
        """Return the rows of `payments` that have moved, as JSON has them."""
        connection = await asyncpg.connect(self.endpoints.dsn)
        try:
            rows = await connection.fetch("select row_to_json(payments) as row from payments where version > 0")
        finally:
            await connection.close()
        found = [json.loads(row["row"]) for row in rows]
        return {one["id"]: one for one in found}

    async def fetch(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        connection = await asyncpg.connect(self.endpoints.dsn)
        try:
            return [dict(row) for row in await connection.fetch(sql, *values)]
        finally:
            await connection.close()


@contextmanager
def live(home: Path, **more: str) -> Iterator[Live]:
    """Run `ratchet up` in the background until the context ends."""
    variables = {
        "RATCHET_HOME": str(home),
        "RATCHET_INGRESS__BIND": "127.0.0.1:0",
        "RATCHET_CONSOLE__BIND": "127.0.0.1:0",
        "RATCHET_SAMPLE__LIVES": str(LIVES),
        **more,
    }
    found = Live(home, variables)
    try:
        found.run("up", "--detach")
        yield found
    finally:
        found.run("down")
