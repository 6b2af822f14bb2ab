"""The starter's side of a warden: start a broker under one, know its server, stop it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.stack import identity
from runtime.stack.broker import Broker, last_words
from runtime.stack.identity import Identity
from runtime.stack.layout import open_private, write_private
from schemas.errors import StackError

if TYPE_CHECKING:
    from runtime.settings import StackSettings

WARDEN: Final = Path(__file__).with_name("warden.py")
EXIT_LOCKED: Final = 75
"""The warden's status when the broker's folder stays locked by a server of an earlier run."""
MARGIN_SECONDS: Final = 5.0


class StillLockedError(StackError):
    """A server of an earlier run still lives in the broker's folder."""


class Guard:
    """One running broker: its warden, a child of ours, and its server, a child of the warden."""

    def __init__(self, warden: subprocess.Popen[bytes], server: Identity, grace_seconds: float) -> None:
        self.server = server
        self._warden = warden
        self._grace_seconds = grace_seconds

    def alive(self) -> bool:
        """Tell whether both the server and its warden run."""
        return self._warden.poll() is None and self.server.alive()

    def stop(self) -> None:
        """Stop the broker and wait for it; blocks for the grace at most. May be called twice."""
        self._close_pipes()
        try:
            self._warden.wait(self._grace_seconds + MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            # A warden that is stopped or stuck; the server gets the kernel's signal.
            self._warden.kill()
            self._warden.wait()

    def wait_for_end(self, timeout_seconds: float) -> None:
        """Wait until server and warden end by themselves; raise subprocess.TimeoutExpired."""
        self._warden.wait(timeout_seconds)

    def _close_pipes(self) -> None:
        for pipe in (self._warden.stdin, self._warden.stdout):
            if pipe is not None:
                pipe.close()


def specification(broker: Broker, settings: StackSettings) -> dict[str, object]:
    """Return what the warden must know, as JSON values."""
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


def start(broker: Broker, settings: StackSettings) -> Guard:
    """Start a broker under a warden and return when its server process exists; blocks while leftovers end.

    Raise StillLockedError when a server of an earlier run does not end, StackError when the server does not start.
    """
    file = broker.folder / "warden.json"
    write_private(file, json.dumps(specification(broker, settings)))
    warden_log = broker.folder / "warden.log"
    with open_private(warden_log) as log:
        warden = subprocess.Popen(  # noqa: S603 - the command is our own
            [sys.executable, "-I", str(WARDEN), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # a Ctrl-C at the terminal is for the roles; the brokers outlast them
        )
    assert warden.stdout is not None
    line = warden.stdout.readline()
    server = identity.of(json.loads(line)["pid"]) if line else None
    guard = Guard(warden, server or Identity(0, 0.0), settings.stop_grace_seconds)
    if server is None:
        guard.stop()
        if warden.returncode == EXIT_LOCKED:
            raise StillLockedError(f"a {broker.name} of an earlier run still lives in {broker.folder}; stop it by hand")
        raise StackError(
            f"{broker.name} did not start: {last_words(broker.log)} {last_words(warden_log)}; see {broker.folder}"
        )
    return guard
