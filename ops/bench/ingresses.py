"""Ingresses and their senders as processes: started, waited for, measured, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

import psutil

from ops.bench.http_load import SECRET
from schemas.errors import RatchetError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

START_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 20.0
POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is watched."""

    pid: int
    address: str = ""

    def cpu_seconds(self) -> float:
        """Return its CPU seconds so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)


def free_port() -> int:
    """Return a port of the loopback address that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running(arguments: tuple[str, ...], environment: Mapping[str, str], log: Path) -> AsyncIterator[int]:
    """Run `python -m ARGUMENTS`, its standard error in a file; SIGTERM ends it with the block."""
    with log.open("ab") as written:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *arguments, env=os.environ | dict(environment), stdout=written, stderr=written
        )
    try:
        yield process.pid
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS_MAX)
            except TimeoutError:
                process.kill()
                await process.wait()


@asynccontextmanager
async def our_ingress(environment: Mapping[str, str], log: Path) -> AsyncIterator[Process]:
    """Run the product's ingress, as shipped, its log in a file as under `ratchet up`."""
    address = f"127.0.0.1:{free_port()}"
    own = {"RATCHET_INGRESS__BIND": address, "RATCHET_PROVIDERS__STRIPE__SECRETS": json.dumps([SECRET])}
    async with running(("ops.cli", "ingress"), {**environment, **own}, log) as pid:
        await _answers(address, b"/readyz", b" 200 ")
        yield Process(pid, address)


@asynccontextmanager
async def bare_ingress(environment: Mapping[str, str], log: Path) -> AsyncIterator[Process]:
    """Run the bare handler."""
    address = f"127.0.0.1:{free_port()}"
    async with running(("ops.bench.bare_ingress", address.rpartition(":")[2]), environment, log) as pid:
        await _answers(address, b"/", b" 404 ")
        yield Process(pid, address)


@dataclass(frozen=True, slots=True)
class Sending:
    """What a sender is to do; `rate` 0 is as fast as answers come."""

    seconds: float
    connections: int
    rate: float
    events: int
    seed: int


async def send(address: str, sending: Sending) -> dict[str, Any]:
    """Run the sender; return its document. Raises RatchetError for any answer but 202."""
    arguments = (address, *(str(value) for value in astuple(sending)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ops.bench.http_load", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise RatchetError(f"the sender ended with status {process.returncode}")
    document: dict[str, Any] = json.loads(output)
    if set(document["statuses"]) != {"202"}:
        raise RatchetError(f"the ingress at {address} answered {document['statuses']}")
    return document


async def _answers(address: str, path: bytes, wanted: bytes) -> None:
    host, _, port = address.partition(":")
    deadline = asyncio.get_running_loop().time() + START_SECONDS_MAX
    while asyncio.get_running_loop().time() < deadline:
        try:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET %s HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n" % path)
            line = await reader.readline()
            writer.close()
        except OSError:
            line = b""
        if wanted in line:
            return
        await asyncio.sleep(POLL_SECONDS)
    raise RatchetError(f"nothing answers at {address} within {START_SECONDS_MAX:g} s; see the log beside the figures")
