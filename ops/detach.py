"""`ratchet up --detach` and `ratchet down`: an `up` in the background, which outlives the terminal it came from.

The background process is an `up` like any other, in a session of its own: it supervises the roles and the brokers, and
they end with it. Until the ingress answers it is tied to the command that started it by a pipe on its standard input:
where that command ends first, in whatever way, it stops again. One byte on the pipe sets it free.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING, Annotated, Any, Final

import psutil
import typer

from ops import endpoints
from ops.output import EXIT_DONE, EXIT_USAGE, AsJson, command, emit
from runtime.folders import make_private
from runtime.health import split_address
from runtime.lifecycle import read_run_file
from runtime.stack import identity, leftovers
from schemas.errors import SettingsError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from runtime.settings import Settings
    from runtime.stack.identity import Identity

POLL_SECONDS: Final = 0.2
RELEASED: Final = b"."
STOP_MARGIN_SECONDS: Final = 60.0
"""Beyond the roles' own bound of a clean stop: the brokers' end."""


def lock_path(home: Path) -> Path:
    """Return the file that an `up` holds locked for as long as it runs, with its pid and start time in it."""
    return home / "run" / "up.lock"


def log_path(home: Path) -> Path:
    """Return where an `up` in the background writes."""
    return home / "log" / "up.log"


def holder(home: Path) -> Identity | None:
    """Return the `up` that runs in the home, or None."""
    path = lock_path(home)
    if not leftovers.is_locked(path):
        return None
    with contextlib.suppress(OSError, ValueError):
        pid, started = path.read_text(encoding="ascii").split()
        found = identity.Identity(int(pid), float(started))
        return found if found.alive() else None
    return None


def stop_unless_released(stop: Callable[[], object]) -> None:
    """Call `stop`, from a thread, where the command that started us ends before it set us free."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            if os.read(0, 1) == RELEASED:
                return
        stop()

    threading.Thread(target=watch, name="release", daemon=True).start()


@dataclass(slots=True)
class Tail:
    """What a file has got since the last look, as text on standard error."""

    path: Path
    offset: int = 0
    last: str = ""

    def show(self) -> None:
        """Pass on what is new."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            new = file.read()
        self.offset += len(new)
        lines = new.decode(errors="replace").splitlines()
        self.last = next((line for line in reversed(lines) if line.strip()), self.last)
        for line in lines:
            sys.stderr.write(line + "\n")
        sys.stderr.flush()


def _address_of(home: Path, role: str, process: subprocess.Popen[bytes]) -> str | None:
    """Return where a role of this very `up` listens, or None while it does not."""
    run_file = read_run_file(home, role)
    if run_file is None or run_file.address is None or not run_file.alive():
        return None
    with contextlib.suppress(psutil.Error):
        return run_file.address if psutil.Process(run_file.pid).ppid() == process.pid else None
    return None


def _ready(address: str, seconds: float) -> bool:
    host, port = split_address(address)
    connection = HTTPConnection(host, port, timeout=seconds)  # not urllib, which would ask a proxy of the environment
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (HTTPException, OSError):
        return False
    finally:
        connection.close()


def start(settings: Settings, words: Sequence[str]) -> dict[str, Any]:
    """Start an `up` in the background and return where it is once its ingress takes webhooks.

    Raise SettingsError where one runs already, UnavailableError with its last words where it ends before.
    """
    if (running := holder(settings.home)) is not None:
        raise SettingsError(f"`ratchet up` runs in {settings.home} already (pid {running.pid}); `ratchet down` ends it")
    path = log_path(settings.home)
    make_private(path.parent)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as log:
        process = subprocess.Popen(  # noqa: S603 - the command is our own
            [sys.executable, "-P", "-m", "ops.cli", "up", "--released-by-stdin", *words],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    assert process.stdin is not None
    try:
        address = _until_ready(settings, process, Tail(path))
        process.stdin.write(RELEASED)
    finally:  # without the byte, the end of the pipe stops it
        with contextlib.suppress(OSError):
            process.stdin.close()
    console = _console_of(settings, process)
    return {
        "pid": process.pid,
        "ingress": f"http://{address}",
        "console": f"http://{console}" if console else None,
        "log": str(path),
    }


def _console_of(settings: Settings, process: subprocess.Popen[bytes]) -> str | None:
    """Return where the console listens, once it does; None where it does not within the time of a role's start."""
    deadline = time.monotonic() + settings.role.start_seconds_max
    while (found := _address_of(settings.home, "console", process)) is None:
        if process.poll() is not None or time.monotonic() > deadline:
            return None
        time.sleep(POLL_SECONDS)
    return found


def _until_ready(settings: Settings, process: subprocess.Popen[bytes], tail: Tail) -> str:
    """Wait, without a bound of our own: every step of the start has one, and an `up` that gives up ends."""
    while True:
        ended = process.poll()
        tail.show()
        if ended is not None:
            kind = SettingsError if ended == EXIT_USAGE else UnavailableError
            raise kind(f"the stack did not start: {tail.last.removeprefix('ratchet: ') or f'status {ended}'}")
        address = _address_of(settings.home, "ingress", process)
        if address is not None and _ready(address, settings.role.probe_timeout_seconds):
            return address
        time.sleep(POLL_SECONDS)


def stop(settings: Settings) -> bool:
    """End the `up` of the home and wait until all of it is gone; False where none runs."""
    running = holder(settings.home)
    if running is None:
        return False
    running.signal(signal.SIGTERM)
    deadline = time.monotonic() + settings.role.drain_seconds_max + STOP_MARGIN_SECONDS
    while leftovers.is_locked(lock_path(settings.home)) or running.alive():  # it gives the lock back before it ends
        if time.monotonic() > deadline:
            raise UnavailableError(f"`ratchet up` (pid {running.pid}) has not stopped; see {settings.home / 'log'}")
        time.sleep(POLL_SECONDS)
    return True


@command
def down(*, as_json: AsJson = False) -> int:
    """End the `ratchet up` of this home, in the background or not: the roles first, then the brokers."""
    settings = endpoints.load()
    stopped = stop(settings)
    words = "stopped" if stopped else "no `ratchet up` runs in this home"
    if not stopped and endpoints.running_stack(settings):
        words += "; its brokers do: `ratchet stack down` stops them"
    emit({"stopped": stopped}, as_json=as_json, show=lambda: words)
    return EXIT_DONE


Detach = Annotated[bool, typer.Option("--detach", help="Return when the ingress answers; `ratchet down` ends it.")]
Released = Annotated[bool, typer.Option("--released-by-stdin", hidden=True)]
