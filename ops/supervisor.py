"""The supervisor of the roles: each its own process, back when it dies, replaced when it is stuck, stopped in order.

Each role has its loop. What to do is decided by `decision` and `pause_before`, which are pure; the loop does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Final
from uuid import UUID, uuid4

from ops.status import ask_livez
from runtime.ends import PurposefulEnds
from runtime.folders import make_private
from runtime.lifecycle import read_run_file, run_path

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from runtime.settings import RoleSettings, Settings

KILL_GRACE_SECONDS: Final = 3.0
"""Beyond its own bound of a clean stop, before a role is killed."""
LONG_RUN_SECONDS: Final = 30.0
"""A role that ran this long starts its backoff anew."""
DOUBLINGS_MAX: Final = 16
"""Of the pause before a restart; the bound in the settings is reached long before."""
HIDDEN_FROM_ROLES: Final = frozenset({"RATCHET_POSTGRES__OWNER_DSN", "RATCHET_POSTGRES__SUPERUSER_DSN"})
"""Roles never own the schema."""


class RoleDecision(StrEnum):
    """What to do with a role that lives."""

    LEAVE = "leave"
    REPLACE = "replace"


@dataclass(slots=True)
class ProcessWatch:
    """What is known of one process: times are monotonic seconds. `reason` is why it makes no progress, or None."""

    started_at: float
    healthy_at: float | None = None
    reason: str | None = None


def decision(watch: ProcessWatch, now: float, settings: RoleSettings) -> RoleDecision:
    """Decide on a role that lives: replaced when it never answered or has been stuck for too long."""
    if watch.reason is None and watch.healthy_at is not None:
        return RoleDecision.LEAVE
    since = watch.started_at if watch.healthy_at is None else watch.healthy_at
    bound = settings.start_seconds_max if watch.healthy_at is None else settings.stalled_after_seconds
    return RoleDecision.REPLACE if now - since > bound else RoleDecision.LEAVE


def pause_before(ends_in_row: int, settings: RoleSettings) -> float:
    """Return how long to wait before a role starts again: twice as long each time, bounded."""
    return min(
        settings.restart_backoff_initial_seconds * 2.0 ** min(ends_in_row, DOUBLINGS_MAX),
        settings.restart_backoff_max_seconds,
    )


def open_log(path: Path, bytes_max: int) -> IO[bytes]:
    """Open a role's log to append, for its user alone; one past its bound is kept once and begun anew."""
    make_private(path.parent)
    if path.exists() and path.stat().st_size > bytes_max:
        path.replace(path.with_suffix(".old.log"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def last_line(path: Path) -> str:
    """Return the last line of a log, for a message; empty where there is none."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
    return ""


def reason_in(path: Path) -> str:
    """Return why a role ended, from the last line of its log: the sentence alone where the line is a JSON record.

    Of an exception that nobody foresaw it is the last line of its traceback, which names it.
    """
    line = last_line(path)
    with contextlib.suppress(ValueError):
        record = json.loads(line)
        if isinstance(record, dict) and "error" in record:
            return str(record["error"])
        if isinstance(record, dict) and "exception" in record:
            return last_words(str(record["exception"]))
    return line.removeprefix("ratchet: ")


def last_words(traceback: str) -> str:
    """Return the last line of a traceback that says anything."""
    return next((line.strip() for line in reversed(traceback.splitlines()) if line.strip()), "no reason was logged")


@dataclass(slots=True)
class KeptRole:
    """One role as the supervisor keeps it: its process now, how often it began, how often it ended in a row.

    `status` is the exit status of the process before, or None.
    """

    role: str
    process: asyncio.subprocess.Process | None = None
    watch: ProcessWatch = field(default_factory=lambda: ProcessWatch(0.0))
    starts: int = 0
    ends_in_row: int = 0
    status: int | None = None
    token: UUID = field(default_factory=uuid4)


@dataclass(slots=True)
class Supervisor:
    """Keeps the roles of one home alive. `environment` is what they need beside this process's own.

    `command` makes the command line of a role, `own` what it alone gets in its environment; `report` is called
    with a sentence for what happens.
    """

    settings: Settings
    environment: Mapping[str, str]
    report: Callable[[str], None]
    command: Callable[[str], Sequence[str]] = lambda role: (sys.executable, "-P", "-m", "ops.cli", role)
    own: Callable[[str], Mapping[str, str]] = lambda _role: {}
    roles: dict[str, KeptRole] = field(default_factory=dict)
    _loops: list[asyncio.Task[None]] = field(default_factory=list)
    _stop: asyncio.Event = field(default_factory=asyncio.Event)
    _lifeline: tuple[int, int] | None = None

    def start(self, roles: Sequence[str]) -> None:
        """Start every role and keep it."""
        self._lifeline = os.pipe()
        for role in roles:
            self.roles[role] = KeptRole(role)
            self._loops.append(asyncio.create_task(self._keep(self.roles[role])))

    async def stop(self) -> None:
        """Stop every role cleanly, by force past the bound; return when none lives."""
        self._stop.set()
        for kept in self.roles.values():
            _signal(kept.process, signal.SIGTERM)
        if self._loops:
            bound = self.settings.role.drain_seconds_max + KILL_GRACE_SECONDS
            _, slow = await asyncio.wait(self._loops, timeout=bound)
            for kept in self.roles.values():
                self._kill(kept)
            if slow:
                self.report("a role did not stop in time and was killed; nothing is lost by that")
                await asyncio.wait(slow)
            for loop in self._loops:
                loop.result()
        if self._lifeline is not None:
            for end in self._lifeline:
                os.close(end)
            self._lifeline = None

    async def _keep(self, kept: KeptRole) -> None:
        while not self._stop.is_set():
            try:
                ended = await self._run_once(kept)
            except OSError as error:  # a full disk, say: it may have room again at the next try
                ended = f"could not be kept ({error})"
            if self._stop.is_set():
                return
            lived = time.monotonic() - kept.watch.started_at
            kept.ends_in_row = 0 if lived > LONG_RUN_SECONDS else kept.ends_in_row + 1
            seconds = pause_before(kept.ends_in_row - 1, self.settings.role) if kept.ends_in_row else 0.0
            self.report(f"{kept.role} {ended}; starting it again")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stop.wait()

    async def _run_once(self, kept: KeptRole) -> str:
        """Run a role until its process ends; return how, in words."""
        try:
            process = await self._spawn(kept)
            kept.status = await self._until_end(kept, process)
        finally:
            self._kill(kept)  # where something else went wrong: the next one is alone
            kept.process = None
        return f"(pid {process.pid}) ended with status {kept.status}"

    def _kill(self, kept: KeptRole) -> None:
        """Kill a role's process, noted before: a kill of ours is no evidence against a record that it had in hand."""
        if kept.process is not None and kept.process.returncode is None:
            PurposefulEnds(self.settings.home, kept.role).note(kept.token)
            _signal(kept.process, signal.SIGKILL)

    def log_path(self, role: str) -> Path:
        """Return where a role's output goes."""
        return self.settings.home / "log" / f"{role}.log"

    async def _spawn(self, kept: KeptRole) -> asyncio.subprocess.Process:
        assert self._lifeline is not None, "start() made it"
        run_path(self.settings.home, kept.role).unlink(missing_ok=True)
        inherited = {name: value for name, value in os.environ.items() if name.upper() not in HIDDEN_FROM_ROLES}
        kept.watch, kept.token = ProcessWatch(time.monotonic()), uuid4()
        watched = {
            "RATCHET_ROLE__LIFELINE_FD": str(self._lifeline[0]),
            "RATCHET_ROLE__PARENT_PID": str(os.getpid()),
            "RATCHET_ROLE__TOKEN": str(kept.token),
        }
        kept.starts += 1
        with open_log(self.log_path(kept.role), self.settings.role.log_bytes_max) as log:
            kept.process = await asyncio.create_subprocess_exec(
                *self.command(kept.role),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=inherited | dict(self.environment) | dict(self.own(kept.role)) | watched,
                pass_fds=(self._lifeline[0],),
                start_new_session=True,  # Ctrl-C on a terminal reaches us alone; we stop the roles in order
            )
        if self._stop.is_set():
            _signal(kept.process, signal.SIGTERM)
        return kept.process

    async def _until_end(self, kept: KeptRole, process: asyncio.subprocess.Process) -> int:
        """Watch a process until it ends, killing it where it is stuck; return its exit status."""
        ended = asyncio.ensure_future(process.wait())
        while not (await asyncio.wait({ended}, timeout=self.settings.role.probe_interval_seconds))[0]:
            await self._probe(kept, process.pid)
            if ended.done() or self._stop.is_set():
                continue
            if decision(kept.watch, time.monotonic(), self.settings.role) is RoleDecision.REPLACE:
                self.report(f"{kept.role} (pid {process.pid}) is stuck: {kept.watch.reason}; replacing it")
                self._kill(kept)
        return ended.result()

    async def _probe(self, kept: KeptRole, pid: int) -> None:
        run_file = read_run_file(self.settings.home, kept.role)
        if run_file is None or run_file.pid != pid:
            kept.watch.reason = "it has not reported where its probe is"
            return
        kept.watch.reason = await ask_livez(run_file.probe, self.settings.role.probe_timeout_seconds)
        if kept.watch.reason is None:
            kept.watch.healthy_at = time.monotonic()


def _signal(process: asyncio.subprocess.Process | None, number: signal.Signals) -> None:
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
