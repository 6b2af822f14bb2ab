"""The roles of a run: each `ratchet ROLE` a process of its own with its own home, started again when it ends."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from runtime.lifecycle import read_run_file

if TYPE_CHECKING:
    from pathlib import Path

RATCHET = (sys.executable, "-P", "-m", "ops.cli")
RESTART_SECONDS = 1.0
STOP_SECONDS_MAX = 20.0


@dataclass
class Member:
    """One process of a role, under a name."""

    name: str
    role: str
    home: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    ended_at: float = 0.0
    ends: int = 0

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "role.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*RATCHET, self.role], env=self.environment | {"RATCHET_HOME": str(self.home)}, stdout=log, stderr=log
            )

    def ready(self) -> dict[str, Any]:
        """Return what /readyz says, and its status."""
        found = read_run_file(self.home, self.role)
        if found is None:
            return {"status": 0, "reason": "no run file"}
        try:
            with urllib.request.urlopen(f"http://{found.probe}/readyz?verbose", timeout=3) as answer:
                return {"status": answer.status, **json.loads(answer.read())}
        except urllib.error.HTTPError as error:
            return {"status": error.code, **json.loads(error.read() or b"{}")}
        except (OSError, ValueError) as error:
            return {"status": 0, "reason": f"{type(error).__name__}: {error}"}

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return its log lines of one event."""
        found = []
        for line in (self.home / "role.log").read_text(errors="replace").splitlines():
            if f'"{event}"' in line:
                with suppress(ValueError):
                    found.append(json.loads(line))
        return found


@dataclass
class Fleet:
    """All processes, and who starts those again that end."""

    members: dict[str, Member] = field(default_factory=dict)
    keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        for one in self.members.values():
            one.start()
        self.keeper = asyncio.create_task(self._keep())

    async def until_ready(self, seconds: float) -> None:
        """Wait until every process is ready; a relay that does not lead is ready too."""
        deadline = time.monotonic() + seconds
        for one in self.members.values():
            while (await asyncio.to_thread(one.ready))["status"] != 200:
                assert time.monotonic() < deadline, f"{one.name}: {one.ready()} {(one.home / 'role.log').read_text()}"
                await asyncio.sleep(0.2)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            for one in self.members.values():
                if one.process is None or one.process.poll() is None:
                    continue
                now = time.monotonic()
                if one.ended_at == 0.0:
                    one.ended_at, one.ends = now, one.ends + 1
                elif now - one.ended_at >= RESTART_SECONDS:
                    one.ended_at = 0.0
                    one.start()

    async def readiness(self) -> dict[str, dict[str, Any]]:
        """Return what each one's probe says."""
        found = await asyncio.gather(*(asyncio.to_thread(one.ready) for one in self.members.values()))
        return dict(zip(self.members, found, strict=True))

    async def stop(self) -> None:
        if self.keeper is not None:
            self.keeper.cancel()
        running = [one.process for one in self.members.values() if one.process and one.process.poll() is None]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for process in running:
            try:
                await asyncio.to_thread(process.wait, max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
