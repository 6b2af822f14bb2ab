"""The starter's side of a reaper: start a broker under one, know its server, stop it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.stack import identity
from runtime.stack.broker import BrokerServer, last_words
from runtime.stack.identity import Identity
from runtime.stack.layout import open_private, write_private
from schemas.errors import StackError

if TYPE_CHECKING:
    from runtime.settings import StackSettings

REAPER: Final = Path(__file__).with_name("reaper.py")
EXIT_LOCKED: Final = 75
"""The reaper's status when the broker's folder stays locked by a server of an earlier run."""
MARGIN_SECONDS: Final = 5.0


class StillLockedError(StackError):
    """A server of an earlier run still lives in the broker's folder."""


class Guard:
    """One running broker: its reaper, a child of ours, and its server, a child of the reaper."""

    def __init__(self, reaper: subprocess.Popen[bytes], server: Identity, grace_seconds: float) -> None:
        self.server = server
        self._reaper = reaper
        self._grace_seconds = grace_seconds

    def alive(self) -> bool:
        """Tell whether both the server and its reaper run."""
        return self._reaper.poll() is None and self.server.alive()

    def stop(self) -> None:
        """Stop the broker and wait for it; blocks for the grace at most. May be called twice."""
        self._close_pipes()
        try:
            self._reaper.wait(self._grace_seconds + MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            # A reaper that is stopped or stuck; the server gets the kernel's signal.
            self._reaper.kill()
            self._reaper.wait()

    def wait_for_end(self, timeout_seconds: float) -> None:
        """Wait until server and reaper end by themselves; raise subprocess.TimeoutExpired."""
        self._reaper.wait(timeout_seconds)

    def _close_pipes(self) -> None:
        for pipe in (self._reaper.stdin, self._reaper.stdout):
            if pipe is not None:
                pipe.close()


def specification(broker: BrokerServer, settings: StackSettings) -> dict[str, object]:
    """Return what the reaper must know, as JSON values."""
    return {
        "argv": broker.argv,
        "cwd": str(broker.folder),
        "environment": broker.environment,
        "log": str(broker.log),
        "lock": str(broker.folder / "server.lock"),
        "lock_wait_seconds": settings.leftover_wait_seconds,
        "remove": [str(path) for path in broker.stale],
        "uid": broker.user.uid if broker.user else None,
        "gid": broker.user.gid if broker.user else None,
        "stop_signal": int(broker.stop_signal),
        "death_signal": int(broker.death_signal),
        "grace_seconds": settings.stop_grace_seconds,
    }


def start(broker: BrokerServer, settings: StackSettings) -> Guard:
    """Start a broker under a reaper and return when its server process exists; blocks while leftovers end.

    Raise StillLockedError when a server of an earlier run does not end, StackError when the server does not start.
    """
    file = broker.folder / "reaper.json"
    write_private(file, json.dumps(specification(broker, settings)))
    reaper_log = broker.folder / "reaper.log"
    with open_private(reaper_log) as log:
        reaper = subprocess.Popen(  # noqa: S603 - the command is our own
            [sys.executable, "-I", str(REAPER), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # a Ctrl-C at the terminal is for the roles; the brokers outlast them
        )
    assert reaper.stdout is not None
    line = reaper.stdout.readline()
    server = identity.of(json.loads(line)["pid"]) if line else None
    guard = Guard(reaper, server or Identity(0, 0.0), settings.stop_grace_seconds)
    if server is None:
        guard.stop()
        if reaper.returncode == EXIT_LOCKED:
            raise StillLockedError(f"a {broker.name} of an earlier run still lives in {broker.folder}; stop it by hand")
        raise StackError(
            f"{broker.name} did not start: {last_words(broker.log)} {last_words(reaper_log)}; see {broker.folder}"
        )
    return guard
