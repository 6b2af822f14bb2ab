"""A role's life as a process: logging, signals, its run file, its probe, a bounded drain, and its end with its parent.

The run file `RATCHET_HOME/run/<role>.json` tells others where the role is; it goes away with a clean end. A role that
`ratchet up` started ends with it, however `up` ends: the kernel kills it (Linux), or the pipe to `up` closes, or its
parent's id changes. A role started alone watches nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final, NoReturn

import psutil

from runtime import log, telemetry
from runtime.background import keep_running
from runtime.folders import make_private
from runtime.gc_tuning import tune_collector
from runtime.health import Probe, serving
from schemas.errors import RatchetError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from runtime.settings import RoleSettings, Settings

    Serve = Callable[[Settings, asyncio.Event, Probe], Awaitable[None]]

EXIT_CLEAN: Final = 0
EXIT_FAILED: Final = 1
EXIT_MISCONFIGURED: Final = 2
EXIT_FORCED: Final = 130
PR_SET_PDEATHSIG: Final = 1
"""prctl(2): the signal that this process gets when its parent dies; Linux only."""
ADDRESS_POLL_SECONDS: Final = 0.2
LEAVE_SECONDS_MAX: Final = 2.0

_log = log.get("lifecycle")


@dataclass(frozen=True, slots=True)
class RunFile:
    """Where a role is. `started_at` is the process's start in unix seconds: with the pid it names one process.

    `probe` answers /livez and /readyz; `address` is the role's own service, or None where it has none.
    """

    role: str
    pid: int
    started_at: float
    probe: str
    address: str | None = None

    def alive(self) -> bool:
        """Tell whether the process is still the one that wrote the file; a zombie is not."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.started_at) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def run_path(home: Path, role: str) -> Path:
    """Return the place of a role's run file."""
    return home / "run" / f"{role}.json"


def write_run_file(home: Path, run_file: RunFile) -> None:
    """Write the run file whole or not at all: readers never see half of it."""
    path = run_path(home, run_file.role)
    make_private(path.parent)
    draft = path.with_suffix(f".{run_file.pid}.tmp")
    draft.write_text(json.dumps(asdict(run_file)), encoding="utf-8")
    draft.replace(path)


def read_run_file(home: Path, role: str) -> RunFile | None:
    """Return what the role wrote, or None where there is nothing that can be read."""
    try:
        return RunFile(**json.loads(run_path(home, role).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def remove_run_file(home: Path, role: str, pid: int) -> None:
    """Remove the role's run file if that process wrote it; another's stays."""
    found = read_run_file(home, role)
    if found is not None and found.pid == pid:
        run_path(home, role).unlink(missing_ok=True)


def bind_to_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies; elsewhere than on Linux the watches do it alone."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent_pid:
        raise RatchetError(f"the parent process {parent_pid} is gone; a role of `ratchet up` does not run without it")


def _end_with_parent(settings: RoleSettings, wait: Callable[[], None], on_orphaned: Callable[[], None]) -> None:
    """Wait in a thread of its own for the parent's end; then stop cleanly, or by force where that takes too long."""

    def watch() -> None:
        wait()
        on_orphaned()
        time.sleep(settings.drain_seconds_max)
        os._exit(EXIT_FORCED)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()


def watch_parent(settings: RoleSettings, on_orphaned: Callable[[], None]) -> None:
    """Watch the parent that started this role, if one did, by each means that it gave."""
    lifeline_fd, parent_pid = settings.lifeline_fd, settings.parent_pid

    def until_pipe_closes() -> None:
        with contextlib.suppress(OSError):
            while lifeline_fd is not None and os.read(lifeline_fd, 1):
                pass

    def until_parent_changes() -> None:
        while os.getppid() == parent_pid:
            time.sleep(settings.parent_poll_seconds)

    if lifeline_fd is not None:
        _end_with_parent(settings, until_pipe_closes, on_orphaned)
    if parent_pid is not None:
        bind_to_parent(parent_pid)
        _end_with_parent(settings, until_parent_changes, on_orphaned)


def _stop_on_signals(stop: asyncio.Event) -> None:
    """Let the first SIGTERM or SIGINT stop cleanly and the second one end the process at once."""

    def received() -> None:
        if stop.is_set():
            os._exit(EXIT_FORCED)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, received)


async def _keep_run_file(home: Path, probe: Probe, probe_address: str) -> None:
    """Write the run file now, and again whenever the role's own address becomes known or changes."""
    written: object = RunFile  # nothing yet; None is an address too
    while True:
        address = probe.facts.get("address")
        if address != written:
            started_at = psutil.Process().create_time()
            shown = None if address is None else str(address)
            write_run_file(home, RunFile(probe.role, os.getpid(), started_at, probe_address, shown))
            written = address
        await asyncio.sleep(ADDRESS_POLL_SECONDS)


async def _watch_servers(settings: Settings, probe: Probe) -> None:
    """Show which servers are away; imported here, since whoever only looks at run files needs no client of Kafka."""
    from runtime.servers import Servers

    await Servers(settings).keep(probe.facts)


async def _drain(task: asyncio.Future[None], seconds: float) -> None:
    """Wait for the role to stop; raise RatchetError when it does not within the bound."""
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        raise RatchetError(f"the role did not stop within {seconds:g} s; what it left is taken up at the next start")
    task.result()


async def _live(settings: Settings, serve: Serve, probe: Probe) -> None:
    """Serve until a signal, the parent's end or the role's own failure."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    _stop_on_signals(stop)

    def on_orphaned() -> None:
        loop.call_soon_threadsafe(stop.set)

    watch_parent(settings.role, on_orphaned)
    async with serving(probe, settings.role.probe_bind) as probe_address:
        keeper = asyncio.ensure_future(
            keep_running("run file", lambda: _keep_run_file(settings.home, probe, probe_address))
        )
        servers = asyncio.ensure_future(keep_running("servers", lambda: _watch_servers(settings, probe)))
        role = asyncio.ensure_future(serve(settings, stop, probe))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait({role, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not role.done():
                probe.state = "stopping"
            await _drain(role, settings.role.drain_seconds_max)
            if not stop.is_set():
                raise RatchetError("the role ended by itself; it should run until it is asked to stop")
        finally:
            for task in (keeper, servers, stopping, role):
                task.cancel()
            await asyncio.gather(keeper, servers, stopping, return_exceptions=True)


def _run_loop(main: Awaitable[None]) -> None:
    """Run on uvloop where there is one; the process ends soon after, so what still hangs is not awaited."""
    if sys.platform == "win32":  # pragma: no cover - uvloop is not built for it
        loop = asyncio.new_event_loop()
    else:
        import uvloop

        loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
    finally:
        asyncio.set_event_loop(None)


def leave(status: int) -> NoReturn:
    """End the process with that exit status, also where a thread hangs that Python would wait for."""

    def force() -> None:
        time.sleep(LEAVE_SECONDS_MAX)
        os._exit(status)

    threading.Thread(target=force, name="leave", daemon=True).start()
    sys.exit(status)


def run_role(name: str, settings: Settings, serve: Serve) -> int:
    """Run one role in the foreground until it is asked to stop; return the exit status.

    0 is a clean end, 1 a failure, 2 a setting that is wrong, which a restart does not mend.
    """
    log.configure(name, settings.log.level)
    probe = Probe(name)
    try:
        telemetry.start(name, settings.telemetry, group=settings.kafka.group)
        tune_collector()
        _run_loop(_live(settings, serve, probe))
    except RatchetError as error:
        _log.error("role_failed", error=str(error), kind=type(error).__name__)
        return EXIT_MISCONFIGURED if isinstance(error, SettingsError) else EXIT_FAILED
    except Exception:  # noqa: BLE001 - the process's last resort: say it and end
        _log.exception("role_failed")
        return EXIT_FAILED
    finally:
        remove_run_file(settings.home, name, os.getpid())
        telemetry.stop()
    _log.info("role_stopped")
    return EXIT_CLEAN
