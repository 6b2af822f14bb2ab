"""What the supervisor must know of a broker, whichever it is."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from runtime.stack.ports import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

ENVIRONMENT: Final = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
"""The brokers' whole environment: nothing of ours, which holds secrets, reaches them.

Java reads the names of files in the locale's encoding: in plain `C` it cannot load its own libraries from a folder
whose name has a letter outside ASCII.
"""


@dataclass(frozen=True, slots=True)
class User:
    """The user that a server runs as, where it is not our own."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class BrokerServer:
    """One broker, ready to be started: `prepare` was done.

    `after_start` is called once after each start, when the server answers. `death_signal` is what the kernel sends the
    server should its reaper be killed. `stale` are files that a killed server leaves behind and that stop the next.
    """

    name: str
    port: int
    argv: tuple[str, ...]
    folder: Path
    after_start: Callable[[], Awaitable[None]] | None = None
    user: User | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    stale: tuple[Path, ...] = ()
    environment: dict[str, str] = field(default_factory=lambda: dict(ENVIRONMENT))

    @property
    def address(self) -> str:
        """Return where the server listens."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def log(self) -> Path:
        """Return the file with the server's own output."""
        return self.folder / "server.log"


def last_words(log: Path, lines: int = 5) -> str:
    """Return the end of a log on one line, for a message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            tail = file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return ""
    return " | ".join(line.strip() for line in tail if line.strip())
