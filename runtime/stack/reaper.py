"""The reaper of one broker: a process of its own that runs a server and never lets it outlive its starter.

It needs the standard library alone and is run as a file. Its standard input is a pipe whose other end only the starter
holds: the end of that pipe, for whatever reason, SIGKILL included, means stop. One JSON line on its standard output
names the server's pid. Should the reaper itself be killed, the kernel signals the server (PR_SET_PDEATHSIG, Linux).

Three traps of that signal: it is bound to the thread that forked, so the reaper has one thread; a change of user
clears it, so it is set after that; the reaper may be gone before it is set, so the parent is compared afterwards.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

PR_SET_PDEATHSIG: Final = 1
POLL_SECONDS: Final = 0.2
EXIT_LOCKED: Final = 75
LOG_BYTES_MAX: Final = 8 * 1024 * 1024


def hold_lock(path: str, wait_seconds: float) -> int | None:
    """Lock the broker's folder; the server inherits the lock, so it lasts as long as anything of this run lives."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > deadline or starter_is_gone(POLL_SECONDS):
                return None
        else:
            return handle


def starter_is_gone(wait_seconds: float) -> bool:
    """Wait a while for the end of the starter's pipe."""
    try:
        readable, _, _ = select.select([0], [], [], wait_seconds)
        return bool(readable) and not os.read(0, 4096)
    except InterruptedError:
        return False


def open_log(path: Path) -> int:
    """Open the server's log to append; one that has grown past its bound is begun anew, the old one kept once."""
    if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
        path.replace(path.with_suffix(".old.log"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def start_server(spec: dict[str, Any], lock: int) -> subprocess.Popen[bytes]:
    """Start the server as its user, bound to this process' life."""
    reaper_pid = os.getpid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def bind_to_reaper() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, spec["death_signal"], 0, 0, 0)
            if os.getppid() != reaper_pid:
                os._exit(1)

    user = {"user": spec["uid"], "group": spec["gid"], "extra_groups": []} if spec["uid"] is not None else {}
    log = open_log(Path(spec["log"]))
    return subprocess.Popen(  # noqa: S603 - the command is our own
        spec["argv"],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=spec["cwd"],
        env=spec["environment"],
        pass_fds=(lock,),
        umask=0o077,
        preexec_fn=bind_to_reaper,  # noqa: PLW1509 - one thread
        start_new_session=True,
        **user,
    )


def stop_server(server: subprocess.Popen[bytes], stop_signal: int, grace_seconds: float) -> None:
    """Ask the server to stop; after its grace it is killed, with what it started in its process group."""
    server.send_signal(stop_signal)
    try:
        server.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def main(spec: dict[str, Any]) -> int:
    """Run the server until it ends or the starter is gone; return the server's exit status, 0 after a stop."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda signum, _frame: asked.append(signum))
    lock = hold_lock(spec["lock"], spec["lock_wait_seconds"])
    if lock is None:
        return EXIT_LOCKED
    for path in spec["remove"]:
        Path(path).unlink(missing_ok=True)
    server = start_server(spec, lock)
    sys.stdout.write(json.dumps({"pid": server.pid}) + "\n")
    sys.stdout.flush()
    while server.poll() is None:
        if asked or starter_is_gone(POLL_SECONDS):
            stop_server(server, spec["stop_signal"], spec["grace_seconds"])
            return 0
    return server.returncode if server.returncode > 0 else 128 - server.returncode


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
